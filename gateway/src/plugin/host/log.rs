//! `gateway:plugin/log`: messages to the gateway's log, lines to its access log. Within a call's `log-bytes`, and within
//! what a plugin may write to either in a stretch of time. What is beyond is dropped and counted; in the log, one line says so.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use tracing::Level as Severity;
use wasmtime::component::Linker;

use super::super::bindings::{Level, names};
use super::{Ctx, Entry, Host, charge};
use crate::observe::access_log::MAX_QUEUE_BYTES;
use crate::observe::escape::escape;

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut log = linker.instance(names::LOG)?;
    log.func_wrap(
        "write",
        |mut store: Ctx<'_>, (level, message, fields): (Level, String, Vec<(String, String)>)| {
            let host = charge(&mut store)?;
            let fields = &fields[..fields.len().min(MAX_FIELDS)];
            let bytes = line_bytes(&message)
                + fields
                    .iter()
                    .map(|(name, value)| FIELD_BYTES + written(name) + written(value))
                    .sum::<usize>();
            match admit(&host.entry, &host.log_bytes, bytes) {
                Ok(()) => write(host, severity(level), &message, fields),
                Err(Some(notice)) => write(host, Severity::WARN, notice, &[]),
                Err(None) => {}
            }
            Ok(())
        },
    )?;
    log.func_wrap("access", |mut store: Ctx<'_>, (line,): (String,)| {
        let Host {
            entry, log_bytes, ..
        } = charge(&mut store)?;
        let bytes = 1 + written(&line);
        if entry.access_rate.take(bytes) == Spent::Within
            && spend(log_bytes, bytes) == Spent::Within
        {
            entry.access_log.write(&line);
        } else {
            entry.log_entries_dropped.inc();
        }
        Ok(())
    })
}

/// Whether a line of so many bytes may go to the log. If not, it is counted as dropped, and the first of a call or of a
/// second comes with what to say in its place.
pub(super) fn admit(
    entry: &Entry,
    log_bytes: &AtomicUsize,
    bytes: usize,
) -> Result<(), Option<&'static str>> {
    let notice = match entry.log_rate.take(bytes) {
        Spent::Exhausted => Some("further log output of this plugin in this second is dropped"),
        Spent::Nothing => None,
        Spent::Within => match spend(log_bytes, bytes) {
            Spent::Within => return Ok(()),
            Spent::Exhausted => Some("further log output of this call is dropped"),
            Spent::Nothing => None,
        },
    };
    entry.log_entries_dropped.inc();
    Err(notice)
}

/// Fields of a message; those beyond are left out.
const MAX_FIELDS: usize = 64;
/// What a message costs beside its texts: the time, the plugin, the route, the request's id.
const LINE_BYTES: usize = 64;
/// What a field costs beside its texts.
const FIELD_BYTES: usize = 2;

/// Bytes of a message without fields.
pub(super) fn line_bytes(message: &str) -> usize {
    LINE_BYTES + written(message)
}

/// Bytes of a text as it is written: control bytes take more than one.
fn written(text: &str) -> usize {
    let controls = text.bytes().filter(u8::is_ascii_control).count();
    text.len() + controls * 5
}

/// Bytes that one plugin may write to the log in a second, all its instances together: much for a person, little for a
/// disk.
const MAX_BYTES_PER_SECOND: usize = 256 * 1024;

/// Bytes that one plugin may write to the access log in [`ACCESS_WINDOW_MS`], all its instances together: 42,000 lines of 1 KiB in
/// a second, which is more than a gateway serves, and half of what the queue for that log holds, so that one plugin does
/// not push out the lines of others.
const MAX_ACCESS_BYTES: usize = MAX_QUEUE_BYTES / 2;
/// The queue is written out several times in this time.
const ACCESS_WINDOW_MS: u64 = 100;

/// Counts what a plugin writes in each stretch of time.
#[derive(Debug)]
pub(in crate::plugin) struct Rate {
    limit_bytes: usize,
    window_ms: u64,
    start: Instant,
    /// The number of the stretch that `spent` is about.
    current: AtomicU64,
    spent: AtomicUsize,
}

impl Rate {
    /// For the log.
    pub(in crate::plugin) fn of_log() -> Self {
        Self::new(MAX_BYTES_PER_SECOND, 1_000)
    }

    /// For the access log.
    pub(in crate::plugin) fn of_access_log() -> Self {
        Self::new(MAX_ACCESS_BYTES, ACCESS_WINDOW_MS)
    }

