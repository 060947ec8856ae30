//! The time of day.
//!
//! Promises: inside the gateway it is the real time, by WASI; in a native test it stands still until the test moves
//! it. Leaves out: time that never goes back.

use std::time::SystemTime;

/// What time it is.
pub fn now() -> SystemTime {
    #[cfg(target_family = "wasm")]
    let now = {
        let since_1970 = crate::bindings::wall_clock::wasi::clocks::wall_clock::now();
        SystemTime::UNIX_EPOCH
            + std::time::Duration::new(since_1970.seconds, since_1970.nanoseconds)
    };
    #[cfg(not(target_family = "wasm"))]
    let now = crate::testing::now();
    now
}
