//! Keeping guests that compute for long from starving their neighbours.
//!
//! A guest that is still running at a tick yields. With one such guest that is fair; with fifty, every other task of
//! the worker waits for fifty slices. So guests that are past their first slices pause between slices, the longer the more
//! of them there are on this worker: together they never take much more than half of it.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;

use super::engine::TICK;

/// Ticks that a guest may run before it counts as spinning.
pub(super) const FREE_TICKS: u32 = 2;

thread_local! {
    static SPINNING: Cell<u32> = const { Cell::new(0) };
}

/// One spinning guest, counted until it ends.
#[derive(Debug)]
pub(super) struct Spinning(());

impl Spinning {
    pub(super) fn begin() -> Self {
        SPINNING.with(|count| count.set(count.get() + 1));
        Self(())
    }

    /// What a spinning guest waits for between two slices.
    pub(super) fn pause() -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let others = SPINNING.with(Cell::get).max(1);
        // As long as all spinning guests' slices together, so that the rest of the worker gets as much.
        Box::pin(tokio::time::sleep(TICK * 2 * others))
    }
}

impl Drop for Spinning {
    fn drop(&mut self) {
        // A store can be dropped by another thread than the one that called it, so the count may be off by some for a
        // moment; it only shapes pauses and never goes below zero.
        SPINNING.with(|count| count.set(count.get().saturating_sub(1)));
    }
}
