//! Which worker a thread is. Connections and plugin instances are kept per worker and never cross over; whatever keeps
//! them holds one shard for each worker and picks its own by [`current`].
//!
//! The control thread has the last shard; threads that are no worker otherwise (start-up, tests) use shard 0.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

static COUNT: AtomicUsize = AtomicUsize::new(1);

/// The index of the worker that runs this thread.
#[must_use]
pub fn current() -> usize {
    CURRENT.get()
}

/// How many workers there are; at least 1.
#[must_use]
pub fn count() -> usize {
    COUNT.load(Ordering::Relaxed)
}

/// Say how many workers there will be, before anything with shards is built. It only grows, so that shards that
/// were made for fewer stay valid through [`shard`].
pub fn set_count(count: usize) {
    COUNT.fetch_max(count.max(1), Ordering::Relaxed);
}

/// Say which worker this thread is.
pub fn enter(index: usize) {
    CURRENT.with(|current| current.set(index));
}

/// This worker's shard of `shards`, which must not be empty. The first one, if there were fewer workers when they were
/// made.
#[must_use]
pub fn shard<T>(shards: &[T]) -> &T {
    // No division: this is on the way of every request.
    shards.get(current()).unwrap_or(&shards[0])
}
