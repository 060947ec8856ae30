//! What an upstream receives.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, Version};
use tokio::join;

use super::*;

/// Sends a request and returns its bytes, read until they end like this.
async fn sent(request: Request<Body>, end: &str) -> String {
    let server = Server::bind().await;
    let upstream = server.upstream();
    let (_, seen) = join!(text(&upstream, request), async {
        let mut peer = server.accept().await;
        let seen = peer.until(end).await;
        peer.say(OK).await;
        seen
    });
    seen
}

#[tokio::test]
async fn a_request_without_a_body_has_no_framing_unless_content_is_expected() {
    let seen = sent(get(), "\r\n\r\n").await;
    assert_eq!(
        seen,
        "GET /path?query HTTP/1.1\r\nhost: upstream.example\r\n\r\n"
    );
    let seen = sent(request(Method::POST, Body::empty()), "\r\n\r\n").await;
    assert!(seen.contains("\r\ncontent-length: 0\r\n"), "{seen}");
}

#[tokio::test]
async fn framing_comes_from_the_body_and_not_from_the_fields() {
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let mut known = request(method.clone(), Body::full("body"));
        let headers = known.headers_mut();
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("3"));
        *known.version_mut() = Version::HTTP_2;
        let seen = sent(known, "body").await;
        assert!(seen.contains("\r\ncontent-length: 4\r\n"), "{seen}");
        assert!(!seen.contains("transfer-encoding"), "{seen}");
        assert!(seen.contains(" HTTP/1.1\r\n"), "{seen}");

        let (feed, body) = chunks();
        feed.send(Ok("body")).await.unwrap();
        drop(feed);
        let mut unknown = request(method, body);
        let headers = unknown.headers_mut();
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("3"));
        *unknown.version_mut() = Version::HTTP_10;
        let seen = sent(unknown, "0\r\n\r\n").await;
        assert!(
            seen.contains("\r\ntransfer-encoding: chunked\r\n"),
            "{seen}"
        );
        assert!(!seen.contains("content-length"), "{seen}");
        assert!(seen.ends_with("\r\n\r\n4\r\nbody\r\n0\r\n\r\n"), "{seen}");
    }
}

#[tokio::test]
async fn a_request_body_that_fails_never_looks_complete() {
    let server = Server::bind().await;
    let upstream = server.upstream();
    let (feed, body) = chunks();
    feed.send(Ok("first")).await.unwrap();
    let post = request(Method::POST, body);
    let ((result, _), rest) = join!(send(&upstream, post), async {
        let mut peer = server.accept().await;
        peer.until("first\r\n").await;
        feed.send(Err(BodyError::TooLarge(5))).await.unwrap();
        peer.rest().await
    });
    assert!(
        matches!(result, Err(SendError::RequestBody(BodyError::TooLarge(5)))),
        "{result:?}"
    );
    assert_eq!(rest, "", "there must be no last chunk");
}

#[tokio::test]
async fn a_request_body_that_is_shorter_than_announced_never_looks_complete() {
    let server = Server::bind().await;
    let upstream = server.upstream();
    let post = request(Method::POST, Body::boxed(Short));
    let ((result, _), _) = join!(send(&upstream, post), async {
        server.accept().await.rest().await
    });
    assert!(
        matches!(result, Err(SendError::RequestBody(_))),
        "{result:?}"
    );
}

/// A body that announces ten bytes and has none.
struct Short;

impl http_body::Body for Short {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, BodyError>>> {
        std::task::Poll::Ready(None)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(10)
    }
}
