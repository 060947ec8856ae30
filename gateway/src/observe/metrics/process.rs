//! Memory and CPU time of the process, under the names that all Prometheus clients use.
//!
//! Read from `/proc` at each scrape. Where there is no such thing, the numbers are left out.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// The unit of CPU times in `/proc`: 1/100 s on every Linux that Rust runs on (`USER_HZ`, part of the kernel's ABI).
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads the numbers of this process.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(bytes) = read("/proc/self/status")
            .as_deref()
            .and_then(resident_bytes)
        {
            encoder
                .encode_descriptor(
                    "process_resident_memory_bytes",
                    "Memory in use",
                    None,
                    MetricType::Gauge,
                )?
                .encode_gauge(&bytes)?;
        }
        if let Some(seconds) = read("/proc/self/stat").as_deref().and_then(cpu_seconds) {
            encoder
                .encode_descriptor("process_cpu_seconds", "CPU time", None, MetricType::Counter)?
                .encode_counter::<NoLabelSet, f64, f64>(&seconds, None)?;
        }
        Ok(())
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// From a line such as `VmRSS:     5120 kB`.
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kib.checked_mul(1_024)
}

/// From the 14th and 15th field (proc_pid_stat(5)). The second is the program's name in parentheses, which may hold
/// anything, so count from the last parenthesis.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_ascii_whitespace().skip(11);
    let user: u32 = ticks.next()?.parse().ok()?;
    let system: u32 = ticks.next()?.parse().ok()?;
    Some((f64::from(user) + f64::from(system)) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(
            resident_bytes("Name:\tx\nVmRSS:\t    5120 kB\nThreads: 1\n"),
            Some(5_242_880)
        );
        assert_eq!(resident_bytes("Name:\tx\n"), None);
    }

    #[test]
    fn cpu_time_is_found_behind_any_program_name() {
        let fields = "S 1 1 1 0 -1 4194304 1 0 0 0 150 50 0 0 20 0";
        for name in ["gateway", "a) b (c 1 2 3 4 5 6 7"] {
            assert_eq!(cpu_seconds(&format!("42 ({name}) {fields}")), Some(2.0));
        }
        assert_eq!(cpu_seconds("42 (gateway"), None);
    }
}
