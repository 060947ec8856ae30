//! Keeping guests that compute for long from starving their neighbours.
//!
//! A guest that is still running at a tick spins: ticks are shorter from there on, and at each it yields. Promises: between two
//! looks at a worker's sockets one slice of one guest runs that has spun for long, however many there are, so that every other
//! request waits for a slice at a time; one that is done after some slices waits for none of them; and a worker that has nothing
//! else to do gives all its time to them.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::engine::{SHORT_TICK, TICK};
use crate::worker;

/// CPU time after which a spinning guest waits for its turn. Most of those that compute for more than a tick are done by then.
const FREE_TIME: Duration = Duration::from_millis(2);

/// Workers with a turn of their own; more share.
const TURNS: usize = 64;

/// By worker, whose turn it is among its spinning guests.
static TURN: [Semaphore; TURNS] = [const { Semaphore::const_new(1) }; TURNS];
/// Spinning guests of all workers.
static SPINNING: AtomicU32 = AtomicU32::new(0);

/// How long a tick is now.
pub(super) fn tick() -> Duration {
    if SPINNING.load(Ordering::Relaxed) == 0 {
        TICK
    } else {
        SHORT_TICK
    }
}

/// One spinning guest, counted until it ends.
#[derive(Debug)]
pub(super) struct Spinning(());

impl Spinning {
    pub(super) fn begin() -> Self {
        SPINNING.fetch_add(1, Ordering::Relaxed);
        Self(())
    }

    /// What a guest that has used so much CPU time waits for between two slices: that all others have had their turn, and
    /// after some slices also for its own.
    pub(super) fn pause(&self, used: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let turn = if used < FREE_TIME {
                None
            } else {
                // Closed it is never.
                TURN[worker::current().unwrap_or_default() % TURNS]
                    .acquire()
                    .await
                    .ok()
            };
            // Tokio wakes who yields when it has looked at the sockets and queued whom they wake. One that is merely ready
            // again would be polled dozens of times before that. Whoever gets the turn next waits for the next look.
            tokio::task::yield_now().await;
            drop(turn);
        })
    }
}

impl Drop for Spinning {
    fn drop(&mut self) {
        SPINNING.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    use super::*;

    #[test]
    fn between_two_slices_all_others_have_had_their_turn() {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.build().unwrap();
        let looks = Rc::new(Cell::new(0));
        let slices = Rc::new(RefCell::new(Vec::new()));
        let tasks = tokio::task::LocalSet::new();
        for guest in 0..4 {
            let (looks, slices) = (Rc::clone(&looks), Rc::clone(&slices));
            tasks.spawn_local(async move {
                let spinning = Spinning::begin();
                for _ in 0..20 {
                    spinning.pause(FREE_TIME).await;
                    slices.borrow_mut().push((guest, looks.get()));
                }
            });
        }
        // Somebody else on the worker: it runs once between two looks at the sockets.
        runtime.block_on(tasks.run_until(async {
            while slices.borrow().len() < 80 {
                tokio::task::yield_now().await;
                looks.set(looks.get() + 1);
            }
        }));
        let slices = slices.borrow();
        for pair in slices.windows(2) {
            assert!(pair[0].1 < pair[1].1, "{slices:?}");
            assert_ne!(pair[0].0, pair[1].0, "in turn: {slices:?}");
        }
        assert_eq!(tick(), TICK, "nobody spins any more");
    }
}
