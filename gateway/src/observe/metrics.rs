//! Counters, gauges and histograms, and their text for Prometheus.
//!
//! One [`Metrics`] lives as long as the process. Whatever is counted for a request is found without a lookup: a
//! snapshot takes the [`RouteMetrics`] and [`PluginMetrics`] of its routes and plugins once, when it is built, and
//! counting is then an atomic addition. A name that is asked for again gets the same numbers, so they go on across
//! reloads; a route or plugin that no snapshot holds any more is gone from the next scrape. So the number of series is
//! bounded by the configuration.
//!
//! What others count anyway (connections, instances, stores) is not counted again here but read at each scrape, see
//! [`Metrics::read_samples_with`].

mod collect;
mod histogram;
mod live;
mod plugin;
mod process;
mod route;
mod words;

use std::fmt;
use std::sync::{Arc, OnceLock};

use prometheus_client::encoding::text;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub use histogram::Histogram;
pub use plugin::{HookMetrics, PluginMetrics};
pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::gauge::Gauge;
pub use route::{InFlight, RouteMetrics};
pub use words::Words;

use crate::state::StateStats;
use live::Live;

/// The media type of what [`Metrics::encode`] answers.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Every number of the process. Cheap to count on from all workers.
#[derive(Debug)]
pub struct Metrics {
    /// Requests that came and whose response body has not ended yet. Best held by [`raise`].
    pub requests_in_flight: Gauge,
    /// Open client connections.
    pub client_connections: Gauge,
    /// Client connections that were turned away at once because there were too many, by the limit that said so.
    pub client_connections_refused: Words,
    /// Client connections that were cut off because a limit was exceeded, by its reason.
    pub client_connections_cut: Words,
    /// TLS handshakes, by result.
    pub handshakes: Words,
    /// Connections whose header of the PROXY protocol was not accepted, by reason.
    pub proxy_headers_refused: Words,
    /// Requests that failed, by reason.
    pub failures: Words,
    /// Reloads, by result: `ok` or `error`.
    pub reloads: Words,
    /// The generation that serves now.
    pub generation: Gauge,
    /// Entries of the access log and of plugins' logs that were dropped.
    pub log_entries_dropped: Counter,
    /// Panics that were caught.
    pub panics: Counter,
    routes: Arc<Live<RouteMetrics>>,
    plugins: Arc<Live<PluginMetrics>>,
    unrouted: Arc<RouteMetrics>,
    source: Arc<OnceLock<Source>>,
    registry: Registry,
}

impl Metrics {
    /// All zero.
    #[must_use]
    pub fn new() -> Self {
        let metrics = Self {
            requests_in_flight: Gauge::default(),
            client_connections: Gauge::default(),
            client_connections_refused: Words::new("limit", &["connections"]),
            client_connections_cut: Words::new("reason", &[]),
            handshakes: Words::new("result", &["ok"]),
            proxy_headers_refused: Words::new("reason", &[]),
            failures: Words::new("reason", &[]),
            reloads: Words::new("result", &["ok", "error"]),
            generation: Gauge::default(),
            log_entries_dropped: Counter::default(),
            panics: Counter::default(),
            routes: Arc::default(),
            plugins: Arc::default(),
            unrouted: Arc::default(),
            source: Arc::default(),
            registry: Registry::default(),
        };
        Self {
            registry: metrics.register(),
            ..metrics
        }
    }

    /// The numbers of the route of that name, to be kept by whoever counts on them.
    #[must_use]
    pub fn route(&self, name: &str) -> Arc<RouteMetrics> {
        self.routes.get(name)
    }

    /// The numbers of requests that no route matched. Their label `route` is empty, as no route's name is.
    #[must_use]
    pub fn unrouted(&self) -> &Arc<RouteMetrics> {
        &self.unrouted
    }

    /// The numbers of the plugin entry of that name, to be kept by whoever counts on them.
    #[must_use]
    pub fn plugin(&self, name: &str) -> Arc<PluginMetrics> {
        self.plugins.get(name)
    }

