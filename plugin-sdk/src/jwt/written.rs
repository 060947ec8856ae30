//! Keys as an operator writes them: `keys = [{ kid = "2026", alg = "RS256", pem = "${file:issuer.pem}" }]`.
//!
//! Promises: a wrong one is refused by its place, and nothing secret is in the message, whatever stands where. Leaves
//! out: files and variables, which the gateway puts in.

use std::fmt;

use base64ct::{Base64, Encoding as _};
use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::Value;

use super::jwk::Jwk;
use super::key::{KeyKind, NAMES};
use super::{Algorithm, Key, KeySet, pem};

impl<'de> Deserialize<'de> for KeySet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Keys)
    }
}

struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = KeySet;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of tables")
    }

    /// Without serde's own words, which would show the text.
    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<KeySet, E> {
        Err(E::custom("expected a list of tables"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<KeySet, A::Error> {
        let mut keys = Vec::new();
        while let Some(Entry(entry)) = entries.next_element()? {
            keys.extend(entry);
        }
        Ok(KeySet(keys))
    }
}

/// The keys of one table.
struct Entry(Vec<Key>);

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By way of a value, since serde's errors would show what stands in place of a table.
        let value = Value::deserialize(deserializer)?;
        if !value.is_object() {
            return Err(D::Error::custom("expected a table"));
        }
        let written: Written = serde_json::from_value(value).map_err(D::Error::custom)?;
        written.load().map(Self).map_err(D::Error::custom)
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    kid: Option<String>,
    alg: Option<String>,
    pem: Option<String>,
    secret: Option<Value>,
    secret_base64: Option<Value>,
    jwk: Option<Value>,
}

impl Written {
    fn load(&self) -> Result<Vec<Key>, String> {
        let algorithm: Option<Algorithm> = match &self.alg {
            Some(name) => Some(name.parse().map_err(|error| format!("`alg`: {error}"))?),
            None => None,
        };
        let needed = || algorithm.ok_or_else(|| format!("`alg` is missing: {NAMES}"));
        let kind = match (&self.pem, &self.secret, &self.secret_base64, &self.jwk) {
            (Some(pem), None, None, None) => pem::kind(needed()?, pem)?,
            (None, Some(secret), None, None) => {
                KeyKind::secret(needed()?, secret_text("secret", secret)?.as_bytes())?
            }
            (None, None, Some(secret), None) => {
                let text = secret_text("secret-base64", secret)?;
                // Tools wrap long lines.
                let text: String = text.split_ascii_whitespace().collect();
                let bytes = Base64::decode_vec(&text)
                    .map_err(|_| "`secret-base64` is not base64 with padding".to_owned())?;
                KeyKind::secret(needed()?, &bytes)?
            }
            (None, None, None, Some(jwk)) => return self.load_jwk(jwk, algorithm),
            _ => {
                return Err("expected one of `pem`, `secret`, `secret-base64` and `jwk`".to_owned());
            }
        };
        Ok(vec![Key::new(self.kid.clone(), kind)])
    }

    /// A table, or the JSON text of one, as a file holds it.
    fn load_jwk(&self, jwk: &Value, algorithm: Option<Algorithm>) -> Result<Vec<Key>, String> {
        let parsed = match jwk {
            Value::String(text) => serde_json::from_str::<Jwk>(text).ok(),
            other => serde_json::from_value::<Jwk>(other.clone()).ok(),
        };
        let jwk = parsed.ok_or("`jwk` is no table with `kty`, nor such a JSON text")?;
        jwk.keys(self.kid.as_deref(), algorithm, &[])
    }
}

fn secret_text<'a>(key: &str, value: &'a Value) -> Result<&'a str, String> {
    value
        .as_str()
        .ok_or_else(|| format!("`{key}`: expected a text"))
}
