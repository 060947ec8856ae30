//! Who passes, as whom, and what the upstream gets to see of it.

use plugin_sdk::testing::{Exchange, Harness};
use plugin_sdk::{Decision, Header, Interest, LocalResponse};

use super::ApiKey;

/// Of `secret-2`.
const DIGEST: &str = "f4b6bb6548129dacf11c1a9c4dffffefd4aa6b21fcf4e9754cc03b731cbe7c25";

fn harness(config: &str) -> Harness<ApiKey> {
    Harness::new(config).unwrap()
}

fn plain() -> Harness<ApiKey> {
    harness(r#"keys = { "secret-1" = "alice", "other" = "bob" }"#)
}

fn refused(decision: Decision) -> LocalResponse {
    match decision {
        Decision::Respond(response) => response,
        other => panic!("passed: {other:?}"),
    }
}

#[test]
fn a_known_key_passes_as_its_consumer_and_is_not_forwarded() {
    let exchange = Exchange::get("/").header("X-Api-Key", "secret-1");
    assert_eq!(plain().on_request(&exchange).unwrap(), Decision::Next);
    assert_eq!(
        exchange.request().header_str("x-consumer").as_deref(),
        Some("alice")
    );
    assert_eq!(
        exchange.request().attribute("consumer").as_deref(),
        Some("alice")
    );
    assert_eq!(exchange.request().header("x-api-key"), None);
}

#[test]
fn a_missing_or_unknown_key_is_refused_with_a_challenge() {
    for (exchange, reason) in [
        (Exchange::get("/").id("id-7"), "api-key-missing"),
        (
            Exchange::get("/").id("id-7").header("x-api-key", "secret-"),
            "api-key-unknown",
        ),
        (
            Exchange::get("/")
                .id("id-7")
                .header("x-api-key", "secret-11"),
            "api-key-unknown",
        ),
        (
            Exchange::get("/").id("id-7").header("x-api-key", ""),
            "api-key-unknown",
        ),
        (
            Exchange::get("/")
                .id("id-7")
                .header("x-api-key", "x".repeat(60_000)),
            "api-key-unknown",
        ),
        (
            Exchange::get("/?x-api-key=secret-1").id("id-7"),
            "api-key-missing",
        ),
    ] {
        let response = refused(plain().on_request(&exchange).unwrap());
        assert_eq!(response.status, 401);
        assert!(
            response
                .headers
                .contains(&Header::new("www-authenticate", "ApiKey realm=\"gateway\""))
        );
        assert_eq!(
            response.body,
            format!("{{\"error\": \"{reason}\", \"request_id\": \"id-7\"}}\n").into_bytes()
        );
        assert_eq!(exchange.request().attribute("consumer"), None);
    }
}

#[test]
fn a_consumer_header_from_the_client_never_reaches_the_upstream() {
    let exchange = Exchange::get("/")
        .header("x-api-key", "other")
        .header("x-consumer", "alice");
    let exchange = exchange.header("X-Consumer", "root");
    assert_eq!(plain().on_request(&exchange).unwrap(), Decision::Next);
    assert_eq!(exchange.request().header_values("x-consumer"), [b"bob"]);
}

#[test]
fn a_digest_stands_for_its_key_and_is_no_key_itself() {
    let harness = harness(&format!(r#"keys = {{ "sha256:{DIGEST}" = "carol" }}"#));
    let exchange = Exchange::get("/").header("x-api-key", "secret-2");
    assert_eq!(harness.on_request(&exchange).unwrap(), Decision::Next);
    assert_eq!(
        exchange.request().attribute("consumer").as_deref(),
        Some("carol")
    );
    for key in [DIGEST.to_owned(), format!("sha256:{DIGEST}")] {
        refused(
            harness
                .on_request(&Exchange::get("/").header("x-api-key", key))
                .unwrap(),
        );
    }
}

#[test]
fn a_query_key_passes_and_only_it_is_taken_out_of_the_query() {
    let harness = harness("keys = { 'a b' = 'alice' }\nquery = 'key'");
    let exchange = Exchange::get("/?x=1&key=a%20b&y=%2F");
    assert_eq!(harness.on_request(&exchange).unwrap(), Decision::Next);
    assert_eq!(exchange.request().query().as_deref(), Some("x=1&y=%2F"));
    // With only `query` configured, no header field is looked at.
    refused(
        harness
            .on_request(&Exchange::get("/").header("x-api-key", "a b"))
            .unwrap(),
    );
}

#[test]
fn with_both_places_each_will_do_and_is_cleaned() {
    let harness = harness("keys = { k = \"alice\" }\nheader = \"Authorization\"\nquery = \"key\"");
    for exchange in [
        Exchange::get("/?key=k"),
        Exchange::get("/").header("authorization", "k"),
    ] {
        assert_eq!(harness.on_request(&exchange).unwrap(), Decision::Next);
        let request = exchange.request();
        assert_eq!(
            (request.query(), request.header("authorization")),
            (None, None)
        );
    }
}

#[test]
fn two_keys_are_refused_where_the_upstream_would_see_both() {
    for forward in [false, true] {
        let harness = harness(&format!(
            "keys = {{ k = 'alice' }}\nheader = 'x-key'\nquery = 'key'\nforward-key = {forward}"
        ));
        for exchange in [
            Exchange::get("/").header("x-key", "k").header("X-Key", "x"),
            Exchange::get("/").header("x-key", "x").header("x-key", "k"),
            Exchange::get("/?key=x").header("x-key", "k"),
            Exchange::get("/?key=k").header("x-key", "x"),
            Exchange::get("/?key=k&k%65y=x"),
            Exchange::get("/?key&key=k"),
        ] {
            let decision = harness.on_request(&exchange).unwrap();
            if !forward {
                // The first one counts, and none is left.
                let passes = decision == Decision::Next;
                assert!(!passes || exchange.request().header("x-key").is_none());
                assert!(!passes || exchange.request().query_param("key").is_none());
                continue;
            }
            let response = refused(decision);
            assert_eq!(response.status, 400);
            assert!(
                response
                    .body
                    .starts_with(b"{\"error\": \"api-key-repeated\"")
            );
            assert_eq!(exchange.request().attribute("consumer"), None);
        }
    }
}

#[test]
fn a_key_is_told_from_all_others_however_often_they_come() {
    let harness = plain();
    for _ in 0..3 {
        for (key, consumer) in [
            ("secret-1", Some("alice")),
            ("other", Some("bob")),
            ("secret-2", None),
        ] {
            let exchange = Exchange::get("/").header("x-api-key", key);
            let passes = harness.on_request(&exchange).unwrap() == Decision::Next;
            let is_as = exchange.request().attribute("consumer");
            assert_eq!((passes, is_as.as_deref()), (consumer.is_some(), consumer));
        }
    }
}

#[test]
fn a_consumer_is_as_long_as_an_attribute_may_be() {
    let config = |bytes| format!("keys = {{ k = '{}' }}", "x".repeat(bytes));
    assert!(Harness::<ApiKey>::new(&config(4_089)).is_err());
    let exchange = Exchange::get("/").header("x-api-key", "k");
    let decision = harness(&config(4_088)).on_request(&exchange);
    assert_eq!(decision.unwrap(), Decision::Next);
}

#[test]
fn a_key_is_forwarded_only_on_demand() {
    let harness = harness(
        "keys = { k = \"alice\" }\nheader = \"x-key\"\nquery = \"key\"\nforward-key = true",
    );
    let exchange = Exchange::get("/").header("x-key", "k");
    assert_eq!(harness.on_request(&exchange).unwrap(), Decision::Next);
    assert_eq!(exchange.request().header_str("x-key").as_deref(), Some("k"));
    let exchange = Exchange::get("/?key=k");
    assert_eq!(harness.on_request(&exchange).unwrap(), Decision::Next);
    assert_eq!(exchange.request().query().as_deref(), Some("key=k"));
}

#[test]
fn a_wrong_configuration_is_refused_without_giving_a_key_away() {
    for config in [
        "keys = {}",
        "keys = { secret-1 = 5 }",
        "keys = [\"secret-1\"]",
        "keys = { secret-2 = 'alice', 'sha256:f4b6bb6548129dacf11c1a9c4dffffefd4aa6b21fcf4e9754cc03b731cbe7c25' = 'bob' }",
        "keys = { secret-1 = '' }",
        "keys = { secret-1 = \"a\\nb\" }",
        "keys = { 'sha256:secret-1' = 'alice' }",
        "keys = { 'sha256:+4b6bb6548129dacf11c1a9c4dffffefd4aa6b21fcf4e9754cc03b731cbe7c25' = 'alice' }",
        "keys = { '' = 'alice' }",
        "keys = { secret-1 = 'alice' }\nheader = 'host'",
        "keys = { secret-1 = 'alice' }\nheader = 'x-consumer'",
        "keys = { secret-1 = 'alice' }\nconsumer-header = 'a b'",
        "keys = { secret-1 = 'alice' }\nquery = ''",
        "keys = { secret-1 = 'alice' }\nhaeder = 'x'",
    ] {
        let error = Harness::<ApiKey>::new(config).unwrap_err();
        assert!(!error.contains("secret-1"), "{config}: {error}");
    }
    assert_eq!(plain().interest(), Interest::REQUEST);
}
