//! Stock plugin `api-key`: who may pass, by a key in a header field or query parameter, and who that is.
//!
//! Promises: only a request with a known key passes, as the `consumer` attribute and consumer header say, whatever
//! the client sent under that name, and no second key reaches the upstream. Keys are compared in constant time: one that
//! was good before with itself, any other as a SHA-256 digest with all. Leaves out: rights of consumers, expiry of keys.

use std::array::from_fn;
use std::cell::RefCell;
use std::hash::{BuildHasher as _, RandomState};

use plugin_sdk::{
    ATTRIBUTE_BYTES_MAX, Decision, Edit, Fault, Interest, LocalResponse, OnRequest, Plugin, Preset,
    Request, Table, header, query,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use sha2::{Digest as _, Sha256};

#[cfg(test)]
mod tests;

/// What marks a key that is written as its digest.
const DIGEST_PREFIX: &str = "sha256:";
/// Where a key is looked for, and where the upstream finds the consumer, if the configuration doesn't say.
const DEFAULT_HEADER: &str = "x-api-key";
const DEFAULT_CONSUMER_HEADER: &str = "x-consumer";
/// No registered scheme fits a key in a field of its own; RFC 9110 11.6.1 wants a challenge all the same.
const CHALLENGE: &str = "ApiKey realm=\"gateway\"";
/// Bytes of a presented key that are worth hashing; no key is longer.
const KEY_BYTES_MAX: usize = 1024;

/// The `config` table; the README explains the keys. Not `Debug`: it holds secrets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    keys: Keys,
    header: Option<String>,
    query: Option<String>,
    consumer_header: Option<String>,
    #[serde(default)]
    forward_key: bool,
}

/// Keys and their consumers. Read by hand, since serde's errors would name the key that they are about.
struct Keys(Table<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let keys = Table::deserialize(deserializer);
        keys.map(Self)
            .map_err(|_| D::Error::custom("expected a table from keys to consumers"))
    }
}

/// The plugin.
#[derive(Debug)]
pub struct ApiKey {
    header: Option<String>,
    query: Option<String>,
    forward_key: bool,
    consumers: Vec<Consumer>,
    /// Good keys that were presented before, and their places in `consumers`: at most as many as there are keys. Found
    /// by a hash that is keyed at random, since a map of keys would compare them in a time that tells how far they agree.
    known: RefCell<Vec<(u64, Vec<u8>, usize)>>,
    hasher: RandomState,
    /// The good key that was presented last, since clients come in rows.
    last: RefCell<(Vec<u8>, usize)>,
}

/// A key's digest and what its owner's requests get.
#[derive(Debug)]
struct Consumer {
    digest: Digest,
    preset: Preset,
}

type Digest = [u8; 32];

impl Plugin for ApiKey {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        let header = match (config.header.as_deref(), &config.query) {
            (None, Some(_)) => None,
            (name, _) => Some(checked_name("header", name.unwrap_or(DEFAULT_HEADER))?),
        };
        let name = config.consumer_header.as_deref();
        let name = name.unwrap_or(DEFAULT_CONSUMER_HEADER);
        let consumer_header = checked_name("consumer-header", name)?;
        if header.as_ref() == Some(&consumer_header) {
            return Err("`consumer-header` and `header` are the same".to_owned());
        }
        if config.query.as_deref() == Some("") {
            return Err("`query` is empty".to_owned());
        }
        let stripped = header.as_deref().filter(|_| !config.forward_key);
        let mut consumers: Vec<Consumer> = Vec::new();
        for (key, name) in config.keys.0 {
            let new = Consumer::new(&key, &name, &consumer_header, stripped)?;
            if consumers.iter().any(|known| known.digest == new.digest) {
                return Err(wrong(&name, "has a key that is there twice"));
            }
            consumers.push(new);
        }
        if consumers.is_empty() {
            return Err("`keys` is empty: nobody could pass".to_owned());
        }
        Ok(Self {
            header,
            query: config.query,
            forward_key: config.forward_key,
            consumers,
            known: RefCell::default(),
            hasher: RandomState::new(),
            last: RefCell::default(),
        })
    }

    fn interest(&self) -> Interest {
        Interest::REQUEST
    }
}

impl OnRequest for ApiKey {
    fn on_request(&self, request: &mut Request) -> Result<Decision, Fault> {
        let consumer = |key: Vec<u8>| self.consumer(&key).ok_or((401, "api-key-unknown"));
        let consumer = match self.presented(request).and_then(consumer) {
            Ok(consumer) => consumer,
            Err((status, reason)) => return Ok(refuse(request, status, reason)),
        };
        if let (Some(name), false) = (&self.query, self.forward_key)
            && let Some(query) = request.query()
            && query::param(&query, name).is_some()
        {
            request.set_query(query::without_param(&query, name).as_deref())?;
        }
        Ok(consumer.preset.next(request)?)
    }
}

