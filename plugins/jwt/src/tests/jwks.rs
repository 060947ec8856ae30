//! A key set that is fetched once, shared, renewed, rotated, and sometimes not to be had.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ed25519_dalek::{Signer as _, SigningKey};
use plugin_sdk::http_client::{Error, HttpResponse};
use plugin_sdk::kv;
use plugin_sdk::testing::Harness;
use serde_json::{Value, json};

use super::vectors::{RSA_N, SECRET, TOKENS};
use super::{NOW, harness, hs256, passes, refusal, refused, signed, with_token};
use crate::Jwt;

const URL: &str = "https://login.example/keys";

/// A plugin, and the service with its keys.
struct Login {
    harness: Harness<Jwt>,
    answer: Rc<RefCell<Result<HttpResponse, Error>>>,
}

fn login(more: &str) -> Login {
    let harness = harness(&format!("jwks = {{ url = '{URL}' }}\n{more}"));
    let answer = Rc::new(RefCell::new(Err(Error::Timeout)));
    let current = Rc::clone(&answer);
    harness.on_fetch(move |_| current.borrow().clone());
    Login { harness, answer }
}

impl Login {
    fn publishes(&self, keys: &[&str]) {
        let keys: Vec<Value> = keys.iter().map(|kid| jwk(kid)).collect();
        self.answers(Ok(HttpResponse::new(
            200,
            json!({ "keys": keys }).to_string(),
        )));
    }

    fn answers(&self, answer: Result<HttpResponse, Error>) {
        *self.answer.borrow_mut() = answer;
    }

    fn fetches(&self) -> usize {
        self.harness.fetches().len()
    }

    fn passes(&self, kid: &str) -> bool {
        passes(&self.harness, &token(kid))
    }

    fn advance(&self, seconds: u64) {
        self.harness.advance(Duration::from_secs(seconds));
    }
}

/// The key of that id: its letters are its secret.
fn key(kid: &str) -> SigningKey {
    let mut secret = [7; 32];
    secret[..kid.len()].copy_from_slice(kid.as_bytes());
    SigningKey::from_bytes(&secret)
}

fn jwk(kid: &str) -> Value {
    let x = Base64UrlUnpadded::encode_string(key(kid).verifying_key().as_bytes());
    json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "x": x })
}

fn token(kid: &str) -> String {
    let claims = json!({ "sub": "alice", "exp": NOW + 1_000_000 });
    signed(&json!({ "alg": "EdDSA", "kid": kid }), &claims, |message| {
        key(kid).sign(message).to_vec()
    })
}

fn unavailable() -> (u16, String) {
    (503, "jwt-keys-unavailable".to_owned())
}

#[test]
fn keys_are_fetched_by_the_first_request_and_then_known() {
    let login = login("");
    login.publishes(&["a", "b"]);
    assert_eq!(login.fetches(), 0);
    for _ in 0..3 {
        assert!(login.passes("a") && login.passes("b"));
    }
    let fetches = login.harness.fetches();
    assert_eq!(fetches.len(), 1);
    assert_eq!(
        (fetches[0].method.as_str(), fetches[0].url.as_str()),
        ("GET", URL)
    );
    assert_eq!(fetches[0].timeout, Some(2_000));
}

#[test]
fn another_instances_keys_are_taken_over() {
    let first = login("");
    first.publishes(&["a"]);
    assert!(first.passes("a"));
    let document = first
        .harness
        .run(|_| kv::get(&format!("document {URL}")))
        .unwrap()
        .unwrap();
    let second = login("");
    second
        .harness
        .run(|_| kv::set(&format!("document {URL}"), document, None))
        .unwrap();
    assert!(second.passes("a"));
    assert_eq!(second.fetches(), 0);
}

