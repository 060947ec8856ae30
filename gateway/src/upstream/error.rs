//! What can go wrong with an upstream, named so that each variant has one status.
//!
//! Messages are for the log; a client sees only the status and the reason that the proxy chooses.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::outgoing::Progress;
use crate::body::BodyError;

/// Why an upstream could not be built.
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// This machine's root certificates could not be read, or there are none.
    #[error("no root certificates to check https endpoints with: {0}")]
    NoRoots(String),
    /// Our certificate for the endpoints can't be used.
    #[error("TLS with https endpoints: {0}")]
    Tls(rustls::Error),
    /// Certificates are issued for DNS names and addresses, and this is neither.
    #[error("'{0}' is not a name that a certificate can be checked against")]
    ServerName(String),
}

/// Why a request has no response.
#[derive(Debug, Error)]
pub enum SendError {
    /// There is no endpoint to send to.
    #[error("the upstream has no endpoint")]
    NoEndpoint,
    /// No connection could be made: the name does not resolve, or nobody listens.
    #[error("can't connect to {endpoint}: {source}")]
    Connect {
        /// Host and port.
        endpoint: Arc<str>,
        /// What the system said.
        source: io::Error,
    },
    /// Making a connection took too long.
    #[error("can't connect to {endpoint} within {limit:?}")]
    ConnectTimeout {
        /// Host and port.
        endpoint: Arc<str>,
        /// The limit.
        limit: Duration,
    },
    /// The endpoint can't speak TLS, or its certificate is not good for its host.
    #[error("no TLS with {endpoint}: {source}")]
    Tls {
        /// Host and port.
        endpoint: Arc<str>,
        /// What rustls said.
        source: io::Error,
    },
    /// The host has an address that must not be connected to. Only for calls of plugins.
    #[error("{endpoint} has the address {address}, which is not granted")]
    Denied {
        /// Host and port.
        endpoint: Arc<str>,
        /// The address.
        address: SocketAddr,
    },
    /// No response head came in time.
    #[error("no response from {endpoint} within {limit:?}")]
    ResponseTimeout {
        /// Host and port.
        endpoint: Arc<str>,
        /// The limit.
        limit: Duration,
    },
    /// The connection ended before a whole response head came.
    #[error("{endpoint} closed the connection before a response: {source}")]
    Closed {
        /// Host and port.
        endpoint: Arc<str>,
        /// How it ended.
        source: hyper::Error,
    },
    /// The response head is not one.
    #[error("malformed response from {endpoint}: {reason}")]
    Protocol {
        /// Host and port.
        endpoint: Arc<str>,
        /// What is wrong with it.
        reason: String,
    },
    /// The request body broke off: not the upstream's fault, and it never saw a complete request.
    #[error("request body: {0}")]
    RequestBody(#[source] BodyError),
}

impl SendError {
    /// What a failed exchange means.
    pub(super) fn from_exchange(
        endpoint: &Arc<str>,
        error: hyper::Error,
        progress: Option<&Progress>,
    ) -> Self {
        if let Some(failure) = progress.and_then(Progress::take_failure) {
            return Self::RequestBody(failure);
        }
        if error.is_body_write_aborted() {
            return Self::RequestBody(BodyError::Sender(error));
        }
        let endpoint = endpoint.clone();
        if error.is_parse() {
            let reason = error.to_string();
            return Self::Protocol { endpoint, reason };
        }
        Self::Closed {
            endpoint,
            source: error,
        }
    }
}
