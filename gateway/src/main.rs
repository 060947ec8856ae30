//! The binary: arguments in, exit code out. What it can do is in [`gateway::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    gateway::cli::main()
}
