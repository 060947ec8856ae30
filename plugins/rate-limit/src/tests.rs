//! Who is counted together, what passes, and what clients are told.

use std::time::Duration;

use plugin_sdk::testing::{Exchange, Harness};
use plugin_sdk::{Decision, Interest, LocalResponse};

use super::RateLimit;

fn harness(config: &str) -> Harness<RateLimit> {
    Harness::new(config).unwrap()
}

/// Whether a request passes.
fn passes(harness: &Harness<RateLimit>, exchange: &Exchange) -> bool {
    harness.on_request(exchange).unwrap() == Decision::Next
}

fn refused(harness: &Harness<RateLimit>, exchange: &Exchange) -> LocalResponse {
    match harness.on_request(exchange).unwrap() {
        Decision::Respond(response) => response,
        other => panic!("passed: {other:?}"),
    }
}

fn field<'a>(response: &'a LocalResponse, name: &str) -> Option<&'a str> {
    let header = response.headers.iter().find(|header| header.name == name)?;
    Some(str::from_utf8(&header.value).unwrap())
}

#[test]
fn the_burst_passes_and_then_the_rate() {
    let harness = harness("rate = 2\nper = '1s'\nburst = 3");
    let exchange = Exchange::get("/");
    assert!((0..3).all(|_| passes(&harness, &exchange)));
    assert!(!passes(&harness, &exchange));
    harness.advance(Duration::from_millis(500));
    assert!(passes(&harness, &exchange));
    assert!(!passes(&harness, &exchange));
}

