//! `gateway run`: read, log, start, obey signals, drain.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::RunArguments;
use super::signals::{Order, Signals};
use crate::config::{self, Config};
use crate::gateway::{Gateway, StartOptions};
use crate::observe::logging;

pub(super) fn run(arguments: &RunArguments) -> anyhow::Result<()> {
    let file = &arguments.file;
    let signals = Signals::listen()?;
    let Config { log, .. } = config::load(file)?;
    let _log = logging::init(&log.level, log.format)?;
    // Once more: how to log is written in the file, and what is odd in the file is to be logged.
    let config = config::load(file)?;
    let options = StartOptions {
        config_path: Some(file.to_owned()),
        watch: !arguments.no_watch,
    };
    allow_files(config.server.limits.connections);
    let gateway = crate::start(config, options)?;
    announce(&gateway);
    serve(gateway, &signals);
    Ok(())
}

/// Raise the soft limit on open files to the hard one. It is kept low for programs that use `select`, which this one does
/// not; too few files would turn clients away long before `server.limits.connections` does.
fn allow_files(connections: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        let raised = Rlimit {
            current: maximum,
            maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "can't raise the limit on open files");
        }
    }
    // A connection of a client, and one to an upstream.
    let needed = 2 * connections as u64;
    if let Some(maximum) = maximum.filter(|maximum| *maximum < needed) {
        tracing::warn!(
            maximum,
            needed,
            "the system allows fewer open files than server.limits.connections may need (ulimit -Hn)"
        );
    }
}

/// Tell the log where we are, also for whoever let the system choose a port.
pub(super) fn announce(gateway: &Gateway) {
    for address in gateway.addresses() {
        tracing::info!(%address, "serving clients");
    }
    if let Some(address) = gateway.admin() {
        tracing::info!(%address, "serving operators");
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "started");
}

/// Obey signals until one says stop, then drain.
pub(super) fn serve(gateway: Gateway, signals: &Signals) {
    while signals.next() == Order::Reload {
        if let Err(error) = gateway.access_log().reopen() {
            tracing::error!(%error, "can't open the access log anew; it goes on in the old file");
        }
        // How it went is in the log already.
        let _ = gateway.reload();
    }
    tracing::info!("draining");
    gateway.stop();
    tracing::info!("stopped");
}
