//! The access log: lines on their way to standard output, standard error or a file.
//!
//! Promises: [`AccessLog::write`] never waits for the destination. It appends to a bounded queue of bytes; one thread
//! writes the queue out in batches. When the destination is slower than the lines come, lines are dropped whole and
//! counted. What was queued when the log is dropped is still written, unless the destination is stuck.
//!
//! A line is one line: control characters are escaped and its length is bounded. What a line says is for whoever
//! writes it; nothing here knows about exchanges.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::escape::escape;
use super::metrics::Counter;
use crate::config;

/// Bytes of a line, escapes included. Longer lines are cut and end in [`CUT`].
pub const MAX_LINE_BYTES: usize = 64 << 10;

/// Bytes that wait to be written: a second of 20,000 lines of 400 bytes. The thread's batch may hold as much again.
pub const MAX_QUEUE_BYTES: usize = 8 << 20;

/// What a line ends in that was too long.
pub const CUT: &str = "...";

/// How long the thread lets lines gather before it writes. Without it nearly every line would cost its worker a call to
/// wake the thread, and the thread a call to write; with it, that happens at most a hundred times a second.
const GATHER: Duration = Duration::from_millis(10);

/// How long to wait for the last lines, in [`AccessLog::flush`] and when the log is dropped. A pipe that nobody reads must
/// not keep the process.
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// A buffer that was needed once for a burst is given back above this size.
const KEPT_BUFFER_BYTES: usize = 256 << 10;

/// The access log's near end: cheap to write to from every worker.
#[derive(Debug)]
pub struct AccessLog {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
    /// [`LAST_WRITE_TIMEOUT`], shorter in tests.
    patience: Duration,
}

impl AccessLog {
    /// Open the destination and start the thread that writes to it. Lines that are lost are counted in `dropped`.
    ///
    /// # Errors
    /// If the file can't be opened or the thread not started.
    pub fn open(to: &config::AccessLog, dropped: Counter) -> io::Result<Self> {
        Self::start(open(to)?, to.clone(), dropped)
    }

    fn start(
        destination: Destination,
        to: config::AccessLog,
        dropped: Counter,
    ) -> io::Result<Self> {
        let queue = Queue {
            bytes: Vec::new(),
            is_open: destination.is_some(),
            to,
            next: None,
            flushes_wanted: 0,
            flushes_done: 0,
            is_stuck: false,
            is_ending: false,
            is_over: false,
        };
        let shared = Arc::new(Shared {
            queue: Mutex::new(queue),
            work: Condvar::new(),
            progress: Condvar::new(),
            dropped,
        });
        let far_end = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || far_end.run(destination))?;
        Ok(Self {
            shared,
            thread: Some(thread),
            patience: LAST_WRITE_TIMEOUT,
        })
    }

    /// Queue one line, escaped; or drop and count it if the queue is full.
    pub fn write(&self, line: &str) {
        let line = escape(line);
        let (line, cut) = shorten(&line);
        let mut queue = self.shared.queue.lock();
        if !queue.is_open {
            return;
        }
        if queue.bytes.len() + line.len() + cut.len() + 1 > MAX_QUEUE_BYTES {
            drop(queue);
            self.shared.dropped.inc();
            return;
        }
        let was_empty = queue.bytes.is_empty();
        queue.bytes.extend_from_slice(line.as_bytes());
        queue.bytes.extend_from_slice(cut.as_bytes());
        queue.bytes.push(b'\n');
        drop(queue);
        if was_empty {
            self.shared.work.notify_one();
        }
    }

    /// Go on in another place. Lines that wait are still written to the old one.
    ///
    /// # Errors
    /// If the file can't be opened; then everything stays as it was.
    pub fn switch(&self, to: &config::AccessLog) -> io::Result<()> {
        let destination = open(to)?;
        let mut queue = self.shared.queue.lock();
        queue.is_open = destination.is_some();
        queue.to = to.clone();
        queue.next = Some((destination, queue.bytes.len()));
        self.shared.work.notify_one();
        Ok(())
    }

    /// Open the file anew, after log rotation moved it away. No change for other destinations.
    ///
    /// # Errors
    /// As for [`Self::switch`].
    pub fn reopen(&self) -> io::Result<()> {
        let to = self.shared.queue.lock().to.clone();
        self.switch(&to)
    }

    /// Wait until every line that was queued before has been written or given up; not for long if the destination is
    /// stuck.
    pub fn flush(&self) {
        let mut queue = self.shared.queue.lock();
        queue.flushes_wanted += 1;
        let wanted = queue.flushes_wanted;
        self.shared.work.notify_one();
        self.shared
            .wait_until(&mut queue, self.patience, |q| q.flushes_done >= wanted);
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        let mut queue = self.shared.queue.lock();
        queue.is_ending = true;
        self.shared.work.notify_one();
        self.shared
            .wait_until(&mut queue, self.patience, |q| q.is_over);
        let is_over = queue.is_over;
        drop(queue);
        match self.thread.take() {
            Some(thread) if is_over => drop(thread.join()),
            _ => tracing::error!("the access log's destination is stuck, its last lines are lost"),
        }
    }
}

