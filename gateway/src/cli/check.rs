//! `gateway check`: everything that a start would find, all at once, and one line if that is nothing.
//!
//! What is odd but not wrong is a warning in the log. Leaves out: whether addresses are free.

use std::path::Path;

use super::print;
use crate::config::LogFormat;
use crate::observe::logging;

pub(super) fn check(file: &Path) -> anyhow::Result<()> {
    // Not as the file says: whoever checks it reads along.
    let _log = logging::init("warn", LogFormat::Text)?;
    let config = crate::check(file)?;
    let routes = count(config.routes.len(), "route");
    let plugins = count(config.plugins.len(), "plugin");
    let upstreams = count(config.upstreams.len(), "upstream");
    print(&format!("ok: {routes}, {plugins}, {upstreams}"));
    Ok(())
}

fn count(number: usize, what: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {what}{ending}")
}
