//! Who runs on which core: who is measured on one of its own, so that those who load it don't push it off it again and
//! again, with everything that its caches hold, and don't wait behind it.
//!
//! By the command `taskset`: a crate for that would have wasmtime built twice, for the features of its dependencies.

use std::process::{Command, Stdio};

/// Where those run that are measured.
pub(crate) const OF_MEASURED: &str = "1";
/// Where everybody else runs.
pub(crate) const OF_LOAD: &str = "0";

/// Run a thread, and threads and processes that it starts from now on, on that core. Whether that is so: it takes two cores,
/// and a system that lets us choose. A process's number is that of its main thread.
pub(crate) fn choose(core: &str, thread: u32) -> bool {
    let mut taskset = Command::new("taskset");
    taskset.args(["--cpu-list", "--pid", core, &thread.to_string()]);
    taskset.stdout(Stdio::null()).stderr(Stdio::null());
    taskset.status().is_ok_and(|status| status.success())
}
