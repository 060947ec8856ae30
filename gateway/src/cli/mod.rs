//! The command line: what can be asked for, and with which exit code it ends.
//!
//! `run` serves, `check` only judges, `demo` serves something to play with; `signals` is how the system talks to the
//! first and the last. Promises: an error ends in plain lines on standard error, one for each problem, whatever the
//! log is set to; the exit codes are those that `--help` lists. Leaves out: everything that a test would want to
//! call, which is behind [`crate::start`] and [`crate::check`].

mod check;
mod demo;
mod demo_service;
mod run;
mod signals;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Shown below the options. The numbers are a promise to scripts.
const EXIT_CODES: &str = "\
Signals of `run` and `demo`:
  SIGHUP           reload the configuration, open the access log anew
  SIGTERM, SIGINT  accept nothing more, let open exchanges end within `server.limits.drain-timeout`; a second one
                   ends at once

Exit codes:
  0    done: checked and right, or stopped by a signal after draining
  1    the configuration is wrong, or the start failed; each problem is a line on standard error
  2    the command line is wrong
  130  ended at once by a second SIGINT
  143  ended at once by a second SIGTERM

Environment:
  GATEWAY_LOG  level or directives for the log, before `[log] level`; such as `debug` or `info,gateway::plugin=trace`";

/// The whole program: what the arguments of this process ask for, to the end.
#[must_use]
pub fn main() -> ExitCode {
    Cli::parse().execute()
}

/// An HTTP gateway whose stages are sandboxed WebAssembly plugins.
#[derive(Debug, Parser)]
#[command(name = "gateway", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve by a configuration file, and reload when it or a component changes
    Run(RunArguments),
    /// Find everything that would keep a configuration from starting, plugins included; serve nothing
    Check {
        /// The configuration, in TOML
        file: PathBuf,
    },
    /// Start two small services and a gateway in front of them, and print what to try
    Demo,
}

#[derive(Debug, Args)]
struct RunArguments {
    /// The configuration, in TOML
    file: PathBuf,
    /// Don't watch files; reload only on SIGHUP and `POST /reload`
    #[arg(long)]
    no_watch: bool,
}

impl Cli {
    fn execute(self) -> ExitCode {
        let done = match self.command {
            Command::Run(arguments) => run::run(&arguments),
            Command::Check { file } => check::check(&file),
            Command::Demo => demo::demo(),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // Our errors tell their causes themselves. Nothing is left to do if nobody listens there.
                let _ = writeln!(std::io::stderr(), "{error}");
                ExitCode::FAILURE
            }
        }
    }
}

/// Print for whoever typed the command. A reader that has left, such as `head`, is no error.
fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn watching_is_the_default() {
        let watches = |arguments: &[&str]| match Cli::try_parse_from(arguments).unwrap().command {
            Command::Run(run) => !run.no_watch,
            other => panic!("{other:?}"),
        };
        assert!(watches(&["gateway", "run", "a.toml"]));
        assert!(!watches(&["gateway", "run", "--no-watch", "a.toml"]));
    }

    #[test]
    fn help_names_every_exit_code() {
        let help = Cli::command().render_help().to_string();
        for code in ["\n  0 ", "\n  1 ", "\n  2 ", "\n  130 ", "\n  143 "] {
            assert!(help.contains(code), "{code:?} is missing in {help}");
        }
    }
}
