//! From the `config` table to what is meant: keys loaded, names checked, durations in their unit.
//!
//! Promises: whatever can be known to be wrong is refused at load, by its key, and no secret is in the message.
//! Leaves out: the key set behind `jwks`, which is fetched when a request needs it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use plugin_sdk::header;
use serde::Deserialize;
use serde_json::Value;

use crate::cache::Cache;
use crate::carrier::Carriers;
use crate::claims::{Required, Rules};
use crate::jwk::Jwk;
use crate::jwks::Remote;
use crate::key::{ALL, Algorithm, Key, NAMES, PUBLIC, Verifier};
use crate::outcome::Outcome;
use crate::{Jwt, pem};

/// Tokens that an instance may remember: with claims of the largest size they fill half of its memory.
const CACHE_MAX: usize = 512;

/// The `config` table; the README explains the keys. Not `Debug`: it holds secrets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    // As values, since serde's errors would show what stands in place of a table.
    keys: Value,
    jwks: Option<JwksConfig>,
    algorithms: Value,
    issuer: Value,
    audience: Value,
    leeway: String,
    require_exp: bool,
    required_claims: Value,
    claims_to_headers: BTreeMap<String, String>,
    consumer_claim: String,
    header: String,
    cookie: Option<String>,
    query: Option<String>,
    forward_token: bool,
    cache: usize,
    realm: String,
}

/// Keys from a URL.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct JwksConfig {
    pub(crate) url: String,
    pub(crate) refresh: Option<String>,
    pub(crate) cooldown: Option<String>,
    pub(crate) timeout: Option<String>,
    pub(crate) max_age: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct KeyConfig {
    kid: Option<String>,
    alg: Option<String>,
    pem: Option<String>,
    secret: Option<Value>,
    secret_base64: Option<Value>,
    jwk: Option<Value>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keys: Value::Null,
            jwks: None,
            algorithms: Value::Null,
            issuer: Value::Null,
            audience: Value::Null,
            leeway: "60s".to_owned(),
            require_exp: true,
            required_claims: Value::Null,
            claims_to_headers: BTreeMap::new(),
            consumer_claim: "sub".to_owned(),
            header: "authorization".to_owned(),
            cookie: None,
            query: None,
            forward_token: false,
            cache: 256,
            realm: "gateway".to_owned(),
        }
    }
}

impl Config {
    /// Check it and make the plugin of it.
    pub(crate) fn check(self) -> Result<Jwt, String> {
        let allowed = algorithms(&self.algorithms)?;
        let keys = keys(&self.keys, allowed.as_deref())?;
        let remote = self
            .jwks
            .as_ref()
            .map(|jwks| Remote::new(jwks, allowed.as_deref().unwrap_or(&PUBLIC)))
            .transpose()?;
        if keys.is_empty() && remote.is_none() {
            return Err(
                "there is neither a key in `keys` nor `jwks`: nobody could pass".to_owned(),
            );
        }
        if self.cache > CACHE_MAX {
            return Err(format!("`cache` is over {CACHE_MAX}"));
        }
        if !self.realm.bytes().all(is_quotable) {
            return Err("`realm` has characters that can't stand in a quoted string".to_owned());
        }
        let carriers = Carriers {
            header: field("header", &self.header)?,
            cookie: named("cookie", self.cookie)?,
            query: named("query", self.query)?,
            forwards: self.forward_token,
        };
        let headers = headers(self.claims_to_headers, &carriers)?;
        let rules = Rules {
            issuers: strings("issuer", &self.issuer)?.unwrap_or_default(),
            audiences: strings("audience", &self.audience)?.unwrap_or_default(),
            leeway_seconds: duration("leeway", &self.leeway)?.as_secs_f64(),
            requires_exp: self.require_exp,
            required: required(self.required_claims)?,
        };
        Ok(Jwt {
            keys,
            remote,
            carriers,
            rules,
            outcome: Outcome {
                headers,
                consumer_claim: self.consumer_claim,
            },
            realm: self.realm,
            cache: RefCell::new(Cache::new(self.cache)),
            epoch: Cell::new(0),
        })
    }
}

/// The allow-list, if there is one.
fn algorithms(value: &Value) -> Result<Option<Vec<Algorithm>>, String> {
    let Some(names) = strings("algorithms", value)? else {
        return Ok(None);
    };
    let known = names.iter().map(|name| {
        Algorithm::named(name).ok_or_else(|| format!("`algorithms`: {name:?} is not {NAMES}"))
    });
    known.collect::<Result<_, _>>().map(Some)
}

fn keys(value: &Value, allowed: Option<&[Algorithm]>) -> Result<Vec<Key>, String> {
    let entries = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(entries) => entries,
        _ => return Err("`keys`: expected a list of tables".to_owned()),
    };
    let mut keys = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let at = |message: String| format!("`keys[{index}]`: {message}");
        if !entry.is_object() {
            return Err(at("expected a table".to_owned()));
        }
        let entry: KeyConfig =
            serde_json::from_value(entry.clone()).map_err(|error| at(error.to_string()))?;
        let loaded = entry.load().map_err(at)?;
        if loaded
            .iter()
            .any(|key| allowed.is_some_and(|allowed| !allowed.contains(&key.algorithm)))
        {
            return Err(at("its algorithm is not in `algorithms`".to_owned()));
        }
        keys.extend(loaded);
    }
    Ok(keys)
}

