//! The numbers as a scrape sees them.

use std::time::Duration;

use super::*;
use crate::state::{KvStats, LimiterStats};

fn has(metrics: &Metrics, line: &str) -> bool {
    metrics.encode().lines().any(|other| other == line)
}

#[track_caller]
fn assert_lines(metrics: &Metrics, lines: &[&str]) {
    let encoded = metrics.encode();
    for line in lines {
        assert!(
            encoded.lines().any(|other| other == *line),
            "no {line:?} in:\n{encoded}"
        );
    }
}

#[test]
fn a_fresh_process_shows_its_zeros_and_who_it_is() {
    let metrics = Metrics::new();
    let build = format!(
        "gateway_build_info{{version=\"{}\"}} 1",
        env!("CARGO_PKG_VERSION")
    );
    assert_lines(
        &metrics,
        &[
            &build,
            "gateway_requests_in_flight 0",
            "gateway_client_connections 0",
            "gateway_client_connections_refused_total{limit=\"connections\"} 0",
            "gateway_reloads_total{result=\"ok\"} 0",
            "gateway_reloads_total{result=\"error\"} 0",
            "gateway_generation 0",
            "gateway_log_entries_dropped_total 0",
            "gateway_panics_total 0",
            "# EOF",
        ],
    );
}

#[test]
fn requests_are_counted_by_route_and_status() {
    let metrics = Metrics::new();
    let users = metrics.route("users");
    users.count(200, Duration::from_millis(3));
    users.count(200, Duration::from_millis(3));
    users.count(503, Duration::from_secs(2));
    metrics.unrouted().count(404, Duration::ZERO);
    assert_lines(
        &metrics,
        &[
            "# TYPE gateway_requests counter",
            "gateway_requests_total{route=\"users\",status=\"200\"} 2",
            "gateway_requests_total{route=\"users\",status=\"503\"} 1",
            "gateway_requests_total{route=\"\",status=\"404\"} 1",
            "# TYPE gateway_request_duration_seconds histogram",
            "gateway_request_duration_seconds_sum{route=\"users\"} 2.006",
            "gateway_request_duration_seconds_count{route=\"users\"} 3",
            "gateway_request_duration_seconds_bucket{le=\"0.0025\",route=\"users\"} 0",
            "gateway_request_duration_seconds_bucket{le=\"0.005\",route=\"users\"} 2",
            "gateway_request_duration_seconds_bucket{le=\"+Inf\",route=\"users\"} 3",
        ],
    );
}

#[test]
fn plugins_are_counted_by_hook_and_kind() {
    let metrics = Metrics::new();
    let key = metrics.plugin("key");
    key.hook("on-request").count(Duration::from_micros(3));
    key.faults.count("trap");
    key.skips.inc();
    assert_lines(
        &metrics,
        &[
            "gateway_plugin_calls_total{plugin=\"key\",hook=\"on-request\"} 1",
            "gateway_plugin_hook_seconds_bucket{le=\"0.000002\",plugin=\"key\",hook=\"on-request\"} 0",
            "gateway_plugin_hook_seconds_bucket{le=\"0.000005\",plugin=\"key\",hook=\"on-request\"} 1",
            "gateway_plugin_faults_total{plugin=\"key\",kind=\"trap\"} 1",
            "gateway_plugin_skips_total{plugin=\"key\"} 1",
        ],
    );
}

#[test]
fn numbers_go_on_while_a_name_is_held_and_end_with_its_last_holder() {
    let metrics = Metrics::new();
    let line = "gateway_requests_total{route=\"a\",status=\"200\"} 2";
    let old = metrics.route("a");
    old.count(200, Duration::ZERO);
    let new = metrics.route("a");
    drop(old);
    new.count(200, Duration::ZERO);
    assert!(has(&metrics, line));
    drop(new);
    assert!(!metrics.encode().contains("route=\"a\""));
}

#[test]
fn samples_are_asked_for_at_each_scrape() {
    let metrics = Metrics::new();
    assert!(!metrics.encode().contains("gateway_kv"));
    let scrapes = Counter::<u64>::default();
    metrics.read_samples_with(move || {
        let pool = |plugin: &str, idle, busy| PoolSample {
            plugin: plugin.to_owned(),
            idle,
            busy,
        };
        Samples {
            upstreams: vec![UpstreamSample {
                name: "users".to_owned(),
                open: 5,
                idle: 4,
                requests: scrapes.inc(),
                ..UpstreamSample::default()
            }],
            pools: vec![pool("key", 1, 2), pool("limit", 0, 0), pool("key", 10, 20)],
            state: StateStats {
                kv: KvStats {
                    entries: 7,
                    bytes: 900,
                    evictions: 1,
                    expirations: 2,
                },
                limiter: LimiterStats {
                    buckets: 3,
                    evictions: 0,
                },
            },
        }
    });
    assert!(has(
        &metrics,
        "gateway_upstream_requests_total{upstream=\"users\"} 0"
    ));
    assert_lines(
        &metrics,
        &[
            "gateway_upstream_requests_total{upstream=\"users\"} 1",
            "gateway_upstream_connections_open{upstream=\"users\"} 5",
            "gateway_upstream_connect_failures_total{upstream=\"users\"} 0",
            "gateway_plugin_instances{plugin=\"key\",state=\"idle\"} 11",
            "gateway_plugin_instances{plugin=\"key\",state=\"busy\"} 22",
            "gateway_plugin_instances{plugin=\"limit\",state=\"busy\"} 0",
            "gateway_kv_bytes 900",
            "gateway_kv_expirations_total 2",
            "gateway_limiter_buckets 3",
        ],
    );
}

#[test]
fn a_name_with_quotes_and_newlines_stays_inside_its_label() {
    let metrics = Metrics::new();
    let odd = metrics.route("a\"}\nfake 1\\");
    odd.count(200, Duration::ZERO);
    let line = "gateway_requests_total{route=\"a\\\"}\\nfake 1\\\\\",status=\"200\"} 1";
    assert_lines(&metrics, &[line]);
}

#[test]
fn a_raised_gauge_falls_when_its_holder_goes() {
    let metrics = Metrics::new();
    let one = raise(&metrics.requests_in_flight);
    let two = raise(&metrics.requests_in_flight);
    drop(one);
    assert_eq!(metrics.requests_in_flight.get(), 1);
    drop(two);
    assert_eq!(metrics.requests_in_flight.get(), 0);
}

#[test]
fn words_are_counted_under_their_label() {
    let metrics = Metrics::new();
    metrics.failures.count("no-route");
    metrics.failures.counter("no-route").inc();
    metrics.reloads.count("error");
    assert_lines(
        &metrics,
        &[
            "gateway_failures_total{reason=\"no-route\"} 2",
            "gateway_reloads_total{result=\"error\"} 1",
        ],
    );
}

#[test]
#[cfg(target_os = "linux")]
fn the_process_shows_its_memory_and_cpu_time() {
    let encoded = Metrics::new().encode();
    assert!(encoded.contains("\nprocess_resident_memory_bytes "));
    assert!(encoded.contains("\nprocess_cpu_seconds_total "));
}
