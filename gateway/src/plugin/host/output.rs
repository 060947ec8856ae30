//! What a plugin prints to stdout or stderr goes to the log, line by line, within the same bounds as `log.write`.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use super::Entry;
use super::log::{admit, line_bytes};
use crate::observe::escape::escape;

/// Lines of one write that are logged. A panic's backtrace, which comes at once, is shorter.
const MAX_LINES: usize = 256;

/// The stream behind a plugin's stdout and stderr.
#[derive(Clone)]
pub(super) struct LogStream {
    entry: Arc<Entry>,
    log_bytes: Arc<AtomicUsize>,
}

impl LogStream {
    pub(super) fn new(entry: Arc<Entry>, log_bytes: Arc<AtomicUsize>) -> Self {
        Self { entry, log_bytes }
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for LogStream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // Written in pieces of unknown size, so a line may come out as several; nothing is kept in between, since an
        // instance can go at any time.
        let plugin = &*self.entry.name;
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        for line in lines.by_ref().take(MAX_LINES) {
            match admit(&self.entry, &self.log_bytes, line_bytes(line)) {
                Ok(()) => tracing::info!(target: "plugin", plugin, "{}", escape(line)),
                Err(Some(notice)) => tracing::warn!(target: "plugin", plugin, "{notice}"),
                Err(None) => {}
            }
        }
        let beyond = lines.count();
        if beyond > 0 {
            self.entry.log_entries_dropped.inc_by(beyond as u64);
            tracing::warn!(target: "plugin", plugin, "{beyond} lines printed at once are dropped");
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
