//! Who is at the other end of a connection, and how it came.

use std::net::IpAddr;
use std::sync::Arc;

use super::activity::Activity;
use super::secure::Secure;
use crate::plugin::ClientCertificate;

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its address: the peer's, or what a trusted peer said by the PROXY protocol.
    pub ip: IpAddr,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// What TLS says of the connection.
    pub secure: Option<Arc<Secure>>,
    /// The port to which every request is redirected, by https.
    pub redirect: Option<u16>,
    /// Told of every exchange.
    pub activity: Arc<Activity>,
}

impl Client {
    /// The client's certificate.
    pub(super) fn certificate(&self) -> Option<Arc<ClientCertificate>> {
        self.secure.as_ref()?.certificate.clone()
    }

    /// Whether a request for that host, without port, belongs on this connection.
    pub(super) fn may_ask_for(&self, host: &str) -> bool {
        self.secure
            .as_ref()
            .is_none_or(|secure| secure.is_for(host))
    }
}
