//! The streams of HTTP/2 connections: tasks of their own, each given up when its client does not take its response.
//!
//! A client that opens no window for a stream blocks that stream and nothing else, so the limit on the socket never
//! strikes, and without this the stream would keep its exchange, its upstream connection and its plugins' instances for
//! as long as the client likes. Dropping the stream resets it (CANCEL) and ends all of that.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use hyper::rt::Executor;

use crate::proxy::taking::{self, Took};
use crate::proxy::{Grace, Patience};

/// Runs streams, and gives clients so much time to take a response.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    pub(super) grace: Grace,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let mut client = Client {
            takes: true,
            patience: Patience::new(self.grace),
        };
        tokio::spawn(async move {
            let mut stream = pin!(stream);
            poll_fn(|cx| client.poll(stream.as_mut(), cx)).await;
        });
    }
}

/// What a stream's client does with the response.
struct Client {
    /// Whether it has taken what there was to take.
    takes: bool,
    patience: Patience,
}

impl Client {
    /// Ready when the stream has ended, or should.
    fn poll(
        &mut self,
        stream: Pin<&mut impl Future<Output = ()>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let (polled, took) = taking::during(|| stream.poll(cx));
        if polled.is_ready() {
            return polled;
        }
        match took {
            Took::Nothing => {}
            Took::Bytes(bytes) => {
                self.patience.moved(bytes);
                self.takes = false;
            }
            Took::Pause => {
                self.patience.pause();
                self.takes = true;
            }
        }
        if self.takes {
            return Poll::Pending;
        }
        self.patience.poll_enough(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    // How a stream is given up is seen on the wire in the integration tests; here, that nothing else is.
    #[tokio::test(start_paused = true)]
    async fn a_stream_whose_body_was_not_asked_is_left_alone() {
        let streams = Streams {
            grace: Grace {
                limit: Duration::from_secs(1),
                bytes_per_second: 1,
            },
        };
        let (done, when_done) = tokio::sync::oneshot::channel();
        streams.execute(async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            let _ = done.send(());
        });
        assert_eq!(when_done.await, Ok(()));
    }
}
