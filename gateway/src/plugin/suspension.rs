//! Leaving a plugin alone that does nothing but burn time or memory.
//!
//! After a few costly faults in a row, with no good call in between, calls are refused at once for a moment; then one
//! is let through to see. So a plugin that loops for ever costs its neighbours one deadline now and then and not one per
//! request. A single good call ends it, so a client can't suspend a plugin that serves others well.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::fault::Fault;

/// Costly faults in a row before the first pause.
const STREAK: u32 = 5;
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

    /// Take note of how a call ended.
    pub(super) fn note(&self, fault: Option<&Fault>) {
        match fault {
            Some(fault) if fault.is_costly() => {
                self.streak.fetch_add(1, Ordering::Relaxed);
                self.until_ms
                    .store(now_ms() + millis(self.pause()), Ordering::Relaxed);
            }
            // Another fault says nothing about time and memory.
            Some(_) => {}
            // Read first: the line is shared by all workers and nearly always zero.
            None if self.streak.load(Ordering::Relaxed) != 0 => {
                self.streak.store(0, Ordering::Relaxed)
            }
            None => {}
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
    millis(START.elapsed())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSTLY: Fault = Fault::Time(Duration::from_millis(50));

    #[test]
    fn a_row_of_costly_faults_suspends_and_one_good_call_ends_it() {
        let suspension = Suspension::default();
        for _ in 0..STREAK {
            assert_eq!(suspension.admit(), Ok(()));
            suspension.note(Some(&COSTLY));
        }
        assert_eq!(suspension.admit_at(0), Err(Fault::Suspended));
        suspension.note(None);
        assert_eq!(suspension.admit(), Ok(()));
    }

    #[test]
    fn a_good_call_in_between_keeps_a_plugin_running() {
        let suspension = Suspension::default();
        for _ in 0..STREAK * 3 {
            suspension.note(Some(&COSTLY));
            suspension.note(None);
            assert_eq!(suspension.admit(), Ok(()));
        }
    }

    #[test]
    fn after_the_pause_one_call_probes_and_the_others_still_wait() {
        let suspension = Suspension::default();
        for _ in 0..STREAK {
            suspension.note(Some(&COSTLY));
        }
        let later = suspension.until_ms.load(Ordering::Relaxed);
        assert_eq!(suspension.admit_at(later), Ok(()));
        assert_eq!(suspension.admit_at(later), Err(Fault::Suspended));
    }

    #[test]
    fn cheap_faults_never_suspend() {
        let suspension = Suspension::default();
        for _ in 0..100 {
            suspension.note(Some(&Fault::Trap("unreachable".into())));
        }
        assert_eq!(suspension.admit(), Ok(()));
    }
}
