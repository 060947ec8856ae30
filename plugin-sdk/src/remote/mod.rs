//! [`Remote`]: a document behind a URL, such as a key set or a list of blocked clients: fetched when needed, shared by
//! all instances through [`kv`], renewed before it is old. Needs the grants `kv` and `http-client`.
//!
//! Promises: one instance fetches, whoever must wait for it waits; at most one fetch in each cooldown, whatever
//! requests say; an old document serves while the URL does not answer, up to its maximum age. One that can't be read
//! changes nothing. Leaves out: `Cache-Control` of the answer; what the operator wrote counts.

mod source;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

pub use source::Source;

use crate::{clock, http_client, kv};

/// Bytes of a document.
pub const DOCUMENT_BYTES_MAX: usize = 256 << 10;
/// How soon to try again while there is no document at all.
const RETRY: Duration = Duration::from_secs(2);
/// How soon an instance with an old document looks again whether another has a new one.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long to wait for the instance that fetches, in steps: 1 s without a document, and 200 ms with one, since all that
/// time this instance serves nobody else.
const WAIT_STEP: Duration = Duration::from_millis(20);
const WAIT_STEPS: usize = 50;
const WAIT_STEPS_WITH_DOCUMENT: usize = 10;
/// What the lock says while somebody fetches, and until the next fetch is allowed.
const BUSY: &[u8] = b"busy";
const RESTING: &[u8] = b"resting";

/// A document behind a URL, as what it is read to.
///
/// ```
/// use plugin_sdk::remote::{Remote, Source};
/// # use plugin_sdk::{Decision, Fault, LocalResponse, OnRequest, Plugin, Request};
///
/// #[derive(serde::Deserialize)]
/// struct Config {
///     blocked: Source, // blocked = { url = "https://lists.example/blocked", refresh = "1h" }
/// }
///
/// struct Block(Remote<Vec<String>>);
///
/// impl Plugin for Block {
///     type Config = Config;
///
///     fn new(config: Config) -> Result<Self, String> {
///         Ok(Self(Remote::new(config.blocked, |body| {
///             let text = str::from_utf8(body).map_err(|error| error.to_string())?;
///             Ok(text.lines().map(str::to_owned).collect())
///         })))
///     }
/// }
///
/// impl OnRequest for Block {
///     fn on_request(&self, request: &mut Request) -> Result<Decision, Fault> {
///         let blocked = self.0.get().ok_or("there is no list")?;
///         if blocked.contains(&request.client_ip()) {
///             return Ok(LocalResponse::failure(403, "blocked", request).into());
///         }
///         Ok(Decision::Next)
///     }
/// }
/// # use plugin_sdk::{http_client::HttpResponse, testing::{Exchange, Harness}};
/// # let harness = Harness::<Block>::new(r#"blocked = { url = "https://lists.example/blocked" }"#)?;
/// # assert!(harness.on_request(&Exchange::get("/")).is_err());
/// # harness.on_fetch(|_| Ok(HttpResponse::new(200, "192.0.2.7\n192.0.2.8")));
/// # harness.advance(std::time::Duration::from_secs(2));
/// # assert_eq!(harness.on_request(&Exchange::get("/").client_ip("192.0.2.9"))?, Decision::Next);
/// # let answer = harness.on_request(&Exchange::get("/").client_ip("192.0.2.8"))?;
/// # assert!(matches!(answer, Decision::Respond(response) if response.status == 403));
/// # assert_eq!(harness.fetches().len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Remote<T> {
    source: Source,
    parse: Box<Parse<T>>,
    held: RefCell<Held<T>>,
}

type Parse<T> = dyn Fn(&[u8]) -> Result<T, String>;

/// What this instance has of it. Times are since 1970.
struct Held<T> {
    document: Option<Rc<T>>,
    /// What it was read from.
    body: Vec<u8>,
    fetched: Duration,
    /// When to look into `kv` again, while the document is old.
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

impl<T> Remote<T> {
    /// A document that is read by `parse`. Nothing is fetched.
    pub fn new(source: Source, parse: impl Fn(&[u8]) -> Result<T, String> + 'static) -> Self {
        let held = Held {
            document: None,
            body: Vec::new(),
            fetched: Duration::ZERO,
            look_again: Duration::ZERO,
            alone_again: Duration::ZERO,
        };
        Self {
            source,
            parse: Box::new(parse),
            held: RefCell::new(held),
        }
    }

