//! `gateway:plugin/log`: messages to the gateway's log, lines to its access log. Within a call's `log-bytes`; what is
//! beyond is dropped, and the last line says so.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use tracing::Level as Severity;
use wasmtime::component::Linker;

use super::super::bindings::{Level, names};
use super::{Ctx, Host, charge};
use crate::observe::escape::escape;

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut log = linker.instance(names::LOG)?;
    log.func_wrap(
        "write",
        |mut store: Ctx<'_>, (level, message, fields): (Level, String, Vec<(String, String)>)| {
            let host = charge(&mut store)?;
            let fields = &fields[..fields.len().min(MAX_FIELDS)];
            let bytes = LINE_BYTES
                + written(&message)
                + fields
                    .iter()
                    .map(|(name, value)| FIELD_BYTES + written(name) + written(value))
                    .sum::<usize>();
            let severity = severity(level);
            let spent = if host.entry.log_rate.allows(bytes) {
                spend(&host.log_bytes, bytes)
            } else {
                Spent::Nothing
            };
            match spent {
                Spent::Within => write(host, severity, &message, fields),
                Spent::Exhausted => write(
                    host,
                    Severity::WARN,
                    "further log output of this call is dropped",
                    &[],
                ),
                Spent::Nothing => {}
            }
            Ok(())
        },
    )?;
    log.func_wrap("access", |mut store: Ctx<'_>, (line,): (String,)| {
        let host = charge(&mut store)?;
        if spend(&host.log_bytes, 1 + written(&line)) == Spent::Within {
            host.entry.access_log.write(&line);
        }
        Ok(())
    })
}

/// Fields of a message; those beyond are left out.
const MAX_FIELDS: usize = 64;
/// What a message costs beside its texts: the time, the plugin, the route, the request's id.
const LINE_BYTES: usize = 64;
/// What a field costs beside its texts.
const FIELD_BYTES: usize = 2;

/// Bytes of a text as it is written: control bytes take more than one.
fn written(text: &str) -> usize {
    let controls = text.bytes().filter(u8::is_ascii_control).count();
    text.len() + controls * 5
}

/// Bytes that one plugin may write to the log in a second, all its instances together: much for a person, little for a
/// disk.
const MAX_BYTES_PER_SECOND: usize = 256 * 1024;

/// Counts what a plugin writes to the log in each second.
#[derive(Debug)]
pub(in crate::plugin) struct Rate {
    start: Instant,
    second: AtomicU64,
    spent: AtomicUsize,
}

impl Default for Rate {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            second: AtomicU64::new(0),
            spent: AtomicUsize::new(0),
        }
    }
}

impl Rate {
    /// Whether that many bytes more may be written; what is too much is dropped. Approximate at the turn of a second.
    pub(super) fn allows(&self, bytes: usize) -> bool {
        let second = self.start.elapsed().as_secs();
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.spent.store(0, Ordering::Relaxed);
        }
        self.spent.fetch_add(bytes.max(1), Ordering::Relaxed) < MAX_BYTES_PER_SECOND
    }
}

/// How a message stands to what is left of the budget.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spent {
    /// It fits.
    Within,
    /// It is the first that does not fit.
    Exhausted,
    /// The budget was used up before.
    Nothing,
}

pub(super) fn spend(left: &AtomicUsize, bytes: usize) -> Spent {
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
