//! A request body on its way to an upstream.
//!
//! It passes frames through, and remembers when the last one passed and why the body failed, if it did: the first
//! tells a slow upstream from a long upload, the second a broken client from a broken upstream. hyper answers a
//! failing body by closing the connection without a last chunk, so that the upstream never sees a complete request.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use thiserror::Error;

use crate::body::{Body, BodyError};

/// A request body with its [`Progress`], unless it is empty.
pub(super) struct Outgoing {
    body: Body,
    progress: Option<Arc<Progress>>,
}

/// How far a request body has come.
pub(super) struct Progress {
    start: Instant,
    /// Milliseconds from `start` to the last frame.
    last: AtomicU64,
    failure: Mutex<Option<BodyError>>,
}

/// What hyper is told of a body that failed; the cause stays in [`Progress`], since hyper would only lend it back.
#[derive(Debug, Error)]
#[error("the request body failed")]
pub(super) struct Failed;

impl Outgoing {
    pub(super) fn new(body: Body) -> Self {
        let progress = (!body.is_end_stream()).then(|| Arc::new(Progress::new()));
        Self { body, progress }
    }

    /// `None` if there is no body.
    pub(super) fn progress(&self) -> Option<Arc<Progress>> {
        self.progress.clone()
    }
}

impl Progress {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            last: AtomicU64::new(0),
            failure: Mutex::new(None),
        }
    }

    /// Note that the body moved just now.
    pub(super) fn touch(&self) {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(elapsed, Ordering::Relaxed);
    }

    /// How long the body has not moved.
    pub(super) fn still(&self) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(last)
    }

    pub(super) fn take_failure(&self) -> Option<BodyError> {
        self.failure.lock().take()
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = Failed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failed>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        let Some(progress) = &self.progress else {
            return Poll::Ready(frame.map(|frame| frame.map_err(|_| Failed)));
        };
        progress.touch();
        Poll::Ready(frame.map(|frame| {
            frame.map_err(|failure| {
                *progress.failure.lock() = Some(failure);
                Failed
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
