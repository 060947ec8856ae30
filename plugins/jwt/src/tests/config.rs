//! Configurations that are refused, and that nothing secret is in the message.

use plugin_sdk::testing::Harness;

use super::vectors::{EC_PEM, ED_PEM, RFC_ES256, RSA_N, RSA_PEM, SECRET};
use crate::Jwt;

fn error(config: &str) -> String {
    match Harness::<Jwt>::new(config) {
        Ok(_) => panic!("accepted: {config}"),
        Err(error) => error,
    }
}

/// A secret that is long enough, and must not be seen again.
const A_SECRET: &str = "a secret of at least 32 bytes 012345";

/// Each key is refused by its place, with these words, and without its secret.
fn are_refused<const N: usize>(keys: [(String, &str); N]) {
    for (key, says) in keys {
        let error = error(&format!("keys = [{key}]"));
        assert!(
            error.starts_with("`keys[0]`: ") && error.contains(says),
            "{key}: {error}"
        );
        assert!(
            !error.contains(A_SECRET) && !error.contains("12345678901234"),
            "{error}"
        );
    }
}

#[test]
fn a_wrong_pem_is_refused() {
    let pem = |alg: &str, pem: &str| format!("{{ alg = '{alg}', pem = '''{pem}''' }}");
    are_refused([
        (pem("HS256", RSA_PEM), "takes a `secret`"),
        (pem("ES256", RSA_PEM), "no public key that fits"),
        (pem("RS256", EC_PEM), "no public key that fits"),
        (pem("RS256", ED_PEM), "no public key that fits"),
        (pem("EdDSA", EC_PEM), "no public key that fits"),
        (pem("RS256", &RSA_PEM[..200]), "no public key that fits"),
        (pem("RS256", "-----BEGIN CERTIFICATE-----"), "openssl x509"),
        (
            pem("RS256", "-----BEGIN RSA PRIVATE KEY-----"),
            "openssl pkey",
        ),
        (pem("RS256", "MIIB"), "BEGIN PUBLIC KEY"),
        (pem("RS384", RSA_PEM), "\"RS384\" is not"),
    ]);
}

#[test]
fn a_wrong_jwk_is_refused() {
    let rsa =
        |more: &str| format!("{{ jwk = {{ kty = 'RSA', n = '{RSA_N}', e = 'AQAB', {more} }} }}");
    let oct = format!("jwk = {{ kty = 'oct', k = '{SECRET}' }}");
    are_refused([
        (format!("{{ alg = 'RS256', {oct} }}"), "takes a public key"),
        (format!("{{ {oct} }}"), "`alg` is missing"),
        (rsa("alg = 'HS256'"), "not for this algorithm"),
        (rsa("alg = 'RS384'"), "not known"),
        (rsa("use = 'enc'"), "not for signatures"),
        (rsa("key_ops = ['sign']"), "not for signatures"),
        (rsa("d = 'x'"), "private key"),
        (
            format!(
                "{{ jwk = {{ kty = 'RSA', n = '{}x', e = 'AQAB' }} }}",
                &RSA_N[..171]
            ),
            "bits",
        ),
        (
            "{ jwk = { kty = 'EC', crv = 'P-256', x = 'AAAA', y = 'AAAA' } }".to_owned(),
            "no point",
        ),
        (
            "{ jwk = { kty = 'EC', crv = 'P-521', x = 'AAAA', y = 'AAAA' } }".to_owned(),
            "not known",
        ),
        (
            "{ jwk = { kty = 'OKP', crv = 'Ed25519', x = 'AAAA' } }".to_owned(),
            "no Ed25519 key",
        ),
        (
            format!(
                "{{ jwk = {{ kty = 'OKP', crv = 'Ed25519', x = '{}' }} }}",
                "A".repeat(43)
            ),
            "weak",
        ),
        ("{ jwk = '{}' }".to_owned(), "no table with `kty`"),
        ("{ jwk = 'x' }".to_owned(), "no table with `kty`"),
    ]);
}

