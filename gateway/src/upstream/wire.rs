//! The byte stream under a connection: TCP, or TLS over TCP.
//!
//! One type for both, so that hyper's connection is compiled once. It counts what is read until there is a response head:
//! a request may be sent again only if not a single byte of an answer came, and an upstream that sends interim responses
//! for ever (RFC 9110 15.2), which hyper passes over, ends with too many.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Bytes that may come until there is a response head: the longest head, what hyper may have read behind it, and some
/// thousand interim responses.
const MAX_BYTES_BEFORE_HEAD: u32 = 256 * 1024;
/// The head is there, and nothing is counted; so it is before the first request.
const IS_ANSWERED: u32 = u32::MAX;
/// More came than may.
const IS_FLOODED: u32 = u32::MAX - 1;

/// A byte stream that remembers whether it was answered.
pub(super) struct Wire {
    stream: Stream,
    answered: Answered,
}

/// How many bytes came since [`Answered::forget`], until [`Answered::complete`].
#[derive(Clone)]
pub(super) struct Answered(Arc<AtomicU32>);

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self::new(Stream::Plain(stream))
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self::new(Stream::Tls(Box::new(stream)))
    }

    pub(super) fn answered(&self) -> Answered {
        self.answered.clone()
    }

    fn new(stream: Stream) -> Self {
        let answered = Answered(Arc::new(AtomicU32::new(IS_ANSWERED)));
        Self { stream, answered }
    }

    fn stream(&mut self) -> Pin<&mut dyn Duplex> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream),
            Stream::Tls(stream) => Pin::new(stream.as_mut()),
        }
    }
}

impl Answered {
    /// A request is sent.
    pub(super) fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// The response head is there.
    pub(super) fn complete(&self) {
        self.0.store(IS_ANSWERED, Ordering::Relaxed);
    }

    /// Whether a byte of an answer came.
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// Whether the connection was given up because so much came and no head.
    pub(super) fn is_flooded(&self) -> bool {
        self.0.load(Ordering::Relaxed) == IS_FLOODED
    }

    /// So many bytes came. Written by one thread, that of the connection, so no addition is lost.
    fn add(&self, bytes: usize) -> io::Result<()> {
        let before = self.0.load(Ordering::Relaxed);
        if before == IS_ANSWERED {
            return Ok(());
        }
        let after = u32::try_from(bytes).map_or(IS_FLOODED, |bytes| before.saturating_add(bytes));
        if after > MAX_BYTES_BEFORE_HEAD {
            self.0.store(IS_FLOODED, Ordering::Relaxed);
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.0.store(after, Ordering::Relaxed);
        Ok(())
    }
}

trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.stream().poll_read(cx, buffer);
        self.answered.add(buffer.filled().len() - before)?;
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}