/// Where lines go; `None` is nowhere.
type Destination = Option<Box<dyn Write + Send>>;

/// What both ends share.
#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// A line came into an empty queue, or the thread was asked for something.
    work: Condvar,
    /// A batch was written.
    progress: Condvar,
    dropped: Counter,
}

struct Queue {
    bytes: Vec<u8>,
    /// Whether lines are wanted at all.
    is_open: bool,
    to: config::AccessLog,
    /// Where to go on after that many bytes of the queue.
    next: Option<(Destination, usize)>,
    flushes_wanted: u64,
    flushes_done: u64,
    /// Somebody waited in vain, and nothing has been written since.
    is_stuck: bool,
    is_ending: bool,
    is_over: bool,
}

impl Queue {
    fn is_urgent(&self) -> bool {
        self.is_ending || self.flushes_wanted > self.flushes_done
    }

    fn is_idle(&self) -> bool {
        self.bytes.is_empty() && self.next.is_none() && !self.is_urgent()
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("to", &self.to)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Wait for the far end. A destination for which somebody has waited in vain gets no second wait until it moves: a
    /// flush and the drop after it take the time of one.
    fn wait_until(
        &self,
        queue: &mut MutexGuard<'_, Queue>,
        patience: Duration,
        is_done: impl Fn(&Queue) -> bool,
    ) {
        if !queue.is_stuck {
            self.progress
                .wait_while_for(queue, |queue| !is_done(queue), patience);
            queue.is_stuck = !is_done(queue);
        }
    }

    /// The far end: writes what is queued until the near end is dropped.
    fn run(&self, mut destination: Destination) {
        let mut batch = Vec::new();
        let mut is_failing = false;
        loop {
            let mut queue = self.wait_for_work();
            mem::swap(&mut batch, &mut queue.bytes);
            let next = queue.next.take();
            let (flushes, is_ending) = (queue.flushes_wanted, queue.is_ending);
            drop(queue);

            let mut rest = batch.as_slice();
            if let Some((next, start)) = next {
                is_failing = self.write_batch(&mut destination, &rest[..start], is_failing);
                rest = &rest[start..];
                destination = next;
            }
            is_failing = self.write_batch(&mut destination, rest, is_failing);
            batch.clear();
            batch.shrink_to(KEPT_BUFFER_BYTES);

            let mut queue = self.queue.lock();
            queue.flushes_done = flushes;
            queue.is_stuck = false;
            queue.is_over = is_ending;
            self.progress.notify_all();
            if is_ending {
                return;
            }
        }
    }

    fn wait_for_work(&self) -> MutexGuard<'_, Queue> {
        let mut queue = self.queue.lock();
        self.work.wait_while(&mut queue, |queue| queue.is_idle());
        if !queue.is_urgent() {
            self.work
                .wait_while_for(&mut queue, |queue| !queue.is_urgent(), GATHER);
        }
        queue
    }

    /// Write a batch; whether that failed. A failure is logged once, until a batch succeeds again.
    fn write_batch(&self, to: &mut Destination, batch: &[u8], was_failing: bool) -> bool {
        let Some(to) = to.as_mut().filter(|_| !batch.is_empty()) else {
            return was_failing;
        };
        let Err(error) = to.write_all(batch).and_then(|()| to.flush()) else {
            return false;
        };
        let lines = batch.iter().filter(|byte| **byte == b'\n').count();
        self.dropped.inc_by(lines as u64);
        if !was_failing {
            tracing::error!(%error, "cannot write to the access log, lines are dropped");
        }
        true
    }
}

fn open(to: &config::AccessLog) -> io::Result<Destination> {
    Ok(match to {
        config::AccessLog::Stdout => Some(Box::new(io::stdout())),
        config::AccessLog::Stderr => Some(Box::new(io::stderr())),
        config::AccessLog::File(path) => Some(Box::new(
            OpenOptions::new().append(true).create(true).open(path)?,
        )),
        config::AccessLog::Off => None,
    })
}

/// The part of a line that fits, and what marks that it was cut.
fn shorten(line: &str) -> (&str, &'static str) {
    if line.len() <= MAX_LINE_BYTES {
        return (line, "");
    }
    let end = line.floor_char_boundary(MAX_LINE_BYTES - CUT.len());
    (&line[..end], CUT)
}

#[cfg(test)]
mod tests;
