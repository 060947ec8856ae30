//! A panic is a defect of ours. It must cost the request that met it and nothing else.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};

use crate::body::Body;
use crate::observe::Metrics;

/// A request being handled, whose panic becomes a 500.
pub(super) struct Caught<F> {
    inner: Pin<Box<F>>,
}

impl<F> Caught<F> {
    pub(super) fn new(inner: F) -> Self {
        Self {
            inner: Box::pin(inner),
        }
    }
}

impl<F: Future<Output = Response<Body>>> Caught<F> {
    /// Wait for the response.
    pub(super) async fn response(mut self, metrics: &Metrics) -> Response<Body> {
        std::future::poll_fn(|cx| self.poll_caught(cx, metrics)).await
    }

    fn poll_caught(&mut self, cx: &mut Context<'_>, metrics: &Metrics) -> Poll<Response<Body>> {
        // After a panic the future is dropped without being polled again; its own guards end the exchange.
        match catch_unwind(AssertUnwindSafe(|| self.inner.as_mut().poll(cx))) {
            Ok(polled) => polled,
            Err(_) => {
                metrics.panics.inc();
                Poll::Ready(internal_error())
            }
        }
    }
}

fn internal_error() -> Response<Body> {
    let mut response = Response::new(Body::full("{\"error\": \"internal\"}\n"));
    *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_counted_and_answered() {
        let metrics = Metrics::new();
        let panics = Caught::new(async { panic!("expected by this test") });
        let response = panics.response(&metrics).await;
        assert_eq!(response.status(), 500);
        assert_eq!(metrics.panics.get(), 1);
    }
}
