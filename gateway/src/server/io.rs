//! A client's bytes, with limits: time for a request head, for an idle connection, for a client that does not read what it
//! asked for; and on HTTP/2 how many frames may come that carry nothing.
//!
//! hyper's own head timer also runs while a connection is idle, so one number would have to serve both. Here a head's time
//! begins with its first byte. A timer is made once and moved only when it fires too early, not at every request.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::frames::{Flood, Frames, PREFACE};
use super::wire::Wire;
use crate::config::ClientLimits;
use crate::proxy::{Activity, Grace, Patience, Timer};

/// Bytes read at once before it is known what the client speaks; most request heads fit.
const FIRST_BYTES: usize = 1024;
/// How long an HTTP/1 connection is quiet before its buffers are given back: longer than between the requests of a page,
/// far less than the 60 s for which most are kept open for nothing.
const REST_AFTER: Duration = Duration::from_secs(1);
/// "Calm down" (RFC 9113 6.8, 7), about all streams: any of them may have been served.
const GOAWAY: [u8; 17] = [
    0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 11,
];

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoken {
    Http1,
    Http2,
}

/// A client's stream with limits.
pub(super) struct ClientIo {
    stream: Wire,
    activity: Arc<Activity>,
    header_timeout: Duration,
    idle_timeout: Duration,
    /// Bytes that have come before there was somebody to parse them.
    unread: Vec<u8>,
    /// Whether nobody parses now.
    is_resting: bool,
    /// On HTTP/2.
    frames: Option<Box<Frames>>,
    control_frames: u32,
    resets: u32,
    /// Bytes that `frames` has not been told of.
    sent_bytes: u64,
    /// Whether everything that was to be written was.
    has_written_all: bool,
    /// When the first byte of a request head came that is not complete yet.
    head_since: Option<Instant>,
    idle_since: Option<Instant>,
    /// When the client was told to go, for being idle.
    told_since: Option<Instant>,
    /// The exchanges that had begun when these were last set.
    begun: u32,
    read_timer: Timer,
    reader: Patience,
}

impl ClientIo {
    pub(super) fn new(stream: Wire, activity: Arc<Activity>, limits: &ClientLimits) -> Self {
        Self {
            stream,
            activity,
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            unread: Vec::new(),
            is_resting: true,
            frames: None,
            control_frames: limits.control_frames,
            resets: limits.resets,
            sent_bytes: 0,
            has_written_all: true,
            head_since: None,
            idle_since: None,
            told_since: None,
            begun: 0,
            read_timer: Timer::default(),
            reader: Patience::new(Grace::of_client(limits)),
        }
    }

    /// Wait for the first bytes of a connection. `None`: it ended without a word.
    pub(super) async fn spoken(&mut self) -> io::Result<Option<Spoken>> {
        let spoken = loop {
            match preface(&self.unread) {
                Some(spoken) => break spoken,
                None if poll_fn(|cx| self.poll_more(cx)).await? => {}
                None if self.unread.is_empty() => return Ok(None),
                None => break Spoken::Http1,
            }
        };
        self.is_resting = false;
        if spoken == Spoken::Http2 {
            let mut frames = Box::new(Frames::new(self.control_frames, self.resets));
            let kept = frames.came(&self.unread, 0, 0);
            self.set_head(frames.is_in_the_middle());
            self.frames = Some(frames);
            kept.map_err(|flood| self.cut(flood.reason()))?;
        }
        Ok(Some(spoken))
    }

    /// Wait for another request on a connection that was given back by who parsed it, maybe with the beginning of one.
    /// Whether there is something.
    pub(super) async fn more(&mut self, is_in_head: bool) -> io::Result<bool> {
        if is_in_head {
            self.set_head(true);
            return Ok(true);
        }
        self.is_resting = true;
        let has_more = !self.unread.is_empty() || poll_fn(|cx| self.poll_more(cx)).await?;
        self.is_resting = false;
        Ok(has_more)
    }

