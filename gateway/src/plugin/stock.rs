//! The instances of one pool: idle ones on a shelf for each worker, room for some more, and a queue of those that wait.
//!
//! Promises: there are never more than the limit, idle ones included; a warm one is had and put back without touching what
//! other workers write to; those that wait are served in the order in which they came, before whoever comes when that can be
//! seen, by an instance of any worker. Leaves out: what an instance is, and how it is made.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot::{self, Receiver, Sender};

use crate::worker;

/// Instances, by whatever stands for one.
#[derive(Debug)]
pub(super) struct Stock<T> {
    /// By worker; last in, first out, so that the longer idle lie further down.
    shelves: Box<[Mutex<Vec<Idle<T>>>]>,
    /// How many more there may be.
    room: AtomicUsize,
    /// How long the queue is, to be looked at without its lock.
    waiting: AtomicUsize,
    queue: Mutex<VecDeque<Sender<Supply<T>>>>,
}

#[derive(Debug)]
struct Idle<T> {
    instance: T,
    since: Instant,
}

/// What somebody gets who wants an instance.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Supply<T> {
    /// One.
    Instance(T),
    /// Room for one that he makes; to be given back by [`Stock::remove`] with the instance, or without.
    Room,
}

impl<T> Stock<T> {
    /// Room for so many.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            shelves: (0..worker::count()).map(|_| Mutex::default()).collect(),
            room: AtomicUsize::new(limit),
            waiting: AtomicUsize::new(0),
            queue: Mutex::default(),
        }
    }

    /// Put a new one on the shelf of that worker, if there is room.
    pub(super) fn add(&self, worker: usize, instance: T) {
        if self.take_room() {
            let since = Instant::now();
            let shelf = self.shelves.get(worker).unwrap_or(&self.shelves[0]);
            shelf.lock().push(Idle { instance, since });
        }
    }

    /// How many more there may be.
    pub(super) fn room(&self) -> usize {
        self.room.load(SeqCst)
    }

    /// How many are idle.
    pub(super) fn idle(&self) -> usize {
        self.shelves.iter().map(|shelf| shelf.lock().len()).sum()
    }

    /// A warm one of this worker, if there is one and nobody waits.
    pub(super) fn take_warm(&self) -> Option<T> {
        if self.is_awaited() {
            return None;
        }
        let idle = worker::shard(&self.shelves).lock().pop();
        idle.map(|idle| idle.instance)
    }

    /// One, or room for one, when it is our turn. Dropping the future is waiting no longer.
    pub(super) async fn take_when_free(&self) -> Supply<T> {
        let (grant, granted) = oneshot::channel();
        {
            let mut queue = self.queue.lock();
            queue.push_back(grant);
            self.waiting.store(queue.len(), SeqCst);
        }
        let mut waiting = Waiting {
            stock: self,
            granted,
        };
        // What became free before it could be seen that we wait.
        self.serve();
        match (&mut waiting.granted).await {
            Ok(supply) => supply,
            // The other end is dropped only after it has granted.
            Err(_) => Supply::Room,
        }
    }

    /// Give one back that is as good as new.
    pub(super) fn put_back(&self, instance: T, since: Instant) {
        self.shelve(instance, since);
        // Whoever begins to wait says so first and looks at the shelves then, so that one of us sees the other.
        if self.is_awaited() {
            self.serve();
        }
    }

    /// One is no more, or was never made.
    pub(super) fn remove(&self) {
        self.make_room();
        if self.is_awaited() {
            self.serve();
        }
    }

    /// Take those off that have been idle for longer. The newest of each worker stays, so that a request after a quiet night
    /// meets a warm one.
    pub(super) fn retire(&self, longest: Duration) -> Vec<T> {
        let now = Instant::now();
        let mut retired = Vec::new();
        for shelf in &self.shelves {
            let mut idle = shelf.lock();
            let is_stale = |idle: &&Idle<T>| now.duration_since(idle.since) > longest;
            let stale = idle.iter().take_while(is_stale).count();
            let stale = stale.min(idle.len().saturating_sub(1));
            retired.extend(idle.drain(..stale).map(|idle| idle.instance));
        }
        retired.iter().for_each(|_| self.remove());
        retired
    }

    /// Take all off.
    pub(super) fn empty(&mut self) -> impl Iterator<Item = T> {
        let shelves = self.shelves.iter_mut();
        shelves.flat_map(|shelf| shelf.get_mut().drain(..).map(|idle| idle.instance))
    }

    fn is_awaited(&self) -> bool {
        self.waiting.load(SeqCst) > 0
    }

    fn take_room(&self) -> bool {
        let less = |room: usize| room.checked_sub(1);
        self.room.fetch_update(SeqCst, SeqCst, less).is_ok()
    }

    /// Hand what there is to those that wait.
    fn serve(&self) {
        while self.is_awaited() {
            let own = worker::index(self.shelves.len());
            let newest = self.shelves[own].lock().pop().map(|idle| (own, idle));
            let found = match newest {
                None if self.take_room() => {
                    if self.hand_over(Supply::Room).is_some() {
                        self.make_room();
                    }
                    continue;
                }
                None => self.take_from_others(own),
                own => own,
            };
            let Some((shelf, Idle { instance, since })) = found else {
                return;
            };
            if let Some(Supply::Instance(instance)) = self.hand_over(Supply::Instance(instance)) {
                let mut idle = self.shelves[shelf].lock();
                let place = idle.partition_point(|other| other.since <= since);
                idle.insert(place, Idle { instance, since });
            }
        }
    }

    /// Another worker's, with the number of its shelf: the oldest, which that one would come to last.
    fn take_from_others(&self, own: usize) -> Option<(usize, Idle<T>)> {
        let count = self.shelves.len();
        let others = (1..count).map(|step| (own + step) % count);
        others
            .filter_map(|shelf| {
                let mut idle = self.shelves[shelf].lock();
                (!idle.is_empty()).then(|| (shelf, idle.remove(0)))
            })
            .next()
    }

    /// To whoever has waited longest; back, if nobody does any more.
    fn hand_over(&self, supply: Supply<T>) -> Option<Supply<T>> {
        let mut queue = self.queue.lock();
        let mut left = Some(supply);
        while let Some(supply) = left {
            let Some(waiter) = queue.pop_front() else {
                left = Some(supply);
                break;
            };
            left = waiter.send(supply).err();
        }
        self.waiting.store(queue.len(), SeqCst);
        left
    }

    fn shelve(&self, instance: T, since: Instant) {
        let idle = Idle { instance, since };
        worker::shard(&self.shelves).lock().push(idle);
    }

    fn make_room(&self) {
        self.room.fetch_add(1, SeqCst);
    }
}

