//! Reloads under load: not one request fails (the measure: 200 of them, configuration and plugin by turns).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gateway_tests::guests::Raw;
use gateway_tests::{Running, Setup, Upstream, get, post};

const RELOADS: usize = 200;
/// Clients that keep their connection, and clients that make a new one for each request.
const KEEPING: usize = 24;
const RECONNECTING: usize = 8;

/// Ask over one connection until all is over; a client that reconnects asks once.
fn ask_on(gateway: &Running, number: usize, is_over: &AtomicBool, served: &AtomicUsize) {
    let mut client = gateway.client();
    while !is_over.load(Ordering::Relaxed) {
        let request = if number.is_multiple_of(2) {
            get("/x")
        } else {
            post("/x", vec![b'a'; 20_000])
        };
        let answer = client.request(&request);
        assert!(
            answer.status == 200 && answer.is_whole,
            "{} {}",
            answer.status,
            answer.text()
        );
        let way = answer.headers("x-way");
        let marked = format!("[\"X-WAY\",\"{}\"]", way.to_uppercase());
        assert!(answer.text().contains(&marked), "of two generations: {way}");
        served.fetch_add(1, Ordering::Relaxed);
        if number >= KEEPING {
            return;
        }
    }
}

#[test]
fn two_hundred_reloads_under_load_fail_no_request() {
    let up = Upstream::echo();
    // A start section of another length makes another component that does the same.
    let component = |number: usize| {
        Raw::new()
            .more(&format!("(data (i32.const 6000) \"{number}\")"))
            .component()
    };
    let build = |setup: &Setup, round: usize| {
        let chain = if round.is_multiple_of(4) {
            "[\"mark\", \"pass\"]"
        } else {
            "[\"pass\", \"mark\"]"
        };
        let acts = format!(
            "{}, {{ hook = \"response-chunk\", act = \"upper\" }}",
            crate::plugins::mark(&format!("r{}", round / 2))
        );
        let setup = setup
            .again()
            .upstream("up", &up)
            .route("/*", &format!("plugins = {chain}"))
            .acts("mark", &acts);
        setup.plugin("pass", &component(round.div_ceil(2)), "")
    };
    let gateway = build(&Setup::new(), 0).start();
    let is_over = AtomicBool::new(false);
    let served = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for number in 0..KEEPING + RECONNECTING {
            let (gateway, is_over, served) = (&gateway, &is_over, &served);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    ask_on(gateway, number, is_over, served);
                }
            });
        }
        let reloads = || {
            for round in 1..=RELOADS {
                gateway
                    .reload_to(&build(gateway.setup(), round))
                    .map_err(|error| format!("reload {round}: {error}"))?;
            }
            Ok::<_, String>(())
        };
        let done = reloads();
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(done, Ok(()));
    });
    let metrics = gateway.metrics();
    assert_eq!(
        metrics.get("gateway_reloads_total", &[("result", "ok")]),
        200.0
    );
    assert_eq!(metrics.get("gateway_plugin_faults_total", &[]), 0.0);
    assert!(
        served.load(Ordering::Relaxed) > RELOADS,
        "{} requests are no load",
        served.load(Ordering::Relaxed)
    );
}