#[test]
fn nobody_else_fetches_while_one_does() {
    let login = login("");
    login.publishes(&["a"]);
    let lock = format!("lock {URL}");
    login
        .harness
        .run(|_| kv::set(&lock, "busy", Some(Duration::from_secs(4))))
        .unwrap();
    assert_eq!(refused(&login.harness, &token("a")), unavailable());
    assert_eq!(login.fetches(), 0);
    // The other one never came back.
    login.advance(4);
    assert!(login.passes("a"));
}

#[test]
fn a_new_key_is_learned_and_an_old_one_forgotten() {
    let login = login("");
    login.publishes(&["a"]);
    assert!(login.passes("a"));
    login.publishes(&["b"]);
    login.advance(30);
    assert!(login.passes("b"));
    assert_eq!(login.fetches(), 2);
    // Also from the tokens that were remembered.
    assert_eq!(
        refused(&login.harness, &token("a")),
        (401, "jwt-key".to_owned())
    );
}

#[test]
fn unknown_ids_cause_one_fetch_in_each_cooldown() {
    let login = login("");
    login.publishes(&["a"]);
    assert!(login.passes("a"));
    for second in 0..90 {
        let unknown = format!("x{second}");
        assert_eq!(
            refused(&login.harness, &token(&unknown)),
            (401, "jwt-key".to_owned())
        );
        login.advance(1);
    }
    assert_eq!(login.fetches(), 3);
    assert!(login.passes("a"));
}

#[test]
fn keys_are_renewed_when_they_are_old() {
    let login = login("");
    login.publishes(&["a"]);
    assert!(login.passes("a"));
    login.publishes(&["b"]);
    login.advance(599);
    assert!(login.passes("a"));
    assert_eq!(login.fetches(), 1);
    login.advance(1);
    assert_eq!(
        refused(&login.harness, &token("a")),
        (401, "jwt-key".to_owned())
    );
    assert_eq!(login.fetches(), 2);
}

#[test]
fn old_keys_serve_while_the_service_is_down_and_it_is_asked_seldom() {
    let login = login("");
    login.publishes(&["a"]);
    assert!(login.passes("a"));
    for down in [
        Err(Error::Timeout),
        Err(Error::Connect("refused".to_owned())),
        Ok(HttpResponse::new(500, "")),
        Ok(HttpResponse::new(200, "<html>")),
        Ok(HttpResponse::new(200, vec![b' '; 300 << 10])),
    ] {
        login.answers(down);
        login.advance(1_000);
        let before = login.fetches();
        for _ in 0..30 {
            assert!(login.passes("a"));
            login.advance(2);
        }
        assert_eq!(login.fetches() - before, 2);
    }
    login.publishes(&["b"]);
    login.advance(30);
    assert!(login.passes("b"));
}

