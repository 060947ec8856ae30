//! What the tests stand on: upstreams that do what a script says, clients that send exactly what they are told, and a
//! gateway in this process with its configuration written in the test.
//!
//! Promises: everything listens on port 0 of the loopback; nothing waits longer than [`PATIENCE`]; nothing sleeps to
//! be on the safe side, but waits for what it is waiting for. Leaves out: any knowledge of what is right; the tests in
//! `integration/` have that.
//!
//! In reading order: `wire` (HTTP/1.1 as bytes), `upstream`, `strict` (what a gateway has forwarded, by the letter), `client`,
//! `h2`, `raw_h2` (HTTP/2 as frames), `frames` (a request of it that no client would send), `tls`; `setup` (a configuration and its folder), `gateway` (what
//! runs from it), `metrics`, `logs`; `guests` (plugins to run); `process` (the gateway as a program).

pub mod client;
pub mod frames;
pub mod gateway;
pub mod guests;
pub mod h2;
pub mod logs;
pub mod metrics;
pub mod process;
pub mod raw_h2;
pub mod setup;
pub mod strict;
pub mod tls;
pub mod upstream;
pub mod wire;

use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use client::{Client, Request, Response, get, post};
pub use gateway::Running;
pub use setup::Setup;
pub use upstream::{Connection, Reply, Seen, Upstream};

/// How long anything may take before a test fails over it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Wait until something holds.
///
/// # Panics
/// If it still does not after [`PATIENCE`].
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "still not so: {what}");
        // Nothing to wait on: what is asked for lies behind a metric, a file or another process.
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// A folder of this build's own for whatever tests leave behind, such as compiled components.
///
/// # Panics
/// If it can't be made.
#[must_use]
pub fn scratch() -> PathBuf {
    let program = std::env::current_exe().expect("a test program has a path");
    let target = program
        .ancestors()
        .nth(3)
        .expect("a test program lies in target/PROFILE/deps");
    let folder = target.join("tmp").join("gateway-tests");
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}
