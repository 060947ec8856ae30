//! How many calls of a plugin may run at the same time.
//!
//! Promises: to take a permit and to give it back is an atomic addition each while nobody waits, since every hook call does
//! so (a semaphore takes a lock for the latter); those that wait are served in the order in which they came, before whoever
//! comes later.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use parking_lot::Mutex;
use tokio::sync::oneshot::{self, Receiver, Sender};

/// A number of permits. They are given back by hand, since they move along with an instance.
#[derive(Debug)]
pub(super) struct Permits {
    free: AtomicUsize,
    /// How long the queue is, to be looked at without its lock.
    waiting: AtomicUsize,
    queue: Mutex<VecDeque<Sender<()>>>,
}

impl Permits {
    pub(super) fn new(count: usize) -> Self {
        Self {
            free: AtomicUsize::new(count),
            waiting: AtomicUsize::new(0),
            queue: Mutex::default(),
        }
    }

    /// How many are free.
    pub(super) fn free(&self) -> usize {
        self.free.load(SeqCst)
    }

    /// Take one, if one is free and nobody waits for it.
    pub(super) fn try_take(&self) -> bool {
        self.waiting.load(SeqCst) == 0 && self.take()
    }

    /// Take one when it is our turn. Dropping the future is waiting no longer.
    pub(super) async fn take_when_free(&self) {
        let (grant, granted) = oneshot::channel();
        {
            let mut queue = self.queue.lock();
            queue.push_back(grant);
            self.waiting.store(queue.len(), SeqCst);
            // One that was given back before it could be seen that we wait.
            self.grant_free(&mut queue);
        }
        let mut waiting = Waiting {
            permits: self,
            granted,
        };
        // The other end is dropped only after it has granted.
        let _ = (&mut waiting.granted).await;
    }

    /// Give one back.
    pub(super) fn give_back(&self) {
        self.free.fetch_add(1, SeqCst);
        // Whoever begins to wait says so first and looks for free ones then, so that one of us sees the other.
        if self.waiting.load(SeqCst) > 0 {
            self.grant_free(&mut self.queue.lock());
        }
    }

    fn take(&self) -> bool {
        let less = |free: usize| free.checked_sub(1);
        self.free.fetch_update(SeqCst, SeqCst, less).is_ok()
    }

    /// Grant what is free to those that wait.
    fn grant_free(&self, queue: &mut VecDeque<Sender<()>>) {
        while !queue.is_empty() && self.take() {
            let granted = std::iter::from_fn(|| queue.pop_front()).any(|it| it.send(()).is_ok());
            if !granted {
                // Those in the queue had all given up.
                self.free.fetch_add(1, SeqCst);
            }
        }
        self.waiting.store(queue.len(), SeqCst);
    }
}

/// Somebody who waits, and may leave.
struct Waiting<'a> {
    permits: &'a Permits,
    granted: Receiver<()>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.granted.close();
        if self.granted.try_recv().is_ok() {
            // It came, and nobody has taken it.
            self.permits.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::sync::Arc;
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_more_than_so_many_at_once_and_nobody_is_forgotten() {
        let permits = Arc::new(Permits::new(2));
        let inside = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..50)
            .map(|number| {
                let (permits, inside) = (Arc::clone(&permits), Arc::clone(&inside));
                tokio::spawn(async move {
                    for round in 0..50 {
                        if (number + round) % 7 == 0 {
                            // One that gives up at once.
                            let _ = is_done(pin!(permits.take_when_free()))
                                .then(|| permits.give_back());
                        }
                        if !permits.try_take() {
                            permits.take_when_free().await;
                        }
                        assert!(inside.fetch_add(1, SeqCst) < 2);
                        tokio::task::yield_now().await;
                        inside.fetch_sub(1, SeqCst);
                        permits.give_back();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(permits.free(), 2);
        assert!(permits.try_take(), "nobody waits");
    }

    fn is_done(future: Pin<&mut impl Future>) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        future.poll(&mut cx).is_ready()
    }

    #[test]
    fn who_waits_is_served_in_order_and_before_whoever_comes_later() {
        let permits = Permits::new(1);
        assert!(permits.try_take());
        let mut first = pin!(permits.take_when_free());
        let mut second = pin!(permits.take_when_free());
        assert!(!is_done(first.as_mut()) && !is_done(second.as_mut()));
        permits.give_back();
        assert!(!permits.try_take());
        let mut late = pin!(permits.take_when_free());
        assert!(!is_done(late.as_mut()) && !is_done(second.as_mut()));
        assert!(is_done(first.as_mut()));
        permits.give_back();
        assert!(!is_done(late.as_mut()) && is_done(second.as_mut()));
        permits.give_back();
        assert!(is_done(late.as_mut()));
        permits.give_back();
        assert!(permits.try_take());
    }

    #[test]
    fn what_somebody_was_granted_who_has_left_goes_to_the_next() {
        let permits = Permits::new(1);
        assert!(permits.try_take());
        let mut first = Box::pin(permits.take_when_free());
        let mut second = pin!(permits.take_when_free());
        assert!(!is_done(first.as_mut()) && !is_done(second.as_mut()));
        permits.give_back();
        drop(first);
        assert!(is_done(second.as_mut()));
        permits.give_back();
        assert_eq!(permits.free(), 1);
    }
}
