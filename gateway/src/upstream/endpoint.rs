//! One place of an upstream: its name, its addresses, and what may be connected to.
//!
//! Promises that only an address that passed [`Reach`] is connected to, and exactly that one: a name is resolved
//! once for a connection, so an answer that changes between check and connect changes nothing. Left out: caching of
//! names, which is the resolver's business; pooled connections make it rare.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::client::Connection;
use super::error::{SendError, UpstreamError};
use super::pool::Pool;
use crate::config::network::is_public;
use crate::config::{self, Network, Origin};

/// A host and port to connect to, with its idle connections.
pub(super) struct Endpoint {
    name: Arc<str>,
    host: Host,
    port: u16,
    tls: Option<Tls>,
    reach: Reach,
    pool: Pool,
}

/// How to speak TLS with an endpoint.
pub(super) struct Tls {
    pub(super) connector: TlsConnector,
    pub(super) server: ServerName<'static>,
}

enum Host {
    Address(IpAddr),
    Name(Box<str>),
}

/// Which addresses may be connected to.
#[derive(Clone)]
pub(super) enum Reach {
    /// Any: the operator wrote the endpoint down.
    Any,
    /// Public ones, those of these networks, and the endpoint's own if it is written as an address or `localhost`;
    /// never the denied ones.
    Granted {
        networks: Arc<[Network]>,
        denied: Arc<[SocketAddr]>,
    },
}

impl Endpoint {
    pub(super) fn new(
        origin: &Origin,
        definition: &config::Upstream,
        reach: Reach,
        trust: impl Fn() -> Result<Arc<ClientConfig>, UpstreamError>,
    ) -> Result<Self, UpstreamError> {
        let host = match origin.host.parse() {
            Ok(address) => Host::Address(address),
            Err(_) => Host::Name(origin.host.as_str().into()),
        };
        let tls = if origin.tls {
            let name = definition.tls.server_name.as_ref().unwrap_or(&origin.host);
            Some(Tls::new(name, trust()?)?)
        } else {
            None
        };
        Ok(Self {
            name: match host {
                Host::Address(address) => SocketAddr::new(address, origin.port).to_string().into(),
                Host::Name(_) => format!("{}:{}", origin.host, origin.port).into(),
            },
            host,
            port: origin.port,
            tls,
            reach,
            pool: Pool::new(definition.idle_connections, definition.idle_timeout),
        })
    }

    /// Host and port.
    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// An idle connection of this worker.
    pub(super) fn take_idle(&self) -> Option<Connection> {
        self.pool.here().take()
    }

    /// Idle connections of all workers.
    pub(super) fn idle(&self) -> usize {
        self.pool.idle()
    }

    /// The addresses that may be connected to, at least one, in the resolver's order.
    pub(super) async fn addresses(&self) -> Result<Vec<SocketAddr>, SendError> {
        let mut addresses = match &self.host {
            Host::Address(address) => vec![SocketAddr::new(*address, self.port)],
            Host::Name(name) => tokio::net::lookup_host((name.as_ref(), self.port))
                .await
                .map_err(|source| self.unreachable(source))?
                .collect(),
        };
        let Some(&first) = addresses.first() else {
            return Err(self.unreachable(io::Error::new(
                io::ErrorKind::NotFound,
                "the name has no address",
            )));
        };
        addresses.retain(|&address| self.reach.allows(&self.host, address));
        if addresses.is_empty() {
            return Err(SendError::Denied {
                endpoint: self.name.clone(),
                address: first,
            });
        }
        Ok(addresses)
    }

    /// The error of a connection that could not be made.
    pub(super) fn unreachable(&self, source: io::Error) -> SendError {
        SendError::Connect {
            endpoint: self.name.clone(),
            source,
        }
    }
}

