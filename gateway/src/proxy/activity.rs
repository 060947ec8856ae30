//! How many exchanges a connection carries. The server's timers ask: what may stay open while a response flows must not
//! stay open without one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// What one client connection is doing.
#[derive(Debug, Default)]
pub struct Activity {
    exchanges: AtomicU32,
    begun: AtomicU32,
    multiplexed: AtomicBool,
    tunnel: AtomicBool,
}

/// One exchange on a connection, counted until dropped.
#[derive(Debug)]
pub(super) struct Busy(Arc<Activity>);

impl Activity {
    /// Whether an exchange is under way, its response's body included.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.exchanges.load(Ordering::Relaxed) > 0
    }

    /// A number that is another one after each exchange that began, however short it was.
    #[must_use]
    pub fn begun(&self) -> u32 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Whether the connection speaks HTTP/2, so that bytes may come that are no request.
    #[must_use]
    pub fn is_multiplexed(&self) -> bool {
        self.multiplexed.load(Ordering::Relaxed)
    }

    /// The connection speaks HTTP/2.
    pub fn set_multiplexed(&self) {
        self.multiplexed.store(true, Ordering::Relaxed);
    }

    /// Whether the connection has become a tunnel, whose bytes are no HTTP.
    #[must_use]
    pub fn is_tunnel(&self) -> bool {
        self.tunnel.load(Ordering::Relaxed)
    }

    /// The connection becomes a tunnel with the response that is sent now (101, RFC 9110 7.8).
    pub fn set_tunnel(&self) {
        self.tunnel.store(true, Ordering::Relaxed);
    }

    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.exchanges.fetch_sub(1, Ordering::Relaxed);
    }
}
