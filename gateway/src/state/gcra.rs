//! The arithmetic of one token bucket: exact, pure, without a clock.
//!
//! A token bucket as a virtual schedule, the generic cell rate algorithm (ITU-T I.371, annex A; ATM Forum Traffic
//! Management 4.1, 4.4.5): instead of a token count and the time it was right, the state is one number, the moment
//! at which the bucket will be full again. Taking tokens moves it later; a take that would move it more than a whole
//! bucket ahead of now is refused.
//!
//! Rounding would either admit too much or starve fast buckets (a token of a 3-per-second bucket takes 333,333,333.3
//! ns to come back, one of a 4-per-nanosecond bucket a quarter of one). So moments are kept in units of 1/`rate` ns,
//! in which one token takes exactly `period` and one nanosecond exactly `rate` units. `now` and the period are below
//! 2^63 ns and the other factors below 2^64, so products are below 2^127, a sum of two below 2^128, and nothing overflows.

use super::Epoch;

const NANOS_PER_MILLI: u128 = 1_000_000;

/// A token bucket's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bucket {
    /// Tokens that are refilled in each period; at least 1.
    pub rate: u64,
    /// The period in milliseconds; at least 1. Longer than 292 years counts as 292 years.
    pub period_ms: u64,
    /// Tokens that a full bucket holds; at least 1.
    pub burst: u64,
}

/// What the bucket said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether there were enough tokens. If not, none was taken.
    pub allowed: bool,
    /// Tokens left, whole ones.
    pub remaining: u64,
    /// Milliseconds until the same call could succeed; 0 if it did.
    pub retry_after_ms: u64,
    /// Milliseconds until the bucket is full again.
    pub reset_ms: u64,
}

/// Take `cost` tokens at `now_ns` from a bucket that will be full at `full_at`, in units of 1/`rate` ns; 0 is a full
/// bucket. Answers the new `full_at` with the verdict.
pub(super) fn take(full_at: u128, now_ns: u64, bucket: Bucket, cost: u64) -> (u128, Verdict) {
    let rate = u128::from(bucket.rate);
    let token = (u128::from(bucket.period_ms) * NANOS_PER_MILLI).min(u128::from(Epoch::MAX_NS));
    let now = u128::from(now_ns) * rate;
    let whole = u128::from(bucket.burst) * token;

    let missing = full_at.saturating_sub(now);
    // Saturates only if a clock of another thread was ahead of `now` by more than 146 years.
    let wanted = missing.saturating_add(u128::from(cost) * token);
    let excess = wanted.saturating_sub(whole);
    let allowed = excess == 0;
    let missing_after = if allowed { wanted } else { missing };

    let millis = |units: u128| clamp(units.div_ceil(rate * NANOS_PER_MILLI));
    let verdict = Verdict {
        allowed,
        remaining: clamp(whole.saturating_sub(missing_after) / token),
        retry_after_ms: millis(excess),
        reset_ms: millis(missing_after),
    };
    (now.saturating_add(missing_after), verdict)
}

/// Whether a bucket of that `rate` that will be full at `full_at` is full at `now_ns`.
pub(super) fn is_full(full_at: u128, rate: u64, now_ns: u64) -> bool {
    full_at <= u128::from(now_ns) * u128::from(rate)
}

