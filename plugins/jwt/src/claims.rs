//! What the claims of a token must say (RFC 7519 section 4.1), and how one becomes text.
//!
//! Promises: pure; the time is an argument. A claim of the wrong type is refused, never taken for a missing one.
//! Leaves out: `iat`, `jti` and revocation.

use serde_json::Value;

use crate::refusal::Refusal;

/// What a token must claim.
pub(crate) struct Rules {
    /// Any of these; empty accepts all.
    pub(crate) issuers: Vec<String>,
    /// Any of these; empty accepts all.
    pub(crate) audiences: Vec<String>,
    pub(crate) leeway_seconds: f64,
    pub(crate) requires_exp: bool,
    pub(crate) required: Vec<Required>,
}

/// A claim that must be there.
pub(crate) struct Required {
    pub(crate) name: String,
    /// Any of these values; empty accepts all.
    pub(crate) values: Vec<Value>,
}

/// When a token is valid, leeway included, in seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Period {
    from: f64,
    until: f64,
}

impl Rules {
    /// Check everything; the period is for later questions about the same token.
    pub(crate) fn check(&self, claims: &Value, now: f64) -> Result<Period, Refusal> {
        let period = self.period(claims)?;
        period.check(now)?;
        let issuer = &claims["iss"];
        if !self.issuers.is_empty() && !self.issuers.iter().any(|known| issuer == known) {
            return Err(Refusal::Issuer);
        }
        if !self.audiences.is_empty()
            && !self
                .audiences
                .iter()
                .any(|known| holds(&claims["aud"], known))
        {
            return Err(Refusal::Audience);
        }
        if self.required.iter().all(|required| required.is_met(claims)) {
            Ok(period)
        } else {
            Err(Refusal::Claims)
        }
    }

    fn period(&self, claims: &Value) -> Result<Period, Refusal> {
        let date = |name: &str| match &claims[name] {
            Value::Null => Ok(None),
            value => value.as_f64().map(Some).ok_or(Refusal::Malformed),
        };
        let exp = date("exp")?;
        if exp.is_none() && self.requires_exp {
            return Err(Refusal::Unlimited);
        }
        Ok(Period {
            from: date("nbf")?.map_or(f64::NEG_INFINITY, |nbf| nbf - self.leeway_seconds),
            until: exp.map_or(f64::INFINITY, |exp| exp + self.leeway_seconds),
        })
    }
}

impl Period {
    /// Whether a time is in it. The end is not (RFC 7519 section 4.1.4), the beginning is (4.1.5).
    pub(crate) fn check(self, now: f64) -> Result<(), Refusal> {
        if now >= self.until {
            Err(Refusal::Expired)
        } else if now < self.from {
            Err(Refusal::Early)
        } else {
            Ok(())
        }
    }
}

impl Required {
    fn is_met(&self, claims: &Value) -> bool {
        let Some(claim) = find(claims, &self.name) else {
            return false;
        };
        let is_one = |wanted: &Value| {
            claim == wanted
                || claim
                    .as_array()
                    .is_some_and(|elements| elements.contains(wanted))
                || (self.name == "scope" && is_scope(claim, wanted))
        };
        self.values.is_empty() || self.values.iter().any(is_one)
    }
}

/// Scopes are one text of words (RFC 8693 section 4.2).
fn is_scope(claim: &Value, wanted: &Value) -> bool {
    match (claim.as_str(), wanted.as_str()) {
        (Some(scopes), Some(wanted)) => scopes.split(' ').any(|scope| scope == wanted),
        _ => false,
    }
}

/// Whether a claim is that text, or a list with it.
fn holds(claim: &Value, text: &str) -> bool {
    claim == text
        || claim
            .as_array()
            .is_some_and(|elements| elements.iter().any(|it| it == text))
}

/// A claim that is there: by name, or inside of others by a JSON pointer such as `/realm_access/roles` (RFC 6901).
pub(crate) fn find<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    let claim = if name.starts_with('/') {
        claims.pointer(name)
    } else {
        claims.get(name)
    };
    claim.filter(|claim| !claim.is_null())
}

/// A claim for a header field or attribute: a text as it is, anything else as JSON, since joining a list with commas
/// would let an element pose as two.
pub(crate) fn text(claim: &Value) -> String {
    match claim {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
