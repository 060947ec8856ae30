//! What a connection is doing, between those who serve its requests and those who watch its bytes. What may stay open
//! while a response flows must not stay open without one.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

/// What one client connection is doing.
#[derive(Debug, Default)]
pub struct Activity {
    exchanges: AtomicU32,
    begun: AtomicU32,
    /// On h2: the exchanges whose response the client has got.
    completed: AtomicU32,
    is_over: AtomicBool,
    may_rest: AtomicBool,
    cut: OnceLock<&'static str>,
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

    /// How many exchanges of an h2 connection have ended well, modulo 2^32.
    #[must_use]
    pub fn completed(&self) -> u32 {
        self.completed.load(Ordering::Relaxed)
    }

    /// The connection has served enough: it should end when what is open has.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Whether [`Self::end`] was called.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// The connection has been quiet for so long that its buffers are better given back.
    pub fn rest(&self) {
        self.may_rest.store(true, Ordering::Relaxed);
    }

    /// Whether [`Self::rest`] was called since this was last asked, and nothing has begun meanwhile.
    #[must_use]
    pub fn takes_rest(&self) -> bool {
        self.may_rest.load(Ordering::Relaxed)
            && self.may_rest.swap(false, Ordering::Relaxed)
            && !self.is_busy()
    }

    /// The connection is cut off for that reason.
    pub fn cut(&self, reason: &'static str) {
        // The first reason is the one that counts.
        let _ = self.cut.set(reason);
    }

    /// Why the connection was cut off, if it was.
    #[must_use]
    pub fn cut_reason(&self) -> Option<&'static str> {
        self.cut.get().copied()
    }

    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }
}

impl Busy {
    /// Whether the connection carries no other exchange.
    pub(super) fn is_alone(&self) -> bool {
        self.0.exchanges.load(Ordering::Relaxed) <= 1
    }

    /// The exchange has ended well.
    pub(super) fn completed(&self) {
        self.0.completed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.exchanges.fetch_sub(1, Ordering::Relaxed);
    }
}
