//! Keys from a URL: fetched when needed, shared by all instances through `kv`, renewed before they are old.
//!
//! Promises: one instance fetches, whoever must wait for it waits; at most one fetch in each cooldown, whatever tokens
//! say; old keys serve while the URL does not answer, up to their maximum age. A set that can't be read changes
//! nothing. Leaves out: `Cache-Control` of the answer; what the operator wrote counts.

use std::cell::RefCell;
use std::time::Duration;

use plugin_sdk::{http_client, kv};
use sha2::{Digest as _, Sha256};

use crate::config::{JwksConfig, duration};
use crate::jwk;
use crate::key::{Algorithm, Key};
use crate::refusal::Refusal;

/// Bytes of a key set; real ones have some kilobytes.
const SET_BYTES_MAX: usize = 256 << 10;
/// Bytes of the URL, so that the names in `kv` stay below their limit.
const URL_BYTES_MAX: usize = 900;
/// How soon to try again while there are no keys at all.
const RETRY: Duration = Duration::from_secs(2);
/// How soon an instance with old keys looks again whether another has new ones.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long to wait for the instance that fetches: 50 times 20 ms.
const WAIT_STEP: Duration = Duration::from_millis(20);
const WAIT_STEPS: usize = 50;
/// What the lock says while somebody fetches, and until the next fetch is allowed.
const BUSY: &[u8] = b"busy";
const RESTING: &[u8] = b"resting";

/// A key set behind a URL. Times are since 1970.
pub(crate) struct Remote {
    url: String,
    refresh: Duration,
    cooldown: Duration,
    timeout: Duration,
    max_age: Duration,
    allowed: Vec<Algorithm>,
    held: RefCell<Held>,
}

/// What this instance has of it.
#[derive(Default)]
struct Held {
    keys: Vec<Key>,
    digest: [u8; 32],
    fetched: Duration,
    /// Counts changes of the keys.
    epoch: u64,
    /// When to look into `kv` again, while the keys are old.
    look_again: Duration,
    /// When this instance may fetch, while `kv` can't be reached.
    alone_again: Duration,
}

enum Claim {
    /// It is on this instance to fetch.
    Ours,
    /// Another one is fetching.
    Busy,
    /// Nobody may.
    Resting,
}

impl Remote {
    /// Check the configuration. Nothing is fetched.
    pub(crate) fn new(config: &JwksConfig, allowed: &[Algorithm]) -> Result<Self, String> {
        let url = &config.url;
        let is_http = url.starts_with("https://") || url.starts_with("http://");
        if !is_http || url.len() > URL_BYTES_MAX {
            return Err(format!(
                "`jwks.url` is no http or https URL of at most {URL_BYTES_MAX} bytes"
            ));
        }
        let time = |key: &str, text: &Option<String>, default| {
            duration(key, text.as_deref().unwrap_or(default))
        };
        let remote = Self {
            url: url.clone(),
            refresh: time("jwks.refresh", &config.refresh, "10m")?,
            cooldown: time("jwks.cooldown", &config.cooldown, "30s")?,
            timeout: time("jwks.timeout", &config.timeout, "2s")?,
            max_age: time("jwks.max-age", &config.max_age, "24h")?,
            allowed: allowed.to_vec(),
            held: RefCell::default(),
        };
        let shortest = [remote.refresh, remote.cooldown, remote.timeout]
            .into_iter()
            .min();
        if shortest < Some(Duration::from_millis(100)) {
            return Err(
                "`jwks`: `refresh`, `cooldown` and `timeout` are at least 100ms".to_owned(),
            );
        }
        if remote.max_age < remote.refresh {
            return Err("`jwks.max-age` is shorter than `jwks.refresh`".to_owned());
        }
        Ok(remote)
    }

    /// See that there are keys, and that they are renewed in time. Costs a comparison while they are fresh. After an
    /// error there are none.
    pub(crate) fn tend(&self, now: Duration) -> Result<(), Refusal> {
        if self.is_fresh(now) {
            return Ok(());
        }
        let is_usable = self.is_usable(now);
        if is_usable && now < self.held.borrow().look_again {
            return Ok(());
        }
        self.held.borrow_mut().look_again = now + LOOK_AGAIN;
        self.adopt(now);
        if !self.is_fresh(now) {
            match self.claim(now) {
                Claim::Ours => self.fetch(now),
                Claim::Busy if !is_usable => self.wait(now),
                Claim::Busy | Claim::Resting => {}
            }
        }
        if self.is_usable(now) {
            return Ok(());
        }
        self.replace(Duration::ZERO, [0; 32], Vec::new());
        Err(Refusal::NoKeys)
    }

    /// Somebody names a key that isn't there: perhaps it is new.
    pub(crate) fn learn(&self, kid: &str, now: Duration) {
        self.adopt(now);
        if self.knows(kid) {
            return;
        }
        match self.claim(now) {
            Claim::Ours => self.fetch(now),
            Claim::Busy => self.wait(now),
            Claim::Resting => {}
        }
    }

    /// Whether a key has that id.
    pub(crate) fn knows(&self, kid: &str) -> bool {
        self.held
            .borrow()
            .keys
            .iter()
            .any(|key| key.kid.as_deref() == Some(kid))
    }

