//! What plugins remember between exchanges: [`Kv`], bytes by key, and [`Limiter`], token buckets by key.
//!
//! One [`State`] lives as long as the process, so what is remembered survives a reload. Every plugin entry works in
//! a namespace of its own: names are numbered, the number is part of every key, and no number is given twice, so two
//! namespaces can neither collide nor read each other.
//!
//! Promises: both stores are bounded in memory and never wait for anything but a short, sharded lock; a full store
//! forgets, it does not fail. All namespaces share the bounds, so one that writes a lot can push out another's
//! entries: what must not be forgotten does not belong here. Nothing is kept on disk or shared between gateways.
//!
//! Time comes in as an argument (`now`), so the tests drive it by hand.

mod buckets;
mod gcra;
mod kv;
mod limiter;
mod shard;

use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

pub use gcra::{Bucket, Verdict};
pub use kv::{Kv, KvError, KvStats, MAX_KEY_BYTES, MAX_VALUE_BYTES};
pub use limiter::{Limiter, LimiterError, LimiterStats, MAX_BUCKETS};

/// The memory of all plugins.
#[derive(Debug)]
pub struct State {
    kv: Arc<kv::Store>,
    limiter: Arc<limiter::Store>,
    /// The number of each name that was ever asked for. Names come from the configuration, so there are few.
    namespaces: Mutex<HashMap<String, u32>>,
}

/// How full the stores are, and what they had to forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StateStats {
    /// The key-value store.
    pub kv: KvStats,
    /// The token buckets.
    pub limiter: LimiterStats,
}

impl State {
    /// Empty stores; all `kv` entries together take at most `kv_memory_bytes`.
    #[must_use]
    pub fn new(kv_memory_bytes: usize) -> Self {
        let epoch = Epoch(Instant::now());
        Self {
            kv: Arc::new(kv::Store::new(kv_memory_bytes, epoch)),
            limiter: Arc::new(limiter::Store::new(epoch)),
            namespaces: Mutex::new(HashMap::new()),
        }
    }

    /// The key-value store as the namespace of that name sees it.
    #[must_use]
    pub fn kv(&self, namespace: &str) -> Kv {
        Kv::new(Arc::clone(&self.kv), self.number(namespace))
    }

    /// The token buckets of the namespace of that name.
    #[must_use]
    pub fn limiter(&self, namespace: &str) -> Limiter {
        Limiter::new(Arc::clone(&self.limiter), self.number(namespace))
    }

    /// How full the stores are. Locks one shard after the other; meant for scrapes.
    #[must_use]
    pub fn stats(&self) -> StateStats {
        StateStats {
            kv: self.kv.stats(),
            limiter: self.limiter.stats(),
        }
    }

    fn number(&self, namespace: &str) -> u32 {
        let mut namespaces = self.namespaces.lock();
        if let Some(number) = namespaces.get(namespace) {
            return *number;
        }
        let number = u32::try_from(namespaces.len()).expect("memory ends before 2^32 names");
        namespaces.insert(namespace.to_owned(), number);
        number
    }
}

/// The moment from which the stores count nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Epoch(Instant);

impl Epoch {
    /// 292 years. Below 2^63, so that sums of two cannot overflow.
    const MAX_NS: u64 = i64::MAX as u64;

    /// Nanoseconds from the epoch to `now`; 0 for a moment before it.
    fn nanos(self, now: Instant) -> u64 {
        let nanos = now.saturating_duration_since(self.0).as_nanos();
        u64::try_from(nanos).map_or(Self::MAX_NS, |nanos| nanos.min(Self::MAX_NS))
    }
}

/// Passes on a hash that was computed before, so that a keyed hash of the whole key is computed once and not twice.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_the_same_entries_each_time_and_another_name_to_none_of_them() {
        let state = State::new(1 << 20);
        let now = Instant::now();
        state.kv("a").set("k", b"of a", None, now).unwrap();
        assert_eq!(
            state.kv("a").get("k", now).unwrap().as_deref(),
            Some(&b"of a"[..])
        );
        for other in ["", "b", "a\0", "A", "ak"] {
            assert_eq!(state.kv(other).get("k", now).unwrap(), None);
            assert!(!state.kv(other).delete("k", now).unwrap());
        }
        assert_eq!(
            state.kv("a").get("k", now).unwrap().as_deref(),
            Some(&b"of a"[..])
        );
    }

    #[test]
    fn stats_cover_both_stores() {
        let state = State::new(1 << 20);
        let now = Instant::now();
        state.kv("a").set("k", b"v", None, now).unwrap();
        let bucket = Bucket {
            rate: 1,
            period_ms: 1_000,
            burst: 1,
        };
        state.limiter("a").take("k", bucket, 1, now).unwrap();
        let stats = state.stats();
        assert_eq!((stats.kv.entries, stats.limiter.buckets), (1, 1));
    }

    #[test]
    fn a_moment_before_the_epoch_counts_as_the_epoch() {
        let start = Instant::now();
        let epoch = Epoch(start + std::time::Duration::from_secs(1));
        assert_eq!(epoch.nanos(start), 0);
    }
}