    /// Say where to read what is counted elsewhere. It is asked at each scrape; the first source stays.
    pub fn read_samples_with(&self, source: impl Fn() -> Samples + Send + Sync + 'static) {
        // A second source would be a mistake in start-up; the first one still tells the truth.
        let _ = self.source.set(Source(Box::new(source)));
    }

    /// All numbers in the OpenMetrics text format 1.0, which is what [`CONTENT_TYPE`] says.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut encoded = String::new();
        text::encode(&mut encoded, &self.registry).expect("a String takes every write");
        encoded
    }

    /// The one list of what is shown. `prometheus-client` adds `_total` to counters and `_info` to infos.
    fn register(&self) -> Registry {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process::Process));
        let ours = registry.sub_registry_with_prefix("gateway");
        ours.register(
            "build",
            "The running program",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        ours.register(
            "requests_in_flight",
            "Requests being served",
            self.requests_in_flight.clone(),
        );
        ours.register(
            "client_connections",
            "Open client connections",
            self.client_connections.clone(),
        );
        ours.register(
            "client_connections_refused",
            "Client connections refused because there were too many",
            self.client_connections_refused.clone(),
        );
        ours.register(
            "client_connections_cut",
            "Client connections cut off for exceeding a limit",
            self.client_connections_cut.clone(),
        );
        ours.register(
            "tls_handshakes",
            "TLS handshakes with clients",
            self.handshakes.clone(),
        );
        ours.register(
            "proxy_headers_refused",
            "Client connections without a PROXY protocol header that is accepted",
            self.proxy_headers_refused.clone(),
        );
        ours.register("failures", "Requests that failed", self.failures.clone());
        ours.register(
            "reloads",
            "Reloads of the configuration",
            self.reloads.clone(),
        );
        ours.register(
            "generation",
            "The generation that serves",
            self.generation.clone(),
        );
        ours.register(
            "log_entries_dropped",
            "Log entries dropped",
            self.log_entries_dropped.clone(),
        );
        ours.register("panics", "Panics caught", self.panics.clone());
        ours.register_collector(Box::new(collect::Collected {
            routes: Arc::clone(&self.routes),
            unrouted: Arc::clone(&self.unrouted),
            plugins: Arc::clone(&self.plugins),
            source: Arc::clone(&self.source),
        }));
        registry
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// What is counted elsewhere, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// Each upstream.
    pub upstreams: Vec<UpstreamSample>,
    /// Each pool of instances; pools of the same plugin are added up.
    pub pools: Vec<PoolSample>,
    /// What plugins remember.
    pub state: StateStats,
}

/// What one upstream counts.
#[derive(Debug, Clone, Default)]
pub struct UpstreamSample {
    /// Its name in the configuration.
    pub name: String,
    /// Open connections, idle ones included.
    pub open: u64,
    /// Idle connections.
    pub idle: u64,
    /// Connections made since the start.
    pub connects: u64,
    /// Connections that could not be made.
    pub connect_failures: u64,
    /// Requests that were sent again.
    pub retries: u64,
    /// Requests that were sent, retries not counted.
    pub requests: u64,
}

/// How many instances a pool has.
#[derive(Debug, Clone, Default)]
pub struct PoolSample {
    /// The plugin entry's name.
    pub plugin: String,
    /// Instances that wait for a call.
    pub idle: u64,
    /// Instances in a call.
    pub busy: u64,
}

/// Holds a gauge one higher for as long as it lives.
#[derive(Debug)]
#[must_use = "the gauge goes down again when this is dropped"]
pub struct Raised(Gauge);

/// Raise a gauge by one until the answer is dropped.
pub fn raise(gauge: &Gauge) -> Raised {
    raise_counting(gauge).0
}

/// Raise a gauge likewise, and say how high it was.
pub fn raise_counting(gauge: &Gauge) -> (Raised, u64) {
    let before = gauge.inc();
    (Raised(gauge.clone()), u64::try_from(before).unwrap_or(0))
}

impl Drop for Raised {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Where samples come from.
struct Source(Box<dyn Fn() -> Samples + Send + Sync>);

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source(..)")
    }
}

#[cfg(test)]
mod tests;
