//! The upstream of the benches: a small answer to whoever asks, a body of any size, or the count of a body's bytes.
//!
//! `GET /bytes/N` is answered with N times `a`; a request with a body with `TOTAL LOWER`, the bytes that came and how
//! many of them were `a`; everything else with a few bytes. One thread, HTTP/1.1, no limits.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::pin::Pin;
use std::process::ExitCode;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

/// Bytes written at once.
const PIECE: &[u8] = &[b'a'; 64 * 1024];
/// The small answer.
const SMALL: &[u8] = b"{\"id\":42,\"name\":\"alice\",\"plan\":\"gold\"}\n";

/// The process of this role.
pub(super) fn main() -> ExitCode {
    serve(|| service_fn(answer))
}

/// Serve connections on a port of the system's choice, and say which.
pub(crate) fn serve<S, B>(service: impl Fn() -> S) -> ExitCode
where
    S: HttpService<Incoming, ResBody = B, Error: std::error::Error + Send + Sync> + 'static,
    S::Future: 'static,
    B: Body<Data: 'static, Error: std::error::Error + Send + Sync> + 'static,
{
    match accept(service) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn accept<S, B>(service: impl Fn() -> S) -> io::Result<Infallible>
where
    S: HttpService<Incoming, ResBody = B, Error: std::error::Error + Send + Sync> + 'static,
    S::Future: 'static,
    B: Body<Data: 'static, Error: std::error::Error + Send + Sync> + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    println!("{}", listener.local_addr()?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let connection =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service());
            // How a connection ends is the client's to judge.
            tokio::task::spawn_local(async move { drop(connection.await) });
        }
    })
}

async fn answer(request: Request<Incoming>) -> Result<Response<Repeated>, hyper::Error> {
    let wanted = request
        .uri()
        .path()
        .strip_prefix("/bytes/")
        .and_then(|number| number.parse().ok());
    if let Some(count) = wanted {
        return Ok(Response::new(Repeated::letters(count)));
    }
    if request.body().is_end_stream() {
        return Ok(Response::new(Repeated::once(Bytes::from_static(SMALL))));
    }
    let (mut total, mut lower) = (0, 0);
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            total += data.len();
            lower += data.iter().filter(|byte| **byte == b'a').count();
        }
    }
    Ok(Response::new(Repeated::once(
        format!("{total} {lower}").into(),
    )))
}

/// A body that is the same piece again and again.
pub(crate) struct Repeated {
    piece: Bytes,
    left: u64,
}

impl Repeated {
    /// That many `a`.
    pub(crate) fn letters(count: u64) -> Self {
        Self {
            piece: Bytes::from_static(PIECE),
            left: count,
        }
    }

    fn once(piece: Bytes) -> Self {
        let left = piece.len() as u64;
        Self { piece, left }
    }
}

impl Body for Repeated {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let piece = match usize::try_from(self.left) {
            Ok(left) if left < self.piece.len() => self.piece.slice(..left),
            _ => self.piece.clone(),
        };
        self.left -= piece.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
