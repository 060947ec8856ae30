//! Times on both sides of their limits, issuers, audiences and other claims.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    NOW, challenge, hs256, passes, reason, refusal, refused, signed, with_secret, with_token,
};

fn at(seconds_from_now: i64) -> u64 {
    NOW.checked_add_signed(seconds_from_now).unwrap()
}

fn refused_as(harness: &plugin_sdk::testing::Harness<crate::Jwt>, claims: Value) -> String {
    let (status, reason) = refused(harness, &hs256(claims));
    assert_eq!(status, if reason == "jwt-claims" { 403 } else { 401 });
    reason
}

#[test]
fn a_token_is_good_until_its_expiry_and_the_leeway() {
    let harness = with_secret("leeway = '60s'");
    assert!(passes(&harness, &hs256(json!({ "exp": at(-59) }))));
    assert_eq!(
        refused_as(&harness, json!({ "exp": at(-60) })),
        "jwt-expired"
    );
    let exact = with_secret("leeway = '0s'");
    assert!(passes(&exact, &hs256(json!({ "exp": at(1) }))));
    assert!(passes(&exact, &hs256(json!({ "exp": 1_700_000_000.5 }))));
    assert_eq!(refused_as(&exact, json!({ "exp": at(0) })), "jwt-expired");
}

#[test]
fn a_remembered_token_expires_too() {
    let harness = with_secret("leeway = '0s'");
    let token = hs256(json!({ "exp": at(10) }));
    assert!(passes(&harness, &token));
    harness.advance(Duration::from_secs(9));
    assert!(passes(&harness, &token));
    harness.advance(Duration::from_secs(1));
    assert_eq!(refused(&harness, &token), (401, "jwt-expired".to_owned()));
}

#[test]
fn a_token_is_good_from_its_beginning_less_the_leeway() {
    let harness = with_secret("leeway = '60s'");
    assert!(passes(&harness, &hs256(json!({ "nbf": at(60) }))));
    assert_eq!(refused_as(&harness, json!({ "nbf": at(61) })), "jwt-early");
    let exact = with_secret("leeway = '0s'");
    assert!(passes(&exact, &hs256(json!({ "nbf": at(0) }))));
    assert_eq!(refused_as(&exact, json!({ "nbf": at(1) })), "jwt-early");
}

#[test]
fn times_of_the_wrong_type_are_refused() {
    let harness = with_secret("");
    for claims in [
        json!({ "exp": "4102444800" }),
        json!({ "exp": [4_102_444_800_u64] }),
        json!({ "exp": true }),
        json!({ "nbf": "0" }),
    ] {
        assert_eq!(refused_as(&harness, claims), "jwt-malformed");
    }
}

#[test]
fn an_expiry_can_be_waived() {
    let eternal = signed(
        &json!({ "alg": "HS256" }),
        &json!({ "sub": "alice" }),
        super::mac,
    );
    assert_eq!(
        refused(&with_secret(""), &eternal),
        (401, "jwt-unlimited".to_owned())
    );
    assert!(passes(&with_secret("require-exp = false"), &eternal));
    let expired = hs256(json!({ "exp": 0 }));
    assert!(!passes(&with_secret("require-exp = false"), &expired));
}

#[test]
fn the_issuer_is_one_of_those_configured() {
    let one = with_secret("issuer = 'https://a.example'");
    let list = with_secret("issuer = ['https://a.example', 'https://b.example']");
    assert!(passes(&one, &hs256(json!({ "iss": "https://a.example" }))));
    assert!(passes(&list, &hs256(json!({ "iss": "https://b.example" }))));
    for claims in [
        json!({}),
        json!({ "iss": "https://a.example/" }),
        json!({ "iss": ["https://a.example"] }),
        json!({ "iss": null }),
    ] {
        assert_eq!(refused_as(&one, claims.clone()), "jwt-issuer");
        assert_eq!(refused_as(&list, claims), "jwt-issuer");
    }
}

#[test]
fn one_of_the_audiences_is_configured() {
    let harness = with_secret("audience = ['gateway', 'all']");
    for aud in [json!("gateway"), json!(["x", "all"])] {
        assert!(passes(&harness, &hs256(json!({ "aud": aud }))));
    }
    for aud in [
        json!("gateways"),
        json!([]),
        json!(["x"]),
        json!(null),
        json!({ "gateway": 1 }),
    ] {
        assert_eq!(refused_as(&harness, json!({ "aud": aud })), "jwt-audience");
    }
    assert_eq!(refused_as(&harness, json!({})), "jwt-audience");
    assert!(passes(
        &with_secret(""),
        &hs256(json!({ "aud": "somebody" }))
    ));
}

#[test]
fn required_claims_are_there() {
    let harness = with_secret("required-claims = ['email', '/realm/roles']");
    assert!(passes(
        &harness,
        &hs256(json!({ "email": "", "realm": { "roles": [] } }))
    ));
    for claims in [
        json!({}),
        json!({ "email": "x" }),
        json!({ "email": null, "realm": { "roles": [] } }),
    ] {
        assert_eq!(refused_as(&harness, claims), "jwt-claims");
    }
}

#[test]
fn required_claims_have_a_wanted_value() {
    let harness = with_secret(
        "required-claims = { tier = ['gold', 7], '/a/b' = true, scope = 'orders:read' }",
    );
    let with = |tier: Value, flag: Value, scope: &str| json!({ "tier": tier, "a": { "b": flag }, "scope": scope });
    for tier in [json!("gold"), json!(7), json!(["lead", "gold"])] {
        assert!(passes(
            &harness,
            &hs256(with(tier, json!(true), "openid orders:read"))
        ));
    }
    for claims in [
        with(json!("silver"), json!(true), "orders:read"),
        with(json!("7"), json!(true), "orders:read"),
        with(json!("gold"), json!("true"), "orders:read"),
        with(json!("gold"), json!(true), "orders:reader"),
        with(json!("gold x"), json!(true), "orders:read"),
    ] {
        assert_eq!(refused_as(&harness, claims), "jwt-claims");
    }
    let response = refusal(harness.on_request(&with_token(&hs256(json!({})))).unwrap());
    assert_eq!(
        challenge(&response),
        "Bearer realm=\"gateway\", error=\"insufficient_scope\", \
         error_description=\"The token lacks a required claim\""
    );
}

#[test]
fn refusals_have_constant_texts() {
    let harness = with_secret("realm = 'shop'\nissuer = 'me'");
    let respond = |token: &str| refusal(harness.on_request(&with_token(token)).unwrap());
    let first = respond(&hs256(json!({ "iss": "you <script>", "exp": at(100) })));
    let second = respond(&hs256(json!({ "iss": "them", "exp": at(200) })));
    assert_eq!(first, second);
    assert_eq!(reason(&first), "jwt-issuer");
    assert_eq!(
        challenge(&first),
        "Bearer realm=\"shop\", error=\"invalid_token\", error_description=\"The token's issuer is not accepted\""
    );
}
