//! Upstreams against servers that are scripted byte by byte, on real sockets.
//!
//! A [`Server`] accepts a [`Peer`] for each connection; the test says what it reads and writes. Nothing sleeps: a
//! test waits for bytes, or for the end of a connection. Everything that a peer waits for comes soon or the test fails.

mod fetch;
mod limits;
mod request;
mod response;
mod retry;
mod reuse;
mod tls;

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{SendError, SendTrace, Upstream};
use crate::body::{Body, BodyError};
use crate::config::{self, Origin};

/// Long enough for a slow machine; only a failing test waits for it.
const SOON: Duration = Duration::from_secs(20);

/// Short enough to wait for in a test that is about a limit.
const BRIEF: Duration = Duration::from_millis(30);

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A listener whose connections are scripted.
struct Server {
    listener: TcpListener,
}

/// The server's end of a connection.
struct Peer {
    stream: TcpStream,
}

impl Server {
    async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener }
    }

    fn origin(&self) -> Origin {
        origin("127.0.0.1", self.listener.local_addr().unwrap().port())
    }

    fn upstream(&self) -> Upstream {
        Upstream::new(&definition([self.origin()])).unwrap()
    }

    async fn accept(&self) -> Peer {
        let (stream, _) = soon(self.listener.accept()).await.unwrap();
        Peer { stream }
    }

    /// Accepts a connection and answers its first request.
    async fn serve(&self, answer: &str) -> Peer {
        let mut peer = self.accept().await;
        peer.serve(answer).await;
        peer
    }
}

impl Peer {
    /// Reads a request head.
    async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    /// Reads up to and with this text.
    async fn until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            text.push(soon(self.stream.read_u8()).await.unwrap());
        }
        String::from_utf8(text).unwrap()
    }

    async fn say(&mut self, text: &str) {
        soon(self.stream.write_all(text.as_bytes())).await.unwrap();
    }

    /// Reads a request head and answers.
    async fn serve(&mut self, answer: &str) {
        self.head().await;
        self.say(answer).await;
    }

    /// What comes before the other side closes. A reset is a close.
    async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let _ = soon(self.stream.read_to_end(&mut rest)).await;
        String::from_utf8(rest).unwrap()
    }
}

/// Waits for what comes soon.
async fn soon<F: Future>(future: F) -> F::Output {
    let waited = tokio::time::timeout(SOON, future).await;
    waited.expect("it comes soon")
}

fn origin(host: &str, port: u16) -> Origin {
    Origin {
        tls: false,
        host: host.to_owned(),
        port,
    }
}

fn definition(endpoints: impl Into<Vec<Origin>>) -> config::Upstream {
    config::Upstream {
        endpoints: endpoints.into(),
        connect_timeout: SOON,
        response_timeout: SOON,
        body_timeout: SOON,
        idle_connections: 4,
        idle_timeout: SOON,
        tls: config::UpstreamTls::default(),
    }
}

fn request(method: Method, body: Body) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri("/path?query")
        .header("host", "upstream.example")
        .body(body)
        .unwrap()
}

fn get() -> Request<Body> {
    request(Method::GET, Body::empty())
}

async fn send(
    upstream: &Upstream,
    request: Request<Body>,
) -> (Result<Response<Body>, SendError>, SendTrace) {
    let mut trace = SendTrace::default();
    let result = soon(upstream.send(request, &mut trace, None)).await;
    (result, trace)
}

/// Sends a request whose answer is good, and reads that to its end.
async fn text(upstream: &Upstream, request: Request<Body>) -> (String, SendTrace) {
    let (result, trace) = send(upstream, request).await;
    let body = read(result.unwrap().into_body()).await;
    (body.unwrap(), trace)
}

async fn read(body: Body) -> Result<String, BodyError> {
    let whole = soon(body.collect()).await?.to_bytes();
    Ok(String::from_utf8(whole.to_vec()).unwrap())
}

/// A body of chunks whose length is not known, from a channel; the sender's end is the body's end.
struct Chunks(tokio::sync::mpsc::Receiver<Result<&'static str, BodyError>>);

type Feed = tokio::sync::mpsc::Sender<Result<&'static str, BodyError>>;

fn chunks() -> (Feed, Body) {
    let (feed, receiver) = tokio::sync::mpsc::channel(16);
    (feed, Body::boxed(Chunks(receiver)))
}

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, BodyError>>> {
        let frame =
            |text: &'static str| http_body::Frame::data(Bytes::from_static(text.as_bytes()));
        self.0
            .poll_recv(cx)
            .map(|next| next.map(|next| next.map(frame)))
    }
}

#[test]
fn a_sent_request_may_move_between_threads() {
    fn movable(_: impl Send) {}
    let upstream = Upstream::new(&definition([])).unwrap();
    movable(upstream.send(get(), &mut SendTrace::default(), None));
}

#[tokio::test]
async fn an_upstream_without_endpoints_says_so() {
    let upstream = Upstream::new(&definition([])).unwrap();
    let (result, trace) = send(&upstream, get()).await;
    assert!(matches!(result, Err(SendError::NoEndpoint)));
    assert_eq!(trace.tries, 0);
}
