//! What attackers can do to the gateway and to those beside them, as a program that says whether that is little enough:
//! figures beside their limits, and exit code 1 if one is missed.
//!
//! `cargo bench -p gateway-tests --bench attacks [-- [--quick] [--rounds N] [idle] [NAME of an attack ..]]`. Everything is at
//! its defaults, and everybody comes from this machine, whose addresses are exempt from `connections-per-address`: what is
//! measured is what that limit does not keep away. Leaves out: whether an attacker's connection ends as it should, which the
//! integration tests say.

mod attacker;
mod beside;
mod idle;
#[path = "../endurance/memory.rs"]
mod memory;
#[path = "../endurance/paced.rs"]
mod paced;
#[path = "../rig/mod.rs"]
mod rig;
#[path = "../endurance/verdict.rs"]
mod verdict;

use std::process::ExitCode;

use rig::arguments::Arguments;
use verdict::say;

fn main() -> ExitCode {
    if let Some(code) = rig::play_role(&[("attacker", attacker::main)]) {
        return code;
    }
    let Some(arguments) = Arguments::of_process() else {
        println!("a bench: cargo bench -p gateway-tests --bench attacks");
        return ExitCode::SUCCESS;
    };
    let mut is_borne = true;
    if arguments.wants("idle") {
        is_borne &= say("idle", idle::run(&arguments));
    }
    let wanted: Vec<_> = attacker::ATTACKS
        .iter()
        .filter(|attack| arguments.wants(attack.name))
        .collect();
    if !wanted.is_empty() {
        is_borne &= say("attacks", beside::run(&arguments, &wanted));
    }
    if is_borne {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
