//! A token taken apart: JWS in compact form (RFC 7515 section 3.1) with a JSON object in it.
//!
//! Promises: bounded, and strict where leniency would let two readers see two tokens: three parts, canonical
//! base64url, no extensions that must be understood. Leaves out: encrypted tokens, unsigned ones, and any trust.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Algorithm, Claims, Error};

/// Bytes of a token; header lines of that size are what most servers stop at.
pub(super) const TOKEN_BYTES_MAX: usize = 8 << 10;

/// A token whose signature nobody has looked at yet. Its claims are what [`KeySet::verify`](super::KeySet::verify)
/// gives.
pub struct Token<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    /// What was signed.
    pub(super) message: &'a [u8],
    pub(super) signature: Vec<u8>,
    payload: &'a str,
}

/// The parts of the header that matter. `jwk`, `jku`, `x5c` and their kin are not even read: a token can't bring its
/// own key.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

impl<'a> Token<'a> {
    /// Take it apart.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(Error::Malformed);
        }
        let (message, signature) = text.rsplit_once('.').ok_or(Error::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(Error::Malformed)?;
        if payload.contains('.') {
            return Err(Error::Malformed);
        }
        let header: Header =
            serde_json::from_slice(&decode(header)?).map_err(|_| Error::Malformed)?;
        // RFC 7515 section 4.1.11: nothing is understood here, so nothing may be critical.
        if header.crit.is_some() {
            return Err(Error::Malformed);
        }
        Ok(Self {
            signature: decode(signature)?,
            algorithm: Algorithm::named(&header.alg).ok_or(Error::Algorithm)?,
            kid: header.kid,
            message: message.as_bytes(),
            payload,
        })
    }

    /// The id of the key that has signed it, if it names one.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The claims: an object. To be called once the signature is known to be good.
    pub(super) fn claims(&self) -> Result<Claims, Error> {
        Claims::parse(&decode(self.payload)?)
    }
}

fn decode(part: &str) -> Result<Vec<u8>, Error> {
    Base64UrlUnpadded::decode_vec(part).map_err(|_| Error::Malformed)
}
