//! A client's bytes, as far as they are HTTP/1.1 by the letter.
//!
//! hyper forgives what RFC 9112 lets a recipient forgive, and hides it from whoever stands behind: a line that ends with
//! a bare line feed, a length beside a transfer coding or told twice, a coding besides `chunked`, blanks and control bytes
//! behind a chunk's size. A proxy in front that forgives differently would see other requests than we do. So
//! [`Scan`](scan::Scan) follows the framing of what comes in, and in place of the first byte that it refuses hyper is given
//! bytes that hyper refuses too: there is one place that answers 400 and closes.
//!
//! Promises: a byte passes unchanged or not at all. Leaves out: HTTP/2, and whatever hyper refuses by itself.

mod scan;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::scan::Scan;

/// Refused by hyper wherever it stands but in a body's data: NUL is in no line of a head and no chunk's size, and the two
/// line feeds make hyper look at a head that it has put off. In a chunk's extension the line feed is refused, in a
/// trailer the carriage return without one.
const POISON: &[u8] = b"\0\n\n\r\0";

/// A client's stream whose requests are well-formed, up to the first that is not.
pub(super) struct Strict<S> {
    stream: S,
    scan: Scan,
    /// Bytes that were looked at already.
    again: Vec<u8>,
}

impl<S> Strict<S> {
    /// Look at what comes over that stream.
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            scan: Scan::default(),
            again: Vec::new(),
        }
    }

    /// These bytes were given already, and are the next to be given again.
    pub(super) fn repeat(&mut self, bytes: &[u8]) {
        self.again = bytes.to_vec();
    }

    /// The stream itself.
    pub(super) fn stream(&mut self) -> &mut S {
        &mut self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.again.is_empty() {
            let count = self.again.len().min(buf.remaining());
            buf.put_slice(&self.again[..count]);
            self.again.drain(..count);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if let Some(refused) = self.scan.refused(&buf.filled()[before..]) {
            buf.set_filled(before + refused);
            let room = POISON.len().min(buf.remaining());
            buf.put_slice(&POISON[..room]);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
