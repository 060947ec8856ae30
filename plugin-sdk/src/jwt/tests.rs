//! What `stock:jwt` does not use of this. Its tests go through algorithms, ways to write keys, and rules.

use std::cell::Cell;

use serde_json::json;

use super::{Algorithm, Claims, Error, Key, KeySet, Rules, Token, Verifier};

const SECRET: &[u8] = b"a secret of at least 32 bytes 012345";
/// `{"sub": "Ada", "iss": "us", "exp": 4102444800}`
const TOKEN: &str = concat!(
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJBZGEiLCJpc3MiOiJ1cyIsImV4cCI6NDEwMjQ0NDgwMH0.",
    "NqWVZnD8dR0JWXs4zkhXRci0R2-k0B1zcRj1dxlPu_M"
);

fn keys() -> KeySet {
    KeySet::from_iter(Key::from_secret(Algorithm::Hs256, SECRET))
}

#[test]
fn claims_are_read_to_a_type_of_ones_own() {
    #[derive(serde::Deserialize)]
    struct Person {
        sub: String,
        nick: Option<String>,
    }
    let claims = keys().verify(&Token::parse(TOKEN).unwrap()).unwrap();
    let person: Person = claims.read().unwrap();
    assert_eq!((&*person.sub, person.nick), ("Ada", None));
    assert_eq!(claims.read::<Vec<u8>>(), Err(Error::Malformed));
}

#[test]
fn claims_are_found_by_name_or_pointer_and_null_is_none() {
    let json = json!({ "a": { "b": [1, 2] }, "/c": 1, "d": null }).to_string();
    let claims = Claims::parse(json.as_bytes()).unwrap();
    assert_eq!(claims.text("/a/b").as_deref(), Some("[1,2]"));
    assert_eq!((claims.find("/c"), claims.find("d")), (None, None));
}

#[test]
fn a_key_is_tried_unless_both_ids_are_there_and_differ() {
    let key = Key::from_secret(Algorithm::Hs256, SECRET).unwrap();
    let token = Token::parse(TOKEN).unwrap();
    assert!(key.with_id("a").fits(&token));
    assert!(Key::from_secret(Algorithm::Hs384, SECRET).is_err());
}

#[test]
fn only_what_is_remembered_is_made_once() {
    for (tokens, expected) in [(0, 3), (1, 1)] {
        let verifier = Verifier::new(keys(), None, Rules::default());
        let verifier = verifier.ok().unwrap().remembering(tokens);
        let made = Cell::new(0);
        for _ in 0..3 {
            let result = verifier.verify(TOKEN, |claims| {
                made.set(made.get() + 1);
                claims.text("sub").ok_or(Error::Claims)
            });
            assert_eq!(result.as_deref(), Ok("Ada"));
        }
        assert_eq!(made.get(), expected);
    }
}

#[test]
fn what_make_refuses_is_not_remembered() {
    let verifier = Verifier::new(keys(), None, Rules::default());
    let verifier = verifier.ok().unwrap().remembering(1);
    for _ in 0..2 {
        assert_eq!(
            verifier.verify(TOKEN, |_| Err::<(), _>(Error::Claims)),
            Err(Error::Claims)
        );
    }
}
