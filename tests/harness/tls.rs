//! Certificates made on the spot, and a client that speaks TLS: HTTP/1.1 or h2 by ALPN, and looks at how it was answered.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::response::Parts;
use http_body_util::BodyExt;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, SupportedProtocolVersion, crypto,
};

use crate::h2::Body;
use crate::setup::Setup;

/// Who signs certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub pem: String,
    /// Its key.
    pub key_pem: String,
    der: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// If there is no randomness.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = named(name);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        Self { issuer }
    }

    /// Its certificate.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for these DNS names and addresses, by the common name of the first.
    ///
    /// # Panics
    /// If a name is none.
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> Issued {
        self.issue_with(names, |_| {})
    }

    /// The same, with more to say.
    ///
    /// # Panics
    /// If a name is none.
    #[must_use]
    pub fn issue_with(&self, names: &[&str], more: impl FnOnce(&mut CertificateParams)) -> Issued {
        let owned: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(owned).expect("names");
        params.distinguished_name = named(names.first().copied().unwrap_or("nobody"));
        more(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Issued {
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            der: certificate.der().clone(),
            key: key.serialize_der(),
        }
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

impl Issued {
    /// Write `NAME.pem` and `NAME.key` into a setup's folder, each in one step.
    pub fn write(&self, setup: &Setup, name: &str) {
        setup.write_file(&format!("{name}.pem"), self.pem.as_bytes());
        setup.write_file(&format!("{name}.key"), self.key_pem.as_bytes());
    }

    /// The certificate's bytes.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

/// A client; connections of one share sessions.
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    roots: Arc<RootCertStore>,
}

impl TlsClient {
    /// One that trusts that authority, offers h2 and HTTP/1.1, and shows no certificate.
    ///
    /// # Panics
    /// If the authority is none.
    #[must_use]
    pub fn trusting(authority: &Authority) -> Self {
        let mut roots = RootCertStore::empty();
        roots
            .add(authority.issuer.der().clone())
            .expect("an authority");
        let roots = Arc::new(roots);
        let config = Arc::new(config(&roots, None, &[&TLS13, &TLS12]));
        Self { config, roots }
    }

    /// One that shows that certificate; it has no sessions yet.
    #[must_use]
    pub fn showing(&self, certificate: &Issued) -> Self {
        Self {
            config: Arc::new(config(&self.roots, Some(certificate), &[&TLS13, &TLS12])),
            roots: Arc::clone(&self.roots),
        }
    }

    /// One that speaks only TLS 1.2, without a certificate; it has no sessions yet.
    #[must_use]
    pub fn tls12(&self) -> Self {
        Self {
            config: Arc::new(config(&self.roots, None, &[&TLS12])),
            roots: Arc::clone(&self.roots),
        }
    }

    /// One that offers just these protocols. It shares sessions with this one.
    #[must_use]
    pub fn offering(&self, protocols: &[&str]) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
        Self {
            config: Arc::new(config),
            roots: Arc::clone(&self.roots),
        }
    }

    /// One that does not say for which name it comes. It shares sessions with this one.
    #[must_use]
    pub fn without_sni(&self) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.enable_sni = false;
        Self {
            config: Arc::new(config),
            roots: Arc::clone(&self.roots),
        }
    }

    /// Connect, asking for that name. To be called within [`crate::h2::block_on`].
    ///
    /// # Errors
    /// The handshake fails.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn connect(&self, address: SocketAddr, name: &str) -> io::Result<TlsConnection> {
        let stream = TcpStream::connect(address)
            .await
            .expect("the gateway listens");
        self.connect_over(stream, name).await
    }

    /// Connect over a socket on which something was said already.
    ///
    /// # Errors
    /// The handshake fails.
    pub async fn connect_over(&self, stream: TcpStream, name: &str) -> io::Result<TlsConnection> {
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        TlsConnection::over(connector.connect(name, stream).await?).await
    }
}

fn config(
    roots: &Arc<RootCertStore>,
    certificate: Option<&Issued>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("ring has suites for both")
        .with_root_certificates(Arc::clone(roots));
    let mut config = match certificate {
        None => builder.with_no_client_auth(),
        Some(issued) => {
            let key = PrivateKeyDer::try_from(issued.key.clone()).expect("a key");
            builder
                .with_client_auth_cert(vec![issued.der.clone()], key)
                .expect("a certificate")
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// A connection by TLS.
pub struct TlsConnection {
    sender: Sender,
    /// What was agreed on by ALPN.
    pub protocol: Option<String>,
    /// Whether the session is an earlier one.
    pub is_resumed: bool,
    /// The version of TLS.
    pub version: Option<ProtocolVersion>,
    /// The certificate that was served.
    pub served: Vec<u8>,
}

enum Sender {
    H1(http1::SendRequest<Body>),
    H2(http2::SendRequest<Body>),
}

impl TlsConnection {
    async fn over(stream: TlsStream<TcpStream>) -> io::Result<Self> {
        let session = stream.get_ref().1;
        let protocol = session
            .alpn_protocol()
            .map(|protocol| String::from_utf8_lossy(protocol).into_owned());
        let is_resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        let version = session.protocol_version();
        let served = session.peer_certificates().and_then(<[_]>::first);
        let served = served.map(|der| der.to_vec()).unwrap_or_default();
        let sender = if protocol.as_deref() == Some("h2") {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .map_err(io::Error::other)?;
            tokio::spawn(connection);
            Sender::H2(sender)
        } else {
            let (sender, connection) = http1::handshake(TokioIo::new(stream))
                .await
                .map_err(io::Error::other)?;
            tokio::spawn(connection);
            Sender::H1(sender)
        };
        Ok(Self {
            sender,
            protocol,
            is_resumed,
            version,
            served,
        })
    }

    /// Send a request and read the whole response.
    ///
    /// # Errors
    /// There is none; also if TLS 1.3 refuses the client's certificate, which it does after its handshake.
    pub async fn send(
        &mut self,
        request: http::Request<Body>,
    ) -> Result<(Parts, Bytes), hyper::Error> {
        let response = match &mut self.sender {
            Sender::H1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Sender::H2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let (parts, body) = response.into_parts();
        Ok((parts, body.collect().await?.to_bytes()))
    }

    /// GET a path of a host.
    ///
    /// # Errors
    /// There is no response.
    ///
    /// # Panics
    /// If host or path are none.
    pub async fn get(&mut self, host: &str, path: &str) -> Result<(Parts, Bytes), hyper::Error> {
        let request = match &self.sender {
            Sender::H1(_) => http::Request::get(path).header("host", host),
            Sender::H2(_) => http::Request::get(format!("https://{host}{path}")),
        };
        let request = request
            .body(crate::h2::empty())
            .expect("the test writes a host and a path");
        self.send(request).await
    }

    /// Whether another request could be sent.
    pub async fn is_open(&mut self) -> bool {
        match &mut self.sender {
            Sender::H1(sender) => sender.ready().await.is_ok(),
            Sender::H2(sender) => sender.ready().await.is_ok(),
        }
    }
}
