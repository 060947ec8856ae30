//! The operators' listener: what it tells, and whom it refuses (THREATS 31, 32).

use gateway_tests::{Client, Request, Setup, Upstream, get};

use crate::expect;
use crate::plugins::mark;

#[test]
fn it_says_that_it_lives_and_is_ready() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "").start();
    for path in ["/health", "/ready"] {
        assert_eq!(gateway.admin(path).status, 200, "{path}");
        assert_eq!(
            gateway.admin_send(&Request::new("HEAD", path)).status,
            200,
            "{path}"
        );
    }
    assert_eq!(gateway.admin("/elsewhere").status, 404);
    let wrong = gateway.admin_send(&Request::new("POST", "/health"));
    assert_eq!(
        (wrong.status, wrong.header("allow")),
        (405, Some("GET, HEAD"))
    );
    let wrong = gateway.admin("/reload");
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
}

#[test]
fn a_page_elsewhere_cannot_reach_it_by_a_name_of_its_own() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "").start();
    let as_host = |host: &str| {
        Client::connect(gateway.admin_address())
            .request(&get("/metrics").header("host", host))
            .status
    };
    for host in [
        "evil.example",
        "localhost.evil.example",
        "evil.example:9901",
    ] {
        assert_eq!(as_host(host), 403, "{host}");
    }
    for host in ["localhost", "localhost:9901", "127.0.0.1", "[::1]:9901"] {
        assert_eq!(as_host(host), 200, "{host}");
    }
}

#[test]
fn it_tells_routes_and_plugins_and_no_secret() {
    let up = Upstream::echo();
    let keys = "name = \"things\"\nmethods = [\"GET\"]\nhost = \"a.example\"\nplugins = [\"p\"]";
    let acts = format!(
        "{}, {{ hook = \"request\", act = {{ state = \"s3cret-value\" }} }}",
        mark("m")
    );
    let gateway = Setup::new()
        .upstream("up", &up)
        .route("/x/*", keys)
        .acts("p", &acts)
        .start();
    let routes = gateway.admin("/routes").json();
    let route = &routes["routes"][0];
    assert_eq!(
        (routes["generation"].as_u64(), route["name"].as_str()),
        (Some(1), Some("things"))
    );
    assert_eq!(
        (route["path"].as_str(), route["upstream"].as_str()),
        (Some("/x/*"), Some("up"))
    );
    assert_eq!(
        (
            &route["plugins"][0],
            &route["methods"][0],
            &route["hosts"][0]
        ),
        (&"p".into(), &"GET".into(), &"a.example".into())
    );
    assert_eq!(route["endpoints"][0], up.origin());
    let plugins = gateway.admin("/plugins");
    let plugin = &plugins.json()["plugins"][0];
    assert_eq!(
        (plugin["name"].as_str(), plugin["suspended"].as_bool()),
        (Some("p"), Some(false))
    );
    assert_eq!(plugin["digest"].as_str().map(str::len), Some(64));
    assert_eq!(plugin["exports"].as_array().map(Vec::len), Some(7));
    assert_eq!(
        plugin["interest"],
        serde_json::json!(["request", "response"])
    );
    for path in ["/routes", "/plugins", "/metrics"] {
        assert!(!gateway.admin(path).text().contains("s3cret"), "{path}");
    }
}

#[test]
fn metrics_count_requests_hooks_and_connections() {
    let up = Upstream::echo();
    let gateway = Setup::new()
        .upstream("up", &up)
        .route("/good", "name = \"good\"\nplugins = [\"p\"]")
        .route("/bad", "name = \"bad\"\nplugins = [\"q\"]")
        .acts("p", &mark("m"))
        .acts(
            "q",
            "{ hook = \"request\", act = { respond = { status = 418 } } }",
        )
        .start();
    for _ in 0..5 {
        expect::ok(&gateway.get("/good"));
    }
    gateway.get("/bad");
    gateway.get("/nowhere");
    let metrics = gateway.metrics();
    for (value, name, labels) in [
        (5.0, "gateway_requests_total", "route=good status=200"),
        (1.0, "gateway_requests_total", "route=bad status=418"),
        (1.0, "gateway_requests_total", "status=404"),
        (1.0, "gateway_failures_total", "reason=no-route"),
        (
            5.0,
            "gateway_plugin_calls_total",
            "plugin=p hook=on-request",
        ),
        (
            5.0,
            "gateway_plugin_calls_total",
            "plugin=p hook=on-response",
        ),
        (5.0, "gateway_request_duration_seconds_count", "route=good"),
        (5.0, "gateway_upstream_requests_total", "upstream=up"),
        (1.0, "gateway_generation", ""),
        (0.0, "gateway_requests_in_flight", ""),
    ] {
        let pairs: Vec<(&str, &str)> = labels
            .split(' ')
            .filter_map(|label| label.split_once('='))
            .collect();
        assert_eq!(
            metrics.get(name, &pairs),
            value,
            "{name} {labels} in:\n{}",
            metrics.text
        );
    }
    assert!(metrics.get("gateway_upstream_connects_total", &[("upstream", "up")]) >= 1.0);
    assert!(
        metrics.get(
            "gateway_plugin_instances",
            &[("plugin", "p"), ("state", "idle")]
        ) >= 1.0
    );
    assert!(metrics.text.ends_with("# EOF\n"));
    for series in [
        "gateway_build_info{version=\"",
        "gateway_plugin_hook_seconds_bucket",
        "gateway_client_connections",
        "process_resident_memory_bytes",
    ] {
        assert!(
            metrics.text.contains(series),
            "{series} is not in:\n{}",
            metrics.text
        );
    }
}

#[test]
fn clients_cannot_make_new_series() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "").start();
    expect::ok(&gateway.get("/warm"));
    gateway.get("/..");
    let series = || {
        gateway
            .metrics()
            .text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .count()
    };
    let before = series();
    for number in 0..200 {
        let odd = get(&format!("/path-{number}?{number}"))
            .header("host", &format!("host-{number}.example"));
        expect::ok(&gateway.send(&odd.header("user-agent", &number.to_string())));
        gateway.send(&Request::new(&format!("METHOD{number}"), "/.."));
    }
    assert!(
        series() <= before + 2,
        "{before} series became {}:\n{}",
        series(),
        gateway.metrics().text
    );
}