#[test]
fn a_wrong_secret_is_refused() {
    let secret = |alg: &str, secret: &str| format!("{{ alg = '{alg}', secret = '''{secret}''' }}");
    are_refused([
        (secret("RS256", A_SECRET), "takes a public key"),
        (secret("HS256", RSA_PEM), "a public key is no secret"),
        (secret("HS256", "short"), "shorter than 32 bytes"),
        (secret("HS512", A_SECRET), "shorter than 64 bytes"),
        (secret("none", A_SECRET), "\"none\" is not"),
        (
            "{ alg = 'HS256', secret-base64 = '%%' }".to_owned(),
            "not base64",
        ),
        (
            "{ alg = 'HS256', secret = 12345678901234 }".to_owned(),
            "expected a text",
        ),
        (format!("{{ secret = '{A_SECRET}' }}"), "`alg` is missing"),
        ("{ alg = 'HS256' }".to_owned(), "expected one of"),
        (
            format!("{{ alg = 'HS256', secret = '{A_SECRET}', pem = '{A_SECRET}' }}"),
            "expected one of",
        ),
        (
            format!("{{ alg = 'HS256', secrets = '{A_SECRET}' }}"),
            "unknown field `secrets`",
        ),
        (format!("'{A_SECRET}'"), "expected a table"),
    ]);
}

#[test]
fn a_wrong_table_is_refused() {
    let key = format!("keys = [{{ alg = 'ES256', pem = '''{EC_PEM}''' }}]");
    for (more, says) in [
        (
            "algorithms = ['RS256']",
            "`keys`: ES256 is not in `algorithms`",
        ),
        ("algorithms = ['none']", "`algorithms`: \"none\""),
        ("algorithms = []", "`algorithms`"),
        ("required-claims = []", "`required-claims`"),
        ("issuer = []", "`issuer`"),
        ("issuer = ''", "`issuer`"),
        ("audience = [1]", "`audience[0]`"),
        ("leeway = '60'", "`leeway`"),
        ("leeway = '-1s'", "`leeway`"),
        ("leeway = '99999999999999999999h'", "`leeway`"),
        ("leeway = '8000h'", "`leeway`"),
        ("required-claims = 7", "`required-claims`"),
        ("required-claims = ['']", "`required-claims`"),
        ("required-claims = {}", "`required-claims`"),
        ("required-claims = { tier = [] }", "`required-claims`"),
        ("required-claims = { '' = 'gold' }", "`required-claims`"),
        (
            "required-claims = { tier = 'gold', scope = [] }",
            "`required-claims`",
        ),
        (
            "claims-to-headers = { sub = 'a b' }",
            "`claims-to-headers.sub`",
        ),
        (
            "claims-to-headers = { sub = 'host' }",
            "`claims-to-headers.sub`",
        ),
        (
            "claims-to-headers = { sub = 'x-a', iss = 'X-A' }",
            "same header field",
        ),
        (
            "claims-to-headers = { sub = 'Authorization' }",
            "carries tokens",
        ),
        (
            "header = 'x-t'\nclaims-to-headers = { sub = 'x-t' }",
            "carries tokens",
        ),
        ("header = ''", "`header`"),
        ("cookie = 'a b'", "`cookie`"),
        ("query = ''", "`query`"),
        ("realm = 'a\"b'", "`realm`"),
        ("cache = 100000", "`cache`"),
        ("cache = -1", "`cache`"),
        ("issuers = 'x'", "did you mean `issuer`?"),
    ] {
        let error = error(&format!("{key}\n{more}"));
        assert!(error.contains(says), "{more}: {error}");
    }
    for nothing in ["", "keys = []"] {
        assert!(error(nothing).contains("nobody could pass"));
    }
    assert!(error(&format!("keys = '{RFC_ES256}'")) == "`keys`: expected a list of tables");
}

#[test]
fn a_wrong_key_set_is_refused() {
    for (jwks, says) in [
        ("{}", "`url` is missing"),
        ("{ url = 'login.example/keys' }", "`jwks`: `url`"),
        ("{ url = 'file:///etc/keys' }", "`jwks`: `url`"),
        (
            "{ url = 'https://x.example/', refresh = '10' }",
            "`jwks.refresh`",
        ),
        (
            "{ url = 'https://x.example/', cooldown = '1ms' }",
            "100ms to 7d",
        ),
        (
            "{ url = 'https://x.example/', max-age = '1m' }",
            "`jwks`: `max-age` is shorter",
        ),
        (
            "{ url = 'https://x.example/', ttl = '1m' }",
            "`jwks.ttl`: unknown key",
        ),
    ] {
        let error = error(&format!("jwks = {jwks}"));
        assert!(error.contains(says), "{jwks}: {error}");
    }
}