impl Tls {
    fn new(host: &str, trust: Arc<ClientConfig>) -> Result<Self, UpstreamError> {
        let server = ServerName::try_from(host.to_owned())
            .map_err(|_| UpstreamError::ServerName(host.to_owned()))?;
        let connector = TlsConnector::from(trust);
        Ok(Self { connector, server })
    }
}

impl Reach {
    fn allows(&self, host: &Host, address: SocketAddr) -> bool {
        let Self::Granted { networks, denied } = self else {
            return true;
        };
        let ip = address.ip().to_canonical();
        // Linux takes "any address" for this machine, so `0.0.0.0` would be a way around `denied`.
        if ip.is_unspecified() || denied.iter().any(|&denied| reaches(address, denied)) {
            return false;
        }
        let written = match host {
            Host::Address(written) => ip == written.to_canonical(),
            Host::Name(name) => name.as_ref() == "localhost" && ip.is_loopback(),
        };
        written || is_public(ip) || networks.iter().any(|network| network.contains(ip))
    }
}

/// Whether a connection to `address` may end at a listener that is bound to `listener`. One that is bound to every
/// address is reached at any; which ones are this machine's own is not worth asking at that point.
fn reaches(address: SocketAddr, listener: SocketAddr) -> bool {
    let listening = listener.ip().to_canonical();
    address.port() == listener.port()
        && (listening.is_unspecified() || listening == address.ip().to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(networks: &[Network], denied: &[&str]) -> Reach {
        Reach::Granted {
            networks: networks.into(),
            denied: denied.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    fn name(host: &str) -> Host {
        Host::Name(host.into())
    }

    fn allows(reach: &Reach, host: &Host, address: &str) -> bool {
        reach.allows(host, address.parse().unwrap())
    }

    #[test]
    fn a_name_may_have_public_addresses_only() {
        let reach = granted(&[], &[]);
        let host = name("api.example.com");
        assert!(allows(&reach, &host, "93.184.216.34:80"));
        for private in [
            "127.0.0.1:80",
            "10.0.0.1:80",
            "169.254.169.254:80",
            "[::1]:80",
            "[::ffff:127.0.0.1]:80",
            "0.0.0.0:80",
        ] {
            assert!(!allows(&reach, &host, private), "{private}");
        }
    }

    #[test]
    fn a_granted_network_is_allowed_and_its_neighbour_is_not() {
        let network = Network {
            address: "10.1.0.0".parse().unwrap(),
            prefix: 16,
        };
        let reach = granted(&[network], &[]);
        assert!(allows(&reach, &name("auth"), "10.1.2.3:80"));
        assert!(!allows(&reach, &name("auth"), "10.2.0.1:80"));
    }

    #[test]
    fn a_written_address_allows_itself_and_localhost_allows_loopback() {
        let reach = granted(&[], &[]);
        let written = Host::Address("10.0.0.1".parse().unwrap());
        assert!(allows(&reach, &written, "10.0.0.1:80"));
        assert!(allows(&reach, &name("localhost"), "127.0.0.1:80"));
        assert!(allows(&reach, &name("localhost"), "[::1]:80"));
        assert!(!allows(&reach, &name("localhost"), "10.0.0.1:80"));
    }

    #[test]
    fn a_denied_listener_is_out_of_reach_however_it_is_written() {
        let reach = granted(&[], &["127.0.0.1:9901"]);
        let written = Host::Address("127.0.0.1".parse().unwrap());
        assert!(!allows(&reach, &written, "127.0.0.1:9901"));
        assert!(!allows(&reach, &written, "[::ffff:127.0.0.1]:9901"));
        assert!(allows(&reach, &written, "127.0.0.1:9902"));

        let everywhere = granted(&[], &["0.0.0.0:9901"]);
        assert!(!allows(&everywhere, &written, "127.0.0.1:9901"));
        let any = Host::Address("0.0.0.0".parse().unwrap());
        assert!(!allows(&reach, &any, "0.0.0.0:9901"));
    }
}
