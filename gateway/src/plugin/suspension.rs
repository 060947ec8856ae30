//! Leaving a plugin alone that does nothing but burn time or memory.
//!
//! After a few costly faults in a row, and no good call for some time, calls are refused at once for a moment; then one
//! is let through to see. So a plugin that loops for ever costs its neighbours one deadline now and then and not one per
//! request. A plugin that lately served anybody is not suspended, however many of its calls fail: else a client that
//! knows what makes it slow could take it away from the others. Calls that are refused are never skipped.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::fault::Fault;

/// Costly faults in a row before the first pause.
const STREAK: u32 = 5;
/// How long a good call speaks for the plugin.
const GOOD_FOR: Duration = Duration::from_secs(10);
/// The first pause; each further fault doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Whether calls are let through.
#[derive(Debug, Default)]
pub(super) struct Suspension {
    streak: AtomicU32,
    /// Until when calls are refused, in milliseconds since [`START`].
    until_ms: AtomicU64,
    /// When a call was good, in whole seconds since [`START`] and one more; 0 if none was.
    good_s: AtomicU64,
}

impl Suspension {
    /// Let a call through, or not.
    pub(super) fn admit(&self) -> Result<(), Fault> {
        if self.streak.load(Ordering::Relaxed) < STREAK {
            return Ok(());
        }
        self.admit_at(now_ms())
    }

    fn admit_at(&self, now_ms: u64) -> Result<(), Fault> {
        let until_ms = self.until_ms.load(Ordering::Relaxed);
        if now_ms < until_ms {
            return Err(Fault::Suspended);
        }
        // The one that moves the mark is the probe; whoever comes with it waits for what it finds.
        let next_ms = now_ms + millis(self.pause());
        let moved =
            self.until_ms
                .compare_exchange(until_ms, next_ms, Ordering::Relaxed, Ordering::Relaxed);
        moved.map(|_| ()).map_err(|_| Fault::Suspended)
    }

    /// Take note of a costly fault that ended now.
    pub(super) fn note_costly(&self, now: Instant) {
        let now_ms = ms(now);
        let good_s = self.good_s.load(Ordering::Relaxed);
        if good_s != 0 && seconds(now) <= good_s + GOOD_FOR.as_secs() {
            return;
        }
        self.streak.fetch_add(1, Ordering::Relaxed);
        self.until_ms
            .store(now_ms + millis(self.pause()), Ordering::Relaxed);
    }

    /// Take note of a good call that ended now.
    pub(super) fn note_good(&self, now: Instant) {
        // Read first: these lines are shared by all workers, and nearly always as they should be.
        let now_s = seconds(now);
        if self.good_s.load(Ordering::Relaxed) != now_s {
            self.good_s.store(now_s, Ordering::Relaxed);
        }
        if self.streak.load(Ordering::Relaxed) != 0 {
            self.streak.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.streak.load(Ordering::Relaxed) >= STREAK
            && now_ms() < self.until_ms.load(Ordering::Relaxed)
    }

    fn pause(&self) -> Duration {
        let beyond = self.streak.load(Ordering::Relaxed).saturating_sub(STREAK);
        FIRST_PAUSE
            .saturating_mul(1 << beyond.min(8))
            .min(LONGEST_PAUSE)
    }
}

fn now_ms() -> u64 {
    ms(Instant::now())
}

fn seconds(instant: Instant) -> u64 {
    instant.saturating_duration_since(*START).as_secs() + 1
}

fn ms(instant: Instant) -> u64 {
    millis(instant.saturating_duration_since(*START))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(duration: Duration) -> Instant {
        *START + duration
    }

    #[test]
    fn a_row_of_costly_faults_suspends_and_one_good_call_ends_it() {
        let suspension = Suspension::default();
        for _ in 0..STREAK {
            assert_eq!(suspension.admit(), Ok(()));
            suspension.note_costly(after(Duration::from_secs(20)));
        }
        assert_eq!(suspension.admit_at(0), Err(Fault::Suspended));
        suspension.note_good(after(Duration::from_secs(20)));
        assert_eq!(suspension.admit(), Ok(()));
    }

    #[test]
    fn a_plugin_that_lately_served_anybody_is_not_suspended() {
        let suspension = Suspension::default();
        suspension.note_good(after(Duration::from_secs(20)));
        for _ in 0..STREAK * 3 {
            suspension.note_costly(after(Duration::from_secs(29)));
            assert_eq!(suspension.admit(), Ok(()));
        }
        for _ in 0..STREAK {
            suspension.note_costly(after(Duration::from_secs(31)));
        }
        assert_eq!(suspension.admit_at(0), Err(Fault::Suspended));
    }

    #[test]
    fn after_the_pause_one_call_probes_and_the_others_still_wait() {
        let suspension = Suspension::default();
        for _ in 0..STREAK {
            suspension.note_costly(after(Duration::from_secs(20)));
        }
        let later = suspension.until_ms.load(Ordering::Relaxed);
        assert_eq!(suspension.admit_at(later), Ok(()));
        assert_eq!(suspension.admit_at(later), Err(Fault::Suspended));
    }
}
