//! The families with labels, gathered at each scrape.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::histogram::Histogram;
use super::live::Live;
use super::{PluginMetrics, RouteMetrics, Samples, Source, UpstreamSample};
use crate::state::StateStats;

/// Where the families come from.
#[derive(Debug)]
pub(super) struct Collected {
    pub(super) routes: Arc<Live<RouteMetrics>>,
    pub(super) unrouted: Arc<RouteMetrics>,
    pub(super) plugins: Arc<Live<PluginMetrics>>,
    pub(super) source: Arc<OnceLock<Source>>,
}

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut routes = self.routes.all();
        routes.push((String::new(), Arc::clone(&self.unrouted)));
        encode_routes(&mut encoder, &routes)?;
        encode_plugins(&mut encoder, &self.plugins.all())?;
        let Some(source) = self.source.get() else {
            return Ok(());
        };
        let Samples {
            upstreams,
            pools,
            state,
        } = (source.0)();
        encode_upstreams(&mut encoder, &upstreams)?;
        let mut instances = BTreeMap::<_, (u64, u64)>::new();
        for pool in &pools {
            let (idle, busy) = instances.entry(pool.plugin.as_str()).or_default();
            *idle += pool.idle;
            *busy += pool.busy;
        }
        let series = instances.iter().flat_map(|(plugin, (idle, busy))| {
            [("idle", *idle), ("busy", *busy)]
                .map(|(state, n)| (vec![("plugin", *plugin), ("state", state)], n))
        });
        gauges(
            &mut encoder,
            "plugin_instances",
            "Instances of plugins",
            series.collect(),
        )?;
        encode_state(&mut encoder, state)
    }
}

fn encode_routes(
    encoder: &mut DescriptorEncoder<'_>,
    routes: &[(String, Arc<RouteMetrics>)],
) -> fmt::Result {
    let requests: Vec<(&str, String, u64)> = routes
        .iter()
        .flat_map(|(name, route)| {
            let statuses = route.by_status().into_iter();
            statuses.map(|(status, count)| (name.as_str(), status.to_string(), count))
        })
        .collect();
    let series = requests
        .iter()
        .map(|(route, status, count)| (vec![("route", *route), ("status", status)], *count));
    counters(
        encoder,
        "requests",
        "Requests by route and status",
        series.collect(),
    )?;
    let used = routes.iter().filter(|(_, route)| route.requests() > 0);
    let series = used.map(|(name, route)| (vec![("route", name.as_str())], route.durations()));
    let help = "Time from the request's head to the end of the response";
    histograms(encoder, "request_duration_seconds", help, series.collect())
}

fn encode_plugins(
    encoder: &mut DescriptorEncoder<'_>,
    plugins: &[(String, Arc<PluginMetrics>)],
) -> fmt::Result {
    let hooks: Vec<_> = plugins
        .iter()
        .flat_map(|(plugin, numbers)| {
            let hooks = numbers.hooks().into_iter();
            hooks.map(|(name, hook)| (vec![("plugin", plugin.as_str()), ("hook", name)], hook))
        })
        .collect();
    let calls = hooks
        .iter()
        .map(|(labels, hook)| (labels.clone(), hook.durations().count()));
    counters(
        encoder,
        "plugin_calls",
        "Calls of plugins by hook",
        calls.collect(),
    )?;
    let durations = hooks
        .iter()
        .map(|(labels, hook)| (labels.clone(), hook.durations()));
    histograms(
        encoder,
        "plugin_hook_seconds",
        "Time that hooks took",
        durations.collect(),
    )?;
    let faults = plugins.iter().flat_map(|(plugin, numbers)| {
        let kinds = numbers.faults.counts().into_iter();
        kinds.map(|(kind, count)| (vec![("plugin", plugin.as_str()), ("kind", kind)], count))
    });
    counters(
        encoder,
        "plugin_faults",
        "Faults of plugins by kind",
        faults.collect(),
    )?;
    let skips = plugins
        .iter()
        .map(|(plugin, numbers)| (vec![("plugin", plugin.as_str())], numbers.skips.get()));
    counters(
        encoder,
        "plugin_skips",
        "Faults that were passed over",
        skips.collect(),
    )
}