    /// The document, unless it can't be had. Costs a comparison while it is fresh; as long as its text does not change,
    /// it is the same `Rc`.
    pub fn get(&self) -> Option<Rc<T>> {
        self.get_at(clock::now())
    }

    /// The document, when a request asks for something that is not in the one at hand: a newer one, if there is one that
    /// suits or a fetch is allowed. Otherwise the one at hand, so ask what you get whether it suits.
    pub fn get_newer(&self, suits: impl Fn(&T) -> bool) -> Option<Rc<T>> {
        self.get_newer_at(clock::now(), suits)
    }

    pub(crate) fn get_at(&self, now: SystemTime) -> Option<Rc<T>> {
        let now = since_1970(now);
        if !self.is_fresh(now) {
            self.tend(now);
        }
        self.usable(now)
    }

    pub(crate) fn get_newer_at(
        &self,
        now: SystemTime,
        suits: impl Fn(&T) -> bool,
    ) -> Option<Rc<T>> {
        let now = since_1970(now);
        self.adopt(now);
        if !self.usable(now).is_some_and(|document| suits(&document)) {
            match self.claim(now) {
                Claim::Ours => self.fetch(now),
                Claim::Busy => self.wait(now),
                Claim::Resting => {}
            }
        }
        self.usable(now)
    }

    /// See that there is a document, and that it is renewed in time.
    fn tend(&self, now: Duration) {
        let is_usable = self.usable(now).is_some();
        if is_usable && now < self.held.borrow().look_again {
            return;
        }
        self.held.borrow_mut().look_again = now + LOOK_AGAIN;
        self.adopt(now);
        if self.is_fresh(now) {
            return;
        }
        match self.claim(now) {
            Claim::Ours => self.fetch(now),
            Claim::Busy if !is_usable => self.wait(now),
            Claim::Busy | Claim::Resting => {}
        }
    }

    fn is_fresh(&self, now: Duration) -> bool {
        let held = self.held.borrow();
        held.document.is_some() && held.age(now) < self.source.refresh
    }

    fn usable(&self, now: Duration) -> Option<Rc<T>> {
        let held = self.held.borrow();
        let document = held.document.as_ref();
        document
            .filter(|_| held.age(now) < self.source.max_age)
            .cloned()
    }

    /// The instance that may fetch is whoever sets the lock; its expiry ends the cooldown, or a fetch that never came
    /// back.
    fn claim(&self, now: Duration) -> Claim {
        let longest = Some(self.source.timeout + RETRY);
        match kv::compare_and_set(&self.lock(), None, BUSY, longest) {
            Ok(true) => Claim::Ours,
            Ok(false) if self.is_busy() => Claim::Busy,
            Ok(false) => Claim::Resting,
            Err(error) => {
                let mut held = self.held.borrow_mut();
                if now < held.alone_again {
                    return Claim::Resting;
                }
                crate::warn!("kv fails, so each instance fetches for itself: {error}");
                held.alone_again = now + self.source.cooldown;
                Claim::Ours
            }
        }
    }

    fn is_busy(&self) -> bool {
        matches!(kv::get(&self.lock()), Ok(Some(state)) if state == BUSY)
    }

    /// Let the other instance finish.
    fn wait(&self, now: Duration) {
        let steps = match self.usable(now) {
            Some(_) => WAIT_STEPS_WITH_DOCUMENT,
            None => WAIT_STEPS,
        };
        for _ in 0..steps {
            pause();
            if !self.is_busy() {
                break;
            }
        }
        self.adopt(now);
    }

