//! Where requests go: upstreams, their endpoints and the connections to them.
//!
//! An [`Upstream`] is built once from its definition, shared by reference, and kept over a reload that did not
//! change it, with its connections. [`Upstream::send`] is the only door: it picks an endpoint, finds or makes a
//! connection, sends, and retries where that is safe. [`fetch()`] is the door for plugins' own calls: the same
//! machinery behind a list of granted origins.
//!
//! Promises: a connection stays on the worker that made it; it serves another request only after the last one was
//! written and answered completely; a request is never sent twice unless that cannot matter; no lock is held over an
//! `await`. Left out: health, circuit breaking and discovery of endpoints, which will decide what `balance` may pick.

mod send;

mod balance;
mod endpoint;
mod pool;

mod client;
mod deadline;
mod tls;
mod wire;
mod written;

mod outgoing;
mod response;

mod counters;
mod error;

mod fetch;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use rustls::ClientConfig;

pub use counters::UpstreamStats;
pub use error::{SendError, UpstreamError};
pub use fetch::{FetchAnswer, FetchCall, FetchError, FetchPolicy, fetch};
pub use send::{Again, SendTrace};

use crate::config;
use balance::RoundRobin;
use counters::Counters;
use endpoint::{Endpoint, Reach};

/// A named set of equal endpoints.
pub struct Upstream {
    definition: config::Upstream,
    endpoints: Box<[Endpoint]>,
    balance: RoundRobin,
    counters: Counters,
}

impl Upstream {
    /// An upstream without connections yet; they are made when requests come.
    ///
    /// # Errors
    ///
    /// An endpoint speaks TLS, and this machine's root certificates are needed and can't be read, or the host is not a name
    /// that a certificate can be checked against.
    pub fn new(definition: &config::Upstream) -> Result<Self, UpstreamError> {
        let is_tls = definition.endpoints.iter().any(|endpoint| endpoint.tls);
        // Once for all endpoints, so that they share sessions.
        let trust = is_tls.then(|| tls::of(&definition.tls)).transpose()?;
        Self::build(definition, &Reach::Any, || {
            trust.clone().map_or_else(tls::native, Ok)
        })
    }

    /// What it was built from; the same definition means that it can be kept over a reload.
    #[must_use]
    pub fn definition(&self) -> &config::Upstream {
        &self.definition
    }

    /// What happened so far, over all workers.
    #[must_use]
    pub fn stats(&self) -> UpstreamStats {
        let idle = self.endpoints.iter().map(Endpoint::idle).sum();
        self.counters.sum(idle)
    }

    fn build(
        definition: &config::Upstream,
        reach: &Reach,
        trust: impl Fn() -> Result<Arc<ClientConfig>, UpstreamError>,
    ) -> Result<Self, UpstreamError> {
        let endpoint = |origin| Endpoint::new(origin, definition, reach.clone(), &trust);
        Ok(Self {
            endpoints: definition
                .endpoints
                .iter()
                .map(endpoint)
                .collect::<Result<_, _>>()?,
            balance: RoundRobin::new(),
            counters: Counters::new(),
            definition: definition.clone(),
        })
    }
}
