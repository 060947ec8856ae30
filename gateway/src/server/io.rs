//! A client's bytes, with time limits: for the next request head, for an idle connection, for a client that does not
//! read what it asked for.
//!
//! hyper's own head timer also runs while a connection is idle, so one number would have to serve both. Here a head's time
//! begins with its first byte. A timer is made once and moved only when it fires too early, not at every request.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::wire::Wire;
use crate::proxy::Activity;

/// The limits of one connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// For a request head, from its first byte.
    pub(super) header: Duration,
    /// Between requests.
    pub(super) idle: Duration,
    /// Until the client takes more of a response.
    pub(super) write: Duration,
}

/// A client's stream with limits.
pub(super) struct ClientIo {
    stream: Wire,
    activity: Arc<Activity>,
    times: Times,
    /// When the first byte of a request head came that is not complete yet.
    head_since: Option<Instant>,
    idle_since: Option<Instant>,
    /// The exchanges that had begun when these two were last set.
    begun: u32,
    read_timer: Timer,
    blocked_since: Option<Instant>,
    write_timer: Timer,
}

impl ClientIo {
    pub(super) fn new(stream: Wire, activity: Arc<Activity>, times: Times) -> Self {
        Self {
            stream,
            activity,
            times,
            head_since: None,
            idle_since: None,
            begun: 0,
            read_timer: Timer::default(),
            blocked_since: None,
            write_timer: Timer::default(),
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
        let idle_deadline = *self.idle_since.get_or_insert_with(Instant::now) + self.times.idle;
        let deadline = self
            .head_since
            .map_or(idle_deadline, |since| since + self.times.header);
        self.read_timer
            .poll(deadline, cx)
            .map(|()| timed_out("no request in time"))
    }

    fn poll_write_limit<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.blocked_since = None;
            return written;
        }
        let deadline = *self.blocked_since.get_or_insert_with(Instant::now) + self.times.write;
        self.write_timer
            .poll(deadline, cx)
            .map(|()| Err(timed_out("the client does not read")))
    }
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
        self.forget_begun();
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_pending() {
            return self.poll_read_limit(cx).map(Err);
        }
        if buf.filled().len() > before && !self.activity.is_busy() {
            self.idle_since = None;
            if !self.activity.is_multiplexed() {
                self.head_since.get_or_insert_with(Instant::now);
            }
        }
        read
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.poll_write_limit(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.poll_write_limit(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // By TLS, what was written may wait here for a client that does not read.
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.poll_write_limit(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.poll_write_limit(cx, shut)
    }
}

/// A sleep that is moved only when it fires before its time.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn poll(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self
            .0
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}
