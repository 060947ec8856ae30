//! Bytes by key, kept by the gateway across exchanges and instances; each plugin entry has its own. Needs the grant
//! `kv`.
//!
//! Promises: every function is one atomic step. Leaves out: listing keys.

use std::time::Duration;

pub use crate::error::StoreError as Error;
use crate::millis;

/// The value of a key, if it is there and has not expired.
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    crate::raw::kv::get(key)
}

/// Set a value, to expire after `ttl` if given. Keys have at most 1 KiB, values 1 MiB.
pub fn set(key: &str, value: impl AsRef<[u8]>, ttl: Option<Duration>) -> Result<(), Error> {
    crate::raw::kv::set(key, value.as_ref(), ttl.map(millis))
}

/// Remove a key; whether it was there.
pub fn delete(key: &str) -> Result<bool, Error> {
    crate::raw::kv::delete(key)
}

/// Set a value only if the present one equals `expected` (`None`: only if absent); whether it was set.
pub fn compare_and_set(
    key: &str,
    expected: Option<&[u8]>,
    value: impl AsRef<[u8]>,
    ttl: Option<Duration>,
) -> Result<bool, Error> {
    crate::raw::kv::compare_and_set(key, expected, value.as_ref(), ttl.map(millis))
}
