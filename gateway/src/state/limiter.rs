//! Token buckets by key: the store behind the `limiter` interface.
//!
//! A bucket is its key *and* its numbers: asked for with another rate, period or burst, a key has another bucket, and
//! each keeps its promise by itself. (One state for both would let the faster bucket refill the slower one. After a
//! reload that changed the numbers, clients begin with a full bucket.)
//!
//! Buckets are found by a keyed 128-bit hash and nothing else is kept of the key: 48 bytes a bucket however long the
//! keys that clients choose, and no allocation for a take. That two keys share a hash is possible and will not
//! happen: with a million buckets the chance is 1 in 10^26.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use thiserror::Error;

use super::Epoch;
use super::buckets::{Id, MAX_SHARD_BUCKETS, Shard};
use super::gcra::{Bucket, Verdict};
use super::kv::MAX_KEY_BYTES;

/// Enough that workers rarely meet, and that making room in one shard (about 0.1 ms) goes unnoticed.
const SHARDS: usize = 256;

/// Buckets in the whole process, about 50 MiB when all are there.
pub const MAX_BUCKETS: usize = SHARDS * MAX_SHARD_BUCKETS;

/// Why the limiter could not answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LimiterError {
    /// Key over 1 KiB, or a bucket with a zero in it, or a cost over the burst.
    #[error("{0}")]
    Invalid(String),
    /// The store can't be reached. In memory that does not happen.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

/// How many token buckets there are, and how many had to be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimiterStats {
    /// Buckets, full ones that nobody has met yet included.
    pub buckets: u64,
    /// Buckets dropped before they were full, to make room.
    pub evictions: u64,
}

/// The token buckets of one namespace. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Limiter {
    store: Arc<Store>,
    namespace: u32,
}

impl Limiter {
    pub(super) fn new(store: Arc<Store>, namespace: u32) -> Self {
        Self { store, namespace }
    }

    /// Take `cost` tokens from the bucket of that key, if they are there.
    ///
    /// # Errors
    /// If the key is too long, the bucket has a zero in it, or the cost can never be met.
    pub fn take(
        &self,
        key: &str,
        bucket: Bucket,
        cost: u64,
        now: Instant,
    ) -> Result<Verdict, LimiterError> {
        check(key, bucket, cost)?;
        let now_ns = self.store.epoch.nanos(now);
        let id = self.store.id(self.namespace, key, bucket);
        Ok(self.store.shard(id).lock().take(id, bucket, cost, now_ns))
    }
}

/// All buckets of all namespaces.
#[derive(Debug)]
pub(super) struct Store {
    shards: Box<[Mutex<Shard>]>,
    keys: [RandomState; 2],
    epoch: Epoch,
}

impl Store {
    pub(super) fn new(epoch: Epoch) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            keys: [RandomState::new(), RandomState::new()],
            epoch,
        }
    }

    pub(super) fn stats(&self) -> LimiterStats {
        self.shards.iter().map(|shard| shard.lock().stats()).fold(
            LimiterStats::default(),
            |sum, part| LimiterStats {
                buckets: sum.buckets + part.buckets,
                evictions: sum.evictions + part.evictions,
            },
        )
    }

    fn id(&self, namespace: u32, key: &str, bucket: Bucket) -> Id {
        let hash = |keys: &RandomState| {
            let mut hasher = keys.build_hasher();
            hasher.write_u32(namespace);
            bucket.hash(&mut hasher);
            hasher.write(key.as_bytes());
            hasher.finish()
        };
        Id {
            table: hash(&self.keys[0]),
            shard: hash(&self.keys[1]),
        }
    }

    fn shard(&self, id: Id) -> &Mutex<Shard> {
        &self.shards[id.shard as usize % SHARDS]
    }
}

