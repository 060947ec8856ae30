//! The CPU time that a process has used, as the scheduler counts it: nanoseconds, user and system together.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

/// What each thread of a process had used at some moment.
pub(crate) struct CpuTime(HashMap<String, u64>);

impl CpuTime {
    /// Of that process, now.
    pub(crate) fn now(process: u32) -> io::Result<Self> {
        let mut threads = HashMap::new();
        for thread in fs::read_dir(Path::new("/proc").join(process.to_string()).join("task"))? {
            let thread = thread?;
            // The finer of the system's two accounts; the other counts in steps of 10 ms. A thread may just have ended.
            let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else {
                continue;
            };
            let used = text
                .split(' ')
                .next()
                .and_then(|number| number.parse().ok());
            let used = used.ok_or_else(|| {
                io::Error::other("this system does not count the CPU time of threads")
            })?;
            threads.insert(thread.file_name().to_string_lossy().into_owned(), used);
        }
        Ok(Self(threads))
    }

    /// Nanoseconds from `before` to this. Threads that ended between count for nothing.
    pub(crate) fn since(&self, before: &Self) -> u64 {
        let used =
            |(thread, used): (&String, &u64)| used - before.0.get(thread).unwrap_or(&0).min(used);
        self.0.iter().map(used).sum()
    }
}
