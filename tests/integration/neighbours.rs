//! Whatever a plugin does on one route, the requests of another all succeed, and in time (DESIGN 1; THREATS 19 to 21).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gateway_tests::{Running, Setup, Upstream, get, post};

use crate::expect;

/// Clients of the good route, at the same time.
const GOOD_CLIENTS: usize = 50;
/// What each of them asks while the bad route is asked as much as it can take.
const GOOD_REQUESTS: usize = 20;

/// One worker: whatever one request does to it, the next one feels.
fn bad_beside_good(acts: &str, up: &Upstream) -> Running {
    let limits = "limits = { time = \"20ms\", wall-time = \"200ms\", memory = \"8MiB\" }";
    let good = "{ hook = \"request\", act = { set = { name = \"x-good\", value = \"1\" } } }";
    Setup::new()
        .server("workers = 1")
        .upstream("up", up)
        .acts_with("bad", acts, limits)
        .acts("good", good)
        .route("/bad", "plugins = [\"bad\"]")
        .route("/good", "plugins = [\"good\"]")
        .start()
}

/// Ask the bad route all the while; ask the good one with many clients; every good answer has to be one.
fn stand(acts: &str) {
    let up = Upstream::echo();
    let gateway = bad_beside_good(acts, &up);
    let is_over = AtomicBool::new(false);
    let slowest = std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let mut client = gateway.client();
                    client.send(post("/bad", "hello").bytes());
                    client.try_response_to("POST");
                }
            });
        }
        let good: Vec<_> = (0..GOOD_CLIENTS)
            .map(|_| scope.spawn(|| ask_good(&gateway)))
            .collect();
        let slowest = good
            .into_iter()
            .map(|client| client.join().expect("every good request succeeds"))
            .max();
        is_over.store(true, Ordering::Relaxed);
        slowest
    });
    // Far from a benchmark, with fifty clients on a busy machine; but a worker that is held up for the plugin's time by
    // each bad request would be beyond this by far.
    assert!(slowest < Some(Duration::from_secs(5)), "{slowest:?}");
    expect::ok(&gateway.get("/good"));
    assert!(
        gateway
            .metrics()
            .get("gateway_plugin_faults_total", &[("plugin", "bad")])
            > 0.0,
        "the bad route was asked"
    );
    assert_eq!(
        gateway
            .metrics()
            .get("gateway_plugin_faults_total", &[("plugin", "good")]),
        0.0
    );
    assert_eq!(gateway.metrics().get("gateway_panics_total", &[]), 0.0);
}

/// The slowest of some good requests.
fn ask_good(gateway: &Running) -> Duration {
    let mut client = gateway.client();
    let times = (0..GOOD_REQUESTS).map(|_| {
        let begun = Instant::now();
        let answer = client.request(&get("/good"));
        expect::ok(&answer);
        assert_eq!(answer.echoed("x-good").as_deref(), Some("1"));
        begun.elapsed()
    });
    times.max().unwrap_or_default()
}

#[test]
fn of_a_loop() {
    stand("{ hook = \"request\", act = \"loop\" }");
}

#[test]
fn of_a_loop_in_the_response_body() {
    stand("{ hook = \"response-chunk\", act = \"loop\" }");
}

#[test]
fn of_a_trap() {
    stand("{ hook = \"request\", act = \"trap\" }");
}

#[test]
fn of_a_memory_bomb() {
    stand("{ hook = \"request\", act = \"allocate\" }");
}

#[test]
fn of_a_recursion() {
    stand("{ hook = \"request\", act = \"recurse\" }");
}

#[test]
fn of_one_that_waits_for_ever() {
    stand("{ hook = \"request\", act = \"sleep\" }");
}

#[test]
fn of_a_million_host_calls() {
    stand("{ hook = \"request\", act = { host-calls = 1000000 } }");
}

#[test]
fn of_ten_megabytes_of_header_fields() {
    stand("{ hook = \"request\", act = { respond-with-flood = { count = 10, bytes = 1000000 } } }");
}

#[test]
fn of_a_huge_body() {
    stand("{ hook = \"request\", act = { output = 6000000 } }");
}

#[test]
fn of_a_flood_of_log_messages_that_then_traps() {
    stand(
        "{ hook = \"request\", act = { log-flood = { count = 900, bytes = 10000 } } }, { hook = \"request\", act = \"trap\" }",
    );
}
