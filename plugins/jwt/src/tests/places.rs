//! Where tokens are found, what reaches the upstream, and who the request is from.

use plugin_sdk::testing::Exchange;
use plugin_sdk::{Decision, Interest};
use serde_json::json;

use super::{challenge, hs256, passes, reason, refusal, refused, with_secret, with_token};

fn alice() -> String {
    hs256(json!({ "sub": "alice" }))
}

#[test]
fn a_good_token_makes_a_consumer_and_stays_here() {
    let exchange = with_token(&alice());
    assert_eq!(
        with_secret("").on_request(&exchange).unwrap(),
        Decision::Next
    );
    assert_eq!(
        exchange.request().attribute("consumer").as_deref(),
        Some("alice")
    );
    assert_eq!(exchange.request().header("authorization"), None);
    assert_eq!(with_secret("").interest(), Interest::REQUEST);
}

#[test]
fn a_request_without_a_token_is_asked_for_one() {
    let harness = with_secret("");
    for exchange in [
        Exchange::get("/"),
        Exchange::get("/").header("authorization", "Basic eDp5"),
        Exchange::get("/").header("authorization", "Bearer"),
        Exchange::get("/").header("authorization", "bearer"),
        Exchange::get("/").header("x-token", alice()),
        Exchange::get(&format!("/?access_token={}", alice())),
    ] {
        let response = refusal(harness.on_request(&exchange.id("id-7")).unwrap());
        assert_eq!(
            (response.status, reason(&response)),
            (401, "jwt-missing".to_owned())
        );
        // RFC 6750 section 3.1: without an error code.
        assert_eq!(challenge(&response), "Bearer realm=\"gateway\"");
    }
}

#[test]
fn the_scheme_is_read_in_any_case() {
    for value in ["bearer ", "BEARER  ", "Bearer\t", " Bearer "] {
        let exchange = Exchange::get("/").header("authorization", format!("{value}{}", alice()));
        assert_eq!(
            with_secret("").on_request(&exchange).unwrap(),
            Decision::Next,
            "{value:?}"
        );
    }
}

#[test]
fn two_tokens_in_one_place_are_refused() {
    let harness = with_secret("cookie = 'session'\nquery = 'token'");
    let token = alice();
    for exchange in [
        with_token(&token).header("Authorization", format!("Bearer {token}")),
        with_token(&token).header("Authorization", "Basic eDp5"),
        Exchange::get("/").header("cookie", format!("session={token}; session=x")),
        Exchange::get("/")
            .header("cookie", format!("session={token}"))
            .header("cookie", "session=x"),
        Exchange::get(&format!("/?token={token}&t%6fken=x")),
    ] {
        let response = refusal(harness.on_request(&exchange.id("id-7")).unwrap());
        assert_eq!(
            (response.status, reason(&response)),
            (400, "jwt-repeated".to_owned())
        );
        assert!(challenge(&response).contains("error=\"invalid_request\""));
    }
}

#[test]
fn a_header_field_of_its_own_may_hold_the_bare_token() {
    let harness = with_secret("header = 'X-Token'");
    for value in [alice(), format!("Bearer {}", alice())] {
        let exchange = Exchange::get("/")
            .header("x-token", value)
            .header("authorization", "Basic eDp5");
        assert_eq!(harness.on_request(&exchange).unwrap(), Decision::Next);
        assert_eq!(exchange.request().header("x-token"), None);
        assert!(exchange.request().header("authorization").is_some());
    }
    assert_eq!(
        refused(&with_secret("header = 'x-token'"), &alice()),
        (401, "jwt-missing".to_owned())
    );
}

#[test]
fn a_cookie_passes_and_only_it_is_taken_off() {
    let harness = with_secret("cookie = 'session'");
    let exchange = Exchange::get("/")
        .header("cookie", format!("a=1; session={}", alice()))
        .header("cookie", "sessions=2; b");
    assert_eq!(harness.on_request(&exchange).unwrap(), Decision::Next);
    assert_eq!(
        exchange.request().header_values("cookie"),
        [b"a=1; sessions=2; b"]
    );
    let exchange = Exchange::get("/").header("cookie", format!("session=\"{}\"", alice()));
    assert_eq!(harness.on_request(&exchange).unwrap(), Decision::Next);
    assert_eq!(exchange.request().header("cookie"), None);
}

#[test]
fn a_query_parameter_passes_and_only_it_is_taken_off() {
    let harness = with_secret("query = 'access_token'");
    let exchange = Exchange::get(&format!("/?x=%2F&access_token={}&y", alice()));
    assert_eq!(harness.on_request(&exchange).unwrap(), Decision::Next);
    assert_eq!(exchange.request().query().as_deref(), Some("x=%2F&y"));
}