#[test]
fn a_refused_client_is_told_when_to_come_back() {
    let harness = harness("rate = 2\nper = '5s'");
    let exchange = Exchange::get("/").id("id-7");
    assert!(passes(&harness, &exchange) && passes(&harness, &exchange));
    let response = refused(&harness, &exchange);
    assert_eq!(response.status, 429);
    assert_eq!(field(&response, "retry-after"), Some("3"));
    assert_eq!(
        field(&response, "ratelimit-policy"),
        Some(r#""default";q=2;w=5"#)
    );
    assert_eq!(field(&response, "ratelimit"), Some(r#""default";r=0;t=3"#));
    assert_eq!(
        response.body,
        b"{\"error\": \"rate-limited\", \"request_id\": \"id-7\"}\n"
    );
    harness.advance(Duration::from_millis(2400));
    assert_eq!(
        field(&refused(&harness, &exchange), "retry-after"),
        Some("1")
    );
}

#[test]
fn passing_responses_say_what_is_left_beside_the_upstream_s_own_limits() {
    let harness = harness("rate = 100\nper = '1m'\nname = 'minute'");
    let exchange = Exchange::get("/").response_header("ratelimit", "\"own\";r=1");
    assert!(passes(&harness, &exchange));
    let values = |name| exchange.response().header_values(name);
    assert_eq!(
        values("ratelimit"),
        [b"\"own\";r=1".to_vec(), b"\"minute\";r=99;t=1".to_vec()]
    );
    assert_eq!(values("ratelimit-policy"), [b"\"minute\";q=100;w=60"]);
}

#[test]
fn without_headers_no_response_is_touched_or_asked_for() {
    let harness = harness("rate = 1\nper = '1s'\nheaders = false");
    assert_eq!(harness.interest(), Interest::REQUEST);
    let exchange = Exchange::get("/");
    assert!(passes(&harness, &exchange));
    assert_eq!(exchange.response().header("ratelimit"), None);
    let response = refused(&harness, &exchange);
    assert_eq!(
        (
            field(&response, "ratelimit"),
            field(&response, "retry-after")
        ),
        (None, Some("1"))
    );
}

#[test]
fn requests_are_counted_by_what_the_configuration_says() {
    let alice = |exchange: Exchange| {
        exchange
            .attribute("consumer", "alice")
            .header("x-team", "a")
            .route("a")
    };
    let bob = |exchange: Exchange| {
        exchange
            .attribute("consumer", "bob")
            .header("x-team", "b")
            .route("b")
    };
    let (one, two) = (
        || Exchange::get("/").client_ip("192.0.2.1"),
        || Exchange::get("/").client_ip("192.0.2.2"),
    );
    for by in ["consumer", "route", "header:X-Team"] {
        let harness = harness(&format!("rate = 1\nper = '1s'\nby = '{by}'"));
        assert!(passes(&harness, &alice(one())), "{by}");
        assert!(!passes(&harness, &alice(two())), "{by}");
        assert!(passes(&harness, &bob(one())), "{by}");
    }
    let harness = harness("rate = 1\nper = '1s'");
    assert!(passes(&harness, &alice(one())));
    assert!(!passes(&harness, &bob(one())));
    assert!(passes(&harness, &alice(two())));
}

#[test]
fn who_has_no_consumer_is_counted_by_client_and_never_as_a_consumer() {
    let harness = harness("rate = 1\nper = '1s'\nby = 'consumer'");
    assert!(passes(&harness, &Exchange::get("/")));
    assert!(!passes(&harness, &Exchange::get("/")));
    assert!(passes(
        &harness,
        &Exchange::get("/").attribute("consumer", "192.0.2.1")
    ));
    assert!(passes(
        &harness,
        &Exchange::get("/").attribute("consumer", "client 192.0.2.1")
    ));
}

#[test]
fn addresses_of_one_ipv6_network_are_one_client() {
    let client = |ip: &str| Exchange::get("/").client_ip(ip);
    let harness = harness("rate = 1\nper = '1s'");
    assert!(passes(&harness, &client("2001:db8:1:2::1")));
    assert!(!passes(&harness, &client("2001:db8:1:2:ffff::2")));
    assert!(passes(&harness, &client("2001:db8:1:3::1")));
    let exact = self::harness("rate = 1\nper = '1s'\nipv6-prefix = 128");
    assert!(passes(&exact, &client("2001:db8::1")) && passes(&exact, &client("2001:db8::2")));
    let all = self::harness("rate = 1\nper = '1s'\nipv6-prefix = 0");
    assert!(passes(&all, &client("2001:db8::1")) && !passes(&all, &client("2a00::1")));
}

#[test]
fn a_header_value_of_any_length_and_kind_is_a_key() {
    let harness = harness("rate = 1\nper = '1s'\nby = 'header:x-token'");
    let token =
        |last: &str| Exchange::get("/").header("x-token", format!("{}{last}", "t".repeat(8000)));
    assert!(
        passes(&harness, &token("a"))
            && passes(&harness, &token("b"))
            && !passes(&harness, &token("a"))
    );
    assert!(passes(
        &harness,
        &Exchange::get("/").header("x-token", b"\xff")
    ));
    assert!(passes(
        &harness,
        &Exchange::get("/").header("x-token", b"\xfe")
    ));
}

#[test]
fn a_cost_takes_that_many_tokens() {
    let harness = harness("rate = 10\nper = '1s'\ncost = 4");
    assert!(passes(&harness, &Exchange::get("/")) && passes(&harness, &Exchange::get("/")));
    assert!(!passes(&harness, &Exchange::get("/")));
}

#[test]
fn a_limiter_that_cannot_be_reached_is_a_fault_for_on_fault_to_decide() {
    let harness = harness("rate = 1\nper = '1s'");
    harness.lose_stores();
    assert!(harness.on_request(&Exchange::get("/")).is_err());
}

#[test]
fn the_policy_is_told_in_whole_seconds() {
    let policy = |config: &str| harness(config).plugin().policy.clone();
    assert_eq!(policy("rate = 10\nper = '100ms'"), r#""default";q=100;w=1"#);
    assert_eq!(policy("rate = 3\nper = '1500ms'"), r#""default";q=4;w=2"#);
    assert_eq!(
        policy("rate = 1000\nper = '1d'"),
        r#""default";q=1000;w=86400"#
    );
}

#[test]
fn a_wrong_configuration_is_refused_and_its_key_named() {
    for (config, key) in [
        ("rate = 0\nper = '1s'", "`rate`"),
        ("rate = 1\nper = '1s'\nburst = 0", "`burst`"),
        ("rate = 1\nper = '1s'\ncost = 2", "`cost`"),
        ("rate = 1\nper = '1'", "`per`"),
        ("rate = 1\nper = '0s'", "`per`"),
        ("rate = 1\nper = 's'", "`per`"),
        ("rate = 1\nper = '99999999999999999d'", "`per`"),
        ("rate = 1\nper = '1s'\nby = 'ip'", "`by`"),
        ("rate = 1\nper = '1s'\nby = 'header:'", "`by`"),
        ("rate = 1\nper = '1s'\nipv6-prefix = 129", "`ipv6-prefix`"),
        ("rate = 1\nper = '1s'\nname = 'a\"b'", "`name`"),
        ("rate = '1'\nper = '1s'", "`rate`"),
        ("per = '1s'", "`rate` is missing"),
    ] {
        let error = Harness::<RateLimit>::new(config).unwrap_err();
        assert!(error.starts_with(key), "{config}: {error}");
    }
}