plugin_sdk::export!(ApiKey: OnRequest);

impl ApiKey {
    /// The key that the request brings. If the upstream gets it, it is the only one: the upstream might believe another.
    fn presented(&self, request: &Request) -> Result<Vec<u8>, (u16, &'static str)> {
        let mut keys = match &self.header {
            Some(name) if self.forward_key => request.header_values(name),
            // The upstream gets no other one, so the first will do.
            Some(name) if let Some(key) = request.header(name) => return Ok(key),
            _ => Vec::new(),
        };
        let in_query = self.query.as_ref();
        if let Some((name, query)) = in_query.and_then(|name| Some((name, request.query()?))) {
            let values = query.split('&').filter_map(|it| query::param(it, name));
            keys.extend(values.map(String::into_bytes));
        }
        match keys.len() {
            2.. if self.forward_key => Err((400, "api-key-repeated")),
            _ => keys.into_iter().next().ok_or((401, "api-key-missing")),
        }
    }

    /// A key that is not known yet is compared with every one, so that the time taken says nothing about which ones exist.
    fn consumer(&self, key: &[u8]) -> Option<&Consumer> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return None;
        }
        if is_same(key, &self.last.borrow().0) {
            return self.consumers.get(self.last.borrow().1);
        }
        let hash = self.hasher.hash_one(key);
        let mut known = self.known.borrow_mut();
        let at = known.binary_search_by_key(&hash, |known| known.0);
        let same = at.ok().map(|at| &known[at]);
        if let Some((_, same, place)) = same.filter(|(_, same, _)| is_same(key, same)) {
            self.last.replace((same.clone(), *place));
            return self.consumers.get(*place);
        }
        let presented = digest(key);
        let mut found = None;
        for (place, consumer) in self.consumers.iter().enumerate() {
            if is_same(&presented, &consumer.digest) {
                found = Some(place);
            }
        }
        let place = found?;
        known.insert(at.unwrap_or_else(|at| at), (hash, key.to_vec(), place));
        self.consumers.get(place)
    }
}

/// In constant time for keys, or digests, of one length. An empty key is nobody's.
fn is_same(key: &[u8], other: &[u8]) -> bool {
    let ((words, rest), (others, other_rest)) = (key.as_chunks(), other.as_chunks());
    let word = |(a, b): (&[u8; 8], &[u8; 8])| u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b);
    let byte = |(a, b): (&u8, &u8)| u64::from(a ^ b);
    let differences = words.iter().zip(others).map(word);
    let differences = differences.chain(rest.iter().zip(other_rest).map(byte));
    let difference = std::hint::black_box(differences.fold(0, |all, one| all | one));
    key.len() == other.len() && !key.is_empty() && difference == 0
}

fn refuse(request: &Request, status: u16, reason: &str) -> Decision {
    LocalResponse::failure(status, reason, request)
        .header("www-authenticate", CHALLENGE)
        .into()
}

impl Consumer {
    fn new(key: &str, name: &str, field: &str, stripped: Option<&str>) -> Result<Self, String> {
        // The key itself is a secret and stays out of the messages.
        let is_long = "consumer".len() + name.len() > ATTRIBUTE_BYTES_MAX;
        if name.trim().is_empty() || is_long || header::check_value(name.as_bytes()).is_err() {
            return Err(wrong(name, "is too long or can't stand in a header field"));
        }
        let not_hex = || wrong(name, "has a digest of not 64 hexadecimal digits");
        let digest = match key.strip_prefix(DIGEST_PREFIX) {
            Some(hex) => parse_digest(hex).ok_or_else(not_hex)?,
            None if key.is_empty() || key.len() > KEY_BYTES_MAX => {
                return Err(wrong(name, "has a key of not 1 to 1024 bytes"));
            }
            None => digest(key.as_bytes()),
        };
        let preset = Preset::new()
            .request([Edit::set(field, name)])
            .request(stripped.map(Edit::remove))
            .attribute("consumer", name);
        Ok(Self { digest, preset })
    }
}

fn wrong(consumer: &str, what: &str) -> String {
    format!("`keys`: the consumer \"{consumer}\" {what}")
}

fn checked_name(key: &str, name: &str) -> Result<String, String> {
    header::check_name(name).map_err(|error| format!("`{key}`: \"{name}\": {error}"))
}

fn digest(key: &[u8]) -> Digest {
    Sha256::digest(key).into()
}

fn parse_digest(hex: &str) -> Option<Digest> {
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |index: usize| u8::from_str_radix(hex.get(index * 2..index * 2 + 2)?, 16).ok();
    Some(from_fn(|index| byte(index).unwrap_or_default()))
}
