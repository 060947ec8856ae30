//! Bound addresses. Each worker has a socket of its own on each address (`SO_REUSEPORT`), so the kernel spreads
//! connections and no worker waits for another.
//!
//! Sockets are bound before a generation is swapped in, so that an address that can't be had refuses the reload; what
//! did not change keeps its sockets. What is done with their connections ([`Mode`]) is swapped with the generation.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

use super::places::OnListener;
use super::tls::Tls;
use crate::config::Listener;

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

/// What is done with the connections of a listener. It may change while the sockets stay.
#[derive(Debug)]
pub(super) struct Mode {
    /// TLS, if it is spoken.
    pub(super) tls: Option<Arc<Tls>>,
    /// The port to which every request is redirected, by https.
    pub(super) redirect: Option<u16>,
    /// Whether connections begin with a PROXY protocol header.
    pub(super) proxy_protocol: bool,
}

impl Mode {
    /// As defined, taking over what did not change.
    fn new(listener: &Listener, before: Option<&Self>) -> Result<Self, rustls::Error> {
        let before = before.and_then(|before| before.tls.as_ref());
        let tls = match (&listener.tls, before) {
            (None, _) => None,
            (Some(tls), Some(before)) if before.definition() == tls => Some(Arc::clone(before)),
            (Some(tls), before) => Some(Arc::new(Tls::new(tls, before.map(Arc::as_ref))?)),
        };
        Ok(Self {
            tls,
            redirect: listener.redirect,
            proxy_protocol: listener.proxy_protocol,
        })
    }
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
    mode: ArcSwap<Mode>,
    /// By worker; taken by it once.
    sockets: Vec<Mutex<Option<TcpListener>>>,
}

/// A listener that can be served, once it is [`Listeners::set`].
#[derive(Debug)]
pub struct Prepared {
    bound: Arc<Bound>,
    mode: Arc<Mode>,
}

impl Bound {
    fn new(
        asked: SocketAddr,
        mode: Arc<Mode>,
        workers: usize,
        ours: &[Arc<Self>],
    ) -> Result<Self, BindError> {
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
            mode: ArcSwap::new(mode),
            sockets,
        })
    }

    /// What is done with a connection that comes now.
    pub(super) fn mode(&self) -> Arc<Mode> {
        self.mode.load_full()
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

    /// Sockets for these listeners: those that are there already, and new ones.
    ///
    /// # Errors
    /// An address can't be bound, or TLS can't be had; everything stays as it was.
    pub fn prepare(&self, listeners: &[Listener]) -> Result<Vec<Prepared>, BindError> {
        listeners.iter().map(|it| self.prepare_one(it)).collect()
    }

    fn prepare_one(&self, listener: &Listener) -> Result<Prepared, BindError> {
        let asked = listener.address;
        let known = self.bound.iter().find(|bound| bound.asked == asked);
        let before = known.map(|known| known.mode());
        let mode = Mode::new(listener, before.as_deref()).map_err(|error| BindError {
            address: asked,
            source: std::io::Error::other(error),
        })?;
        let mode = Arc::new(mode);
        let bound = match known {
            Some(known) => Arc::clone(known),
            None => Arc::new(Bound::new(
                asked,
                Arc::clone(&mode),
                self.workers,
                &self.bound,
            )?),
        };
        Ok(Prepared { bound, mode })
    }

    /// From now on these are the ones. What is open stays as it is.
    pub fn set(&mut self, prepared: Vec<Prepared>) {
        let serve = |Prepared { bound, mode }| {
            bound.mode.store(mode);
            bound
        };
        self.bound = prepared.into_iter().map(serve).collect();
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

    fn plain() -> Arc<Mode> {
        Arc::new(Mode::new(&Listener::plain(any()), None).unwrap())
    }

    #[test]
    fn an_address_that_somebody_else_serves_is_refused() {
        let other = TcpListener::bind(any()).unwrap();
        let error = Bound::new(other.local_addr().unwrap(), plain(), 2, &[]).unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&other.local_addr().unwrap().to_string()),
            "{error}"
        );
    }

    #[test]
    fn every_worker_gets_one_socket_on_the_same_port() {
        let bound = Bound::new(any(), plain(), 3, &[]).unwrap();
        let ports: Vec<_> = (0..3)
            .map(|worker| bound.take(worker).unwrap().local_addr().unwrap())
            .collect();
        assert!(ports.iter().all(|port| *port == bound.address));
        assert!(bound.take(0).is_none() && bound.take(3).is_none());
    }

    #[test]
    fn what_is_served_already_keeps_its_sockets() {
        let mut listeners = Listeners::new(1);
        let plain = Listener::plain(any());
        listeners.set(listeners.prepare(std::slice::from_ref(&plain)).unwrap());
        let redirect = Listener {
            redirect: Some(443),
            ..plain
        };
        let again = listeners.prepare(&[redirect]).unwrap();
        assert!(Arc::ptr_eq(&again[0].bound, &listeners.bound()[0]));
        assert_eq!(listeners.bound()[0].mode().redirect, None);
        listeners.set(again);
        assert_eq!(listeners.bound()[0].mode().redirect, Some(443));
    }
}
