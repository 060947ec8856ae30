//! What a token says.
//!
//! Promises: a claim that is `null` is not there. Leaves out: whether it is true, and for whom (`rules.rs`).

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Error;

/// The claims of a token whose signature is good.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims(Value);

impl Claims {
    pub(super) fn parse(json: &[u8]) -> Result<Self, Error> {
        match serde_json::from_slice(json) {
            Ok(claims @ Value::Object(_)) => Ok(Self(claims)),
            _ => Err(Error::Malformed),
        }
    }

    /// A claim by name, or inside of others by a JSON pointer such as `/realm_access/roles` (RFC 6901).
    pub fn find(&self, name: &str) -> Option<&Value> {
        let claim = if name.starts_with('/') {
            self.0.pointer(name)
        } else {
            self.0.get(name)
        };
        claim.filter(|claim| !claim.is_null())
    }

    /// A claim for a header field or attribute: a text as it is, anything else as JSON, since joining a list with commas
    /// would let an element pose as two.
    pub fn text(&self, name: &str) -> Option<String> {
        self.find(name).map(|claim| match claim {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }

    /// All claims as a type of one's own.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        T::deserialize(&self.0).map_err(|_| Error::Malformed)
    }
}
