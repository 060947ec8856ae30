//! What plugins write to the log and to the access log: one line each, within bounds, and what is beyond is dropped and
//! counted (THREATS 21, 32).

use std::fs;

use gateway_tests::{Running, Setup, Upstream, eventually, logs};

use crate::expect;

fn with(acts: &str, keys: &str) -> (Upstream, Running) {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "plugins = [\"p\"]")
        .acts_with("p", acts, keys)
        .start();
    (up, gateway)
}

#[test]
fn a_log_message_is_one_line_and_names_plugin_route_and_request() {
    logs::keep();
    let evil = "evil-message\\r\\nERROR forged line\\u001b[31m\\u202e\\u009b";
    let (_up, gateway) = with(
        &format!("{{ hook = \"request\", act = {{ log = \"{evil}\" }} }}"),
        "",
    );
    let id = gateway
        .get("/")
        .header("x-request-id")
        .expect("an id")
        .to_owned();
    eventually("it is logged", || !logs::containing(&id).is_empty());
    let lines = logs::containing(&id);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("evil-message")
            && lines[0].contains("forged")
            && lines[0].contains("plugin=\"p\""),
        "{lines:?}"
    );
    assert!(
        !lines[0].contains(['\r', '\u{1b}', '\u{202e}', '\u{9b}']),
        "{lines:?}"
    );
}

#[test]
fn a_flood_of_messages_is_cut_off_and_no_fault() {
    logs::keep();
    let (_up, gateway) = with(
        "{ hook = \"request\", act = { log-flood = { count = 900, bytes = 1000 } } }",
        "limits = { time = \"5s\" }",
    );
    let answer = gateway.get("/");
    expect::ok(&answer);
    let id = answer.header("x-request-id").expect("an id").to_owned();
    eventually("the end is logged", || {
        logs::containing(&id)
            .iter()
            .any(|line| line.contains("dropped"))
    });
    assert!(
        logs::containing(&id).len() <= 18,
        "{} lines",
        logs::containing(&id).len()
    );
}

#[test]
fn what_a_plugin_prints_goes_to_the_log_within_the_same_bounds() {
    logs::keep();
    let (_up, gateway) = with(
        "{ hook = \"request\", act = { print = \"printed-by-a-plugin \\u001b[31m\" } }",
        "",
    );
    expect::ok(&gateway.get("/"));
    eventually("it is logged", || {
        !logs::containing("printed-by-a-plugin").is_empty()
    });
    assert!(!logs::containing("printed-by-a-plugin")[0].contains('\u{1b}'));
}

#[test]
fn a_flood_of_printed_lines_is_cut_off_and_no_fault() {
    logs::keep();
    let keys = "limits = { time = \"5s\" }";
    let (_up, gateway) = with(
        "{ hook = \"request\", act = { print-flood = { count = 1000, bytes = 999 } } }",
        keys,
    );
    expect::ok(&gateway.get("/"));
    eventually("some are logged", || {
        !logs::containing(&"p".repeat(500)).is_empty()
    });
    let bytes: usize = logs::containing(&"p".repeat(500))
        .iter()
        .map(String::len)
        .sum();
    assert!(bytes < 64 << 10, "{bytes} bytes");
}

#[test]
fn short_printed_lines_cost_as_much_as_messages_and_the_end_is_told() {
    logs::keep();
    let (_up, gateway) = with(
        "{ hook = \"request\", act = { print = \"a-short-one\\na-short-one\\na-short-one\" } }",
        // A line costs its bytes and 64 more.
        "limits = { log-bytes = \"152B\" }",
    );
    let before = gateway
        .metrics()
        .get("gateway_log_entries_dropped_total", &[]);
    expect::ok(&gateway.get("/"));
    eventually("the third is counted", || {
        gateway
            .metrics()
            .get("gateway_log_entries_dropped_total", &[])
            > before
    });
    assert_eq!(logs::containing("a-short-one").len(), 2);
    assert!(!logs::containing("further log output of this call is dropped").is_empty());
}

#[test]
fn lines_printed_at_once_are_bounded() {
    logs::keep();
    let printing = |count: usize, what: &str| {
        let text = format!("{what}\\n").repeat(count);
        with(
            &format!("{{ hook = \"request\", act = {{ print = \"{text}\" }} }}"),
            "limits = { log-bytes = \"1MiB\" }",
        )
    };
    let (_up, gateway) = printing(256, "qfew");
    expect::ok(&gateway.get("/"));
    eventually("all are logged", || logs::containing("qfew").len() >= 256);
    let (_up, gateway) = printing(300, "qmany");
    expect::ok(&gateway.get("/"));
    eventually("the end is logged", || {
        !logs::containing("44 lines printed at once are dropped").is_empty()
    });
    assert_eq!(logs::containing("qmany").len(), 256);
}

#[test]
fn access_lines_beyond_the_calls_log_bytes_are_dropped_and_counted() {
    let up = Upstream::echo();
    let acts = "{ hook = \"log\", act = { access = \"fits\" } }, { hook = \"log\", act = { access = \"does not\" } }";
    let gateway = Setup::to(&up, "plugins = [\"p\"]")
        .server("access-log = \"./access.log\"")
        .acts_with("p", acts, "limits = { log-bytes = \"10B\" }")
        .start();
    expect::ok(&gateway.get("/"));
    eventually("it is counted", || {
        gateway
            .metrics()
            .get("gateway_log_entries_dropped_total", &[])
            >= 1.0
    });
    let file = gateway.setup().folder().join("access.log");
    eventually("the other is written", || {
        fs::read_to_string(&file).unwrap_or_default() == "fits\n"
    });
}

#[test]
fn access_lines_go_where_the_configuration_says_one_line_each() {
    let up = Upstream::echo();
    let acts = "{ hook = \"log\", act = { access = \"first\\nsecond\\u001b\" } }";
    let gateway = Setup::to(&up, "plugins = [\"p\"]")
        .server("access-log = \"./access.log\"")
        .acts("p", acts)
        .start();
    for _ in 0..3 {
        expect::ok(&gateway.get("/"));
    }
    let file = gateway.setup().folder().join("access.log");
    let lines = || fs::read_to_string(&file).unwrap_or_default();
    eventually("three lines are there", || lines().lines().count() >= 3);
    assert_eq!(lines().lines().count(), 3, "{}", lines());
    assert!(lines().lines().all(|line| line.starts_with("first")
        && line.contains("second")
        && !line.contains('\u{1b}')));
}
