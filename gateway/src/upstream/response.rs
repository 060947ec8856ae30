//! A response body on its way from an upstream.
//!
//! It holds the connection: a clean end gives it back, anything else closes it. A truncated body is an error and
//! never a clean end (hyper compares with `content-length` and the last chunk); so is one that does not move for too
//! long while somebody waits for it. A receiver that does not ask for more is no fault of the upstream and is not
//! timed here.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::client::Connection;
use crate::body::{Body, BodyError};

/// A response body with the connection that brings it.
struct ResponseBody {
    incoming: Incoming,
    /// `None` once it has ended.
    connection: Option<Connection>,
    limit: Duration,
    waiting: bool,
    received_bytes: u64,
}

/// The body of a response, which may be without a byte for at most `limit`.
pub(super) fn response_body(incoming: Incoming, connection: Connection, limit: Duration) -> Body {
    if incoming.is_end_stream() {
        connection.release(0);
        return Body::empty();
    }
    Body::boxed(ResponseBody {
        incoming,
        connection: Some(connection),
        limit,
        waiting: false,
        received_bytes: 0,
    })
}

impl ResponseBody {
    fn end(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.release(self.received_bytes);
        }
    }

    fn cut(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close(self.received_bytes);
        }
    }

    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        let Some(connection) = &mut self.connection else {
            return Poll::Pending;
        };
        if !std::mem::replace(&mut self.waiting, true) {
            connection.set_deadline(self.limit);
        }
        std::task::ready!(connection.poll_deadline(cx));
        self.cut();
        Poll::Ready(BodyError::Idle(self.limit))
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let frame = match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => return this.poll_wait(cx).map(|error| Some(Err(error))),
        };
        this.waiting = false;
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                this.received_bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                // With a known length nobody asks again after the last byte.
                if this.incoming.is_end_stream() {
                    this.end();
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                this.cut();
                Some(Err(BodyError::Sender(error)))
            }
            None => {
                this.end();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for ResponseBody {
    /// The receiver left: what the upstream still sends is nobody's.
    fn drop(&mut self) {
        self.cut();
    }
}
