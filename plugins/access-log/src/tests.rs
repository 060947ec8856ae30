//! What a line says, and that it is JSON whatever the client sent.

use plugin_sdk::testing::{Exchange, Harness};
use plugin_sdk::{Interest, OnLog as _};
use serde_json::{Value, json};

use super::AccessLog;
use super::field::date;

fn harness(config: &str) -> Harness<AccessLog> {
    Harness::new(config).unwrap()
}

/// The one line that an exchange leaves.
fn line(config: &str, exchange: &Exchange) -> String {
    let harness = harness(config);
    harness.on_log(exchange).unwrap();
    let [line] = harness.access_lines().try_into().unwrap();
    line
}

#[test]
fn by_default_a_line_has_everything_but_the_query() {
    let exchange = Exchange::get("/users/7?key=secret")
        .attribute("consumer", "alice")
        .status(201);
    let line = line("", &exchange);
    assert!(line.starts_with(
        r#"{"time":"2023-11-14T22:13:20.000Z","id":"exchange-1","client":"192.0.2.1","#
    ));
    let expected = json!({
        "time": "2023-11-14T22:13:20.000Z", "id": "exchange-1", "client": "192.0.2.1", "consumer": "alice",
        "protocol": "HTTP/1.1", "method": "GET", "scheme": "http", "host": "gateway.example", "path": "/users/7",
        "route": "route", "endpoint": "127.0.0.1:9001", "status": 201, "failure": null, "request_bytes": 10,
        "response_bytes": 20, "duration_us": 3000, "upstream_duration_us": 2000, "plugins_us": { "plugin": 1.0 }
    });
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), expected);
}

#[test]
fn the_configured_fields_are_written_in_their_order() {
    let exchange = Exchange::get("/?a=b")
        .header("User-Agent", "x")
        .attribute("tier", "gold");
    let config = "fields = ['status', 'request.header.User-Agent', 'query', 'attribute.tier', 'request.header.none']";
    assert_eq!(
        line(config, &exchange),
        r#"{"status":200,"request.header.User-Agent":"x","query":"a=b","attribute.tier":"gold","request.header.none":null}"#
    );
}

#[test]
fn a_line_is_one_line_of_json_whatever_the_client_sent() {
    let exchange = Exchange::get("/\"\n\\\u{0}é")
        .header("x", b"\xff\"\r\n")
        .attribute("consumer", "\"},{");
    let line = line(
        "fields = ['path', 'request.header.x', 'consumer']",
        &exchange,
    );
    assert!(!line.contains(['\n', '\r', '\0']));
    let read: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        read,
        json!({ "path": "/\"\n\\\0é", "request.header.x": "\u{fffd}\"\r\n", "consumer": "\"},{" })
    );
}

#[test]
fn a_long_value_is_cut_and_stays_json() {
    let exchange = Exchange::get("/").header("x", "é".repeat(30_000));
    let line = line("fields = ['request.header.x']", &exchange);
    assert!(line.len() < 1100 && serde_json::from_str::<Value>(&line).is_ok());
}

#[test]
fn a_failure_has_its_reason_and_plugins_their_times() {
    let harness = harness("fields = ['failure', 'upstream_duration_us', 'plugins_us']");
    let exchange = Exchange::get("/");
    let mut entry = exchange.log_entry();
    entry.failure = Some("client-closed".to_owned());
    entry.upstream_duration = None;
    entry.plugins[0].nanoseconds = 12_345;
    entry.plugins.push(plugin_sdk::PluginTime {
        name: "b".to_owned(),
        nanoseconds: 99,
    });
    harness
        .run(|plugin| plugin.on_log(&exchange.request(), &entry))
        .unwrap();
    assert_eq!(
        harness.access_lines(),
        [
            r#"{"failure":"client-closed","upstream_duration_us":null,"plugins_us":{"plugin":12.3,"b":0.0}}"#
        ]
    );
}

#[test]
fn a_wrong_configuration_is_refused_and_its_place_named() {
    for (config, error) in [
        ("fields = []", "`fields` is empty"),
        (
            "fields = ['id', 'nope']",
            "`fields[1]`: unknown field \"nope\"; there are time, id",
        ),
        (
            "fields = ['id', 'id']",
            "`fields[1]`: \"id\" is there twice",
        ),
        ("fields = ['request.header.']", "`fields[0]`: unknown field"),
        (
            "fields = ['request.header.a b']",
            "`fields[0]`: unknown field",
        ),
        (
            "fields = 'id'",
            "`fields`: expected a list, found the string \"id\"",
        ),
    ] {
        let found = Harness::<AccessLog>::new(config).unwrap_err();
        assert!(found.starts_with(error), "{config}: {found}");
    }
    assert_eq!(harness("").interest(), Interest::LOG);
}

#[test]
fn days_become_dates_over_leap_years_and_centuries() {
    for (day, expected) in [
        (0, (1970, 1, 1)),
        (58, (1970, 2, 28)),
        (59, (1970, 3, 1)),
        (11_016, (2000, 2, 29)),
        (11_017, (2000, 3, 1)),
        (19_723, (2024, 1, 1)),
        (20_088, (2024, 12, 31)),
        (47_540, (2100, 2, 28)),
        (47_541, (2100, 3, 1)),
    ] {
        assert_eq!(date(day), expected);
    }
}
