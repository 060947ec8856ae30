//! What passes, what does not, and what is said about it.

mod algorithms;
mod claims;
mod config;
mod jwks;
mod places;
mod vectors;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use plugin_sdk::testing::{Exchange, Harness};
use plugin_sdk::{Decision, LocalResponse};
use serde_json::{Value, json};
use sha2::Sha256;

use super::Jwt;

/// When every harness starts.
const NOW: u64 = 1_700_000_000;

fn harness(config: &str) -> Harness<Jwt> {
    match Harness::new(config) {
        Ok(harness) => harness,
        Err(error) => panic!("{config}: {error}"),
    }
}

/// A plugin that knows the secret of [`hs256`], with more configuration.
fn with_secret(more: &str) -> Harness<Jwt> {
    harness(&format!(
        "keys = [{{ jwk = {{ kty = 'oct', alg = 'HS256', k = '{}' }} }}]\n{more}",
        vectors::SECRET
    ))
}

/// A token with these claims, and an expiry in ten minutes unless they have one.
fn hs256(mut claims: Value) -> String {
    if claims.get("exp").is_none() {
        claims["exp"] = json!(NOW + 600);
    }
    signed(&json!({ "alg": "HS256" }), &claims, mac)
}

fn signed(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let encoded = |value: &Value| Base64UrlUnpadded::encode_string(value.to_string().as_bytes());
    let message = format!("{}.{}", encoded(header), encoded(claims));
    let signature = Base64UrlUnpadded::encode_string(&sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn mac(message: &[u8]) -> Vec<u8> {
    let secret = Base64UrlUnpadded::decode_vec(vectors::SECRET).unwrap();
    let mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
    mac.chain_update(message).finalize().into_bytes().to_vec()
}

fn with_token(token: &str) -> Exchange {
    Exchange::get("/")
        .id("id-7")
        .header("authorization", format!("Bearer {token}"))
}

fn passes(harness: &Harness<Jwt>, token: &str) -> bool {
    harness.on_request(&with_token(token)).unwrap() == Decision::Next
}

/// The status and reason with which a token is refused.
fn refused(harness: &Harness<Jwt>, token: &str) -> (u16, String) {
    let exchange = with_token(token);
    let refusal = refusal(harness.on_request(&exchange).unwrap());
    assert_eq!(exchange.request().attribute("consumer"), None);
    (refusal.status, reason(&refusal))
}

fn refusal(decision: Decision) -> LocalResponse {
    match decision {
        Decision::Respond(response) => response,
        other => panic!("passed: {other:?}"),
    }
}

fn reason(response: &LocalResponse) -> String {
    let body: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(body["request_id"], "id-7");
    body["error"].as_str().unwrap().to_owned()
}

fn challenge(response: &LocalResponse) -> String {
    let field = response
        .headers
        .iter()
        .find(|header| header.name == "www-authenticate");
    String::from_utf8(field.unwrap().value.clone()).unwrap()
}
