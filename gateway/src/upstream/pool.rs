//! Idle connections of one endpoint, a shard for each worker.
//!
//! Last in, first out: the warmest connection serves next, and those that a quieter hour does not need grow old and
//! go. A connection is handed out only if it is open, unused, young, and was made by the thread that asks. A shard that holds connections has one task
//! that lets the old ones go without traffic; it ends when the shard is empty. The lock of a shard is contended only
//! by whoever counts.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::client::Connection;
use crate::worker;

/// The idle connections of one endpoint.
pub(super) struct Pool {
    shards: Box<[Arc<Shard>]>,
}

/// The idle connections of one endpoint and one worker.
pub(super) struct Shard {
    limit: usize,
    keep: Duration,
    idle: Mutex<Idle>,
}

struct Idle {
    /// The oldest first.
    connections: VecDeque<(Instant, Connection)>,
    /// Whether there is a task that sweeps.
    swept: bool,
}

impl Pool {
    /// A pool that holds `limit` connections for each worker, each for at most `keep`.
    pub(super) fn new(limit: usize, keep: Duration) -> Self {
        let shard = || Shard {
            limit,
            keep,
            idle: Mutex::new(Idle {
                connections: VecDeque::new(),
                swept: false,
            }),
        };
        Self {
            shards: (0..worker::count().max(1))
                .map(|_| Arc::new(shard()))
                .collect(),
        }
    }

    /// The shard of the worker that asks.
    pub(super) fn here(&self) -> &Arc<Shard> {
        worker::shard(&self.shards)
    }

    /// How many connections are idle, over all workers.
    pub(super) fn idle(&self) -> usize {
        let count = |shard: &Arc<Shard>| shard.idle.lock().connections.len();
        self.shards.iter().map(count).sum()
    }
}

impl Shard {
    /// The connection that was put last, unless it has gone bad.
    pub(super) fn take(&self) -> Option<Connection> {
        loop {
            let (since, connection) = self.idle.lock().connections.pop_back()?;
            if since.elapsed() >= self.keep {
                // All others are older still. Dropped after the lock is released.
                let old = std::mem::take(&mut self.idle.lock().connections);
                drop(old);
                return None;
            }
            if connection.is_ready() && connection.is_here() {
                return Some(connection.again());
            }
        }
    }

    /// Keep a connection for the next request. When the shard is full, the oldest goes.
    pub(super) fn put(self: &Arc<Self>, connection: Connection) {
        let mut idle = self.idle.lock();
        idle.connections.push_back((Instant::now(), connection));
        let surplus = if idle.connections.len() > self.limit {
            idle.connections.pop_front()
        } else {
            None
        };
        let unswept = !idle.swept && !idle.connections.is_empty();
        idle.swept |= unswept;
        drop(idle);
        drop(surplus);
        if unswept {
            let sweeper = Sweeper(Arc::downgrade(self));
            tokio::spawn(sweeper.run(self.keep));
        }
    }

    /// Let go of what is closed or too old. The time until the next one is too old; `None` if none is left.
    fn sweep(&self) -> Option<Duration> {
        let mut idle = self.idle.lock();
        let (kept, gone): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut idle.connections)
            .into_iter()
            .partition(|(since, connection)| since.elapsed() < self.keep && connection.is_ready());
        idle.connections = kept;
        let wait = idle
            .connections
            .front()
            .map(|(since, _)| self.keep.saturating_sub(since.elapsed()));
        idle.swept = wait.is_some();
        drop(idle);
        drop(gone);
        wait
    }
}

/// The task that sweeps a shard. If it is cut off, because its runtime ends, the shard is free for another.
struct Sweeper(Weak<Shard>);

impl Sweeper {
    /// Sweeps until the shard is empty or gone, at most eight times while a connection grows old.
    async fn run(mut self, keep: Duration) {
        let mut wait = keep;
        loop {
            tokio::time::sleep(wait.max(keep / 8)).await;
            let Some(left) = self.0.upgrade().and_then(|shard| shard.sweep()) else {
                self.0 = Weak::new();
                return;
            };
            wait = left;
        }
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        if let Some(shard) = self.0.upgrade() {
            shard.idle.lock().swept = false;
        }
    }
}