    fn new(limit_bytes: usize, window_ms: u64) -> Self {
        Self {
            limit_bytes,
            window_ms,
            start: Instant::now(),
            current: AtomicU64::new(0),
            spent: AtomicUsize::new(0),
        }
    }

    /// Take so many bytes from what may be written now. Approximate at the turn from one stretch to the next.
    fn take(&self, bytes: usize) -> Spent {
        // Not `as_millis`, whose 128 bits each line would pay for.
        let elapsed = self.start.elapsed();
        let elapsed_ms = elapsed.as_secs() * 1_000 + u64::from(elapsed.subsec_millis());
        self.take_in(elapsed_ms / self.window_ms, bytes)
    }

    fn take_in(&self, window: u64, bytes: usize) -> Spent {
        if self.current.load(Ordering::Relaxed) != window
            && self.current.swap(window, Ordering::Relaxed) != window
        {
            self.spent.store(0, Ordering::Relaxed);
        }
        let before = self.spent.fetch_add(bytes.max(1), Ordering::Relaxed);
        if before.saturating_add(bytes) <= self.limit_bytes {
            Spent::Within
        } else if before <= self.limit_bytes {
            Spent::Exhausted
        } else {
            Spent::Nothing
        }
    }
}

/// How a message stands to what is left of the budget.
#[derive(Debug, PartialEq, Eq)]
enum Spent {
    /// It fits.
    Within,
    /// It is the first that does not fit.
    Exhausted,
    /// The budget was used up before.
    Nothing,
}

fn spend(left: &AtomicUsize, bytes: usize) -> Spent {
    let before = left.load(Ordering::Relaxed);
    // An empty message costs one byte too, or there could be any number of them.
    match before.checked_sub(bytes.max(1)) {
        Some(after) => {
            left.store(after, Ordering::Relaxed);
            Spent::Within
        }
        None if before > 0 => {
            left.store(0, Ordering::Relaxed);
            Spent::Exhausted
        }
        None => Spent::Nothing,
    }
}

fn severity(level: Level) -> Severity {
    match level {
        Level::Trace => Severity::TRACE,
        Level::Debug => Severity::DEBUG,
        Level::Info => Severity::INFO,
        Level::Warn => Severity::WARN,
        Level::Error => Severity::ERROR,
    }
}

fn write(host: &Host, severity: Severity, message: &str, fields: &[(String, String)]) {
    let plugin = &*host.entry.name;
    let facts = host.scene.as_ref().map(|scene| &scene.request.facts);
    let route = facts.map(|facts| &*facts.route);
    let request_id = facts.map(|facts| facts.id.as_str());
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
        .collect();
    let fields = (!fields.is_empty()).then(|| fields.join(" "));
    let message = escape(message);
    // tracing fixes a level at compile time, so each has its own call.
    macro_rules! event {
        ($level:expr) => {
            tracing::event!(target: "plugin", $level, plugin, route, request_id, fields, "{message}")
        };
    }
    match severity {
        Severity::TRACE => event!(Severity::TRACE),
        Severity::DEBUG => event!(Severity::DEBUG),
        Severity::INFO => event!(Severity::INFO),
        Severity::WARN => event!(Severity::WARN),
        Severity::ERROR => event!(Severity::ERROR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_much_is_written_in_a_stretch_of_time_then_one_is_told_and_the_rest_is_dropped() {
        for (rate, limit) in [
            (Rate::of_log(), 256 << 10),
            (Rate::of_access_log(), 4 << 20),
        ] {
            for window in [0, 1, 7] {
                for _ in 0..limit / 1024 {
                    assert_eq!(rate.take_in(window, 1024), Spent::Within);
                }
                assert_eq!(rate.take_in(window, 1), Spent::Exhausted);
                assert_eq!(rate.take_in(window, 1), Spent::Nothing);
                assert_eq!(rate.take_in(window, 1 << 20), Spent::Nothing);
            }
            assert_eq!(rate.take_in(8, limit + 1), Spent::Exhausted);
            assert_eq!(rate.take_in(8, 1), Spent::Nothing);
        }
    }

    #[test]
    fn a_busy_access_log_of_one_plugin_is_within_its_rate() {
        let rate = Rate::of_access_log();
        // 40,000 lines of 1 KiB in a second.
        for line in 0..40_000_u64 {
            assert_eq!(rate.take_in(line / 4_000, 1024), Spent::Within, "{line}");
        }
    }
}