impl KeyConfig {
    fn load(&self) -> Result<Vec<Key>, String> {
        let algorithm = self.alg.as_deref().map(|name| {
            Algorithm::named(name).ok_or_else(|| format!("`alg`: {name:?} is not {NAMES}"))
        });
        let algorithm = algorithm.transpose()?;
        let needed = || algorithm.ok_or_else(|| format!("`alg` is missing: {NAMES}"));
        let verifier = match (&self.pem, &self.secret, &self.secret_base64, &self.jwk) {
            (Some(pem), None, None, None) => pem::verifier(needed()?, pem)?,
            (None, Some(secret), None, None) => {
                Verifier::secret(needed()?, secret_text("secret", secret)?.as_bytes())?
            }
            (None, None, Some(secret), None) => {
                let text = secret_text("secret-base64", secret)?;
                let bytes = Base64::decode_vec(text)
                    .map_err(|_| "`secret-base64` is not base64 with padding".to_owned())?;
                Verifier::secret(needed()?, &bytes)?
            }
            (None, None, None, Some(jwk)) => return self.load_jwk(jwk, algorithm),
            _ => {
                return Err("expected one of `pem`, `secret`, `secret-base64` and `jwk`".to_owned());
            }
        };
        Ok(vec![Key::new(self.kid.clone(), verifier)])
    }

    /// A table, or the JSON text of one, as a file holds it.
    fn load_jwk(&self, jwk: &Value, algorithm: Option<Algorithm>) -> Result<Vec<Key>, String> {
        let parsed = match jwk {
            Value::String(text) => serde_json::from_str::<Jwk>(text).ok(),
            other => serde_json::from_value::<Jwk>(other.clone()).ok(),
        };
        let jwk = parsed.ok_or("`jwk` is no table with `kty`, nor such a JSON text")?;
        jwk.keys(self.kid.as_deref(), algorithm, &ALL)
    }
}

fn secret_text<'a>(key: &str, value: &'a Value) -> Result<&'a str, String> {
    value
        .as_str()
        .ok_or_else(|| format!("`{key}`: expected a text"))
}

/// A text or a list of them.
fn strings(key: &str, value: &Value) -> Result<Option<Vec<String>>, String> {
    let texts = match value {
        Value::Null => return Ok(None),
        Value::String(text) => vec![text.clone()],
        Value::Array(elements) => {
            let texts = elements.iter().map(|it| it.as_str().map(str::to_owned));
            texts.collect::<Option<_>>().unwrap_or_default()
        }
        _ => Vec::new(),
    };
    if texts.is_empty() || texts.iter().any(String::is_empty) {
        return Err(format!(
            "`{key}`: expected a text or a list of texts, not empty"
        ));
    }
    Ok(Some(texts))
}

/// A list of names, or a table from names to a value or a list of values.
fn required(value: Value) -> Result<Vec<Required>, String> {
    let list = |name: String| Required {
        name,
        values: Vec::new(),
    };
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Object(table) => Ok(table
            .into_iter()
            .map(|(name, value)| match value {
                Value::Array(values) => Required { name, values },
                value => Required {
                    name,
                    values: vec![value],
                },
            })
            .collect()),
        value => Ok(strings("required-claims", &value)?
            .unwrap_or_default()
            .into_iter()
            .map(list)
            .collect()),
    }
}

/// Pairs of a claim and a header field.
fn headers(
    table: BTreeMap<String, String>,
    carriers: &Carriers,
) -> Result<Vec<(String, String)>, String> {
    let checked = table
        .into_iter()
        .map(|(claim, name)| Ok((claim, field("claims-to-headers", &name)?)));
    let headers = checked.collect::<Result<Vec<_>, String>>()?;
    let distinct: BTreeSet<&String> = headers.iter().map(|(_, name)| name).collect();
    if distinct.len() < headers.len() {
        return Err("`claims-to-headers`: two claims go to the same header field".to_owned());
    }
    if distinct.contains(&carriers.header) || distinct.contains(&"cookie".to_owned()) {
        return Err("`claims-to-headers`: a claim goes to a field that carries tokens".to_owned());
    }
    Ok(headers)
}

fn field(key: &str, name: &str) -> Result<String, String> {
    header::check_name(name).map_err(|error| format!("`{key}`: {name:?}: {error}"))
}

fn named(key: &str, name: Option<String>) -> Result<Option<String>, String> {
    match name {
        Some(name) if name.is_empty() || (key == "cookie" && !header::is_token(&name)) => {
            Err(format!("`{key}`: {name:?} can't be its name"))
        }
        name => Ok(name),
    }
}

/// What can stand in a quoted string as it is (RFC 9110 section 5.6.4).
fn is_quotable(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\'
}

/// A duration such as `500ms`, `60s`, `10m` or `24h`.
pub(crate) fn duration(key: &str, text: &str) -> Result<Duration, String> {
    let digits = text.len()
        - text
            .trim_start_matches(|it: char| it.is_ascii_digit())
            .len();
    let (number, unit) = text.split_at(digits);
    let unit_millis = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    // A week is long for each of them, and nothing here overflows below it.
    let millis = number
        .parse()
        .ok()
        .zip(unit_millis)
        .and_then(|(number, unit): (u64, u64)| number.checked_mul(unit));
    millis
        .filter(|millis| *millis <= 7 * 24 * 3_600_000)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{key}`: {text:?} is no duration such as \"500ms\", \"60s\" or \"10m\", up to a week"))
}
