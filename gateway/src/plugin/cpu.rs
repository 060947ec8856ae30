//! The CPU time of a call.
//!
//! Promises: what counts is the time in which the call's future is polled, by the clock: the guest's own and what the host does
//! for it, but not what it waits for. Leaves out: what the system gives to other threads meanwhile, which counts too.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Time that the present call has used. Shared by an instance and its store; only one thread at a time is there.
#[derive(Debug, Default)]
pub(super) struct CpuClock {
    used_ns: AtomicU64,
    /// Since when it runs, or did when it was last looked at; from the call's start.
    since_ns: AtomicU64,
}

impl CpuClock {
    /// A call begins.
    pub(super) fn begin(&self) {
        self.used_ns.store(0, Relaxed);
        self.since_ns.store(0, Relaxed);
    }

    /// Count what the call that `started` then has run since it was last looked at; all that was used.
    pub(super) fn lap(&self, started: Instant) -> Duration {
        let now_ns = ns_since(started);
        let since_ns = self.since_ns.swap(now_ns, Relaxed);
        let used_ns = self.used_ns.load(Relaxed) + now_ns.saturating_sub(since_ns);
        self.used_ns.store(used_ns, Relaxed);
        Duration::from_nanos(used_ns)
    }

    /// Wait for a call that was polled before, and count when it runs.
    pub(super) async fn count<F: Future>(
        &self,
        started: Instant,
        mut call: Pin<&mut F>,
    ) -> F::Output {
        self.lap(started);
        poll_fn(|cx| {
            self.since_ns.store(ns_since(started), Relaxed);
            let polled = call.as_mut().poll(cx);
            if polled.is_pending() {
                self.lap(started);
            }
            polled
        })
        .await
    }
}

fn ns_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::thread;

    use super::*;

    const WHILE: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn what_a_call_computes_counts_and_what_it_waits_for_does_not() {
        let clock = CpuClock::default();
        let started = Instant::now();
        let (wake, woken) = tokio::sync::oneshot::channel();
        let waker = thread::spawn(move || {
            thread::park_timeout(WHILE * 5);
            wake.send(())
        });
        clock.count(started, pin!(woken)).await.unwrap();
        waker.join().unwrap().unwrap();
        let used = clock.lap(started);
        assert!(used < WHILE * 5, "{used:?}");

        clock.begin();
        let started = Instant::now();
        clock
            .count(
                started,
                pin!(async {
                    let begun = Instant::now();
                    while begun.elapsed() < WHILE {}
                }),
            )
            .await;
        assert!(clock.lap(started) >= WHILE);
    }
}
