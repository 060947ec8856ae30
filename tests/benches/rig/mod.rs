//! What the benches of whole processes stand on: gateway and upstream as processes of their own, clients that load them,
//! and how to read what such a process used.
//!
//! A bench program starts itself again in another role, so that nothing has to be built or found beside it. Promises:
//! a child ends with its parent's end; what is measured is never on the measuring thread. Leaves out: what is
//! measured and what is good, which each bench says.

pub(crate) mod arguments;
pub(crate) mod child;
pub(crate) mod clients;
pub(crate) mod core;
pub(crate) mod report;
pub(crate) mod upstream;

use std::io::{self, Read};
use std::process::ExitCode;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Names the role of a process that a bench starts.
const ROLE: &str = "GATEWAY_BENCH_ROLE";

/// What a process does in some role.
type Play = fn() -> ExitCode;

/// Be what this process was started for; `None`: it is the bench itself.
pub(crate) fn play_role(more: &[(&str, Play)]) -> Option<ExitCode> {
    let role = std::env::var(ROLE).ok()?;
    std::thread::spawn(|| {
        // The parent writes nothing and keeps the other end: this returns when the parent is gone.
        let _ = io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let known: [(&str, Play); 2] = [
        ("gateway", gateway::cli::main),
        ("upstream", upstream::main),
    ];
    let found = known.iter().chain(more).find(|(name, _)| *name == role);
    Some(found.map_or(ExitCode::FAILURE, |(_, play)| play()))
}
