//! What is said to a request whose token won't do: status, reason and challenge (RFC 6750 section 3).
//!
//! Promises: the only place that chooses a status; texts are constant, so nothing of a token or key gets out with
//! them. Leaves out: the scope that would do (`scope`), and other schemes' challenges.

use std::str::FromStr;

use serde::de::{Deserialize, Deserializer};

use crate::{LocalResponse, Request, credential, text};

/// Why a request does not pass.
///
/// ```
/// # use plugin_sdk::bearer::{Kind, Realm, Refusal};
/// # use plugin_sdk::{Decision, Fault, NoConfig, OnRequest, Plugin, Request};
/// struct Closed;
/// # impl Plugin for Closed {
/// #     type Config = NoConfig;
/// #     fn new(_: NoConfig) -> Result<Self, String> { Ok(Self) }
/// # }
///
/// const REVOKED: Refusal = Refusal::new(Kind::Token, "revoked", "The token was revoked");
///
/// impl OnRequest for Closed {
///     fn on_request(&self, request: &mut Request) -> Result<Decision, Fault> {
///         Ok(REVOKED.response("closed", &Realm::default(), request).into())
///     }
/// }
/// # use plugin_sdk::testing::{Exchange, Harness};
/// # let answer = Harness::<Closed>::new("")?.on_request(&Exchange::get("/"))?;
/// # let Decision::Respond(response) = answer else { panic!("it passes") };
/// # assert_eq!(response.status, 401);
/// # assert!(response.body.starts_with(br#"{"error": "closed-revoked""#));
/// # assert_eq!(
/// #     response.headers[1].value,
/// #     br#"Bearer realm="gateway", error="invalid_token", error_description="The token was revoked""#
/// # );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Whose fault it is, which decides the status.
    pub kind: Kind,
    /// A stable word for programs, such as `expired`.
    pub reason: &'static str,
    /// A sentence for whoever reads the challenge: ASCII, without quotes.
    pub description: &'static str,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// There is no token: 401, and a challenge without an error code (RFC 6750 section 3.1).
    Missing,
    /// The request, whatever the token is: 400.
    Request,
    /// The token: 401.
    Token,
    /// The token is good, but does not suffice: 403.
    Scope,
    /// Nobody can say, since something that is needed can't be had: 503.
    Unavailable,
}

impl Refusal {
    /// A refusal.
    pub const fn new(kind: Kind, reason: &'static str, description: &'static str) -> Self {
        Self {
            kind,
            reason,
            description,
        }
    }

    /// The answer to the client. Its error is the reason behind the plugin's name: `jwt-expired`.
    pub fn response(&self, plugin: &str, realm: &Realm, request: &Request<'_>) -> LocalResponse {
        let reason = format!("{plugin}-{}", self.reason);
        crate::debug!(reason = reason, "refuses a request");
        let (status, code) = match self.kind {
            Kind::Missing => (401, None),
            Kind::Request => (400, Some("invalid_request")),
            Kind::Token => (401, Some("invalid_token")),
            Kind::Scope => (403, Some("insufficient_scope")),
            Kind::Unavailable => {
                let response = LocalResponse::failure(503, &reason, request);
                return response.header("retry-after", "1");
            }
        };
        let mut challenge = format!("Bearer realm=\"{}\"", realm.0);
        if let Some(code) = code {
            let description = self.description;
            challenge += &format!(", error=\"{code}\", error_description=\"{description}\"");
        }
        LocalResponse::failure(status, &reason, request).header("www-authenticate", challenge)
    }
}

impl From<credential::Error> for Refusal {
    fn from(error: credential::Error) -> Self {
        match error {
            credential::Error::Missing => Self::new(Kind::Missing, "missing", ""),
            credential::Error::Repeated => {
                let description = "The request has more than one token";
                Self::new(Kind::Request, "repeated", description)
            }
            credential::Error::Malformed => {
                Self::new(Kind::Token, "malformed", "The token is malformed")
            }
        }
    }
}

/// What a challenge is about (RFC 9110 11.5): a text that can stand in quotes as it is. By default `gateway`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realm(String);

impl Default for Realm {
    fn default() -> Self {
        Self("gateway".to_owned())
    }
}

impl FromStr for Realm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // RFC 9110 5.6.4.
        let is_quotable = |byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        if text.bytes().all(is_quotable) {
            Ok(Self(text.to_owned()))
        } else {
            Err("there are characters that can't stand in a quoted string".to_owned())
        }
    }
}

impl<'de> Deserialize<'de> for Realm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::parsed(deserializer)
    }
}
