//! The native counterparts of the contract's imports: log, kv, limiter and http-client, for the test that is running.
//!
//! Promises: the same checks and errors as in the gateway; time passes only when the test says so. Leaves out:
//! grants, and limits on how much a hook may log or call.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use super::LogRecord;
use super::presets::Presets;
use crate::http_client::{Error as FetchError, HttpRequest, HttpResponse};

/// Bytes of a key.
const KEY_BYTES_MAX: usize = 1 << 10;
/// Bytes of a value in `kv`.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// What answers calls of the HTTP client.
pub(super) type Fetch = dyn Fn(&HttpRequest) -> Result<HttpResponse, FetchError>;

/// What a harness offers to its plugin.
pub(super) struct Host {
    /// Since 1970.
    pub(super) now: Cell<Duration>,
    pub(super) log: RefCell<Vec<LogRecord>>,
    pub(super) access: RefCell<Vec<String>>,
    pub(super) fetch: RefCell<Box<Fetch>>,
    pub(super) fetches: RefCell<Vec<HttpRequest>>,
    pub(super) are_stores_lost: Cell<bool>,
    pub(super) presets: RefCell<Presets>,
    values: RefCell<HashMap<String, Value>>,
    /// When each bucket is full again.
    buckets: RefCell<HashMap<(String, u64, u64, u64), Duration>>,
}

struct Value {
    bytes: Vec<u8>,
    expires: Option<Duration>,
}

impl Host {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            now: Cell::new(now),
            log: RefCell::default(),
            access: RefCell::default(),
            fetch: RefCell::new(Box::new(|request| {
                Err(FetchError::Denied(format!(
                    "no answer to {} was given with Harness::on_fetch",
                    request.url
                )))
            })),
            fetches: RefCell::default(),
            are_stores_lost: Cell::new(false),
            presets: RefCell::default(),
            values: RefCell::default(),
            buckets: RefCell::default(),
        }
    }

    /// Run a hook, or whatever calls the gateway, against this host.
    pub(super) fn run<R>(self: &Rc<Self>, call: impl FnOnce() -> R) -> R {
        /// Gives the outer host back even if the call panics.
        struct Outer(Option<Rc<Host>>);
        impl Drop for Outer {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }
        let _outer = Outer(CURRENT.replace(Some(Rc::clone(self))));
        call()
    }

    fn live<R>(&self, key: &str, with: impl FnOnce(Option<&Value>) -> R) -> R {
        let values = self.values.borrow();
        with(
            values
                .get(key)
                .filter(|value| value.expires.is_none_or(|expires| expires > self.now.get())),
        )
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Host>>> = const { RefCell::new(None) };
}

/// The host of the harness whose hook is running, if one is.
pub(super) fn current() -> Option<Rc<Host>> {
    CURRENT.with_borrow(Clone::clone)
}

pub(super) fn host() -> Rc<Host> {
    current().expect(
        "host functions work inside the gateway, and inside hooks that a testing::Harness runs",
    )
}

/// The native `log`.
pub(crate) mod log {
    use super::{LogRecord, host};
    use crate::log::Level;

    pub(crate) fn write(level: Level, message: &str, fields: &[(String, String)]) {
        let record = LogRecord {
            level,
            message: message.to_owned(),
            fields: fields.to_vec(),
        };
        host().log.borrow_mut().push(record);
    }

    pub(crate) fn access(line: &str) {
        host().access.borrow_mut().push(line.to_owned());
    }
}

/// The native `kv`.
pub(crate) mod kv {
    use std::rc::Rc;
    use std::time::Duration;

    use super::{Host, KEY_BYTES_MAX, VALUE_BYTES_MAX, Value, host};
    use crate::kv::Error;

    fn store(key: &str, value: &[u8]) -> Result<Rc<Host>, Error> {
        let host = host();
        if host.are_stores_lost.get() {
            Err(Error::Unavailable("lost by the test".to_owned()))
        } else if key.len() > KEY_BYTES_MAX || value.len() > VALUE_BYTES_MAX {
            Err(Error::TooLarge)
        } else {
            Ok(host)
        }
    }

