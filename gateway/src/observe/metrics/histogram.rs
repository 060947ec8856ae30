//! Durations counted into buckets, by each worker into a row of its own.
//!
//! `prometheus-client`'s own histogram takes a lock for each observation, which workers would share. Here an observation is a
//! search in a short list and two additions to memory that nobody else writes to. A scrape in the middle of one may see the
//! bucket without the sum; the count is the sum of the buckets, so those always agree.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{MetricEncoder, NoLabelSet};

use crate::worker;

/// Upper bounds in microseconds for what a request takes: 1 ms to 1 min.
pub(super) const REQUEST_BOUNDS_US: &[u64] = &[
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// Upper bounds in microseconds for what a hook takes: 1 us to 1 s.
pub(super) const HOOK_BOUNDS_US: &[u64] = &[
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000,
    250_000, 500_000, 1_000_000,
];

/// Buckets of the histogram with the most, one for everything above its bounds included.
const MAX_BUCKETS: usize = HOOK_BOUNDS_US.len() + 1;

/// A histogram of durations.
#[derive(Debug)]
pub struct Histogram {
    bounds_us: &'static [u64],
    /// By worker, and one more that all other threads share.
    rows: Box<[Row]>,
}

/// What one worker has counted, on cache lines of its own.
#[derive(Debug)]
#[repr(align(64))]
struct Row {
    sum_ns: AtomicU64,
    /// One more than bounds is used: the last is for everything above.
    buckets: [AtomicU64; MAX_BUCKETS],
}

impl Histogram {
    /// No observations yet; `bounds_us` ascend, and are no more than those of hooks.
    pub(super) fn new(bounds_us: &'static [u64]) -> Self {
        debug_assert!(bounds_us.len() < MAX_BUCKETS);
        let row = || Row {
            sum_ns: AtomicU64::new(0),
            buckets: Default::default(),
        };
        Self {
            bounds_us,
            rows: (0..=worker::count()).map(|_| row()).collect(),
        }
    }

    /// Count one duration. A duration that equals a bound belongs to that bound's bucket.
    pub fn observe(&self, duration: Duration) {
        // 584 years fit.
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let us = ns.div_ceil(1_000);
        // Most fall into the first buckets.
        let bucket = self.bounds_us.iter().position(|bound| us <= *bound);
        let bucket = bucket.unwrap_or(self.bounds_us.len());
        let own = worker::current().filter(|worker| *worker + 1 < self.rows.len());
        match own {
            Some(worker) => self.rows[worker].count(bucket, ns),
            None => self.rows[self.rows.len() - 1].count_shared(bucket, ns),
        }
    }

    /// How many durations were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts().sum()
    }

    /// By bucket.
    fn counts(&self) -> impl Iterator<Item = u64> {
        let of = |row: &Row, bucket: usize| row.buckets[bucket].load(Ordering::Relaxed);
        let sum = move |bucket| self.rows.iter().map(|row| of(row, bucket)).sum();
        (0..=self.bounds_us.len()).map(sum)
    }

    pub(super) fn encode(&self, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        let bounds = self
            .bounds_us
            .iter()
            .map(|us| Duration::from_micros(*us).as_secs_f64());
        let buckets: Vec<(f64, u64)> = bounds.chain([f64::INFINITY]).zip(self.counts()).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sums = self.rows.iter();
        let sum_ns = sums.fold(0, |sum: u64, row| {
            sum.wrapping_add(row.sum_ns.load(Ordering::Relaxed))
        });
        let sum = Duration::from_nanos(sum_ns).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}

impl Row {
    /// By the only thread that counts here.
    fn count(&self, bucket: usize, ns: u64) {
        add(&self.buckets[bucket], 1);
        add(&self.sum_ns, ns);
    }

    fn count_shared(&self, bucket: usize, ns: u64) {
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }
}

/// To a number that nobody else writes: no locked instruction is needed.
fn add(number: &AtomicU64, amount: u64) {
    let sum = number.load(Ordering::Relaxed).wrapping_add(amount);
    number.store(sum, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(histogram: &Histogram) -> Vec<u64> {
        histogram.counts().collect()
    }

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_is_not_below_it() {
        let histogram = Histogram::new(&[1, 10, 100]);
        for ns in [
            0,
            1,
            1_000,
            1_001,
            10_000,
            10_001,
            100_000,
            100_001,
            5_000_000_000,
        ] {
            histogram.observe(Duration::from_nanos(ns));
        }
        assert_eq!(counts(&histogram), [3, 2, 2, 2]);
        assert_eq!(histogram.count(), 9);
    }

    #[test]
    fn what_many_threads_count_adds_up() {
        let histogram = Histogram::new(&[1]);
        std::thread::scope(|scope| {
            for worker in [Some(0), None, None, Some(1_000)] {
                let histogram = &histogram;
                scope.spawn(move || {
                    worker.into_iter().for_each(worker::enter);
                    for _ in 0..10_000 {
                        histogram.observe(Duration::ZERO);
                    }
                });
            }
        });
        assert_eq!(counts(&histogram), [40_000, 0]);
    }

    #[test]
    fn any_duration_can_be_observed() {
        let histogram = Histogram::new(HOOK_BOUNDS_US);
        histogram.observe(Duration::MAX);
        assert_eq!(counts(&histogram).last(), Some(&1));
    }

    #[test]
    fn bounds_ascend() {
        assert!(REQUEST_BOUNDS_US.is_sorted() && HOOK_BOUNDS_US.is_sorted());
    }
}