fn clamp(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A seeded generator (xorshift64*), so that a failure can be repeated.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, end: u64) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % end
        }
    }

    const fn bucket(rate: u64, period_ms: u64, burst: u64) -> Bucket {
        Bucket {
            rate,
            period_ms,
            burst,
        }
    }

    #[test]
    fn no_window_of_time_admits_more_than_burst_plus_rate_times_its_length() {
        for seed in 1..=300 {
            let mut dice = Dice(seed);
            let bucket = bucket(
                1 + dice.below(50),
                1 + dice.below(1_000),
                1 + dice.below(20),
            );
            let period_ns = u128::from(bucket.period_ms) * NANOS_PER_MILLI;
            let (mut full_at, mut now) = (0, dice.below(1 << 40));
            let mut admitted: Vec<(u64, u64)> = Vec::new();
            for _ in 0..200 {
                let cost = 1 + dice.below(bucket.burst.min(3));
                let (next, verdict) = take(full_at, now, bucket, cost);
                full_at = next;
                if verdict.allowed {
                    admitted.push((now, cost));
                }
                now += match dice.below(4) {
                    0 => 0,
                    1 => verdict.retry_after_ms * 1_000_000,
                    _ => dice.below(u64::try_from(period_ns).unwrap()),
                };
            }
            for first in 0..admitted.len() {
                let mut tokens = 0;
                for (moment, cost) in &admitted[first..] {
                    tokens += u128::from(*cost);
                    let ns = u128::from(moment - admitted[first].0);
                    let most = u128::from(bucket.burst) * period_ns + u128::from(bucket.rate) * ns;
                    assert!(tokens * period_ns <= most, "seed {seed}: {bucket:?}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_lost_a_patient_client_gets_the_whole_rate() {
        // 7 in 1 s has no whole number of nanoseconds for a token.
        let bucket = bucket(7, 1_000, 1);
        let (mut full_at, mut admitted) = (0, 0);
        for now_ms in 0..=1_000_000 {
            let (next, verdict) = take(full_at, now_ms * 1_000_000, bucket, 1);
            full_at = next;
            admitted += u64::from(verdict.allowed);
        }
        // Asking once a millisecond wastes part of one at each token: 143 ms instead of 142.86.
        assert_eq!(admitted, 1 + 1_000_000 / 143);
    }

    #[test]
    fn retry_after_is_exact_and_a_millisecond_earlier_is_too_early() {
        for seed in 1..=2_000 {
            let mut dice = Dice(seed);
            let bucket = bucket(
                1 + dice.below(2_000),
                1 + dice.below(100_000),
                1 + dice.below(50),
            );
            let (mut full_at, mut now) = (0, dice.below(1 << 40));
            for _ in 0..20 {
                let cost = 1 + dice.below(bucket.burst);
                let (next, verdict) = take(full_at, now, bucket, cost);
                if verdict.allowed {
                    assert_eq!(verdict.retry_after_ms, 0);
                    full_at = next;
                } else {
                    assert_eq!(next.max(u128::from(now) * u128::from(bucket.rate)), full_at);
                    let at = |ms: u64| take(full_at, now + ms * 1_000_000, bucket, cost).1.allowed;
                    assert!(at(verdict.retry_after_ms), "seed {seed}");
                    assert!(!at(verdict.retry_after_ms - 1), "seed {seed}");
                }
                now += dice.below(1_000_000_000);
            }
        }
    }

    #[test]
    fn reset_is_when_the_bucket_is_full_again() {
        let bucket = bucket(3, 1_000, 10);
        let (full_at, verdict) = take(0, 5, bucket, 10);
        assert_eq!(
            verdict,
            Verdict {
                allowed: true,
                remaining: 0,
                retry_after_ms: 0,
                reset_ms: 3_334
            }
        );
        assert_eq!(take(full_at, 5 + 3_334_000_000, bucket, 0).1.remaining, 10);
        assert_eq!(take(full_at, 5 + 3_333_000_000, bucket, 0).1.remaining, 9);
        assert!(is_full(full_at, 3, 5 + 3_334_000_000) && !is_full(full_at, 3, 5 + 3_333_000_000));
    }

    #[test]
    fn any_numbers_are_reckoned_without_overflow_and_without_admitting_too_much() {
        let extremes = [
            1,
            2,
            1_000,
            u64::from(u32::MAX),
            u64::MAX / 2,
            u64::MAX - 1,
            u64::MAX,
        ];
        let moments = [0, 1, 1 << 40, Epoch::MAX_NS - 1, Epoch::MAX_NS];
        for rate in extremes {
            for period in extremes {
                for burst in extremes {
                    for now in moments {
                        let bucket = bucket(rate, period, burst);
                        let (full_at, all) = take(0, now, bucket, burst);
                        assert!(all.allowed && all.remaining == 0, "{bucket:?} at {now}");
                        let (unchanged, more) = take(full_at, now, bucket, 1);
                        assert!(!more.allowed && unchanged == full_at, "{bucket:?} at {now}");
                        assert!(more.retry_after_ms >= 1 && more.reset_ms >= more.retry_after_ms);
                        take(full_at, 0, bucket, burst);
                    }
                }
            }
        }
    }

    #[test]
    fn a_bucket_that_practically_never_refills_gives_out_its_burst_once() {
        let bucket = bucket(1, u64::MAX, 3);
        let mut full_at = 0;
        let allowed = (0..10).filter(|second| {
            let (next, verdict) = take(full_at, second * 1_000_000_000, bucket, 1);
            full_at = next;
            verdict.allowed
        });
        assert_eq!(allowed.count(), 3);
    }

    #[test]
    fn a_cost_of_nothing_takes_nothing() {
        let (full_at, verdict) = take(0, 1_000, bucket(1, 1_000, 5), 0);
        assert!(verdict.allowed && is_full(full_at, 1, 1_000));
        assert_eq!((verdict.remaining, verdict.reset_ms), (5, 0));
    }
}
