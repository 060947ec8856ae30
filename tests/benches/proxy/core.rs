//! Who runs on which core: the proxies on one of their own, so that those who load them don't push them off it again and
//! again, with everything that its caches hold.
//!
//! By the command `taskset`: a crate for that would have wasmtime built twice, for the features of its dependencies.

use std::process::{Command, Stdio};

/// Where the proxies run.
pub(crate) const OF_PROXIES: &str = "1";
/// Where everybody else runs.
pub(crate) const OF_LOAD: &str = "0";

/// Run the main thread, and threads and processes that it starts from now on, on that core. Whether that is so: it
/// takes two cores, and a system that lets us choose.
pub(crate) fn choose(core: &str) -> bool {
    let mut taskset = Command::new("taskset");
    taskset.args(["--cpu-list", "--pid", core, &std::process::id().to_string()]);
    taskset.stdout(Stdio::null()).stderr(Stdio::null());
    taskset.status().is_ok_and(|status| status.success())
}