    /// Use the keys.
    pub(crate) fn with_keys<R>(&self, using: impl FnOnce(&[Key]) -> R) -> R {
        using(&self.held.borrow().keys)
    }

    /// A number that changes when the keys do.
    pub(crate) fn epoch(&self) -> u64 {
        self.held.borrow().epoch
    }

    fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.held.borrow().fetched)
    }

    fn is_fresh(&self, now: Duration) -> bool {
        self.is_usable(now) && self.age(now) < self.refresh
    }

    fn is_usable(&self, now: Duration) -> bool {
        !self.held.borrow().keys.is_empty() && self.age(now) < self.max_age
    }

    /// The instance that may fetch is whoever sets the lock; its expiry ends the cooldown, or a fetch that never came
    /// back.
    fn claim(&self, now: Duration) -> Claim {
        let claimed = kv::compare_and_set(&self.lock(), None, BUSY, Some(self.timeout + RETRY));
        match claimed {
            Ok(true) => Claim::Ours,
            Ok(false) if self.is_busy() => Claim::Busy,
            Ok(false) => Claim::Resting,
            Err(error) => {
                plugin_sdk::warn!("kv fails, so each instance fetches its own keys: {error}");
                let mut held = self.held.borrow_mut();
                if now < held.alone_again {
                    return Claim::Resting;
                }
                held.alone_again = now + self.cooldown;
                Claim::Ours
            }
        }
    }

    fn is_busy(&self) -> bool {
        matches!(kv::get(&self.lock()), Ok(Some(state)) if state == BUSY)
    }

    /// Let the other instance finish.
    fn wait(&self, now: Duration) {
        for _ in 0..WAIT_STEPS {
            pause();
            if !self.is_busy() {
                break;
            }
        }
        self.adopt(now);
    }

    fn fetch(&self, now: Duration) {
        let rest = match self.download() {
            Ok((body, keys)) => {
                plugin_sdk::info!(
                    keys = keys.len(),
                    "fetched the key set from {}",
                    self.place()
                );
                let stamp = u64::try_from(now.as_millis())
                    .unwrap_or(u64::MAX)
                    .to_be_bytes();
                let stored = kv::set(
                    &self.document(),
                    [&stamp[..], &body].concat(),
                    Some(self.max_age),
                );
                if let Err(error) = stored {
                    plugin_sdk::warn!("kv does not keep the key set: {error}");
                }
                self.replace(now, Sha256::digest(&body).into(), keys);
                self.cooldown
            }
            Err(error) => {
                plugin_sdk::warn!("can't fetch the key set from {}: {error}", self.place());
                if self.is_usable(now) {
                    self.cooldown
                } else {
                    self.cooldown.min(RETRY)
                }
            }
        };
        // Should this fail, the lock expires by itself.
        let _ = kv::set(&self.lock(), RESTING, Some(rest));
    }

    fn download(&self) -> Result<(Vec<u8>, Vec<Key>), String> {
        let call = http_client::get(&self.url).header("accept", "application/json");
        let response = call
            .timeout(self.timeout)
            .fetch()
            .map_err(|error| error.to_string())?;
        if response.status != 200 {
            return Err(format!("status {}", response.status));
        }
        if response.body.len() > SET_BYTES_MAX {
            return Err(format!("it has more than {SET_BYTES_MAX} bytes"));
        }
        let keys = jwk::set(&response.body, &self.allowed)?;
        Ok((response.body, keys))
    }

    /// Take what another instance has fetched since.
    fn adopt(&self, now: Duration) {
        let Ok(Some(stored)) = kv::get(&self.document()) else {
            return;
        };
        let Some((stamp, body)) = stored.split_first_chunk() else {
            return;
        };
        let fetched = Duration::from_millis(u64::from_be_bytes(*stamp));
        // A stamp of the near future is from an instance whose hook began later; another is a wrong clock.
        if fetched <= self.held.borrow().fetched || fetched > now + self.refresh {
            return;
        }
        let digest = Sha256::digest(body).into();
        if digest == self.held.borrow().digest {
            self.held.borrow_mut().fetched = fetched;
        } else if let Ok(keys) = jwk::set(body, &self.allowed) {
            self.replace(fetched, digest, keys);
        }
    }

    fn replace(&self, fetched: Duration, digest: [u8; 32], keys: Vec<Key>) {
        let mut held = self.held.borrow_mut();
        held.fetched = fetched;
        if held.digest != digest {
            held.digest = digest;
            held.keys = keys;
            held.epoch += 1;
        }
    }

    /// The URL without its query, which may hold a secret.
    fn place(&self) -> &str {
        self.url.split('?').next().unwrap_or_default()
    }

    fn document(&self) -> String {
        format!("jwks {}", self.url)
    }

    fn lock(&self) -> String {
        format!("lock {}", self.url)
    }
}

/// The clock of native tests belongs to the test: it does not run while somebody waits.
fn pause() {
    #[cfg(target_family = "wasm")]
    std::thread::sleep(WAIT_STEP);
    #[cfg(not(target_family = "wasm"))]
    let _ = WAIT_STEP;
}
