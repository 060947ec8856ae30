//! A client that speaks h2 with prior knowledge, for requests in one piece and for streams.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::LazyLock;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::PATIENCE;

/// A body to send. It may fail, which resets its stream.
pub type Body = BoxBody<Bytes, io::Error>;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let built = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    built.expect("the system gives two threads")
});

/// Run something async, but not for ever.
///
/// # Panics
/// If it takes longer than [`PATIENCE`].
pub fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(async {
        tokio::time::timeout(PATIENCE, future)
            .await
            .expect("takes too long")
    })
}

/// A connection.
pub struct H2 {
    sender: http2::SendRequest<Body>,
}

impl H2 {
    /// Connect. To be called within [`block_on`].
    ///
    /// # Panics
    /// If nobody listens, or not for h2.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .expect("the gateway listens");
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("the gateway speaks h2");
        tokio::spawn(connection);
        Self { sender }
    }

    /// Send a request and wait for the head of its response.
    pub async fn send(
        &mut self,
        request: http::Request<Body>,
    ) -> Result<http::Response<Incoming>, hyper::Error> {
        self.sender.ready().await?;
        self.sender.send_request(request).await
    }

    /// Send a GET and read the whole response.
    ///
    /// # Panics
    /// If there is none.
    pub async fn get(&mut self, url: &str) -> (http::response::Parts, Bytes) {
        let request = http::Request::get(url)
            .body(empty())
            .expect("the test writes a URL");
        let (parts, body) = self.send(request).await.expect("a response").into_parts();
        (
            parts,
            body.collect().await.expect("a whole body").to_bytes(),
        )
    }
}

/// No body.
#[must_use]
pub fn empty() -> Body {
    full("")
}

/// A body in one piece.
#[must_use]
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}
