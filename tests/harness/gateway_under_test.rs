//! The program itself, built where the tests find it: cargo tells a test where the binaries of its own package are.

use std::process::ExitCode;

fn main() -> ExitCode {
    gateway::cli::main()
}
