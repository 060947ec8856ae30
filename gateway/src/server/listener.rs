//! Bound addresses. Each worker has a socket of its own on each address (`SO_REUSEPORT`), so the kernel spreads
//! connections and no worker waits for another.
//!
//! Sockets are bound before a generation is swapped in, so that an address that can't be had refuses the reload; what
//! did not change keeps its sockets.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

use super::places::OnListener;

/// Connections that the kernel holds for a worker that is busy.
const BACKLOG: i32 = 1024;

/// An address could not be bound.
#[derive(Debug, Error)]
#[error("can't listen on {address} (server.listen): {source}")]
pub struct BindError {
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

/// One address with a socket for each worker.
#[derive(Debug)]
pub struct Bound {
    /// As it was asked for, port 0 included.
    asked: SocketAddr,
    /// As it is.
    pub address: SocketAddr,
    /// Connections that are open here.
    pub(super) connections: OnListener,
    /// By worker; taken by it once.
    sockets: Vec<Mutex<Option<TcpListener>>>,
}

impl Bound {
    fn new(asked: SocketAddr, workers: usize, ours: &[Arc<Self>]) -> Result<Self, BindError> {
        let failed = |source| BindError {
            address: asked,
            source,
        };
        let is_beside_ours = ours
            .iter()
            .any(|bound| bound.address.port() == asked.port());
        if asked.port() != 0 && !is_beside_ours {
            // Without SO_REUSEPORT, to find out whether somebody else serves there already.
            bind(asked, Sharing::Alone).map_err(failed)?;
        }
        let first = bind(asked, Sharing::Shared).map_err(failed)?;
        let address = first.local_addr().map_err(failed)?;
        let mut sockets = vec![Mutex::new(Some(first))];
        for _ in 1..workers {
            let socket = bind(address, Sharing::Shared).map_err(failed)?;
            sockets.push(Mutex::new(Some(socket)));
        }
        Ok(Self {
            asked,
            address,
            connections: OnListener::default(),
            sockets,
        })
    }

    pub(super) fn take(&self, worker: usize) -> Option<TcpListener> {
        self.sockets
            .get(worker)
            .and_then(|socket| socket.lock().take())
    }
}

enum Sharing {
    Alone,
    Shared,
}

fn bind(address: SocketAddr, sharing: Sharing) -> std::io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if matches!(sharing, Sharing::Shared) {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The addresses that are served.
#[derive(Debug)]
pub struct Listeners {
    workers: usize,
    bound: Vec<Arc<Bound>>,
}

impl Listeners {
    /// None yet, for that many workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            workers,
            bound: Vec::new(),
        }
    }

    /// Sockets for these addresses: those that are there already, and new ones.
    ///
    /// # Errors
    /// An address can't be bound; everything stays as it was.
    pub fn prepare(&self, addresses: &[SocketAddr]) -> Result<Vec<Arc<Bound>>, BindError> {
        let bound = addresses.iter().map(|asked| {
            let known = self.bound.iter().find(|bound| bound.asked == *asked);
            known.map_or_else(
                || Bound::new(*asked, self.workers, &self.bound).map(Arc::new),
                |known| Ok(Arc::clone(known)),
            )
        });
        bound.collect()
    }

    /// From now on these are the ones.
    pub fn set(&mut self, bound: Vec<Arc<Bound>>) {
        self.bound = bound;
    }

    /// The ones that are served.
    #[must_use]
    pub fn bound(&self) -> &[Arc<Bound>] {
        &self.bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    #[test]
    fn an_address_that_somebody_else_serves_is_refused() {
        let other = TcpListener::bind(any()).unwrap();
        let error = Bound::new(other.local_addr().unwrap(), 2, &[]).unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&other.local_addr().unwrap().to_string()),
            "{error}"
        );
    }

    #[test]
    fn every_worker_gets_one_socket_on_the_same_port() {
        let bound = Bound::new(any(), 3, &[]).unwrap();
        let ports: Vec<_> = (0..3)
            .map(|worker| bound.take(worker).unwrap().local_addr().unwrap())
            .collect();
        assert!(ports.iter().all(|port| *port == bound.address));
        assert!(bound.take(0).is_none() && bound.take(3).is_none());
    }

    #[test]
    fn what_is_served_already_keeps_its_sockets() {
        let mut listeners = Listeners::new(1);
        listeners.set(listeners.prepare(&[any()]).unwrap());
        let again = listeners.prepare(&[any()]).unwrap();
        assert!(Arc::ptr_eq(&again[0], &listeners.bound()[0]));
    }
}