    pub(crate) fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(store(key, &[])?.live(key, |value| value.map(|value| value.bytes.clone())))
    }

    pub(crate) fn set(key: &str, value: &[u8], ttl: Option<u64>) -> Result<(), Error> {
        let host = store(key, value)?;
        let expires = ttl.map(|ttl| host.now.get() + Duration::from_millis(ttl));
        host.values.borrow_mut().insert(
            key.to_owned(),
            Value {
                bytes: value.to_vec(),
                expires,
            },
        );
        Ok(())
    }

    pub(crate) fn delete(key: &str) -> Result<bool, Error> {
        let host = store(key, &[])?;
        let was_there = host.live(key, |value| value.is_some());
        host.values.borrow_mut().remove(key);
        Ok(was_there)
    }

    pub(crate) fn compare_and_set(
        key: &str,
        expected: Option<&[u8]>,
        value: &[u8],
        ttl: Option<u64>,
    ) -> Result<bool, Error> {
        let is_expected =
            store(key, value)?.live(key, |value| value.map(|value| &*value.bytes) == expected);
        if is_expected {
            set(key, value, ttl)?;
        }
        Ok(is_expected)
    }
}

/// The native `limiter`.
pub(crate) mod limiter {
    use std::time::Duration;

    use super::{KEY_BYTES_MAX, host};
    use crate::bindings::imports::gateway::plugin::limiter::{Bucket, Verdict};
    use crate::limiter::Error;

    /// A virtual schedule (GCRA): the one number kept for a bucket is when it will be full again.
    pub(crate) fn take(key: &str, bucket: Bucket, cost: u64) -> Result<Verdict, Error> {
        let host = host();
        let Bucket {
            rate,
            period,
            burst,
        } = bucket;
        if host.are_stores_lost.get() {
            return Err(Error::Unavailable("lost by the test".to_owned()));
        }
        if key.len() > KEY_BYTES_MAX || rate == 0 || period == 0 || burst == 0 || cost > burst {
            return Err(Error::Invalid(
                "key over 1 KiB, a zero, or a cost over the burst".to_owned(),
            ));
        }
        // Floats are exact enough for the time that a test takes.
        let token = Duration::from_millis(period).as_secs_f64() / u64_to_f64(rate);
        let (whole, price) = (token * u64_to_f64(burst), token * u64_to_f64(cost));
        let mut buckets = host.buckets.borrow_mut();
        let full_at = buckets
            .entry((key.to_owned(), rate, period, burst))
            .or_default();
        let missing = full_at.saturating_sub(host.now.get()).as_secs_f64();
        let excess = missing + price - whole;
        let allowed = excess < token * 1e-6;
        let missing = if allowed { missing + price } else { missing };
        *full_at = host.now.get() + Duration::from_secs_f64(missing);
        Ok(Verdict {
            allowed,
            remaining: f64_to_u64(((whole - missing) / token + 1e-6).floor()),
            retry_after: if allowed { 0 } else { millis(excess) },
            reset: millis(missing),
        })
    }

    fn millis(seconds: f64) -> u64 {
        f64_to_u64((seconds * 1e3 - 1e-6).ceil())
    }

    fn u64_to_f64(number: u64) -> f64 {
        number as f64
    }

    fn f64_to_u64(number: f64) -> u64 {
        number as u64
    }
}

/// The native `http-client`.
pub(crate) mod http_client {
    use super::host;
    use crate::http_client::{Error, HttpRequest, HttpResponse};

    pub(crate) fn fetch(request: &HttpRequest) -> Result<HttpResponse, Error> {
        let host = host();
        host.fetches.borrow_mut().push(request.clone());
        let answer = host.fetch.borrow();
        answer(request)
    }
}