fn check(key: &str, bucket: Bucket, cost: u64) -> Result<(), LimiterError> {
    let Bucket {
        rate,
        period_ms,
        burst,
    } = bucket;
    if key.len() > MAX_KEY_BYTES {
        return Err(LimiterError::Invalid(format!(
            "the key is longer than {MAX_KEY_BYTES} bytes"
        )));
    }
    if rate == 0 || period_ms == 0 || burst == 0 {
        return Err(LimiterError::Invalid(
            "rate, period and burst must be at least 1".to_owned(),
        ));
    }
    if cost > burst {
        return Err(LimiterError::Invalid(format!(
            "a cost of {cost} can never be met by a burst of {burst}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    const SLOW: Bucket = Bucket {
        rate: 1,
        period_ms: 60_000,
        burst: 2,
    };

    fn allowed(limiter: &Limiter, key: &str, bucket: Bucket, now: Instant) -> bool {
        limiter.take(key, bucket, 1, now).unwrap().allowed
    }

    #[test]
    fn a_bucket_gives_out_its_burst_then_refills_at_its_rate() {
        let (limiter, now) = (State::new(0).limiter("test"), Instant::now());
        let verdict = limiter.take("k", SLOW, 1, now).unwrap();
        assert_eq!(
            verdict,
            Verdict {
                allowed: true,
                remaining: 1,
                retry_after_ms: 0,
                reset_ms: 60_000
            }
        );
        assert!(allowed(&limiter, "k", SLOW, now));
        let verdict = limiter.take("k", SLOW, 1, now).unwrap();
        assert_eq!(
            verdict,
            Verdict {
                allowed: false,
                remaining: 0,
                retry_after_ms: 60_000,
                reset_ms: 120_000
            }
        );
        assert!(!allowed(
            &limiter,
            "k",
            SLOW,
            now + Duration::from_millis(59_999)
        ));
        assert!(allowed(
            &limiter,
            "k",
            SLOW,
            now + Duration::from_millis(60_000)
        ));
    }

    #[test]
    fn keys_namespaces_and_numbers_each_have_their_own_bucket() {
        let (state, now) = (State::new(0), Instant::now());
        let limiter = state.limiter("test");
        assert!(limiter.take("k", SLOW, 2, now).unwrap().allowed);
        assert!(!allowed(&limiter, "k", SLOW, now));
        assert!(!allowed(&state.limiter("test"), "k", SLOW, now));
        assert!(allowed(&limiter, "K", SLOW, now));
        assert!(allowed(&state.limiter("other"), "k", SLOW, now));
        assert!(allowed(&limiter, "k", Bucket { burst: 3, ..SLOW }, now));
        assert!(!allowed(&limiter, "k", SLOW, now));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_reason() {
        let (limiter, now) = (State::new(0).limiter("test"), Instant::now());
        let long = "k".repeat(MAX_KEY_BYTES + 1);
        assert!(limiter.take(&long[1..], SLOW, 1, now).is_ok());
        assert!(limiter.take("k", SLOW, 2, now).is_ok());
        let zeros = [
            Bucket { rate: 0, ..SLOW },
            Bucket {
                period_ms: 0,
                ..SLOW
            },
            Bucket { burst: 0, ..SLOW },
        ];
        let wrong = zeros
            .map(|bucket| ("k", bucket, 0))
            .into_iter()
            .chain([("k", SLOW, 3), (&long, SLOW, 1)]);
        for (key, bucket, cost) in wrong {
            assert!(matches!(
                limiter.take(key, bucket, cost, now),
                Err(LimiterError::Invalid(_))
            ));
        }
    }

    #[test]
    fn threads_together_never_get_more_than_the_bucket_holds() {
        let limiter = State::new(0).limiter("test");
        let bucket = Bucket {
            rate: 10_000,
            period_ms: 1_000,
            burst: 100,
        };
        let (start, admitted) = (Instant::now(), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let allowed = allowed(&limiter, "k", bucket, Instant::now());
                        admitted.fetch_add(u64::from(allowed), Ordering::Relaxed);
                    }
                });
            }
        });
        let most = 100.0 + 10_000.0 * start.elapsed().as_secs_f64();
        let admitted = admitted.into_inner();
        assert!(
            admitted >= 100 && admitted as f64 <= most,
            "{admitted} of {most}"
        );
    }

    #[test]
    fn a_clock_that_is_behind_takes_no_token_twice() {
        let (limiter, now) = (
            State::new(0).limiter("test"),
            Instant::now() + Duration::from_secs(600),
        );
        assert!(limiter.take("k", SLOW, 2, now).unwrap().allowed);
        assert!(!allowed(
            &limiter,
            "k",
            SLOW,
            now - Duration::from_secs(300)
        ));
        assert!(!allowed(&limiter, "k", SLOW, now));
    }

    #[test]
    fn asking_without_taking_keeps_no_bucket() {
        let (state, now) = (State::new(0), Instant::now());
        assert_eq!(
            state
                .limiter("test")
                .take("k", SLOW, 0, now)
                .unwrap()
                .remaining,
            2
        );
        assert_eq!(state.stats().limiter.buckets, 0);
    }
}
