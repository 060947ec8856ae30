//! `gateway check`: everything that a start would find, and one line if that is nothing.
//!
//! What is wrong with the text comes first and alone: plugins can only be asked about a configuration that can be
//! read. What is odd but not wrong is a warning in the log. Leaves out: whether addresses are free.

use std::path::Path;

use super::print;
use crate::config::{self, LogFormat};
use crate::observe::logging;

pub(super) fn check(file: &Path) -> anyhow::Result<()> {
    // Not as the file says: whoever checks it reads along.
    logging::init("warn", LogFormat::Text)?;
    let config = config::load(file)?;
    let (routes, plugins, upstreams) = (
        config.routes.len(),
        config.plugins.len(),
        config.upstreams.len(),
    );
    crate::check(config)?;
    print(&format!(
        "ok: {routes} routes, {plugins} plugins, {upstreams} upstreams"
    ));
    Ok(())
}
