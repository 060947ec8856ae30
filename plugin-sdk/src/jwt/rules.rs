//! What the claims of a token must say (RFC 7519 section 4.1).
//!
//! Promises: pure; the time is an argument. A claim of the wrong type is refused, never taken for a missing one.
//! Leaves out: `iat`, `jti` and revocation.

use std::time::{Duration, SystemTime};

use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::Value;

use super::{Claims, Error};

/// What a token must claim. By default: an expiry, which may have passed a minute ago.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Any of these; empty accepts all.
    pub issuers: Vec<String>,
    /// Any of these; empty accepts all.
    pub audiences: Vec<String>,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// Whether a token without expiry is refused.
    pub requires_exp: bool,
    /// Other claims.
    pub required: RequiredClaims,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            issuers: Vec::new(),
            audiences: Vec::new(),
            leeway: Duration::from_secs(60),
            requires_exp: true,
            required: RequiredClaims::default(),
        }
    }
}

/// Claims that must be there. In a configuration: names, `["email"]`, or a table from names to a value or values,
/// `{ tier = ["gold", "lead"], scope = "orders:read" }`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RequiredClaims(pub Vec<RequiredClaim>);

/// A claim that must be there.
#[derive(Debug, Clone, PartialEq)]
pub struct RequiredClaim {
    /// Its name, or a JSON pointer.
    pub name: String,
    /// Any of these values, or a list that holds one; `scope` is read as words. Empty accepts all.
    pub values: Vec<Value>,
}

/// When a token is valid, leeway included, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Period {
    from: f64,
    until: f64,
}

impl Rules {
    /// Check everything; the period is for later questions about the same token.
    pub fn check(&self, claims: &Claims, now: SystemTime) -> Result<Period, Error> {
        let period = self.period(claims)?;
        period.check(now)?;
        let issuer = claims.find("iss");
        if !self.issuers.is_empty()
            && !self
                .issuers
                .iter()
                .any(|known| issuer.is_some_and(|it| it == known))
        {
            return Err(Error::Issuer);
        }
        let audience = claims.find("aud");
        let is_meant = |known: &String| audience.is_some_and(|it| holds(it, known));
        if !self.audiences.is_empty() && !self.audiences.iter().any(is_meant) {
            return Err(Error::Audience);
        }
        if self
            .required
            .0
            .iter()
            .all(|required| required.is_met(claims))
        {
            Ok(period)
        } else {
            Err(Error::Claims)
        }
    }

    fn period(&self, claims: &Claims) -> Result<Period, Error> {
        let date = |name| match claims.find(name) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or(Error::Malformed),
        };
        let exp = date("exp")?;
        if exp.is_none() && self.requires_exp {
            return Err(Error::Unlimited);
        }
        let leeway = self.leeway.as_secs_f64();
        Ok(Period {
            from: date("nbf")?.map_or(f64::NEG_INFINITY, |nbf| nbf - leeway),
            until: exp.map_or(f64::INFINITY, |exp| exp + leeway),
        })
    }
}

impl Period {
    /// Whether a time is in it. The end is not (RFC 7519 section 4.1.4), the beginning is (4.1.5).
    pub fn check(self, now: SystemTime) -> Result<(), Error> {
        let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH);
        let now = since_1970.unwrap_or_default().as_secs_f64();
        if now >= self.until {
            Err(Error::Expired)
        } else if now < self.from {
            Err(Error::Early)
        } else {
            Ok(())
        }
    }
}

impl RequiredClaim {
    fn is_met(&self, claims: &Claims) -> bool {
        let Some(claim) = claims.find(&self.name) else {
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

const EXPECTED: &str = "expected names of claims, or a table from names to values, not empty";

impl<'de> Deserialize<'de> for RequiredClaims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let named = |name: Value| match name {
            Value::String(name) if !name.is_empty() => Some(RequiredClaim {
                name,
                values: Vec::new(),
            }),
            _ => None,
        };
        // Without values any would do, which nobody means who writes a list of them.
        let with_values = |(name, value): (String, Value)| {
            let values = match value {
                Value::Array(values) => values,
                value => vec![value],
            };
            (!name.is_empty() && !values.is_empty()).then_some(RequiredClaim { name, values })
        };
        let claims = match Value::deserialize(deserializer)? {
            Value::Array(names) if !names.is_empty() => names.into_iter().map(named).collect(),
            Value::Object(table) if !table.is_empty() => {
                table.into_iter().map(with_values).collect()
            }
            name => named(name).map(|claim| vec![claim]),
        };
        let claims = claims.ok_or_else(|| D::Error::custom(EXPECTED));
        claims.map(Self)
    }
}
