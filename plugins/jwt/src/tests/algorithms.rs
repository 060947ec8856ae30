//! Each algorithm passes its own tokens and no others, whatever a token says about itself.

use serde_json::json;

use super::vectors::{
    EC_PEM, EC_X, EC_Y, ED_PEM, ED_X, RFC_EDDSA, RFC_ES256, RFC_HS256, RFC_RS256, RSA_N, RSA_PEM,
    RSA_PKCS1_PEM, SECRET, TOKENS,
};
use super::{harness, hs256, mac, passes, refused, signed, with_secret};

/// The key of an algorithm's token in [`TOKENS`], in every way to write it.
fn ways(algorithm: &str) -> Vec<String> {
    let public = |pem: &str, jwk: &str| {
        vec![
            format!("{{ alg = '{algorithm}', pem = '''{pem}''' }}"),
            format!("{{ alg = '{algorithm}', jwk = {{ {jwk} }} }}"),
        ]
    };
    match algorithm {
        "ES256" => public(
            EC_PEM,
            &format!("kty = 'EC', crv = 'P-256', x = '{EC_X}', y = '{EC_Y}'"),
        ),
        "EdDSA" => public(
            ED_PEM,
            &format!("kty = 'OKP', crv = 'Ed25519', x = '{ED_X}'"),
        ),
        "RS256" | "PS256" => {
            let mut ways = public(RSA_PEM, &format!("kty = 'RSA', n = '{RSA_N}', e = 'AQAB'"));
            ways.extend(public(
                RSA_PKCS1_PEM,
                &format!("kty = 'RSA', n = '{RSA_N}', e = 'AQAB', use = 'sig'"),
            ));
            ways
        }
        _ => vec![
            format!("{{ alg = '{algorithm}', jwk = {{ kty = 'oct', k = '{SECRET}' }} }}"),
            format!(
                "{{ alg = '{algorithm}', jwk = '{{ \"kty\": \"oct\", \"k\": \"{SECRET}\" }}' }}"
            ),
            format!(
                "{{ alg = '{algorithm}', secret-base64 = '{}==' }}",
                SECRET.replace('-', "+").replace('_', "/")
            ),
        ],
    }
}

#[test]
fn every_algorithm_passes_its_token_by_every_way_to_write_its_key() {
    for (algorithm, token) in TOKENS {
        for way in ways(algorithm) {
            assert!(passes(&harness(&format!("keys = [{way}]")), token), "{way}");
        }
    }
}

#[test]
fn no_key_passes_the_token_of_another_algorithm() {
    for (algorithm, _) in TOKENS {
        let harness = harness(&format!("keys = [{}]", ways(algorithm)[0]));
        for (other, token) in TOKENS.iter().filter(|(other, _)| *other != algorithm) {
            assert_eq!(
                refused(&harness, token),
                (401, "jwt-key".to_owned()),
                "{algorithm} {other}"
            );
        }
    }
}

#[test]
fn a_change_in_any_part_is_refused() {
    for (algorithm, token) in TOKENS {
        let harness = harness(&format!("keys = [{}]\ncache = 2", ways(algorithm)[0]));
        assert!(passes(&harness, token));
        let changes = (0..token.len())
            .step_by(7)
            .filter(|at| token.as_bytes()[*at] != b'.');
        for at in changes {
            let mut changed = token.as_bytes().to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(!passes(&harness, &changed), "{algorithm} at {at}");
        }
        let (message, signature) = token.rsplit_once('.').unwrap();
        for other in [
            "",
            "AA",
            &signature[..signature.len() - 4],
            &format!("{signature}AAAA"),
        ] {
            assert!(
                !passes(&harness, &format!("{message}.{other}")),
                "{algorithm} {other}"
            );
        }
    }
}

#[test]
fn the_examples_of_the_rfcs_are_verified() {
    let each = ["HS256", "RS256", "ES256", "EdDSA"].map(|algorithm| ways(algorithm)[0].clone());
    let config = format!("keys = [{}]\nrequire-exp = false", each.join(", "));
    let harness = harness(&config);
    // The time that they were made for is over, and the last one is no object: both is looked at behind the signature.
    for token in [RFC_HS256, RFC_RS256, RFC_ES256] {
        assert_eq!(refused(&harness, token), (401, "jwt-expired".to_owned()));
    }
    assert_eq!(
        refused(&harness, RFC_EDDSA),
        (401, "jwt-malformed".to_owned())
    );
}

#[test]
fn an_unsigned_token_is_refused_in_every_spelling() {
    let harness = with_secret("");
    for alg in [
        "none", "None", "NONE", "nOnE", "", "HS256 ", "hs256", "RS256 ",
    ] {
        let header = json!({ "alg": alg });
        for signature in [Vec::new(), b"x".to_vec()] {
            let token = signed(&header, &json!({ "exp": 4_102_444_800_u64 }), |_| {
                signature.clone()
            });
            assert_eq!(
                refused(&harness, &token),
                (401, "jwt-algorithm".to_owned()),
                "{alg}"
            );
        }
    }
}

