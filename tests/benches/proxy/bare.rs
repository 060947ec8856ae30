//! What the gateway is compared with: the least that forwards requests with hyper. One thread, a plain pool of client
//! connections, no limits, no timeouts, no checks.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;

use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::rig::upstream;

/// Names the address to forward to.
pub(crate) const UPSTREAM: &str = "GATEWAY_BENCH_UPSTREAM";

/// The process of this role.
pub(crate) fn main() -> ExitCode {
    let Some(upstream) = std::env::var(UPSTREAM)
        .ok()
        .and_then(|address| address.parse().ok())
    else {
        return ExitCode::FAILURE;
    };
    let proxy = Rc::new(Proxy {
        upstream,
        idle: RefCell::default(),
    });
    upstream::serve(move || {
        let proxy = Rc::clone(&proxy);
        service_fn(move |request| Rc::clone(&proxy).forward(request))
    })
}

struct Proxy {
    upstream: SocketAddr,
    idle: RefCell<Vec<SendRequest<Incoming>>>,
}

impl Proxy {
    async fn forward(self: Rc<Self>, request: Request<Incoming>) -> io::Result<Response<Incoming>> {
        let mut connection = match self.idle() {
            Some(connection) => connection,
            None => connect(self.upstream).await?,
        };
        let response = connection
            .send_request(request)
            .await
            .map_err(io::Error::other)?;
        self.idle.borrow_mut().push(connection);
        Ok(response)
    }

    /// One whose last response has been read to its end.
    fn idle(&self) -> Option<SendRequest<Incoming>> {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|connection| !connection.is_closed());
        let ready = idle.iter().rposition(SendRequest::is_ready)?;
        Some(idle.swap_remove(ready))
    }
}

async fn connect(address: SocketAddr) -> io::Result<SendRequest<Incoming>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (connection, driver) = handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    tokio::task::spawn_local(async move { drop(driver.await) });
    Ok(connection)
}
