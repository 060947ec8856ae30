//! What a plugin prints to stdout or stderr goes to the log, line by line, within the call's `log-bytes`.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use super::Entry;
use super::log::{Spent, spend};
use crate::observe::escape::escape;

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
        if self.entry.log_rate.allows(bytes.len())
            && spend(&self.log_bytes, bytes.len()) == Spent::Within
        {
            let text = String::from_utf8_lossy(bytes);
            for line in text.lines().filter(|line| !line.trim().is_empty()) {
                tracing::info!(target: "plugin", plugin, "{}", escape(line));
            }
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
