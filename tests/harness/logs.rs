//! What the gateway says in its log, kept in memory for the whole test program.
//!
//! Tests run beside one another, so a test asks for lines with something in them that is its own.

use std::io;
use std::sync::{Arc, Mutex, Once};

use tracing_subscriber::fmt::MakeWriter;

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static BEGIN: Once = Once::new();

/// Begin to keep the log. Lines from before are lost.
pub fn keep() {
    BEGIN.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(Keep)
            .finish();
        // Somebody else's subscriber would mean that no line is ours; the tests say so then.
        let _ = tracing::subscriber::set_global_default(subscriber);
    });
}

/// Lines with that text in them.
#[must_use]
pub fn containing(text: &str) -> Vec<String> {
    let kept = LINES
        .lock()
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    kept.lines()
        .filter(|line| line.contains(text))
        .map(str::to_owned)
        .collect()
}

/// The bytes of the log from the first that begins a line with that text.
#[must_use]
pub fn raw() -> Arc<[u8]> {
    LINES
        .lock()
        .map(|bytes| Arc::from(bytes.as_slice()))
        .unwrap_or_default()
}

struct Keep;

impl io::Write for Keep {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Ok(mut lines) = LINES.lock() {
            lines.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Keep {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}
