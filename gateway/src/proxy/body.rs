//! What flows is watched: the client's body on its way in (bytes, a limit, its pace), the response's body on its way out
//! (bytes, its end, whether the client takes it). The exchange ends with the response's body, not with its head.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::exchange::Exchange;
use super::patience::{Grace, Patience};
use super::taking;
use crate::body::{Body, BodyError};
use crate::config::ClientLimits;

/// Bytes that passed.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) request_bytes: AtomicU64,
    pub(super) response_bytes: AtomicU64,
    /// Whether the client was sent the response's head.
    pub(super) is_answered: AtomicBool,
}

/// What a client on HTTP/2 is given of a body at a time, in bytes. Its pace is looked at from piece to piece, and a frame
/// holds no more anyway.
const PIECE_BYTES: usize = 16 * 1024;

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
    patience: Patience,
}

impl RequestBody {
    /// Watch a body, which must not be empty.
    pub(super) fn wrap(
        inner: Body,
        counters: &Arc<Counters>,
        limit_bytes: Option<u64>,
        limits: &ClientLimits,
        trailers: Passage,
    ) -> Body {
        Body::boxed(Self {
            trailers,
            inner,
            counters: Arc::clone(counters),
            passed_bytes: 0,
            limit_bytes: limit_bytes.unwrap_or(u64::MAX),
            patience: Patience::new(Grace::of_client(limits)),
        })
    }

    /// Nothing has come. A client that was answered already is in a conversation, in which it may be its turn to listen:
    /// then it is the response's pace that counts.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        if self.counters.is_answered.load(Ordering::Relaxed) {
            self.patience.pause();
            return Poll::Pending;
        }
        let limit = self.patience.limit();
        self.patience
            .poll_enough(cx)
            .map(|()| BodyError::Idle(limit))
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
            return self.poll_patience(cx).map(|error| Some(Err(error)));
        };
        if let Some(Ok(frame)) = &frame {
            let length = frame.data_ref().map_or(0, Bytes::len);
            self.patience.moved(length);
            let bytes = length as u64;
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
    /// What was more than a piece.
    rest: Bytes,
    piece_bytes: usize,
    exchange: Exchange,
}

impl ResponseBody {
    /// Watch a body to its end.
    pub(super) fn wrap(inner: Body, mut exchange: Exchange) -> Body {
        if inner.is_end_stream() {
            exchange.complete();
            return inner;
        }
        let piece_bytes = if exchange.is_multiplexed() {
            PIECE_BYTES
        } else {
            usize::MAX
        };
        Body::boxed(Self {
            inner,
            rest: Bytes::new(),
            piece_bytes,
            exchange,
        })
    }

    /// The next piece of what is there.
    fn piece(&mut self, mut data: Bytes) -> Frame<Bytes> {
        self.rest = if data.len() > self.piece_bytes {
            data.split_off(self.piece_bytes)
        } else {
            Bytes::new()
        };
        taking::gave(data.len());
        self.exchange
            .counters()
            .response_bytes
            .fetch_add(data.len() as u64, Ordering::Relaxed);
        if self.is_end_stream() {
            self.exchange.complete();
        }
        Frame::data(data)
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            return Poll::Ready(Some(Ok(self.piece(rest))));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) else {
            taking::pauses();
            return Poll::Pending;
        };
        let frame = match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => return Poll::Ready(Some(Ok(self.piece(data)))),
                Err(trailers) => Some(Ok(trailers)),
            },
            Some(Err(error)) => {
                self.exchange.response_broke(&error);
                Some(Err(error))
            }
            None => None,
        };
        taking::pauses();
        if frame.is_none() || self.inner.is_end_stream() {
            self.exchange.complete();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.inner.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(hint.lower().saturating_add(rest));
        hint
    }
}
