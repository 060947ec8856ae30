//! What is counted for one route.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::histogram::{Histogram, REQUEST_BOUNDS_US};

/// The status codes that HTTP knows as syntax (RFC 9110 15): three digits, so nine classes of a hundred.
const FIRST_STATUS: u16 = 100;
const CLASS: usize = 100;

/// Requests by status, and how long they took.
#[derive(Debug)]
pub struct RouteMetrics {
    /// Made when the first status of a class is counted, since most routes see three classes or fewer.
    classes: [OnceLock<Box<[AtomicU64; CLASS]>>; 9],
    durations: Histogram,
    /// Counted only for routes that limit it.
    in_flight: AtomicU32,
}

/// One of so many requests that a route may have in flight, given back on drop.
#[derive(Debug)]
pub struct InFlight(Arc<RouteMetrics>);

impl InFlight {
    /// A place, if there are not as many taken already.
    #[must_use]
    pub fn take(route: &Arc<RouteMetrics>, limit: u32) -> Option<Self> {
        let before = route.in_flight.fetch_add(1, Ordering::Relaxed);
        let place = Self(Arc::clone(route));
        (before < limit).then_some(place)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl RouteMetrics {
    /// Count one request: the status that the client was sent, and the time from the request's head to the end of
    /// the response's body.
    pub fn count(&self, status: u16, duration: Duration) {
        let index = usize::from(status.clamp(FIRST_STATUS, 999) - FIRST_STATUS);
        let class = self.classes[index / CLASS]
            .get_or_init(|| Box::new([const { AtomicU64::new(0) }; CLASS]));
        class[index % CLASS].fetch_add(1, Ordering::Relaxed);
        self.durations.observe(duration);
    }

    /// Requests so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.durations.count()
    }

    /// How long requests took.
    pub(super) fn durations(&self) -> &Histogram {
        &self.durations
    }

    /// How many requests ended with each status that occurred.
    pub(super) fn by_status(&self) -> Vec<(u16, u64)> {
        let classes = self
            .classes
            .iter()
            .map(|class| class.get().map(|class| class.as_slice()));
        let counts = classes.flat_map(|class| {
            (0..CLASS).map(move |i| class.map_or(0, |class| class[i].load(Ordering::Relaxed)))
        });
        (FIRST_STATUS..)
            .zip(counts)
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

impl Default for RouteMetrics {
    fn default() -> Self {
        Self {
            classes: [const { OnceLock::new() }; 9],
            durations: Histogram::new(REQUEST_BOUNDS_US),
            in_flight: AtomicU32::new(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_a_count_of_its_own_up_to_the_ends_of_the_range() {
        let route = RouteMetrics::default();
        for status in [100, 200, 200, 204, 599, 600, 999] {
            route.count(status, Duration::ZERO);
        }
        assert_eq!(
            route.by_status(),
            [(100, 1), (200, 2), (204, 1), (599, 1), (600, 1), (999, 1)]
        );
        assert_eq!(route.requests(), 7);
    }

    #[test]
    fn there_are_as_many_places_as_the_limit_and_each_is_given_back() {
        let route = Arc::new(RouteMetrics::default());
        let first = InFlight::take(&route, 2);
        let second = InFlight::take(&route, 2);
        assert!(first.is_some() && second.is_some());
        assert!(InFlight::take(&route, 2).is_none());
        drop(first);
        assert!(InFlight::take(&route, 2).is_some());
    }

    #[test]
    fn what_is_no_status_is_counted_and_does_no_harm() {
        let route = RouteMetrics::default();
        route.count(0, Duration::ZERO);
        route.count(u16::MAX, Duration::ZERO);
        assert_eq!(route.by_status(), [(100, 1), (999, 1)]);
    }
}
