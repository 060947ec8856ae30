//! What flows is watched: the client's body on its way in (bytes, a limit, a stall), the response's body on its way out
//! (bytes, its end). The exchange ends with the response's body, not with its head.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::exchange::Exchange;
use crate::body::{Body, BodyError};

/// Bytes that passed.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) request_bytes: AtomicU64,
    pub(super) response_bytes: AtomicU64,
}

/// Whether trailers may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    Open,
    Closed,
}

/// A client's body.
pub(super) struct RequestBody {
    trailers: Passage,
    inner: Body,
    counters: Arc<Counters>,
    passed_bytes: u64,
    limit_bytes: u64,
    stall_limit: Duration,
    /// Made when the body first keeps us waiting; most never do.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    /// Watch a body, which must not be empty.
    pub(super) fn wrap(
        inner: Body,
        counters: &Arc<Counters>,
        limit_bytes: Option<u64>,
        stall_limit: Duration,
        trailers: Passage,
    ) -> Body {
        Body::boxed(Self {
            trailers,
            inner,
            counters: Arc::clone(counters),
            passed_bytes: 0,
            limit_bytes: limit_bytes.unwrap_or(u64::MAX),
            stall_limit,
            stalled: None,
        })
    }

    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.stall_limit;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        stalled.as_mut().poll(cx)
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) else {
            let limit = self.stall_limit;
            return self
                .poll_stall(cx)
                .map(|()| Some(Err(BodyError::Idle(limit))));
        };
        let limit = self.stall_limit;
        if let Some(stalled) = &mut self.stalled {
            stalled.as_mut().reset(Instant::now() + limit);
        }
        if let Some(Ok(frame)) = &frame {
            let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
            self.passed_bytes = self.passed_bytes.saturating_add(bytes);
            if self.passed_bytes > self.limit_bytes {
                return Poll::Ready(Some(Err(BodyError::TooLarge(self.limit_bytes))));
            }
            if frame.is_trailers() && self.trailers == Passage::Closed {
                return Poll::Ready(None);
            }
            self.counters
                .request_bytes
                .fetch_add(bytes, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body that a client gets. It carries the exchange, which ends when this is dropped.
pub(super) struct ResponseBody {
    inner: Body,
    exchange: Exchange,
}

impl ResponseBody {
    /// Watch a body to its end.
    pub(super) fn wrap(inner: Body, mut exchange: Exchange) -> Body {
        if inner.is_end_stream() {
            exchange.complete();
            return inner;
        }
        Body::boxed(Self { inner, exchange })
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                self.exchange
                    .counters()
                    .response_bytes
                    .fetch_add(bytes, Ordering::Relaxed);
            }
            Some(Err(error)) => self.exchange.response_broke(error),
            None => self.exchange.complete(),
        }
        if self.inner.is_end_stream() {
            self.exchange.complete();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
