//! Keeping guests that compute for long from starving their neighbours.
//!
//! A guest that is still running at a tick spins: it yields, and from there on gets shorter slices. With one such guest that
//! is fair; with fifty, every other task of the worker waits for fifty slices. So guests that are past their first slices
//! also pause in between, the longer the more of them there are on this worker: together they never take much more than half
//! of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::engine::{SHORT_TICK, TICK};
use crate::worker;

/// CPU time that a spinning guest has before it pauses between slices. Most of those that compute for more than a tick are
/// done by then, and a pause is at least a millisecond, since timers are no finer.
const FREE_TIME: Duration = Duration::from_millis(2);

/// Workers with a count of their own; more share.
const COUNTS: usize = 64;

/// Spinning guests by worker.
static SPINNING: [AtomicU32; COUNTS] = [const { AtomicU32::new(0) }; COUNTS];
/// Spinning guests of all workers.
static ALL_SPINNING: AtomicU32 = AtomicU32::new(0);

/// How long a tick is now.
pub(super) fn tick() -> Duration {
    if ALL_SPINNING.load(Ordering::Relaxed) == 0 {
        TICK
    } else {
        SHORT_TICK
    }
}

/// One spinning guest, counted until it ends. It may end on another thread than it began on.
#[derive(Debug)]
pub(super) struct Spinning(&'static AtomicU32);

impl Spinning {
    pub(super) fn begin() -> Self {
        let count = &SPINNING[worker::current() % COUNTS];
        count.fetch_add(1, Ordering::Relaxed);
        ALL_SPINNING.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }

    /// What a spinning guest that has used so much time waits for between two slices: at first, for the other tasks and for
    /// the sockets to be looked at, which a task that merely is ready again would put off for dozens of polls; then as long as
    /// all spinning guests' slices together take, twice, so that the rest of the worker gets at least as much.
    pub(super) fn pause(&self, used: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        if used < FREE_TIME {
            return Box::pin(tokio::task::yield_now());
        }
        let guests = self.0.load(Ordering::Relaxed).max(1);
        Box::pin(tokio::time::sleep(SHORT_TICK * 2 * guests))
    }
}

impl Drop for Spinning {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        ALL_SPINNING.fetch_sub(1, Ordering::Relaxed);
    }
}
