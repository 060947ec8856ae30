//! What an upstream counts, one row for each worker.
//!
//! A worker writes only to its own row; whoever reads adds the rows up. The sum is not a snapshot of one moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::worker;

/// What happened at an upstream since it was built.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UpstreamStats {
    /// Connections that are open, idle ones included.
    pub open: u64,
    /// Connections that wait for a request.
    pub idle: u64,
    /// Connections made.
    pub connects: u64,
    /// Connections that could not be made.
    pub connect_failures: u64,
    /// Requests that were sent once more, on a fresh connection.
    pub retries: u64,
    /// Requests.
    pub requests: u64,
    /// Bytes of response bodies received.
    pub received_bytes: u64,
}

/// The counters of one upstream.
pub(super) struct Counters {
    rows: Box<[Arc<Row>]>,
}

/// The counters of one worker, on cache lines of their own.
#[derive(Default)]
#[repr(align(64))]
pub(super) struct Row {
    pub(super) open: Count,
    pub(super) connects: Count,
    pub(super) connect_failures: Count,
    pub(super) retries: Count,
    pub(super) requests: Count,
    pub(super) received_bytes: Count,
}

/// A number that many may read and one worker writes.
#[derive(Default)]
pub(super) struct Count(AtomicU64);

/// A connection that is open, for as long as this value lives.
pub(super) struct Open(Arc<Row>);

impl Counters {
    pub(super) fn new() -> Self {
        Self {
            rows: (0..worker::count().max(1))
                .map(|_| Arc::new(Row::default()))
                .collect(),
        }
    }

    /// The row of the worker that asks.
    pub(super) fn here(&self) -> &Arc<Row> {
        worker::shard(&self.rows)
    }

    /// All rows added up. Idle connections are counted where they are.
    pub(super) fn sum(&self, idle: usize) -> UpstreamStats {
        let sum = |count: fn(&Row) -> &Count| self.rows.iter().map(|row| count(row).get()).sum();
        UpstreamStats {
            open: sum(|row| &row.open),
            idle: idle as u64,
            connects: sum(|row| &row.connects),
            connect_failures: sum(|row| &row.connect_failures),
            retries: sum(|row| &row.retries),
            requests: sum(|row| &row.requests),
            received_bytes: sum(|row| &row.received_bytes),
        }
    }
}

impl Count {
    pub(super) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Open {
    pub(super) fn new(row: Arc<Row>) -> Self {
        row.open.add(1);
        Self(row)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.0.fetch_sub(1, Ordering::Relaxed);
    }
}