#[test]
fn a_public_key_is_no_secret() {
    // The attack: sign with HMAC, keyed by the public key that everybody has.
    use hmac::{Hmac, KeyInit as _, Mac as _};
    for (algorithm, pem) in [
        ("RS256", RSA_PEM),
        ("PS256", RSA_PEM),
        ("ES256", EC_PEM),
        ("EdDSA", ED_PEM),
    ] {
        let harness = harness(&format!(
            "keys = [{{ alg = '{algorithm}', pem = '''{pem}''' }}]"
        ));
        for pem in [pem.to_owned(), format!("{pem}\n")] {
            let sign = |message: &[u8]| {
                let mac = Hmac::<sha2::Sha256>::new_from_slice(pem.as_bytes()).unwrap();
                mac.chain_update(message).finalize().into_bytes().to_vec()
            };
            for alg in ["HS256", algorithm] {
                let token = signed(
                    &json!({ "alg": alg }),
                    &json!({ "exp": 4_102_444_800_u64 }),
                    sign,
                );
                assert!(!passes(&harness, &token), "{algorithm} {alg}");
            }
        }
    }
}

#[test]
fn a_token_brings_no_key_of_its_own() {
    let other = json!({ "kty": "oct", "k": SECRET });
    let harness = harness(&format!(
        "keys = [{{ alg = 'ES256', pem = '''{EC_PEM}''' }}]"
    ));
    for header in [
        json!({ "alg": "HS256", "jwk": other }),
        json!({ "alg": "ES256", "jwk": other, "jku": "https://evil.example/keys" }),
        json!({ "alg": "HS256", "x5u": "https://evil.example/cert", "kid": "../../dev/null" }),
    ] {
        assert!(!passes(
            &harness,
            &signed(&header, &json!({ "exp": 4_102_444_800_u64 }), mac)
        ));
    }
}

#[test]
fn critical_extensions_and_odd_forms_are_refused() {
    let harness = with_secret("");
    let claims = json!({ "exp": 4_102_444_800_u64 });
    for header in [
        json!({ "alg": "HS256", "crit": ["b64"], "b64": false }),
        json!({ "alg": "HS256", "crit": [] }),
        json!({ "alg": 1 }),
        json!({ "typ": "JWT" }),
        json!(["HS256"]),
    ] {
        let token = signed(&header, &claims, mac);
        assert_eq!(
            refused(&harness, &token),
            (401, "jwt-malformed".to_owned()),
            "{header}"
        );
    }
    let token = hs256(json!({}));
    for odd in [
        "x",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c",
        "....",
        "é.é.é",
        &token.replace('.', ". "),
        &format!("{token}="),
        &format!("{token}.{token}"),
        &format!("{token}, {token}"),
        &"x".repeat(9 << 10),
    ] {
        assert_eq!(
            refused(&harness, odd),
            (401, "jwt-malformed".to_owned()),
            "{odd}"
        );
    }
    for claims in [json!([]), json!("exp"), json!(null)] {
        let token = signed(&json!({ "alg": "HS256" }), &claims, mac);
        assert_eq!(
            refused(&harness, &token),
            (401, "jwt-malformed".to_owned()),
            "{claims}"
        );
    }
}

#[test]
fn the_allow_list_narrows_and_ids_choose() {
    let rsa = |kid: &str| {
        format!(
            "{{ kid = '{kid}', jwk = {{ kty = 'RSA', n = '{RSA_N}', e = 'AQAB' }}, alg = 'PS256' }}"
        )
    };
    let tokens = |algorithm: &str| {
        TOKENS
            .iter()
            .find(|(name, _)| *name == algorithm)
            .unwrap()
            .1
    };
    let harness = harness(&format!("keys = [{}]\nalgorithms = ['PS256']", rsa("a")));
    assert!(passes(&harness, tokens("PS256")));
    assert!(!passes(&harness, tokens("RS256")));

    let secret = |kid: &str| {
        format!("{{ kid = '{kid}', jwk = {{ kty = 'oct', alg = 'HS256', k = '{SECRET}' }} }}")
    };
    let other = "{ kid = 'b', alg = 'HS256', secret = 'another secret of at least 32 bytes' }";
    let harness = super::harness(&format!("keys = [{}, {other}]", secret("a")));
    let named = |kid: &str| {
        signed(
            &json!({ "alg": "HS256", "kid": kid }),
            &json!({ "exp": 4_102_444_800_u64 }),
            mac,
        )
    };
    assert!(passes(&harness, &named("a")));
    assert_eq!(
        refused(&harness, &named("b")),
        (401, "jwt-signature".to_owned())
    );
    assert_eq!(refused(&harness, &named("c")), (401, "jwt-key".to_owned()));
    assert!(passes(&harness, &hs256(json!({}))));
}