#[test]
fn only_the_token_that_was_checked_can_be_forwarded() {
    let harness = with_secret("cookie = 'session'\nquery = 'token'\nforward-token = true");
    let exchange = with_token(&alice()).header("cookie", "session=forged; a=1");
    assert_eq!(harness.on_request(&exchange).unwrap(), Decision::Next);
    assert_eq!(
        exchange.request().header_str("authorization"),
        Some(format!("Bearer {}", alice()))
    );
    assert_eq!(
        exchange.request().header_str("cookie").as_deref(),
        Some("a=1")
    );

    let exchange =
        Exchange::get("/?token=forged&b=2").header("cookie", format!("session={}", alice()));
    assert_eq!(harness.on_request(&exchange).unwrap(), Decision::Next);
    assert_eq!(
        exchange.request().header_str("cookie"),
        Some(format!("session={}", alice()))
    );
    assert_eq!(exchange.request().query().as_deref(), Some("b=2"));
}

#[test]
fn fields_made_of_claims_are_never_the_clients() {
    let harness = with_secret(
        "claims-to-headers = { sub = 'X-User', email = 'x-email', roles = 'x-roles', '/org/id' = 'x-org' }",
    );
    let spoofed = |claims| {
        let exchange = with_token(&hs256(claims));
        ["x-user", "X-User", "x-email", "x-roles", "x-org", "x-other"]
            .into_iter()
            .fold(exchange, |exchange, name| exchange.header(name, "root"))
    };
    let exchange = spoofed(json!({ "sub": "alice", "roles": ["a,b", "c"], "org": { "id": 7 } }));
    // Twice: as found out, and as remembered.
    for exchange in [
        exchange,
        spoofed(json!({ "sub": "alice", "roles": ["a,b", "c"], "org": { "id": 7 } })),
    ] {
        assert_eq!(harness.on_request(&exchange).unwrap(), Decision::Next);
        let request = exchange.request();
        assert_eq!(request.header_values("x-user"), [b"alice"]);
        assert_eq!(request.header("x-email"), None);
        assert_eq!(
            request.header_str("x-roles").as_deref(),
            Some(r#"["a,b","c"]"#)
        );
        assert_eq!(request.header_str("x-org").as_deref(), Some("7"));
        assert_eq!(request.header_str("x-other").as_deref(), Some("root"));
    }
}

#[test]
fn a_claim_that_can_not_stand_in_a_field_is_refused() {
    let harness = with_secret("claims-to-headers = { name = 'x-name' }");
    for name in ["a\r\nx-user: root", "a\nb", "\u{0}", "\u{7f}"] {
        assert_eq!(
            refused(&harness, &hs256(json!({ "name": name }))),
            (401, "jwt-unfit".to_owned())
        );
        assert_eq!(
            refused(&harness, &hs256(json!({ "sub": name }))),
            (401, "jwt-unfit".to_owned())
        );
    }
    assert!(passes(&harness, &hs256(json!({ "name": "Zoë" }))));
    let long = "x".repeat(4_089);
    assert_eq!(
        refused(&harness, &hs256(json!({ "sub": long }))),
        (401, "jwt-unfit".to_owned())
    );
    assert!(passes(&harness, &hs256(json!({ "sub": long[1..] }))));
}

#[test]
fn the_consumer_is_the_claim_that_is_configured() {
    let harness = with_secret("consumer-claim = 'client_id'");
    for (claims, consumer) in [
        (json!({ "client_id": "app", "sub": "alice" }), Some("app")),
        (json!({ "client_id": 7 }), Some("7")),
        (json!({ "sub": "alice" }), None),
    ] {
        let exchange = with_token(&hs256(claims));
        assert_eq!(harness.on_request(&exchange).unwrap(), Decision::Next);
        assert_eq!(
            exchange.request().attribute("consumer").as_deref(),
            consumer
        );
    }
}

#[test]
fn many_tokens_stay_good_in_a_small_memory() {
    for cache in ["cache = 0", "cache = 2"] {
        let harness = with_secret(cache);
        for round in 0..10 {
            let exchange = with_token(&hs256(json!({ "sub": format!("user-{}", round % 4) })));
            assert_eq!(harness.on_request(&exchange).unwrap(), Decision::Next);
            assert_eq!(
                exchange.request().attribute("consumer"),
                Some(format!("user-{}", round % 4))
            );
        }
    }
}
