//! Atomic token buckets, kept by the gateway across exchanges and instances; each plugin entry has its own. Needs
//! the grant `limiter`.
//!
//! Promises: buckets with the same key are one bucket, for all instances. Leaves out: other algorithms.

use std::time::Duration;

use crate::bindings::imports::gateway::plugin::limiter as contract;
pub use crate::error::LimiterError as Error;
use crate::millis;

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Tokens that are refilled in each period; at least 1.
    pub rate: u64,
    /// The period; at least a millisecond.
    pub period: Duration,
    /// Tokens that a full bucket holds; at least 1.
    pub burst: u64,
}

/// What the bucket said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether there were enough tokens. If not, none was taken.
    pub allowed: bool,
    /// Tokens left, whole ones.
    pub remaining: u64,
    /// Time until the same call could succeed; zero if it did.
    pub retry_after: Duration,
    /// Time until the bucket is full again.
    pub reset: Duration,
}

/// Take `cost` tokens from the bucket of that key, if they are there.
pub fn take(key: &str, bucket: Bucket, cost: u64) -> Result<Verdict, Error> {
    let Bucket {
        rate,
        period,
        burst,
    } = bucket;
    let bucket = contract::Bucket {
        rate,
        period: millis(period),
        burst,
    };
    let contract::Verdict {
        allowed,
        remaining,
        retry_after,
        reset,
    } = crate::raw::limiter::take(key, bucket, cost)?;
    Ok(Verdict {
        allowed,
        remaining,
        retry_after: Duration::from_millis(retry_after),
        reset: Duration::from_millis(reset),
    })
}
