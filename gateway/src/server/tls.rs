//! TLS of a listener, made of certificates that were read and judged with the configuration.
//!
//! TLS 1.2 and 1.3 by ring, with rustls' suites: all have forward secrecy and authenticated encryption. The client gets the
//! certificate for the name that it asks for, and HTTP/2 or HTTP/1.1 by ALPN. Sessions are resumed by tickets, whose key
//! changes every 6 hours; the last one is good for another 6. Listeners don't share ticket keys, and a listener that asks
//! other clients for certificates than before gets a new one: a ticket never carries an identity to where it would not be
//! believed. No early data: it could be replayed. Left out: revocation.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{Error, RootCertStore, ServerConfig, SupportedProtocolVersion};

use crate::config::{self, ClientAuthentication, Need, TlsVersion};
use crate::proxy::Names;

/// HTTP/2 by ALPN (RFC 9113 3.1).
pub(super) const H2: &[u8] = b"h2";
/// HTTP/1.1 by ALPN (RFC 7301 6).
pub(super) const HTTP_1_1: &[u8] = b"http/1.1";

/// How a listener speaks TLS.
pub(super) struct Tls {
    definition: config::Tls,
    /// Which certificate is for which host.
    pub(super) names: Arc<Names>,
    /// For the handshakes.
    pub(super) config: Arc<ServerConfig>,
}

impl Tls {
    /// From its definition, going on with the tickets of what was there before.
    ///
    /// # Errors
    /// The system has no randomness; what is wrong with certificates was found when they were read.
    pub(super) fn new(definition: &config::Tls, before: Option<&Self>) -> Result<Self, Error> {
        let names = definition.certificates.iter().map(|it| it.names.as_slice());
        let names = Arc::new(Names::new(names));
        let provider = Arc::new(ring::default_provider());
        let certificates = Certificates {
            names: Arc::clone(&names),
            keys: keys(definition, &provider)?,
        };
        let versions: &[&SupportedProtocolVersion] = match definition.min_version {
            TlsVersion::Tls12 => &[&TLS13, &TLS12],
            TlsVersion::Tls13 => &[&TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)?;
        let builder = match &definition.clients {
            None => builder.with_no_client_auth(),
            Some(clients) => builder.with_client_cert_verifier(verifier(clients, provider)?),
        };
        let mut config = builder.with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = tickets(definition, before)?;
        Ok(Self {
            definition: definition.clone(),
            names,
            config: Arc::new(config),
        })
    }

    /// What it was made from.
    pub(super) fn definition(&self) -> &config::Tls {
        &self.definition
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(..)")
    }
}

fn keys(
    definition: &config::Tls,
    provider: &CryptoProvider,
) -> Result<Vec<Arc<CertifiedKey>>, Error> {
    let key = |certificate: &config::Certificate| {
        let (chain, key) = (certificate.chain.clone(), certificate.key.clone_key());
        CertifiedKey::from_der(chain, key, provider).map(Arc::new)
    };
    definition.certificates.iter().map(key).collect()
}

fn verifier(
    clients: &ClientAuthentication,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, Error> {
    let mut roots = RootCertStore::empty();
    for authority in &clients.authorities.0 {
        roots.add(authority.clone())?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match clients.need {
        Need::Required => builder,
        Need::Optional => builder.allow_unauthenticated(),
    };
    let failed = |error: rustls::server::VerifierBuilderError| Error::General(error.to_string());
    builder.build().map_err(failed)
}

fn tickets(
    definition: &config::Tls,
    before: Option<&Tls>,
) -> Result<Arc<dyn ProducesTickets>, Error> {
    match before.filter(|before| before.definition.clients == definition.clients) {
        Some(before) => Ok(Arc::clone(&before.config.ticketer)),
        None => ring::Ticketer::new(),
    }
}

/// The certificates of a listener, by number.
struct Certificates {
    names: Arc<Names>,
    keys: Vec<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let number = hello
            .server_name()
            .map_or(0, |name| self.names.select(name));
        self.keys.get(number).cloned()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates(..)")
    }
}
