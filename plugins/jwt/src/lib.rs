//! Stock plugin `jwt`: who may pass, by a signed token (RFC 7519), and what the upstream learns from it.
//!
//! Promises: only a request with a token that a known key has signed, for this place and time, passes; header fields
//! made of claims never come from the client, whether the claim is there or not. Leaves out: issuing tokens, sessions,
//! revocation before the expiry, encrypted tokens.
//!
//! How tokens are found, verified and refused is the SDK's: `credential`, `jwt` (with `remote` for a key set behind a
//! URL) and `bearer`. Here is what this plugin makes of them.

use std::time::Duration;

use plugin_sdk::bearer::{Kind, Realm, Refusal};
use plugin_sdk::credential::{Place, Places};
use plugin_sdk::header::{self, Name};
use plugin_sdk::jwt::{Algorithm, Claims, KeySet, RequiredClaims, Rules, Verifier};
use plugin_sdk::remote::{Remote, Source};
use plugin_sdk::{
    ATTRIBUTE_BYTES_MAX, Decision, Edit, Fault, Interest, List, OnRequest, Plugin, Request, Table,
    duration,
};
use serde::Deserialize;

#[cfg(test)]
mod tests;

/// Tokens that an instance remembers if the configuration doesn't say.
const CACHE_DEFAULT: usize = 256;
/// Tokens that an instance may remember: with claims of the largest size they fill half of its memory.
const CACHE_MAX: usize = 512;
/// What the plugins behind this one and the log know a client by.
const CONSUMER: &str = "consumer";
/// A claim is needed in a header field or attribute and can't stand there.
const UNFIT: Refusal = Refusal::new(
    Kind::Token,
    "unfit",
    "A claim of the token can't be passed on",
);

/// The `config` table; the README explains the keys. Not `Debug`: it holds secrets.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    keys: KeySet,
    jwks: Option<Source>,
    algorithms: List<Algorithm>,
    issuer: List<String>,
    audience: List<String>,
    #[serde(with = "duration::optional")]
    leeway: Option<Duration>,
    require_exp: Option<bool>,
    required_claims: RequiredClaims,
    claims_to_headers: Table<Name>,
    consumer_claim: Option<String>,
    header: Option<Name>,
    cookie: Option<String>,
    query: Option<String>,
    forward_token: bool,
    cache: Option<usize>,
    realm: Realm,
}

/// The plugin.
pub struct Jwt {
    places: Places,
    verifier: Verifier<Pass>,
    /// Claims and their header fields.
    headers: Vec<(String, Name)>,
    consumer_claim: String,
    realm: Realm,
}

/// What a good token becomes.
#[derive(Clone)]
struct Pass {
    edits: Vec<Edit>,
    consumer: Option<String>,
}

impl Plugin for Jwt {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        let allowed = config.algorithms.0;
        let is_allowed = |key: &Algorithm| allowed.is_empty() || allowed.contains(key);
        if let Some(other) = config.keys.algorithms().find(|key| !is_allowed(key)) {
            return Err(format!("`keys`: {other} is not in `algorithms`"));
        }
        let remote = config
            .jwks
            .map(|source| Remote::new(source, move |json| KeySet::from_jwks(json, &allowed)));
        let usual = Rules::default();
        let rules = Rules {
            issuers: config.issuer.0,
            audiences: config.audience.0,
            leeway: config.leeway.unwrap_or(usual.leeway),
            requires_exp: config.require_exp.unwrap_or(usual.requires_exp),
            required: config.required_claims,
        };
        let cache = config.cache.unwrap_or(CACHE_DEFAULT);
        if cache > CACHE_MAX {
            return Err(format!("`cache` is over {CACHE_MAX}"));
        }
        let header = config.header.unwrap_or(header::AUTHORIZATION);
        let headers = config.claims_to_headers.0;
        check_headers(&headers, &[&header, &header::COOKIE])?;
        let consumer_claim = config.consumer_claim;
        Ok(Self {
            places: Places::bearer(header, config.cookie, config.query)?
                .forwarded(config.forward_token),
            verifier: Verifier::new(config.keys, remote, rules)?.remembering(cache),
            headers,
            consumer_claim: consumer_claim.unwrap_or_else(|| "sub".to_owned()),
            realm: config.realm,
        })
    }

    fn interest(&self) -> Interest {
        Interest::REQUEST
    }
}

/// Each claim has a field of its own, and none is where a token might be.
fn check_headers(headers: &[(String, Name)], taken: &[&Name]) -> Result<(), String> {
    let mut names: Vec<&Name> = Vec::new();
    for (claim, name) in headers {
        if taken.contains(&name) {
            return Err(format!(
                "`claims-to-headers.{claim}`: that field carries tokens"
            ));
        }
        if names.contains(&name) {
            return Err("`claims-to-headers`: two claims go to the same header field".to_owned());
        }
        names.push(name);
    }
    Ok(())
}

impl OnRequest for Jwt {
    fn on_request(&self, request: &mut Request) -> Result<Decision, Fault> {
        let (pass, place) = match self.admit(request) {
            Ok(admitted) => admitted,
            Err(refusal) => return Ok(refusal.response("jwt", &self.realm, request).into()),
        };
        let mut edits = self.places.strip(request, place)?;
        edits.extend(pass.edits);
        request.edit_headers(&edits)?;
        if let Some(consumer) = &pass.consumer {
            request.set_attribute(CONSUMER, consumer)?;
        }
        Ok(Decision::Next)
    }
}

plugin_sdk::export!(Jwt: OnRequest);

impl Jwt {
    /// What a request's token is good for, and where it was.
    fn admit(&self, request: &Request) -> Result<(Pass, Place), Refusal> {
        let token = self.places.find(request)?;
        let pass = self
            .verifier
            .verify(&token.text, |claims| self.pass(claims))?;
        Ok((pass, token.place))
    }

    /// What claims become. A field whose claim is missing is removed: it is from the client.
    fn pass(&self, claims: &Claims) -> Result<Pass, Refusal> {
        let mut edits = Vec::with_capacity(self.headers.len());
        for (claim, name) in &self.headers {
            edits.push(match claims.text(claim) {
                Some(text) => Edit::set(name, fit(text)?),
                None => Edit::remove(name),
            });
        }
        let consumer = claims.text(&self.consumer_claim).map(fit).transpose()?;
        let bytes = consumer
            .as_ref()
            .map_or(0, |name| CONSUMER.len() + name.len());
        if bytes > ATTRIBUTE_BYTES_MAX {
            return Err(UNFIT);
        }
        Ok(Pass { edits, consumer })
    }
}

/// A text that can stand in a header field.
fn fit(text: String) -> Result<String, Refusal> {
    match header::check_value(text.as_bytes()) {
        Ok(()) => Ok(text),
        Err(_) => Err(UNFIT),
    }
}
