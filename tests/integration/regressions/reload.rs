//! Between generations, and the end: what must not be swapped in, what must be noticed, and who waits for whom.

use std::fs;
use std::time::{Duration, Instant};

use gateway_tests::{Client, Request, Running, Setup, Upstream, eventually, guests};

use crate::expect;
use crate::plugins::mark;

fn generation(gateway: &Running) -> f64 {
    gateway.metrics().get("gateway_generation", &[])
}

#[test]
fn a_page_in_a_browser_cannot_make_it_reload() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "").start();
    let reload = Request::new("POST", "/reload");
    for origin in ["https://evil.example", "null", "http://localhost"] {
        let answer = gateway.admin_send(&reload.clone().header("origin", origin));
        assert_eq!(answer.status, 403, "{origin}");
    }
    assert_eq!(generation(&gateway), 1.0);
    assert_eq!(gateway.admin_send(&reload).status, 200);
    assert_eq!(generation(&gateway), 2.0);
}

#[test]
fn a_file_that_has_lost_its_routes_is_refused() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "").start();
    let empty = gateway.setup().again().upstream("up", &up);
    let error = gateway.reload_to(&empty).expect_err("it serves nothing");
    assert!(error.contains("routes"), "{error}");
    gateway.setup().write_text("");
    gateway.reload().expect_err("nor does a file of no bytes");
    expect::ok(&gateway.get("/"));
    assert_eq!(generation(&gateway), 1.0);
}

#[test]
fn a_stop_does_not_wait_for_a_plugin_that_sleeps_in_a_reload() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "").limits("drain-timeout = \"5s\"").start();
    let sleeps = format!(
        "config = {{ init = \"sleep\" }}\nlimits = {{ wall-time = \"60s\" }}\n{}",
        guests::EVERY_GRANT
    );
    let next = gateway.setup().again().limits("drain-timeout = \"5s\"");
    next.upstream("up", &up)
        .route("/*", "plugins = [\"quick\", \"slow\"]")
        .acts("quick", &mark("quick"))
        .plugin("slow", guests::MISBEHAVING, &sleeps)
        .write();
    let mut asking = Client::connect(gateway.admin_address());
    let reload = Request::new("POST", "/reload").header("host", "localhost");
    asking.send(reload.bytes());
    eventually("the plugin before it has started", || {
        let told = gateway.metrics();
        told.get("gateway_plugin_instances", &[("plugin", "quick")]) >= 1.0
    });
    expect::ok(&gateway.get("/"));
    let begun = Instant::now();
    gateway.stop();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_file_that_a_refused_configuration_has_missed_is_taken_when_it_comes() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "").watch().start();
    let next = gateway.setup().again().upstream("up", &up);
    next.route("/*", "plugins = [\"p\"]")
        .acts("p", &mark("${file:k}"))
        .write();
    eventually("it is refused", || {
        let told = gateway.metrics();
        told.get("gateway_reloads_total", &[("result", "error")]) >= 1.0
    });
    expect::ok(&gateway.get("/"));
    assert_eq!(generation(&gateway), 1.0);
    let secret = gateway.setup().folder().join("k");
    fs::write(secret, "from-the-file\n").expect("the folder can be written");
    eventually("the file makes it right", || {
        gateway.get("/").headers("x-way") == "from-the-file"
    });
}
