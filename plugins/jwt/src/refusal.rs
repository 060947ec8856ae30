//! Why a request does not pass, and what its client is told: the only place that chooses a status.
//!
//! Promises: texts are constant, so nothing of a token, a key or a claim gets out with them (RFC 6750 section 3).
//! Leaves out: what went wrong with the key set's URL, which is in the gateway's log.

use plugin_sdk::{LocalResponse, Request};

/// Why a request does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no token.
    Missing,
    /// There are several, of which the upstream might believe another one.
    Repeated,
    /// It is too long, or no JWS in compact form with a JSON object in it.
    Malformed,
    /// Its algorithm is `none`, unknown or not allowed.
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
    /// A claim is needed in a header field or attribute and can't stand there.
    Unfit,
    /// The key set could not be had, so nobody can say.
    NoKeys,
}

/// What RFC 6750 section 3.1 calls it.
const INVALID_TOKEN: Option<&str> = Some("invalid_token");

impl Refusal {
    /// Status, stable reason word, error code of RFC 6750, and the words for whoever reads the challenge.
    fn words(self) -> (u16, &'static str, Option<&'static str>, &'static str) {
        let token = |reason, words| (401, reason, INVALID_TOKEN, words);
        match self {
            Self::Missing => (401, "jwt-missing", None, ""),
            Self::Repeated => (
                400,
                "jwt-repeated",
                Some("invalid_request"),
                "The request has more than one token",
            ),
            Self::Malformed => token("jwt-malformed", "The token is malformed"),
            Self::Algorithm => token("jwt-algorithm", "The token's algorithm is not accepted"),
            Self::Key => token("jwt-key", "The token's key is not known"),
            Self::Signature => token("jwt-signature", "The token's signature is wrong"),
            Self::Expired => token("jwt-expired", "The token has expired"),
            Self::Unlimited => token("jwt-unlimited", "The token has no expiry"),
            Self::Early => token("jwt-early", "The token is not valid yet"),
            Self::Issuer => token("jwt-issuer", "The token's issuer is not accepted"),
            Self::Audience => token("jwt-audience", "The token is not meant for this service"),
            Self::Unfit => token("jwt-unfit", "A claim of the token can't be passed on"),
            Self::Claims => (
                403,
                "jwt-claims",
                Some("insufficient_scope"),
                "The token lacks a required claim",
            ),
            Self::NoKeys => (503, "jwt-keys-unavailable", None, ""),
        }
    }

    /// The answer to the client.
    pub(crate) fn response(self, realm: &str, request: &Request) -> LocalResponse {
        let (status, reason, code, description) = self.words();
        plugin_sdk::debug!(reason = reason, "refuses a request");
        let response = LocalResponse::failure(status, reason, request);
        if status == 503 {
            return response.header("retry-after", "1");
        }
        let challenge = match code {
            None => format!("Bearer realm=\"{realm}\""),
            Some(code) => format!(
                "Bearer realm=\"{realm}\", error=\"{code}\", error_description=\"{description}\""
            ),
        };
        response.header("www-authenticate", challenge)
    }
}
