//! A small service for `gateway demo`: it answers every request with what it saw of it, so that what the plugins did
//! shows.
//!
//! It is what stands behind a gateway, not a part of one: hence a server of its own, the exception to the rule that
//! hyper's server is named in `server/` and `admin/` only. Loopback, HTTP/1.1, no limits.

use std::convert::Infallible;
use std::fmt::Write;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// A service that runs until it is dropped.
pub(super) struct DemoService {
    pub(super) address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl DemoService {
    /// Serve on that port of the loopback interface, or on a free one if it is taken.
    pub(super) fn start(name: &'static str, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let (stop, stopped) = oneshot::channel();
        std::thread::Builder::new()
            .name(format!("demo-{name}"))
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        error = serve(listener, name) => tracing::error!(?error, name, "demo service ended"),
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Self {
            address,
            _stop: stop,
        })
    }
}

/// Serve one connection after another; only an error ends it.
async fn serve(listener: TcpListener, name: &'static str) -> io::Result<Infallible> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service =
            service_fn(move |request| async move { Ok::<_, Infallible>(answer(name, &request)) });
        tokio::spawn(async move {
            let served = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, name, "connection of a demo service ended");
            }
        });
    }
}

fn answer<B>(name: &str, request: &Request<B>) -> Response<Full<Bytes>> {
    let mut text = format!(
        "service {name} saw: {} {}\n",
        request.method(),
        request.uri()
    );
    for (field, value) in request.headers() {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  {field}: {}",
            String::from_utf8_lossy(value.as_bytes())
        );
    }
    Response::new(Full::new(text.into()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn it_tells_what_it_saw_and_takes_another_port_if_one_is_taken() {
        let first = DemoService::start("one", 0).unwrap();
        let second = DemoService::start("two", first.address.port()).unwrap();
        assert_ne!(first.address, second.address);
        let mut stream = TcpStream::connect(second.address).unwrap();
        stream
            .write_all(b"GET /a?b HTTP/1.1\r\nhost: h\r\nx-y: z\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.contains("service two saw: GET /a?b\n") && answer.contains("  x-y: z\n"),
            "{answer}"
        );
    }
}
