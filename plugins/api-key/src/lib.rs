//! Stock plugin `api-key`: who may pass, by a key in a header field or query parameter, and who that is.
//!
//! Promises: only a request with a known key passes, as the `consumer` attribute and consumer header say, whatever
//! the client sent under that name; keys are kept as SHA-256 digests and compared in constant time, each with all.
//! Leaves out: rights of consumers, expiry and rotation of keys (edit the configuration: it reloads).

use std::array::from_fn;
use std::cell::RefCell;
use std::collections::HashMap;

use plugin_sdk::{
    Decision, Edit, Fault, Interest, LocalResponse, OnRequest, Plugin, Preset, Request, Table,
    header, query,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use sha2::{Digest as _, Sha256};

#[cfg(test)]
mod tests;

/// What marks a key that is written as its digest.
const DIGEST_PREFIX: &str = "sha256:";
/// Where a key is looked for if the configuration doesn't say.
const DEFAULT_HEADER: &str = "x-api-key";
/// Where the upstream finds the consumer if the configuration doesn't say.
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
    /// Good keys that were presented before, and their places in `consumers`: at most as many as there are keys. The
    /// hash is keyed at random, so that the time of a lookup tells nothing, and it is far cheaper than a digest.
    known: RefCell<HashMap<Vec<u8>, usize>>,
    /// The good key that was presented last, since clients come in rows.
    last: RefCell<(Vec<u8>, usize)>,
}

/// A key's digest and what its owner's requests get.
#[derive(Debug)]
struct Consumer {
    digest: Digest,
    preset: Preset,
}

type Digest = [u64; 4];

impl Plugin for ApiKey {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        let header = match (config.header, &config.query) {
            (None, Some(_)) => None,
            (header, _) => Some(header.unwrap_or_else(|| DEFAULT_HEADER.to_owned())),
        };
        let header = header.map(|name| checked_name("header", &name));
        let header = header.transpose()?;
        let consumer_header = config.consumer_header;
        let consumer_header = consumer_header.unwrap_or_else(|| DEFAULT_CONSUMER_HEADER.to_owned());
        let consumer_header = checked_name("consumer-header", &consumer_header)?;
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
                return Err(format!("`keys`: the key for \"{name}\" is there twice"));
            }
            consumers.push(new);
        }
        if consumers.is_empty() {
            return Err("`keys` is empty: nobody could pass".to_owned());
        }
        let (query, forward_key) = (config.query, config.forward_key);
        Ok(Self {
            header,
            query,
            forward_key,
            consumers,
            known: RefCell::default(),
            last: RefCell::default(),
        })
    }

    fn interest(&self) -> Interest {
        Interest::REQUEST
    }
}

impl OnRequest for ApiKey {
    fn on_request(&self, request: &mut Request) -> Result<Decision, Fault> {
        let Some(key) = self.presented(request) else {
            return Ok(refuse(request, "api-key-missing"));
        };
        let Some(consumer) = self.consumer(&key) else {
            return Ok(refuse(request, "api-key-unknown"));
        };
        if let (Some(name), false) = (&self.query, self.forward_key) {
            strip_param(request, name)?;
        }
        Ok(consumer.preset.next(request)?)
    }
}

plugin_sdk::export!(ApiKey: OnRequest);

impl ApiKey {
    /// The key that the request brings: in the header field, or else in the query.
    fn presented(&self, request: &Request) -> Option<Vec<u8>> {
        let in_header = self.header.as_ref().and_then(|name| request.header(name));
        in_header.or_else(|| Some(request.query_param(self.query.as_ref()?)?.into_bytes()))
    }

    /// A key that is not known yet is compared with every one, so that the time taken says nothing about which ones exist.
    fn consumer(&self, key: &[u8]) -> Option<&Consumer> {
        if key.len() > KEY_BYTES_MAX {
            return None;
        }
        if is_same(key, &self.last.borrow().0) {
            return self.consumers.get(self.last.borrow().1);
        }
        if let Some(place) = self.known.borrow().get(key) {
            *self.last.borrow_mut() = (key.to_vec(), *place);
            return self.consumers.get(*place);
        }
        let presented = digest(key);
        let mut found = None;
        for (place, consumer) in self.consumers.iter().enumerate() {
            let pairs = presented.iter().zip(&consumer.digest);
            let difference = pairs.fold(0, |bits, (a, b)| bits | (a ^ b));
            if std::hint::black_box(difference) == 0 {
                found = Some(place);
            }
        }
        let place = found?;
        self.known.borrow_mut().insert(key.to_vec(), place);
        self.consumers.get(place)
    }
}

/// In constant time for keys of one length. An empty key is nobody's.
fn is_same(key: &[u8], other: &[u8]) -> bool {
    let pairs = key.iter().zip(other);
    let difference = pairs.fold(0, |bits, (a, b)| bits | (a ^ b));
    key.len() == other.len() && !key.is_empty() && std::hint::black_box(difference) == 0
}

fn refuse(request: &Request, reason: &str) -> Decision {
    LocalResponse::failure(401, reason, request)
        .header("www-authenticate", CHALLENGE)
        .into()
}

impl Consumer {
    fn new(
        key: &str,
        name: &str,
        consumer_header: &str,
        stripped: Option<&str>,
    ) -> Result<Self, String> {
        // The key itself is a secret and stays out of the messages.
        if name.trim().is_empty() || header::check_value(name.as_bytes()).is_err() {
            return Err(format!(
                "`keys`: the consumer \"{name}\" can't stand in a header field"
            ));
        }
        let digest = match key.strip_prefix(DIGEST_PREFIX) {
            Some(hex) => parse_digest(hex).ok_or_else(|| {
                format!("`keys`: the digest for \"{name}\" has not 64 hexadecimal digits")
            })?,
            None if key.is_empty() || key.len() > KEY_BYTES_MAX => {
                return Err(format!(
                    "`keys`: the key for \"{name}\" has not 1 to {KEY_BYTES_MAX} bytes"
                ));
            }
            None => digest(key.as_bytes()),
        };
        let preset = Preset::new()
            .request([Edit::set(consumer_header, name)])
            .request(stripped.map(Edit::remove))
            .attribute("consumer", name);
        Ok(Self { digest, preset })
    }
}

fn checked_name(key: &str, name: &str) -> Result<String, String> {
    header::check_name(name).map_err(|error| format!("`{key}`: \"{name}\": {error}"))
}

fn strip_param(request: &mut Request, name: &str) -> Result<(), Fault> {
    let Some(before) = request.query() else {
        return Ok(());
    };
    let after = query::without_param(&before, name);
    if after.as_deref() != Some(&*before) {
        request.set_query(after.as_deref())?;
    }
    Ok(())
}

fn digest(key: &[u8]) -> Digest {
    let bytes = Sha256::digest(key);
    from_fn(|word| u64::from_be_bytes(from_fn(|byte| bytes[word * 8 + byte])))
}

fn parse_digest(hex: &str) -> Option<Digest> {
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let word = |index: usize| u64::from_str_radix(hex.get(index * 16..index * 16 + 16)?, 16).ok();
    Some([word(0)?, word(1)?, word(2)?, word(3)?])
}
