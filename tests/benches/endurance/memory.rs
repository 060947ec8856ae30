//! The resident memory of a process, as the system counts it.

use std::fs;
use std::io;

/// Resident now, in MiB.
pub(crate) fn resident_mib(process: u32) -> io::Result<f64> {
    status_mib(process, "VmRSS:")
}

/// Resident at most since [`forget_peak`], in MiB.
pub(crate) fn peak_mib(process: u32) -> io::Result<f64> {
    status_mib(process, "VmHWM:")
}

/// Count the peak from now on.
pub(crate) fn forget_peak(process: u32) -> io::Result<()> {
    // 5: "reset the peak resident set size to the current value", proc(5).
    fs::write(format!("/proc/{process}/clear_refs"), "5")
}

fn status_mib(process: u32, key: &str) -> io::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let kib: Option<f64> =
        line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    kib.map(|kib| kib / 1024.0)
        .ok_or_else(|| io::Error::other(format!("this system does not tell {key}")))
}