    fn fetch(&self, now: Duration) {
        let place = self.source.place();
        let rest = match self.download() {
            Ok((body, document)) => {
                crate::info!(bytes = body.len(), "fetched {place}");
                if let Err(error) = self.share(now, &body) {
                    crate::warn!("kv does not keep {place}: {error}");
                }
                self.replace(now, body, document);
                self.source.cooldown
            }
            Err(error) => {
                crate::warn!("can't fetch {place}: {error}");
                match self.usable(now) {
                    Some(_) => self.source.cooldown,
                    None => self.source.cooldown.min(RETRY),
                }
            }
        };
        // Should this fail, the lock expires by itself.
        let _ = kv::set(&self.lock(), RESTING, Some(rest));
    }

    fn download(&self) -> Result<(Vec<u8>, T), String> {
        let call = http_client::get(&self.source.url)
            .header("accept", "application/json, */*;q=0.5")
            .timeout(self.source.timeout);
        let response = call.fetch().map_err(|error| error.to_string())?;
        if response.status != 200 {
            return Err(format!("status {}", response.status));
        }
        if response.body.len() > DOCUMENT_BYTES_MAX {
            return Err(format!("it has more than {DOCUMENT_BYTES_MAX} bytes"));
        }
        let document = (self.parse)(&response.body)?;
        Ok((response.body, document))
    }

    /// Give the other instances what was fetched. The stamp comes last: whoever sees it finds the document.
    fn share(&self, fetched: Duration, body: &[u8]) -> Result<(), kv::Error> {
        let stamp = u64::try_from(fetched.as_millis()).unwrap_or(u64::MAX);
        let stamp = stamp.to_be_bytes();
        let longest = Some(self.source.max_age);
        kv::set(&self.name(), [&stamp, body].concat(), longest)?;
        kv::set(&self.stamp(), stamp, longest)
    }

    /// Whether the stamp says that `kv` has nothing newer, which spares a copy of the document. One that is not there
    /// says nothing.
    fn is_latest(&self) -> bool {
        let held = self.held.borrow();
        let stamp = || <[u8; 8]>::try_from(kv::get(&self.stamp()).ok()??).ok();
        held.document.is_some()
            && stamp().is_some_and(|stamp| {
                Duration::from_millis(u64::from_be_bytes(stamp)) <= held.fetched
            })
    }

    /// Take what another instance has fetched since.
    fn adopt(&self, now: Duration) {
        if self.is_latest() {
            return;
        }
        let Ok(Some(stored)) = kv::get(&self.name()) else {
            return;
        };
        let Some((stamp, body)) = stored.split_first_chunk() else {
            return;
        };
        let fetched = Duration::from_millis(u64::from_be_bytes(*stamp));
        // A stamp of the near future is from an instance whose hook began later; another is a wrong clock.
        if fetched <= self.held.borrow().fetched || fetched > now + self.source.refresh {
            return;
        }
        if self.held.borrow().is_read_from(body) {
            self.held.borrow_mut().fetched = fetched;
        } else if let Ok(document) = (self.parse)(body) {
            self.replace(fetched, body.to_vec(), document);
        }
    }

    fn replace(&self, fetched: Duration, body: Vec<u8>, document: T) {
        let mut held = self.held.borrow_mut();
        held.fetched = fetched;
        if !held.is_read_from(&body) {
            held.document = Some(Rc::new(document));
            held.body = body;
        }
    }

    fn name(&self) -> String {
        format!("document {}", self.source.url)
    }

    fn stamp(&self) -> String {
        format!("stamp {}", self.source.url)
    }

    fn lock(&self) -> String {
        format!("lock {}", self.source.url)
    }
}

impl<T> Held<T> {
    fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.fetched)
    }

    fn is_read_from(&self, body: &[u8]) -> bool {
        self.document.is_some() && self.body == body
    }
}

fn since_1970(time: SystemTime) -> Duration {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default()
}

/// The clock of native tests belongs to the test: it does not run while somebody waits. `wasm32-unknown-unknown` can't
/// wait, so there it only looks a few times.
fn pause() {
    #[cfg(target_os = "wasi")]
    std::thread::sleep(WAIT_STEP);
    #[cfg(not(target_os = "wasi"))]
    let _ = WAIT_STEP;
}

#[cfg(test)]
mod tests;