/// Somebody who waits, and may leave.
struct Waiting<'a, T> {
    stock: &'a Stock<T>,
    granted: Receiver<Supply<T>>,
}

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        self.granted.close();
        match self.granted.try_recv() {
            // It came, and nobody has taken it.
            Ok(Supply::Instance(instance)) => self.stock.put_back(instance, Instant::now()),
            Ok(Supply::Room) => self.stock.remove(),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Room for one, which is taken.
    fn sold_out() -> Stock<u32> {
        let stock = Stock::new(1);
        assert_eq!(
            poll(pin!(stock.take_when_free())),
            Poll::Ready(Supply::Room)
        );
        stock
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn there_are_never_more_than_the_limit_and_nobody_is_forgotten() {
        worker::set_count(2);
        let stock = Arc::new(Stock::new(2));
        let made = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..50)
            .map(|task| {
                let (stock, made) = (Arc::clone(&stock), Arc::clone(&made));
                tokio::spawn(async move {
                    for round in 0..50 {
                        // Whichever thread it is, as a task of either worker; until it awaits.
                        worker::enter(task % 2);
                        if (task + round) % 7 == 0 {
                            // One that gives up at once, or after it was given something.
                            match poll(pin!(stock.take_when_free())) {
                                Poll::Ready(Supply::Instance(it)) => {
                                    stock.put_back(it, Instant::now())
                                }
                                Poll::Ready(Supply::Room) => stock.remove(),
                                Poll::Pending => {}
                            }
                        }
                        let taken = match stock.take_warm() {
                            Some(instance) => Supply::Instance(instance),
                            None => stock.take_when_free().await,
                        };
                        let instance = match taken {
                            Supply::Instance(instance) => instance,
                            Supply::Room => made.fetch_add(1, SeqCst),
                        };
                        tokio::task::yield_now().await;
                        worker::enter(task % 2);
                        if (task + round) % 5 == 0 {
                            made.fetch_sub(1, SeqCst);
                            stock.remove();
                        } else {
                            assert!(made.load(SeqCst) <= 2);
                            stock.put_back(instance, Instant::now());
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(stock.room() + stock.idle(), 2);
        assert!(!stock.is_awaited());
    }

    #[test]
    fn who_waits_is_served_in_order_and_before_whoever_comes_later() {
        let stock = sold_out();
        let mut first = pin!(stock.take_when_free());
        let mut second = pin!(stock.take_when_free());
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        stock.put_back(7, Instant::now());
        assert_eq!(stock.take_warm(), None, "it is promised");
        let mut late = pin!(stock.take_when_free());
        assert!(poll(late.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        assert_eq!(poll(first.as_mut()), Poll::Ready(Supply::Instance(7)));
        stock.remove();
        assert!(poll(late.as_mut()).is_pending());
        assert_eq!(poll(second.as_mut()), Poll::Ready(Supply::Room));
        stock.put_back(8, Instant::now());
        assert_eq!(poll(late.as_mut()), Poll::Ready(Supply::Instance(8)));
        stock.put_back(8, Instant::now());
        assert_eq!(stock.take_warm(), Some(8));
    }

    #[test]
    fn what_somebody_was_granted_who_has_left_goes_to_the_next() {
        let stock = sold_out();
        let mut first = Box::pin(stock.take_when_free());
        let mut second = pin!(stock.take_when_free());
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        stock.put_back(7, Instant::now());
        drop(first);
        assert_eq!(poll(second.as_mut()), Poll::Ready(Supply::Instance(7)));
        stock.put_back(7, Instant::now());
        assert_eq!((stock.room(), stock.idle()), (0, 1));
    }

    #[test]
    fn one_of_another_worker_is_had_where_there_is_no_room() {
        worker::set_count(2);
        let stock = Stock::new(2);
        stock.add(0, 1);
        stock.add(1, 2);
        stock.add(1, 3);
        assert_eq!((stock.room(), stock.idle()), (0, 2), "no room for a third");
        let thread = std::thread::spawn(move || {
            worker::enter(1);
            assert_eq!(stock.take_warm(), Some(2));
            assert_eq!(
                stock.take_warm(),
                None,
                "no worker looks at others' shelves on the way"
            );
            assert_eq!(
                poll(pin!(stock.take_when_free())),
                Poll::Ready(Supply::Instance(1))
            );
            assert!(poll(pin!(stock.take_when_free())).is_pending());
        });
        thread.join().unwrap();
    }

    #[test]
    fn what_is_idle_for_long_is_taken_off_but_for_the_newest() {
        let stock = Stock::new(4);
        for instance in 0..3 {
            stock.add(0, instance);
        }
        assert!(stock.retire(Duration::from_secs(60)).is_empty());
        assert_eq!(stock.retire(Duration::ZERO), [0, 1]);
        assert_eq!((stock.room(), stock.idle()), (3, 1));
        assert_eq!(stock.take_warm(), Some(2));
    }

    #[test]
    fn all_can_be_taken_off() {
        let mut stock = Stock::new(4);
        stock.add(0, 1);
        stock.add(0, 2);
        assert_eq!(stock.empty().collect::<HashSet<_>>(), HashSet::from([1, 2]));
        assert_eq!(stock.idle(), 0);
    }
}
