//! Bytes by key: the store behind the `kv` interface.
//!
//! Keys spread over shards by a keyed hash, so a client that chooses keys cannot aim them at one shard. Each shard
//! has an equal part of the memory and forgets by itself (see `shard`). Values are shared, not copied, on the way
//! out; what is copied on the way in is copied before the lock is taken.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use thiserror::Error;

use super::Epoch;
use super::shard::{Id, Shard};

/// Bytes of a key. Room for a URL or a token's digest with a prefix; a longer key is better hashed by the plugin.
pub const MAX_KEY_BYTES: usize = 1 << 10;

/// Bytes of a value. As much as a plugin's whole-body buffer holds by default.
pub const MAX_VALUE_BYTES: usize = 1 << 20;

/// Bytes of memory for each shard, if there are that many: four of the largest values, so that one value never takes
/// most of its shard.
const SHARD_BYTES: usize = 4 * MAX_VALUE_BYTES;

/// More would not lower contention on any machine we know: a lock is held for about 100 ns.
const MAX_SHARDS: usize = 64;

const NANOS_PER_MILLI: u64 = 1_000_000;

/// Why the store refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KvError {
    /// Key ([`MAX_KEY_BYTES`]) or value ([`MAX_VALUE_BYTES`]) is too long.
    #[error("key or value is too long")]
    TooLarge,
    /// The store's part for this key is smaller than the entry, so evicting does not help.
    #[error("the store is too small for this entry")]
    Full,
    /// The store can't be reached. In memory that does not happen.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

/// How full the key-value store is, and what it had to forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KvStats {
    /// Entries, expired ones that nobody has met yet included.
    pub entries: u64,
    /// Bytes of keys, values and what keeps them.
    pub bytes: u64,
    /// Entries removed to make room.
    pub evictions: u64,
    /// Entries removed because their time was up.
    pub expirations: u64,
}

/// The key-value store as one namespace sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Kv {
    store: Arc<Store>,
    namespace: u32,
}

impl Kv {
    pub(super) fn new(store: Arc<Store>, namespace: u32) -> Self {
        Self { store, namespace }
    }

    /// The value of a key, if it is there and has not expired.
    ///
    /// # Errors
    /// If the key is too long.
    pub fn get(&self, key: &str, now: Instant) -> Result<Option<Arc<[u8]>>, KvError> {
        let (id, shard, now) = self.find(key, now)?;
        Ok(shard.lock().get(&id, now))
    }

    /// Set a value, to expire after `ttl_ms` milliseconds if given.
    ///
    /// # Errors
    /// If key or value is too long, or the store too small; then the old value stays.
    pub fn set(
        &self,
        key: &str,
        value: &[u8],
        ttl_ms: Option<u64>,
        now: Instant,
    ) -> Result<(), KvError> {
        let (id, shard, now) = self.find(key, now)?;
        let value = own(value)?;
        shard.lock().set(&id, value, deadline(now, ttl_ms), now)
    }

    /// Remove a key; whether it was there.
    ///
    /// # Errors
    /// If the key is too long.
    pub fn delete(&self, key: &str, now: Instant) -> Result<bool, KvError> {
        let (id, shard, now) = self.find(key, now)?;
        Ok(shard.lock().delete(&id, now))
    }

    /// Set a value only if the present one equals `expected` (`None`: only if absent); whether it was set.
    ///
    /// # Errors
    /// As for [`Self::set`].
    pub fn compare_and_set(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        value: &[u8],
        ttl_ms: Option<u64>,
        now: Instant,
    ) -> Result<bool, KvError> {
        let (id, shard, now) = self.find(key, now)?;
        let value = own(value)?;
        let mut shard = shard.lock();
        if shard.get(&id, now).as_deref() != expected {
            return Ok(false);
        }
        shard.set(&id, value, deadline(now, ttl_ms), now)?;
        Ok(true)
    }

    fn find<'a>(
        &'a self,
        key: &'a str,
        now: Instant,
    ) -> Result<(Id<'a>, &'a Mutex<Shard>, u64), KvError> {
        if key.len() > MAX_KEY_BYTES {
            return Err(KvError::TooLarge);
        }
        let id = Id {
            hash: self.store.hash(self.namespace, key),
            namespace: self.namespace,
            key,
        };
        Ok((id, self.store.shard(id.hash), self.store.epoch.nanos(now)))
    }
}

/// All entries of all namespaces.
#[derive(Debug)]
pub(super) struct Store {
    shards: Box<[Mutex<Shard>]>,
    keys: RandomState,
    epoch: Epoch,
}

impl Store {
    pub(super) fn new(memory_bytes: usize, epoch: Epoch) -> Self {
        let count = (memory_bytes / SHARD_BYTES).clamp(1, MAX_SHARDS);
        let shards = (0..count)
            .map(|_| Mutex::new(Shard::new(memory_bytes / count)))
            .collect();
        Self {
            shards,
            keys: RandomState::new(),
            epoch,
        }
    }

    pub(super) fn stats(&self) -> KvStats {
        self.shards.iter().map(|shard| shard.lock().stats()).fold(
            KvStats::default(),
            |sum, part| KvStats {
                entries: sum.entries + part.entries,
                bytes: sum.bytes + part.bytes,
                evictions: sum.evictions + part.evictions,
                expirations: sum.expirations + part.expirations,
            },
        )
    }

    fn hash(&self, namespace: u32, key: &str) -> u64 {
        let mut hasher = self.keys.build_hasher();
        hasher.write_u32(namespace);
        hasher.write(key.as_bytes());
        hasher.finish()
    }

