//! Keys, of which a token names one or leaves us to try.
//!
//! Promises: bounded work for each token. A published set is read as RFC 7517 section 5 asks: what is not understood is
//! skipped. Leaves out: how an operator writes keys (`written.rs`).

use serde::Deserialize;
use serde_json::Value;

use super::jwk::Jwk;
use super::{Algorithm, Claims, Error, Key, Token};

/// Keys that one token is tried with: more than this have the same algorithm only in a set without ids, and each
/// costs up to a millisecond.
const CANDIDATES_MAX: usize = 4;
/// Keys of a published set that are looked at; the large providers publish fewer than ten.
const KEYS_MAX: usize = 64;

/// Keys. In a configuration they are a list of tables, each with one of `pem`, `secret`, `secret-base64` and `jwk`, and
/// with `alg` and `kid`; errors name the place and never show a secret.
///
/// ```
/// use plugin_sdk::jwt::{Algorithm, Error, Key, KeySet, Token};
///
/// let key = Key::from_secret(Algorithm::Hs256, b"a secret of at least 32 bytes 012345")?;
/// let keys = KeySet::from_iter([key.with_id("2026")]);
/// let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJBZGEiLCJpc3MiOiJ1cyIsImV4cCI6NDEwMjQ0NDgwMH0.NqWVZnD8dR0JWXs4zkhXRci0R2-k0B1zcRj1dxlPu_M";
/// let claims = keys.verify(&Token::parse(token)?)?; // whatever they say: see `Rules`
/// assert_eq!(claims.text("sub").as_deref(), Some("Ada"));
///
/// let changed = token.replace("eyJz", "eyJy");
/// assert_eq!(keys.verify(&Token::parse(&changed)?), Err(Error::Signature));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct KeySet(pub(super) Vec<Key>);

impl FromIterator<Key> for KeySet {
    fn from_iter<I: IntoIterator<Item = Key>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}

impl KeySet {
    /// The usable keys of a published set (RFC 7517 section 5) for these algorithms; for all, if none is given.
    /// Secrets in it are not believed: whoever can read it could sign.
    pub fn from_jwks(json: &[u8], allowed: &[Algorithm]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set =
            serde_json::from_slice(json).map_err(|error| format!("it is no key set: {error}"))?;
        let keys = set.keys.into_iter().take(KEYS_MAX);
        let keys = keys
            .filter_map(|value| serde_json::from_value::<Jwk>(value).ok())
            .filter(|jwk| !jwk.is_secret());
        Ok(keys
            .filter_map(|jwk| jwk.keys(None, None, allowed).ok())
            .flatten()
            .collect())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the keys are for.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.0.iter().map(|key| key.algorithm)
    }

    /// Whether a key has that id.
    pub fn knows(&self, kid: &str) -> bool {
        self.0.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    /// What a token says, if one of the keys has signed it.
    pub fn verify(&self, token: &Token<'_>) -> Result<Claims, Error> {
        let fitting = self.0.iter().filter(|key| key.fits(token));
        let mut error = Error::Key;
        for key in fitting.take(CANDIDATES_MAX) {
            if key.verify(token.message, &token.signature) {
                return token.claims();
            }
            error = Error::Signature;
        }
        Err(error)
    }
}
