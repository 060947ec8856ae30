//! The one body type of the request path, in both directions.
//!
//! A body that only passes through is hyper's own and costs nothing extra; whatever is made or changed here is
//! `Full` or boxed. Every failure of a body is a [`BodyError`] that says whose fault it was.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use thiserror::Error;

/// Why a body ended before its end.
#[derive(Debug, Error)]
pub enum BodyError {
    /// The connection it came over broke or its framing was wrong.
    #[error("the sender broke off: {0}")]
    Sender(#[source] hyper::Error),
    /// No byte came for too long, or too few did.
    #[error("the sender kept us waiting for {0:?}")]
    Idle(std::time::Duration),
    /// It is longer than allowed.
    #[error("longer than {0} bytes")]
    TooLarge(u64),
    /// A plugin cut it off on purpose.
    #[error("{0}")]
    Aborted(String),
    /// A plugin faulted on it.
    #[error("{0}")]
    Fault(String),
}

/// A body that streams, boxed.
pub type BoxedBody = Pin<Box<dyn HttpBody<Data = Bytes, Error = BodyError> + Send>>;

/// A request or response body.
pub struct Body(Kind);

enum Kind {
    Empty,
    Full(Bytes),
    Incoming(Incoming),
    Boxed(BoxedBody),
}

impl Body {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// A body in memory.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self(if bytes.is_empty() {
            Kind::Empty
        } else {
            Kind::Full(bytes)
        })
    }

    /// A body as it comes from the wire.
    #[must_use]
    pub fn incoming(body: Incoming) -> Self {
        Self(if body.is_end_stream() {
            Kind::Empty
        } else {
            Kind::Incoming(body)
        })
    }

    /// A body that somebody wrapped.
    pub fn boxed(body: impl HttpBody<Data = Bytes, Error = BodyError> + Send + 'static) -> Self {
        Self(Kind::Boxed(Box::pin(body)))
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &self.0 {
            Kind::Empty => "Body::Empty",
            Kind::Full(_) => "Body::Full",
            Kind::Incoming(_) => "Body::Incoming",
            Kind::Boxed(_) => "Body::Boxed",
        })
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Kind::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Kind::Incoming(incoming) => {
                Pin::new(incoming).poll_frame(cx).map_err(BodyError::Sender)
            }
            Kind::Boxed(boxed) => boxed.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Full(_) => false,
            Kind::Incoming(incoming) => incoming.is_end_stream(),
            Kind::Boxed(boxed) => boxed.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Incoming(incoming) => incoming.size_hint(),
            Kind::Boxed(boxed) => boxed.size_hint(),
        }
    }
}
