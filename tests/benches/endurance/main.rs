//! What the gateway has to bear, as a program that says whether it does: figures beside their limits, and exit code 1 if
//! one is missed.
//!
//! `cargo bench -p gateway-tests --bench endurance [-- [--quick] [--rounds N] [reload] [faults] [bodies]]`. Each
//! scenario has a gateway process of its own. Leaves out: whether answers are right, which the integration tests say.

mod bodies;
mod faults;
mod memory;
mod paced;
mod reload;
#[path = "../rig/mod.rs"]
mod rig;
mod verdict;

use std::io;
use std::process::ExitCode;

use rig::arguments::Arguments;
use verdict::{Verdict, say};

/// The guest that does one thing, as `guests/bench` says.
const GUEST: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/guest_bench.wasm"));

type Scenario = fn(&Arguments) -> io::Result<Verdict>;

const SCENARIOS: [(&str, Scenario); 3] = [
    ("reload", reload::run),
    ("faults", faults::run),
    ("bodies", bodies::run),
];

fn main() -> ExitCode {
    if let Some(code) = rig::play_role(&[]) {
        return code;
    }
    let Some(arguments) = Arguments::of_process() else {
        println!("a bench: cargo bench -p gateway-tests --bench endurance");
        return ExitCode::SUCCESS;
    };
    let mut is_borne = true;
    for (name, scenario) in SCENARIOS
        .into_iter()
        .filter(|(name, _)| arguments.wants(name))
    {
        is_borne &= say(name, scenario(&arguments));
    }
    if is_borne {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
