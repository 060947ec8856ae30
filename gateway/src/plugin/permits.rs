//! How many calls of a plugin may run at the same time.
//!
//! Promises: to take a permit and to give it back is one atomic addition each while nobody waits, since every hook call
//! does so; whoever waits goes before whoever comes later. A semaphore with a queue costs a lock for the latter.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// A number of permits. They are given back by hand, since they move along with an instance.
#[derive(Debug)]
pub(super) struct Permits {
    free: AtomicUsize,
    waiting: AtomicUsize,
    freed: Notify,
}

impl Permits {
    pub(super) fn new(count: usize) -> Self {
        Self {
            free: AtomicUsize::new(count),
            waiting: AtomicUsize::new(0),
            freed: Notify::new(),
        }
    }

    /// How many are free.
    pub(super) fn free(&self) -> usize {
        self.free.load(Ordering::Relaxed)
    }

    /// Take one, if one is free and nobody waits for it.
    pub(super) fn try_take(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0 && self.take()
    }

    /// Take one when one is free. Dropping the future is waiting no longer.
    pub(super) async fn take_when_free(&self) {
        let _waiting = Waiting::begin(&self.waiting);
        loop {
            let freed = self.freed.notified();
            let mut freed = std::pin::pin!(freed);
            // Before looking: what is given back from here on wakes us.
            freed.as_mut().enable();
            if self.take() {
                return;
            }
            freed.await;
        }
    }

    /// Give one back.
    pub(super) fn give_back(&self) {
        // Sequentially consistent with `take_when_free`, which says that it waits before it looks: one of the two sees the
        // other.
        self.free.fetch_add(1, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.freed.notify_one();
        }
    }

    fn take(&self) -> bool {
        let less = |free: usize| free.checked_sub(1);
        let taken = self
            .free
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        taken.is_ok()
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_more_than_so_many_at_once_and_nobody_is_forgotten() {
        let permits = Arc::new(Permits::new(2));
        let inside = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let (permits, inside) = (Arc::clone(&permits), Arc::clone(&inside));
                tokio::spawn(async move {
                    for _ in 0..50 {
                        if !permits.try_take() {
                            permits.take_when_free().await;
                        }
                        assert!(inside.fetch_add(1, Ordering::SeqCst) < 2);
                        tokio::task::yield_now().await;
                        inside.fetch_sub(1, Ordering::SeqCst);
                        permits.give_back();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(permits.free(), 2);
    }

    #[test]
    fn who_waits_goes_first_and_who_gives_up_passes_it_on() {
        let permits = Permits::new(1);
        assert!(permits.try_take());
        let mut cx = Context::from_waker(Waker::noop());
        let mut first = Box::pin(permits.take_when_free());
        assert!(first.as_mut().poll(&mut cx).is_pending());
        let mut second = pin!(permits.take_when_free());
        assert!(second.as_mut().poll(&mut cx).is_pending());
        permits.give_back();
        assert!(!permits.try_take(), "somebody waits");
        drop(first);
        assert_eq!(second.as_mut().poll(&mut cx), Poll::Ready(()));
        assert!(!permits.try_take());
        permits.give_back();
    }
}