    /// Read something into `unread`; false at the end.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut space = [0; FIRST_BYTES];
        let mut buf = ReadBuf::new(&mut space);
        ready!(self.poll_socket(cx, &mut buf))?;
        self.unread.extend_from_slice(buf.filled());
        Poll::Ready(Ok(!buf.filled().is_empty()))
    }

    fn poll_socket(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.forget_begun();
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_pending() {
            return self.poll_read_limit(cx).map(Err);
        }
        let came = &buf.filled()[before..];
        if came.is_empty() {
            return read;
        }
        if let Some(frames) = &mut self.frames {
            let sent_bytes = std::mem::take(&mut self.sent_bytes);
            let kept = frames.came(came, sent_bytes, self.activity.completed());
            let is_head = frames.is_in_the_middle();
            if let Err(flood) = kept {
                return Poll::Ready(Err(self.give_up(flood, cx)));
            }
            self.set_head(is_head);
        } else if !self.activity.is_busy() {
            self.idle_since = None;
            self.set_head(true);
        }
        read
    }

    /// Whether a request head has begun and not ended.
    fn set_head(&mut self, is_open: bool) {
        if is_open {
            self.head_since.get_or_insert_with(Instant::now);
        } else {
            self.head_since = None;
        }
    }

    /// What was read so far belongs to exchanges that have begun, and maybe ended, since.
    fn forget_begun(&mut self) {
        let begun = self.activity.begun();
        if begun != self.begun {
            self.begun = begun;
            self.head_since = None;
            self.idle_since = None;
        }
    }

    fn poll_read_limit(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.activity.is_busy() {
            return Poll::Pending;
        }
        let idle_since = *self.idle_since.get_or_insert_with(Instant::now);
        if let Some(since) = self.head_since {
            let late = self.read_timer.poll(since + self.header_timeout, cx);
            return late.map(|()| self.cut("header-timeout"));
        }
        let end = idle_since + self.idle_timeout;
        if self.frames.is_some() {
            return self.poll_idle_h2(end, cx);
        }
        let rest = idle_since + REST_AFTER;
        if !self.is_resting && rest < end {
            ready!(self.read_timer.poll(rest, cx));
            if !self.reader.is_waiting() {
                self.activity.rest();
            }
        }
        let late = self.read_timer.poll(end, cx);
        late.map(|()| timed_out("idle-timeout"))
    }

    /// A client on HTTP/2 is told to go (GOAWAY), so that it doesn't send a request into a connection that ends; one that does
    /// not listen is cut off.
    fn poll_idle_h2(&mut self, end: Instant, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.told_since.is_none() {
            ready!(self.read_timer.poll(end, cx));
            self.activity.end();
        }
        let since = *self.told_since.get_or_insert_with(Instant::now);
        let late = self.read_timer.poll(since + self.header_timeout, cx);
        late.map(|()| timed_out("idle-timeout"))
    }

    fn cut(&self, reason: &'static str) -> io::Error {
        self.activity.cut(reason);
        timed_out(reason)
    }

    /// Tell the client why, if that can be said now: in the middle of a frame it would mean something else.
    fn give_up(&mut self, flood: Flood, cx: &mut Context<'_>) -> io::Error {
        if self.has_written_all {
            // It may not take it. It is not waited for.
            let _ = Pin::new(&mut self.stream).poll_write(cx, &GOAWAY);
        }
        self.cut(flood.reason())
    }

    fn poll_written(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
        asked: usize,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(count)) => {
                self.reader.moved(count);
                self.has_written_all = count == asked;
                if self.frames.is_some() {
                    self.sent_bytes += count as u64;
                }
                written
            }
            Poll::Ready(Err(_)) => written,
            Poll::Pending => {
                self.has_written_all = false;
                let enough = self.reader.poll_enough(cx);
                enough.map(|()| Err(self.cut("slow-read")))
            }
        }
    }

    /// By TLS, what was written may still be here.
    fn poll_flushed(
        &mut self,
        cx: &mut Context<'_>,
        flushed: Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        if flushed.is_ready() {
            self.reader.pause();
            return flushed;
        }
        self.has_written_all = false;
        let enough = self.reader.poll_enough(cx);
        enough.map(|()| Err(self.cut("slow-read")))
    }
}

impl Flood {
    /// The word for it, which is that of the limit.
    fn reason(self) -> &'static str {
        match self {
            Self::Control => "control-frames",
            Self::Resets => "resets",
        }
    }
}

/// What the first bytes say; `None`: not enough yet.
fn preface(bytes: &[u8]) -> Option<Spoken> {
    let length = bytes.len().min(PREFACE.len());
    if bytes[..length] != PREFACE[..length] {
        return Some(Spoken::Http1);
    }
    (length == PREFACE.len()).then_some(Spoken::Http2)
}

fn timed_out(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return self.poll_socket(cx, buf);
        }
        let count = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread[..count]);
        if count == self.unread.len() {
            self.unread = Vec::new();
        } else {
            self.unread.drain(..count);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.poll_written(cx, written, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        let asked = slices.iter().map(|slice| slice.len()).sum();
        self.poll_written(cx, written, asked)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // By TLS, what was written may wait here for a client that does not read.
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.poll_flushed(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.poll_flushed(cx, shut)
    }
}
