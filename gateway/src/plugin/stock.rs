//! The instances of one pool: idle ones on a shelf for each worker, room for some more, and a queue of those that wait.
//!
//! Promises: there are never more than the limit, idle ones included; a warm one is had and put back without touching what
//! other workers write to; those that wait are served in the order in which they came, before whoever comes when that can be
//! seen, by an instance of any worker. Leaves out: what an instance is, and how it is made.

#[cfg(test)]
mod tests;

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
    shelves: Box<[Shelf<T>]>,
    /// How many more there may be.
    room: AtomicUsize,
    /// How long the queue is, to be looked at without its lock.
    waiting: AtomicUsize,
    queue: Mutex<VecDeque<Sender<Supply<T>>>>,
}

/// On a cache line of its own, since other workers write to the ones beside it.
#[derive(Debug)]
#[repr(align(64))]
struct Shelf<T>(Mutex<Vec<Idle<T>>>);

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
            shelves: (0..worker::count())
                .map(|_| Shelf(Mutex::default()))
                .collect(),
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
            shelf.0.lock().push(Idle { instance, since });
        }
    }

    /// How many more there may be.
    pub(super) fn room(&self) -> usize {
        self.room.load(SeqCst)
    }

    /// How many are idle.
    pub(super) fn idle(&self) -> usize {
        self.shelves.iter().map(|shelf| shelf.0.lock().len()).sum()
    }

    /// A warm one of this worker, if there is one and nobody waits.
    pub(super) fn take_warm(&self) -> Option<T> {
        if self.is_awaited() {
            return None;
        }
        let idle = worker::shard(&self.shelves).0.lock().pop();
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
            let mut idle = shelf.0.lock();
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
        shelves.flat_map(|shelf| shelf.0.get_mut().drain(..).map(|idle| idle.instance))
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
            let newest = self.shelves[own].0.lock().pop().map(|idle| (own, idle));
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
                let mut idle = self.shelves[shelf].0.lock();
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
                let mut idle = self.shelves[shelf].0.lock();
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

    /// Those at the head of the queue, so that it is no longer than what can come in the time that the one there waits.
    fn forget_those_who_left(&self) {
        let mut queue = self.queue.lock();
        while queue.front().is_some_and(Sender::is_closed) {
            queue.pop_front();
        }
        self.waiting.store(queue.len(), SeqCst);
    }

    fn shelve(&self, instance: T, since: Instant) {
        let idle = Idle { instance, since };
        worker::shard(&self.shelves).0.lock().push(idle);
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
            Err(_) => self.stock.forget_those_who_left(),
        }
    }
}
