//! Why a token is not believed, and what is said about it.
//!
//! Promises: constant texts. Leaves out: what went wrong with a key set's URL, which is in the gateway's log.

use std::fmt;

use crate::bearer::{Kind, Refusal};

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It is too long, or no JWS in compact form with a JSON object in it, or its times are no numbers.
    Malformed,
    /// Its algorithm is `none` or another one that is not known.
    Algorithm,
    /// There is no key of its id and algorithm.
    Key,
    /// It was signed with another key, or changed since.
    Signature,
    /// It has expired.
    Expired,
    /// It must have an expiry and has none.
    Unlimited,
    /// Its time has not come.
    Early,
    /// It is from somebody else.
    Issuer,
    /// It is for somebody else.
    Audience,
    /// It is good, but a required claim is missing or has another value.
    Claims,
    /// The key set could not be had, so nobody can say.
    NoKeys,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let token = |reason, description| Self::new(Kind::Token, reason, description);
        match error {
            Error::Malformed => token("malformed", "The token is malformed"),
            Error::Algorithm => token("algorithm", "The token's algorithm is not accepted"),
            Error::Key => token("key", "The token's key is not known"),
            Error::Signature => token("signature", "The token's signature is wrong"),
            Error::Expired => token("expired", "The token has expired"),
            Error::Unlimited => token("unlimited", "The token has no expiry"),
            Error::Early => token("early", "The token is not valid yet"),
            Error::Issuer => token("issuer", "The token's issuer is not accepted"),
            Error::Audience => token("audience", "The token is not meant for this service"),
            Error::Claims => Self::new(Kind::Scope, "claims", "The token lacks a required claim"),
            Error::NoKeys => Self::new(
                Kind::Unavailable,
                "keys-unavailable",
                "The keys could not be had",
            ),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(Refusal::from(*self).description)
    }
}

impl std::error::Error for Error {}
