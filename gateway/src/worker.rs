//! Which worker a thread is. Connections are kept per worker and never cross over; plugin instances are, and do so only where
//! there is no room for another. Whatever keeps them holds one shard for each worker and picks its own.
//!
//! The control thread has the last shard; threads that are no worker otherwise (start-up, tests) share the first one.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    /// One that no shard has, for threads that are no worker.
    static CURRENT: Cell<usize> = const { Cell::new(NONE) };
}

const NONE: usize = usize::MAX;

static COUNT: AtomicUsize = AtomicUsize::new(1);

/// The index of the worker that runs this thread, if one does.
#[must_use]
pub fn current() -> Option<usize> {
    Some(CURRENT.get()).filter(|index| *index != NONE)
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

/// This worker's shard of `shards`, which must not be empty. The first one, if this is no worker or there were fewer when
/// they were made.
#[must_use]
pub fn shard<T>(shards: &[T]) -> &T {
    &shards[index(shards.len())]
}

/// This worker's place among `count` shards, as for [`shard`].
#[must_use]
pub fn index(count: usize) -> usize {
    // No division: this is on the way of every request.
    let current = CURRENT.get();
    if current < count { current } else { 0 }
}
