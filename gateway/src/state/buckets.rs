//! One part of the token buckets: where their levels are kept, and which are forgotten.
//!
//! The number of buckets is bounded. A bucket that is full again says nothing and is dropped first; if that is not
//! enough, those that will be full soonest go. So a flood of new keys drops itself and not the bucket of the client
//! that is being held back.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use super::Hashed;
use super::gcra::{self, Bucket, Verdict};
use super::limiter::LimiterStats;

/// Buckets in a shard: what a hash table of 4,096 places holds before it doubles.
pub(super) const MAX_SHARD_BUCKETS: usize = 4_096 / 8 * 7;

/// A shard's first size; it doubles up to [`MAX_SHARD_BUCKETS`] as live buckets fill it.
const MIN_SHARD_BUCKETS: usize = 28;

/// What is kept of namespace, key and bucket: two hashes under different keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) table: u64,
    pub(super) shard: u64,
}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.table);
    }
}

#[derive(Debug, Clone, Copy)]
struct Level {
    full_at: u128,
    rate: u64,
}

impl Level {
    /// Nanoseconds from the epoch to when the bucket is full.
    fn full_at_ns(self) -> u128 {
        self.full_at / u128::from(self.rate)
    }
}

type Buckets = HashMap<Id, Level, BuildHasherDefault<Hashed>>;

/// A part of the buckets.
#[derive(Debug, Default)]
pub(super) struct Shard {
    buckets: Buckets,
    /// How many may be there before room is made.
    room: usize,
    evictions: u64,
}

impl Shard {
    /// Take `cost` tokens from a bucket, which is full if it is not there.
    pub(super) fn take(&mut self, id: Id, bucket: Bucket, cost: u64, now_ns: u64) -> Verdict {
        if let Some(level) = self.buckets.get_mut(&id) {
            let (full_at, verdict) = gcra::take(level.full_at, now_ns, bucket, cost);
            if verdict.allowed {
                level.full_at = full_at;
            }
            return verdict;
        }
        let (full_at, verdict) = gcra::take(0, now_ns, bucket, cost);
        if cost > 0 {
            if self.buckets.len() >= self.room {
                self.make_room(now_ns);
            }
            self.buckets.insert(
                id,
                Level {
                    full_at,
                    rate: bucket.rate,
                },
            );
        }
        verdict
    }

    pub(super) fn stats(&self) -> LimiterStats {
        LimiterStats {
            buckets: self.buckets.len() as u64,
            evictions: self.evictions,
        }
    }

    /// Drop full buckets, then grow, then drop those that are full soonest, until a quarter of the room is free: so
    /// each insertion pays for a few moves at most.
    fn make_room(&mut self, now_ns: u64) {
        self.buckets
            .retain(|_, level| !gcra::is_full(level.full_at, level.rate, now_ns));
        let live = self.buckets.len();
        self.room = (live * 2).clamp(MIN_SHARD_BUCKETS, MAX_SHARD_BUCKETS);
        let excess = live.saturating_sub(self.room / 4 * 3);
        if excess > 0 {
            self.drop_fullest(excess);
        }
        // A table that had removals may double at an insertion although there is room. A fresh one does not.
        let mut fresh = Buckets::with_capacity_and_hasher(self.room, BuildHasherDefault::default());
        fresh.extend(self.buckets.drain());
        self.buckets = fresh;
    }

    fn drop_fullest(&mut self, count: usize) {
        let mut moments: Vec<u128> = self
            .buckets
            .values()
            .map(|level| level.full_at_ns())
            .collect();
        let (_, last, _) = moments.select_nth_unstable(count - 1);
        let mut left = count;
        self.buckets.retain(|_, level| {
            let drop = left > 0 && level.full_at_ns() <= *last;
            left -= usize::from(drop);
            !drop
        });
        self.evictions += (count - left) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Bucket = Bucket {
        rate: 1,
        period_ms: 60_000,
        burst: 1,
    };

    #[test]
    fn buckets_that_are_full_again_are_dropped_before_any_other() {
        let mut shard = Shard::default();
        let fast = Bucket {
            rate: 1_000,
            period_ms: 1,
            burst: 1,
        };
        let id = |n| Id { table: n, shard: 0 };
        shard.take(id(0), SLOW, 1, 0);
        for n in 1..100_000 {
            shard.take(id(n), fast, 1, n * 10_000);
        }
        assert!(shard.buckets.len() <= MIN_SHARD_BUCKETS && shard.evictions == 0);
        assert!(!shard.take(id(0), SLOW, 1, 1_000_000_000).allowed);
    }

    #[test]
    fn a_flood_of_keys_is_bounded_and_does_not_free_who_is_held_back() {
        let mut shard = Shard::default();
        let bucket = Bucket {
            rate: 1,
            period_ms: 1_000,
            burst: 100,
        };
        let id = |n| Id { table: n, shard: 0 };
        assert!(shard.take(id(0), bucket, 100, 0).allowed);
        for n in 1..50_000 {
            assert!(shard.take(id(n), bucket, 1, 0).allowed);
            assert!(shard.buckets.len() <= MAX_SHARD_BUCKETS);
        }
        assert!(shard.buckets.capacity() == MAX_SHARD_BUCKETS && shard.evictions > 0);
        assert_eq!(shard.buckets.len() as u64 + shard.evictions, 50_000);
        assert!(!shard.take(id(0), bucket, 1, 0).allowed);
    }
}
