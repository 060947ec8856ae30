//! A token taken apart: JWS in compact form (RFC 7515 section 3.1) with a JSON object in it.
//!
//! Promises: bounded, and strict where leniency would let two readers see two tokens: three parts, canonical
//! base64url, no extensions that must be understood. Leaves out: encrypted tokens, unsigned ones, and any trust.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::refusal::Refusal;

/// Bytes of a token; header lines of that size are what most servers stop at.
pub(crate) const TOKEN_BYTES_MAX: usize = 8 << 10;

/// A token whose signature nobody has looked at yet.
pub(crate) struct Token<'a> {
    pub(crate) header: Header,
    /// What was signed.
    pub(crate) message: &'a [u8],
    pub(crate) signature: Vec<u8>,
    payload: &'a str,
}

/// The parts of the header that matter. `jwk`, `jku`, `x5c` and their kin are not even read: a token can't bring its
/// own key.
#[derive(Deserialize)]
pub(crate) struct Header {
    pub(crate) alg: String,
    pub(crate) kid: Option<String>,
    crit: Option<IgnoredAny>,
}

impl<'a> Token<'a> {
    /// Take it apart.
    pub(crate) fn parse(text: &'a str) -> Result<Self, Refusal> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(Refusal::Malformed);
        }
        let (message, signature) = text.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(Refusal::Malformed)?;
        if payload.contains('.') {
            return Err(Refusal::Malformed);
        }
        let header: Header =
            serde_json::from_slice(&decode(header)?).map_err(|_| Refusal::Malformed)?;
        // RFC 7515 section 4.1.11: nothing is understood here, so nothing may be critical.
        if header.crit.is_some() {
            return Err(Refusal::Malformed);
        }
        Ok(Self {
            header,
            message: message.as_bytes(),
            signature: decode(signature)?,
            payload,
        })
    }

    /// The claims: an object. To be called once the signature is known to be good.
    pub(crate) fn claims(&self) -> Result<Value, Refusal> {
        let claims: Value =
            serde_json::from_slice(&decode(self.payload)?).map_err(|_| Refusal::Malformed)?;
        if claims.is_object() {
            Ok(claims)
        } else {
            Err(Refusal::Malformed)
        }
    }
}

fn decode(part: &str) -> Result<Vec<u8>, Refusal> {
    Base64UrlUnpadded::decode_vec(part).map_err(|_| Refusal::Malformed)
}