#[test]
fn an_issuer_that_withdraws_all_its_keys_is_believed() {
    let login = login("");
    login.publishes(&["a"]);
    assert!(login.passes("a"));
    login.answers(Ok(HttpResponse::new(200, r#"{"keys": []}"#)));
    login.advance(1_000);
    for _ in 0..3 {
        assert!(!login.passes("a"));
        login.advance(10);
    }
    login.publishes(&["b"]);
    login.advance(30);
    assert!(login.passes("b"));
}

#[test]
fn keys_that_could_not_be_renewed_for_a_day_are_not_believed() {
    let login = login("");
    login.publishes(&["a"]);
    assert!(login.passes("a"));
    login.answers(Err(Error::Timeout));
    login.advance(86_399);
    assert!(login.passes("a"));
    login.advance(1);
    assert_eq!(refused(&login.harness, &token("a")), unavailable());
    login.publishes(&["a"]);
    login.advance(30);
    assert!(login.passes("a"));
}

#[test]
fn without_any_keys_requests_get_503_and_the_service_is_asked_again_soon() {
    let login = login("");
    let response = refusal(login.harness.on_request(&with_token(&token("a"))).unwrap());
    assert_eq!(response.status, 503);
    assert!(
        response
            .headers
            .iter()
            .any(|header| header.name == "retry-after")
    );
    for _ in 0..20 {
        assert_eq!(refused(&login.harness, &token("a")), unavailable());
    }
    assert_eq!(login.fetches(), 1);
    login.publishes(&["a"]);
    login.advance(2);
    assert!(login.passes("a"));
    let log = login.harness.log();
    assert!(log.iter().any(|record| {
        record
            .message
            .contains("can't fetch https://login.example/keys")
    }));
}

#[test]
fn keys_of_the_configuration_need_no_service() {
    let login = login(&format!(
        "keys = [{{ jwk = {{ kty = 'oct', alg = 'HS256', k = '{SECRET}' }} }}]"
    ));
    assert!(passes(&login.harness, &hs256(json!({}))));
    assert!(passes(&login.harness, &hs256(json!({}))));
    assert_eq!(login.fetches(), 0);
    assert_eq!(refused(&login.harness, &token("a")), unavailable());
    login.publishes(&["a"]);
    login.advance(2);
    assert!(login.passes("a") && passes(&login.harness, &hs256(json!({}))));
}

#[test]
fn a_lost_store_costs_sharing_and_nothing_else() {
    let login = login("");
    login.publishes(&["a"]);
    login.harness.lose_stores();
    assert!(login.passes("a") && login.passes("a"));
    for _ in 0..10 {
        assert!(!login.passes("b"));
    }
    assert_eq!(login.fetches(), 1);
    login.publishes(&["b"]);
    login.advance(30);
    assert!(login.passes("b"));
}

#[test]
fn a_set_gives_no_secrets_and_only_keys_for_signatures() {
    let login = login("");
    let keys = json!({ "keys": [
        { "kty": "oct", "alg": "HS256", "k": SECRET },
        { "kty": "RSA", "n": RSA_N, "e": "AQAB", "use": "enc" },
        { "kty": "RSA", "n": RSA_N, "e": "AQAB", "key_ops": ["encrypt"] },
        { "kty": "RSA", "alg": "RSA-OAEP", "n": RSA_N, "e": "AQAB" },
        { "kty": "EC", "crv": "P-521", "x": "AA", "y": "AA" },
        { "kty": 7 },
        "x",
        jwk("a"),
    ] });
    login.answers(Ok(HttpResponse::new(200, keys.to_string())));
    assert!(login.passes("a"));
    assert!(!passes(&login.harness, &hs256(json!({}))));
    let rs256 = TOKENS.iter().find(|(name, _)| *name == "RS256").unwrap().1;
    assert_eq!(refused(&login.harness, rs256), (401, "jwt-key".to_owned()));
}

#[test]
fn an_rsa_key_without_algorithm_serves_both_paddings_unless_narrowed() {
    let keys = json!({ "keys": [{ "kty": "RSA", "n": RSA_N, "e": "AQAB" }] }).to_string();
    for (more, expected) in [
        ("", [true, true]),
        ("algorithms = ['RS256']", [true, false]),
    ] {
        let login = login(more);
        login.answers(Ok(HttpResponse::new(200, keys.clone())));
        let token = |algorithm: &str| {
            TOKENS
                .iter()
                .find(|(name, _)| *name == algorithm)
                .unwrap()
                .1
        };
        assert_eq!(
            ["RS256", "PS256"].map(|name| passes(&login.harness, token(name))),
            expected
        );
    }
}

#[test]
fn a_secret_in_the_url_stays_out_of_the_log() {
    let harness = harness("jwks = { url = 'https://login.example/keys?code=s3cret' }");
    let calls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&calls);
    harness.on_fetch(move |_| {
        counted.set(counted.get() + 1);
        Ok(HttpResponse::new(404, ""))
    });
    assert_eq!(refused(&harness, &token("a")), unavailable());
    assert_eq!(calls.get(), 1);
    assert!(!format!("{:?}", harness.log()).contains("s3cret"));
}
