//! The gateway's own log: what `tracing` records, as text or JSON lines on standard error.
//!
//! Every record is one line: whatever a client, an upstream or a plugin got into a message or a field, control
//! characters leave escaped (see [`super::escape`]). A thread of its own writes them, from a bounded queue: whoever does
//! not read our standard error must not hold up a worker. What does not fit is lost.

use std::io::{self, Write};

use thiserror::Error;
use tracing::Subscriber;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::escape::escape;
use crate::config::{self, LogFormat};

/// The environment variable whose directives replace the configured level.
pub const LEVEL_VARIABLE: &str = "GATEWAY_LOG";

/// What the compiler and the runtime of plugins say about their own work is thousands of lines for each component. A
/// target stands for all that begin with it, such as `wasmtime_wasi` and `cranelift_codegen`.
const QUIET: &str = "wasmtime=warn,cranelift=warn,regalloc2=warn";

/// Lines that wait to be written.
const MAX_QUEUED_LINES: usize = 8 * 1024;

/// The log could not be set up.
#[derive(Debug, Error)]
pub enum LoggingError {
    /// The level is no directive that `tracing` understands.
    #[error("log level {directives:?} is not valid: {source}")]
    Level {
        /// What was given, by the configuration or [`LEVEL_VARIABLE`].
        directives: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// What [`LEVEL_VARIABLE`] says is no level.
    #[error("{LEVEL_VARIABLE}: {0}")]
    Variable(String),
    /// A log was set up before.
    #[error("the log is already set up")]
    Again,
}

/// Set up the log of this process, once. `level` is a directive such as `info` or `info,gateway::plugin=debug`; what
/// [`LEVEL_VARIABLE`] says comes before it.
///
/// # Errors
/// If the level is not valid or the log was set up before.
pub fn init(level: &str, format: LogFormat) -> Result<Log, LoggingError> {
    let directives = std::env::var(LEVEL_VARIABLE)
        .ok()
        .filter(|value| !value.is_empty());
    if let Some(directives) = &directives {
        let checked = config::log_level(directives);
        checked.map_err(|invalid| LoggingError::Variable(invalid.to_string()))?;
    }
    let (stderr, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(MAX_QUEUED_LINES)
        .thread_name("log")
        .finish(io::stderr());
    let subscriber = subscriber(
        directives.as_deref().unwrap_or(level),
        format,
        Lines(Box::new(move || stderr.clone())),
    )?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LoggingError::Again)?;
    Ok(Log(guard))
}

/// The log of this process. Dropping it writes what is queued, for a second at most.
#[must_use = "what is queued when this is dropped is the last that is written"]
pub struct Log(#[expect(dead_code, reason = "only its drop counts")] WorkerGuard);

/// A subscriber that writes to `lines` what `directives` let through.
fn subscriber<W: Write + 'static>(
    directives: &str,
    format: LogFormat,
    lines: Lines<W>,
) -> Result<Box<dyn Subscriber + Send + Sync>, LoggingError> {
    let filter =
        EnvFilter::try_new(with_quiet(directives)).map_err(|source| LoggingError::Level {
            directives: directives.to_owned(),
            source,
        })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(lines)
        .with_ansi(false);
    Ok(match format {
        LogFormat::Text => Box::new(builder.finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

/// The directives with the libraries that would flood a verbose log at `warn`. Of two directives for a target the last
/// one holds, and of several that fit the most specific one, so those that name a library come before ours.
fn with_quiet(directives: &str) -> String {
    let everything = directives
        .split(',')
        .filter_map(|directive| directive.trim().parse::<LevelFilter>().ok())
        .next_back();
    match everything {
        Some(level) if level > LevelFilter::WARN => format!("{QUIET},{directives}"),
        _ => directives.to_owned(),
    }
}

/// Makes writers that escape each record.
struct Lines<W>(Box<dyn Fn() -> W + Send + Sync>);

impl<'a, W: Write + 'a> MakeWriter<'a> for Lines<W> {
    type Writer = Line<W>;

    fn make_writer(&'a self) -> Line<W> {
        Line((self.0)())
    }
}

/// Takes one whole record for each write, as `tracing-subscriber` hands them over, and writes it as one escaped line.
struct Line<W>(W);

impl<W: Write> Write for Line<W> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(record);
        let mut line = escape(text.strip_suffix('\n').unwrap_or(&text)).into_owned();
        line.push('\n');
        self.0.write_all(line.as_bytes())?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing::subscriber::with_default;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(directives: &str, format: LogFormat, record: impl FnOnce()) -> String {
        let sink = Sink::default();
        let copy = sink.clone();
        let lines = Lines(Box::new(move || copy.clone()));
        with_default(subscriber(directives, format, lines).unwrap(), record);
        String::from_utf8(sink.0.lock().clone()).unwrap()
    }

    #[test]
    fn a_record_is_one_line_whatever_is_in_it() {
        let text = logged("info", LogFormat::Text, || {
            tracing::info!(
                path = "/a\n2030 ERROR fake",
                "hello\u{1b}[31m\r\n{}",
                "\u{202e}"
            );
        });
        assert_eq!(text.matches('\n').count(), 1);
        assert!(
            text.ends_with('\n') && text.contains("INFO") && text.contains("/a\\n2030 ERROR fake")
        );
        assert!(!text.contains(['\u{1b}', '\r', '\u{202e}']));
    }

    #[test]
    fn json_records_are_valid_and_say_what_was_said() {
        let text = logged("info", LogFormat::Json, || {
            tracing::warn!(plugin = "key\u{9b}", "one\ntwo \u{2028}");
        });
        let record: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(record["level"], "WARN");
        assert_eq!(record["message"], "one\ntwo \u{2028}");
        assert_eq!(record["plugin"], "key\u{9b}");
        assert!(!text.contains(['\u{9b}', '\u{2028}']));
    }

    #[test]
    fn directives_choose_what_is_recorded() {
        let record = || {
            tracing::debug!(target: "gateway::plugin", "kept");
            tracing::debug!(target: "other", "left out");
        };
        let text = logged("warn,gateway::plugin=debug", LogFormat::Text, record);
        assert!(text.contains("kept") && !text.contains("left out"));
    }

    #[test]
    fn the_runtime_of_plugins_is_quiet_unless_it_is_named() {
        let record = || {
            tracing::debug!(target: "gateway::plugin", "ours");
            tracing::debug!(target: "wasmtime_wasi::host", "one");
            tracing::debug!(target: "wasmtime::runtime", "two");
            tracing::debug!(target: "cranelift_codegen::isa", "three");
            tracing::warn!(target: "wasmtime::runtime", "four");
        };
        let said = |directives| {
            let text = logged(directives, LogFormat::Text, record);
            ["ours", "one", "two", "three", "four"].map(|word| text.contains(word))
        };
        for all in ["debug", "trace", "info,debug"] {
            assert_eq!(said(all), [true, false, false, false, true], "{all}");
        }
        assert_eq!(
            said("debug,wasmtime=debug"),
            [true, true, true, false, true]
        );
        assert_eq!(
            said("wasmtime_wasi=debug,debug"),
            [true, true, false, false, true]
        );
        assert_eq!(said("error"), [false; 5]);
        assert_eq!(said("off"), [false; 5]);
    }

    #[test]
    fn a_level_that_is_none_is_an_error_that_names_it() {
        let lines = Lines(Box::new(io::sink));
        let Err(error) = subscriber("gateway=loud", LogFormat::Text, lines) else {
            panic!("accepted");
        };
        assert!(error.to_string().contains("gateway=loud"), "{error}");
    }
}
