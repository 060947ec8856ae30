//! From an accepted connection to one that carries requests: who it is for, then TLS, within one limit of time.
//!
//! A plain listener has nothing to wait for. Whoever gets no further is counted and told nothing but what TLS has to say;
//! only plain HTTP on a TLS listener is answered, with 400, since that is a mistake that people make.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::ServerConnection;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::io::Spoken;
use super::listener::Mode;
use super::places::{Place, TOO_MANY};
use super::proxy_protocol::{self, HeaderError};
use super::tls::{H2, HTTP_1_1, Tls};
use super::wire::Wire;
use crate::proxy::{ClientCertificate, Proxy, Secure};

/// What plain HTTP on a TLS listener is told.
const TLS_REQUIRED: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 26\r\nconnection: close\r\n\r\n{\"error\": \"tls-required\"}\n";

/// Bytes of a plain request that are read after it was answered, so that the answer is not lost to a reset.
const MAX_IGNORED_BYTES: usize = 64 * 1024;

/// The first byte of a TLS handshake (RFC 8446 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// A connection that was accepted.
pub(super) struct Arrival {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    /// What its listener does with connections.
    pub(super) mode: Arc<Mode>,
    pub(super) place: Place,
}

/// A connection that can carry requests.
pub(super) struct Opened {
    pub(super) wire: Wire,
    /// The client: who connected, or for whom it did.
    pub(super) peer: SocketAddr,
    pub(super) secure: Option<Arc<Secure>>,
    /// What will be spoken, if that was agreed on by ALPN.
    pub(super) agreed: Option<Spoken>,
    pub(super) place: Place,
}

/// Why a handshake led to nothing.
#[derive(Debug, Error)]
enum HandshakeError {
    #[error("the client left")]
    Closed,
    #[error("plain HTTP on a TLS listener")]
    PlainHttp,
    #[error("the client's certificate: {0}")]
    Certificate(String),
    #[error("{0}")]
    Tls(io::Error),
    #[error("not finished within {0:?}")]
    Timeout(Duration),
}

impl HandshakeError {
    /// The word for the metrics.
    fn result(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::PlainHttp => "plain-http",
            Self::Certificate(_) => "client-certificate",
            Self::Tls(_) => "protocol",
            Self::Timeout(_) => "timeout",
        }
    }
}

/// Make a connection ready for requests; `None` if that did not come about, which was counted then.
pub(super) async fn open(arrival: Arrival, proxy: &Proxy) -> Option<Opened> {
    if arrival.mode.tls.is_none() && !arrival.mode.proxy_protocol {
        return Some(Opened {
            wire: Wire::Plain(arrival.stream),
            peer: arrival.peer,
            secure: None,
            agreed: None,
            place: arrival.place,
        });
    }
    // Boxed, so that plain connections don't carry the room for it.
    Box::pin(open_slowly(arrival, proxy)).await
}

async fn open_slowly(arrival: Arrival, proxy: &Proxy) -> Option<Opened> {
    let Arrival {
        mut stream,
        mut peer,
        mode,
        mut place,
    } = arrival;
    let limit = proxy.snapshot.load().limits.handshake_timeout;
    let deadline = Instant::now() + limit;
    if mode.proxy_protocol {
        peer = source(&mut stream, peer, proxy, deadline).await?;
        let Some(of_client) = of_client(place, peer, proxy) else {
            if mode.tls.is_none() {
                let _ = stream.try_write(TOO_MANY);
            }
            return None;
        };
        place = of_client;
    }
    let Some(tls) = &mode.tls else {
        return Some(Opened {
            wire: Wire::Plain(stream),
            peer,
            secure: None,
            agreed: None,
            place,
        });
    };
    let shaken = timeout_at(deadline, handshake(stream, tls)).await;
    let shaken = shaken.unwrap_or(Err(HandshakeError::Timeout(limit)));
    match shaken {
        Ok((stream, secure)) => {
            proxy.metrics.handshakes.count("ok");
            let agreed = match stream.get_ref().1.alpn_protocol() {
                Some(H2) => Some(Spoken::Http2),
                Some(HTTP_1_1) => Some(Spoken::Http1),
                _ => None,
            };
            Some(Opened {
                wire: Wire::Tls(Box::new(stream)),
                peer,
                secure: Some(Arc::new(secure)),
                agreed,
                place,
            })
        }
        Err(error) => {
            proxy.metrics.handshakes.count(error.result());
            tracing::debug!(%peer, %error, "no TLS with a client");
            None
        }
    }
}