    /// The upper half chooses the shard; the lower half is left for the shard's own table.
    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        &self.shards[(hash >> 32) as usize % self.shards.len()]
    }
}

fn own(value: &[u8]) -> Result<Arc<[u8]>, KvError> {
    if value.len() > MAX_VALUE_BYTES {
        return Err(KvError::TooLarge);
    }
    Ok(value.into())
}

/// When an entry ends, in nanoseconds; `u64::MAX` is never.
fn deadline(now: u64, ttl_ms: Option<u64>) -> u64 {
    ttl_ms.map_or(u64::MAX, |ttl| {
        now.saturating_add(ttl.saturating_mul(NANOS_PER_MILLI))
    })
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use std::time::Duration;

    fn kv() -> (Kv, Instant) {
        (State::new(64 << 20).kv("test"), Instant::now())
    }

    #[test]
    fn what_was_set_is_there_until_it_is_deleted() {
        let (kv, now) = kv();
        assert_eq!(kv.get("k", now).unwrap(), None);
        kv.set("k", b"one", None, now).unwrap();
        kv.set("k", b"two", None, now).unwrap();
        let later = now + Duration::from_secs(1 << 40);
        assert_eq!(kv.get("k", later).unwrap().as_deref(), Some(&b"two"[..]));
        assert!(kv.delete("k", now).unwrap());
        assert!(!kv.delete("k", now).unwrap());
        assert_eq!(kv.get("k", now).unwrap(), None);
    }

    #[test]
    fn an_entry_ends_exactly_when_its_ttl_is_over() {
        let (kv, now) = kv();
        kv.set("k", b"v", Some(1_000), now).unwrap();
        assert!(
            kv.get("k", now + Duration::from_millis(999))
                .unwrap()
                .is_some()
        );
        assert!(
            kv.get("k", now + Duration::from_millis(1_000))
                .unwrap()
                .is_none()
        );
        kv.set("k", b"v", Some(u64::MAX), now).unwrap();
        assert!(
            kv.get("k", now + Duration::from_secs(1 << 40))
                .unwrap()
                .is_some()
        );
        kv.set("k", b"v", Some(0), now).unwrap();
        assert!(!kv.delete("k", now).unwrap());
    }

    #[test]
    fn a_set_without_ttl_ends_an_earlier_ttl() {
        let (kv, now) = kv();
        kv.set("k", b"v", Some(1), now).unwrap();
        kv.set("k", b"v", None, now).unwrap();
        assert!(kv.get("k", now + Duration::from_secs(1)).unwrap().is_some());
    }

    #[test]
    fn compare_and_set_sets_only_over_what_was_expected() {
        let (kv, now) = kv();
        assert!(
            !kv.compare_and_set("k", Some(b"a"), b"b", None, now)
                .unwrap()
        );
        assert!(kv.compare_and_set("k", None, b"a", Some(1), now).unwrap());
        assert!(!kv.compare_and_set("k", None, b"b", None, now).unwrap());
        assert!(
            !kv.compare_and_set("k", Some(b"x"), b"b", None, now)
                .unwrap()
        );
        assert!(
            kv.compare_and_set("k", Some(b"a"), b"b", Some(1), now)
                .unwrap()
        );
        let expired = now + Duration::from_millis(1);
        assert!(
            !kv.compare_and_set("k", Some(b"b"), b"c", None, expired)
                .unwrap()
        );
        assert!(kv.compare_and_set("k", None, b"c", None, expired).unwrap());
        assert_eq!(kv.get("k", expired).unwrap().as_deref(), Some(&b"c"[..]));
    }

    #[test]
    fn a_counter_by_compare_and_set_loses_no_step_between_threads() {
        let (kv, now) = kv();
        kv.set("n", &0u64.to_le_bytes(), None, now).unwrap();
        let step = || loop {
            let old = kv.get("n", now).unwrap().unwrap();
            let next = u64::from_le_bytes((*old).try_into().unwrap()) + 1;
            if kv
                .compare_and_set("n", Some(&old), &next.to_le_bytes(), None, now)
                .unwrap()
            {
                return;
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|_| step()));
            }
        });
        assert_eq!(
            kv.get("n", now).unwrap().unwrap()[..],
            4_000u64.to_le_bytes()
        );
    }

    #[test]
    fn sizes_are_limited_on_both_sides_of_the_mark() {
        let (kv, now) = kv();
        let long = "k".repeat(MAX_KEY_BYTES + 1);
        let big = vec![0; MAX_VALUE_BYTES + 1];
        kv.set(&long[1..], &big[1..], None, now).unwrap();
        assert_eq!(kv.set("k", &big, None, now), Err(KvError::TooLarge));
        assert_eq!(kv.set(&long, b"", None, now), Err(KvError::TooLarge));
        assert_eq!(kv.get(&long, now), Err(KvError::TooLarge));
        assert_eq!(kv.delete(&long, now), Err(KvError::TooLarge));
        assert_eq!(
            kv.compare_and_set("k", None, &big, None, now),
            Err(KvError::TooLarge)
        );
    }

    #[test]
    fn memory_stays_within_its_bound_however_much_is_written() {
        let bound = 16 << 20;
        let state = State::new(bound);
        let (kv, now) = (state.kv("flood"), Instant::now());
        for i in 0..100_000 {
            kv.set(&format!("key-{i}"), &[0; 700], None, now).unwrap();
        }
        let stats = state.stats().kv;
        assert!(
            stats.bytes as usize <= bound && stats.bytes as usize > bound / 10 * 9,
            "{stats:?}"
        );
        assert_eq!(stats.entries + stats.evictions, 100_000);
    }
}
