//! The time of day.
//!
//! Promises: inside the gateway it is the real time, by WASI; in a native test it stands still until the test moves
//! it. Leaves out: wasm32-unknown-unknown, which has no clock, and where asking is a fault.

use std::time::SystemTime;

/// What time it is.
pub fn now() -> SystemTime {
    #[cfg(target_family = "wasm")]
    let now = SystemTime::now();
    #[cfg(not(target_family = "wasm"))]
    let now = crate::testing::now();
    now
}