fn encode_upstreams(
    encoder: &mut DescriptorEncoder<'_>,
    upstreams: &[UpstreamSample],
) -> fmt::Result {
    let series = |number: fn(&UpstreamSample) -> u64| -> Vec<(Labels<'_>, u64)> {
        let labelled = upstreams.iter();
        labelled
            .map(|sample| (vec![("upstream", sample.name.as_str())], number(sample)))
            .collect()
    };
    gauges(
        encoder,
        "upstream_connections_open",
        "Open connections",
        series(|s| s.open),
    )?;
    gauges(
        encoder,
        "upstream_connections_idle",
        "Idle connections",
        series(|s| s.idle),
    )?;
    counters(
        encoder,
        "upstream_connects",
        "Connections made",
        series(|s| s.connects),
    )?;
    counters(
        encoder,
        "upstream_connect_failures",
        "Connections that could not be made",
        series(|s| s.connect_failures),
    )?;
    counters(
        encoder,
        "upstream_retries",
        "Requests sent again",
        series(|s| s.retries),
    )?;
    counters(
        encoder,
        "upstream_requests",
        "Requests sent",
        series(|s| s.requests),
    )
}

fn encode_state(encoder: &mut DescriptorEncoder<'_>, state: StateStats) -> fmt::Result {
    let StateStats { kv, limiter } = state;
    let one = |number| vec![(Labels::new(), number)];
    gauges(
        encoder,
        "kv_entries",
        "Entries in the key-value store",
        one(kv.entries),
    )?;
    gauges(
        encoder,
        "kv_bytes",
        "Memory of the key-value store",
        one(kv.bytes),
    )?;
    counters(
        encoder,
        "kv_evictions",
        "Entries removed to make room",
        one(kv.evictions),
    )?;
    counters(
        encoder,
        "kv_expirations",
        "Entries whose time was up",
        one(kv.expirations),
    )?;
    gauges(
        encoder,
        "limiter_buckets",
        "Token buckets",
        one(limiter.buckets),
    )?;
    counters(
        encoder,
        "limiter_evictions",
        "Token buckets dropped to make room",
        one(limiter.evictions),
    )
}

/// Names and values.
type Labels<'a> = Vec<(&'static str, &'a str)>;

/// Encode one counter family. `_total` is added to its name.
fn counters(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: Vec<(Labels<'_>, u64)>,
) -> fmt::Result {
    let one = |encoder: &mut MetricEncoder<'_>, count: &u64| count_of(encoder, *count);
    family(encoder, name, help, MetricType::Counter, &series, one)
}

/// Encode one gauge family.
fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: Vec<(Labels<'_>, u64)>,
) -> fmt::Result {
    let one = |encoder: &mut MetricEncoder<'_>, value: &u64| encoder.encode_gauge(value);
    family(encoder, name, help, MetricType::Gauge, &series, one)
}

fn histograms(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: Vec<(Labels<'_>, &Histogram)>,
) -> fmt::Result {
    let one = |encoder: &mut MetricEncoder<'_>, histogram: &&Histogram| histogram.encode(encoder);
    family(encoder, name, help, MetricType::Histogram, &series, one)
}

/// Encode the value of one counter.
pub(super) fn count_of(encoder: &mut MetricEncoder<'_>, count: u64) -> fmt::Result {
    encoder.encode_counter::<NoLabelSet, u64, u64>(&count, None)
}

fn family<T>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    kind: MetricType,
    series: &[(Labels<'_>, T)],
    one: impl Fn(&mut MetricEncoder<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    if series.is_empty() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
    for (labels, value) in series {
        if labels.is_empty() {
            one(&mut metric, value)?;
        } else {
            one(&mut metric.encode_family(labels)?, value)?;
        }
    }
    Ok(())
}
