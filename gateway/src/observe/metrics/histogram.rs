//! Durations counted into buckets with atomic additions only.
//!
//! `prometheus-client`'s own histogram takes a lock for each observation, which workers would share. Here an
//! observation is a search in a short list and two additions. A scrape in the middle of one may see the bucket without the
//! sum; the count is the sum of the buckets, so those always agree.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{MetricEncoder, NoLabelSet};

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

/// A histogram of durations.
#[derive(Debug)]
pub struct Histogram {
    bounds_us: &'static [u64],
    /// One more than bounds: the last is for everything above.
    buckets: Box<[AtomicU64]>,
    sum_ns: AtomicU64,
}

impl Histogram {
    /// No observations yet; `bounds_us` ascend.
    pub(super) fn new(bounds_us: &'static [u64]) -> Self {
        Self {
            bounds_us,
            buckets: (0..=bounds_us.len()).map(|_| AtomicU64::new(0)).collect(),
            sum_ns: AtomicU64::new(0),
        }
    }

    /// Count one duration. A duration that equals a bound belongs to that bound's bucket.
    pub fn observe(&self, duration: Duration) {
        // 584 years fit.
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let us = ns.div_ceil(1_000);
        let bucket = self.bounds_us.partition_point(|bound| *bound < us);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// How many durations were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed))
            .sum()
    }

    pub(super) fn encode(&self, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        let bounds = self
            .bounds_us
            .iter()
            .map(|us| Duration::from_micros(*us).as_secs_f64());
        let counts = self
            .buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.chain([f64::INFINITY]).zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(histogram: &Histogram) -> Vec<u64> {
        histogram
            .buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed))
            .collect()
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
