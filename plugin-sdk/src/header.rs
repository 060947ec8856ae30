//! What a header field may look like: the gateway's rules, to check a configuration with at load.
//!
//! Promises: what passes here is not refused as an edit, but for want of room. Leaves out: the meaning of fields.

use std::borrow::Cow;
use std::ops::Deref;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer};

use crate::{EditError, text};

/// The name of a header field in a configuration: one that plugins may edit, in lower case.
///
/// ```
/// use plugin_sdk::header::{AUTHORIZATION, Name};
/// assert_eq!("Authorization".parse(), Ok(AUTHORIZATION));
/// assert!("Host".parse::<Name>().is_err_and(|error| error.contains("belongs to the gateway")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(Cow<'static, str>);

/// Where clients show who they are (RFC 9110 11.6.2).
pub const AUTHORIZATION: Name = Name(Cow::Borrowed("authorization"));
/// Where browsers put cookies.
pub const COOKIE: Name = Name(Cow::Borrowed("cookie"));

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = check_name(text).map_err(|error| format!("{text:?}: {error}"))?;
        Ok(Self(name.into()))
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::parsed(deserializer)
    }
}

/// Framing, hop-by-hop and connection-level fields (RFC 9110 7.6.1), which are the gateway's.
const GATEWAYS_OWN: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a plugin may edit fields of that name; the name in lower case.
pub fn check_name(name: &str) -> Result<String, EditError> {
    if !is_token(name) {
        return Err(EditError::InvalidName);
    }
    let name = name.to_ascii_lowercase();
    if GATEWAYS_OWN.contains(&name.as_str()) {
        Err(EditError::Forbidden)
    } else {
        Ok(name)
    }
}

/// Whether a field can have that value: no control bytes, and no white space at its ends, which would not be part of it
/// for whoever reads it (RFC 9110 5.5).
pub fn check_value(value: &[u8]) -> Result<(), EditError> {
    let is_trimmed = value.trim_ascii().len() == value.len();
    if is_trimmed && value.iter().copied().all(is_value_byte) {
        Ok(())
    } else {
        Err(EditError::InvalidValue)
    }
}

/// Whether a byte can stand in a value (RFC 9110 5.5).
pub fn is_value_byte(byte: u8) -> bool {
    (byte >= b' ' && byte != 0x7f) || byte == b'\t'
}

/// Whether a text is a token (RFC 9110 5.6.2), as names and methods are.
pub fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