/// For whom the connection is. Only trusted peers may say so, and those must: what is not said would be guessed.
async fn source(
    stream: &mut TcpStream,
    peer: SocketAddr,
    proxy: &Proxy,
    deadline: Instant,
) -> Option<SocketAddr> {
    let snapshot = proxy.snapshot.load_full();
    let mut trusted = snapshot.trusted_proxies.iter();
    let (reason, error) = if trusted.any(|network| network.contains(peer.ip())) {
        match timeout_at(deadline, proxy_protocol::read(stream)).await {
            Ok(Ok(source)) => return Some(source.unwrap_or(peer)),
            Ok(Err(error @ HeaderError::Malformed(_))) => ("malformed", error.to_string()),
            Ok(Err(error @ HeaderError::Closed(_))) => ("closed", error.to_string()),
            Err(_) => ("timeout", "no PROXY protocol header in time".to_owned()),
        }
    } else {
        (
            "untrusted",
            "the peer is none of trusted-proxies".to_owned(),
        )
    };
    proxy.metrics.proxy_headers_refused.count(reason);
    tracing::debug!(%peer, error, "connection refused");
    None
}

/// The place of whom the connection is for: the peer's own said nothing of that client.
fn of_client(place: Place, client: SocketAddr, proxy: &Proxy) -> Option<Place> {
    let snapshot = proxy.snapshot.load();
    let (limits, exempt) = (&snapshot.limits, &snapshot.trusted_proxies);
    let refused = |limit| proxy.metrics.client_connections_refused.count(limit);
    place
        .of_client(client.ip(), limits, exempt)
        .map_err(refused)
        .ok()
}

async fn handshake(
    mut stream: TcpStream,
    tls: &Tls,
) -> Result<(TlsStream<TcpStream>, Secure), HandshakeError> {
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(1) if first[0] == HANDSHAKE_RECORD => {}
        // Methods are letters, and no record of TLS begins with one.
        Ok(1) if first[0].is_ascii_alphabetic() => {
            refuse_plain(&mut stream).await;
            return Err(HandshakeError::PlainHttp);
        }
        Ok(1) => return Err(HandshakeError::Tls(io::ErrorKind::InvalidData.into())),
        Ok(_) | Err(_) => return Err(HandshakeError::Closed),
    }
    let acceptor = TlsAcceptor::from(Arc::clone(&tls.config));
    let stream = acceptor.accept(stream).await.map_err(failed)?;
    let session = stream.get_ref().1;
    let certificate = identity(session)?.map(Arc::new);
    let secure = Secure::new(session.server_name(), Arc::clone(&tls.names), certificate);
    Ok((stream, secure))
}

/// Tell the client what is wrong, and let it read that.
async fn refuse_plain(stream: &mut TcpStream) {
    if stream.write_all(TLS_REQUIRED).await.is_err() || stream.shutdown().await.is_err() {
        return;
    }
    let mut ignored = 0;
    let mut buffer = [0; 4096];
    while ignored < MAX_IGNORED_BYTES {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(bytes) => ignored += bytes,
        }
    }
}

fn failed(error: io::Error) -> HandshakeError {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref());
    match cause {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            HandshakeError::Certificate(error.to_string())
        }
        Some(_) => HandshakeError::Tls(error),
        None => HandshakeError::Closed,
    }
}

/// Who the client is. A session that is resumed brings the certificate that was checked when it began; since then it may
/// have expired.
fn identity(session: &ServerConnection) -> Result<Option<ClientCertificate>, HandshakeError> {
    let presented = session.peer_certificates().and_then(<[_]>::first);
    let Some(der) = presented else {
        return Ok(None);
    };
    let certificate = ClientCertificate::read(der)
        .map_err(|error| HandshakeError::Certificate(error.to_string()))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(i64::MAX, |now| {
        i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
    });
    if now > certificate.not_after {
        return Err(HandshakeError::Certificate("it has expired".to_owned()));
    }
    Ok(Some(certificate))
}
