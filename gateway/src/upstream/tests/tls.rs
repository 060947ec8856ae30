//! TLS to upstreams, with certificates made for the test.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::join;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::config::tls::{Authorities, Validity};
use crate::config::{Certificate, UpstreamTls};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn authorities(authority: &Authority) -> Authorities {
    Authorities(vec![authority.der().clone()])
}

fn certificate(authority: &Authority, name: &str) -> Certificate {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let made = params.signed_by(&key, authority).unwrap();
    Certificate {
        chain: vec![made.der().clone()],
        key: Arc::new(PrivateKeyDer::try_from(key.serialize_der()).unwrap()),
        names: vec![name.to_owned()],
        validity: Validity {
            not_before: 0,
            not_after: i64::MAX,
        },
        place: config::Place::default(),
    }
}

/// A server that shows this certificate, and asks for one of that authority.
fn acceptor(certificate: &Certificate, clients: Option<&Authority>) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.der().clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        }
    };
    let (chain, key) = (certificate.chain.clone(), certificate.key.clone_key());
    TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()))
}

fn upstream_of(server: &Server, tls: UpstreamTls) -> Upstream {
    let endpoint = Origin {
        tls: true,
        ..server.origin()
    };
    let definition = config::Upstream {
        tls,
        ..definition([endpoint])
    };
    Upstream::new(&definition).unwrap()
}

/// Answers two requests of one connection.
async fn serve_two(server: &Server, acceptor: &TlsAcceptor) {
    let mut stream = acceptor.accept(server.accept().await.stream).await.unwrap();
    for _ in 0..2 {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(soon(stream.read_u8()).await.unwrap());
        }
        stream.write_all(OK.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
    }
}

async fn ask_twice(upstream: &Upstream) {
    let (first, _) = text(upstream, get()).await;
    let (second, trace) = text(upstream, get()).await;
    assert!(trace.reused);
    assert_eq!((&*first, &*second), ("ok", "ok"));
}

/// The endpoint is `127.0.0.1`, which stands in no certificate here.
fn named(authority: &Authority, name: Option<&str>) -> UpstreamTls {
    UpstreamTls {
        authorities: Some(authorities(authority)),
        certificate: None,
        server_name: name.map(str::to_owned),
    }
}

#[tokio::test]
async fn a_request_goes_over_tls_and_the_connection_is_kept() {
    let (server, authority) = (Server::bind().await, authority());
    let acceptor = acceptor(&certificate(&authority, "internal.example"), None);
    let upstream = upstream_of(&server, named(&authority, Some("internal.example")));
    join!(ask_twice(&upstream), serve_two(&server, &acceptor));
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let (server, authority) = (Server::bind().await, authority());
    let acceptor = acceptor(&certificate(&authority, "internal.example"), None);
    for name in [None, Some("other.example")] {
        let upstream = upstream_of(&server, named(&authority, name));
        let ((result, _), refused) = join!(send(&upstream, get()), async {
            acceptor.accept(server.accept().await.stream).await.is_err()
        });
        assert!(matches!(result, Err(SendError::Tls { .. })), "{result:?}");
        assert!(refused);
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let (server, ours) = (Server::bind().await, authority());
    let acceptor = acceptor(&certificate(&authority(), "internal.example"), None);
    let upstream = upstream_of(&server, named(&ours, Some("internal.example")));
    let ((result, _), refused) = join!(send(&upstream, get()), async {
        acceptor.accept(server.accept().await.stream).await.is_err()
    });
    assert!(matches!(result, Err(SendError::Tls { .. })), "{result:?}");
    assert!(refused);
}

#[tokio::test]
async fn an_upstream_that_asks_who_we_are_is_told() {
    let (server, authority) = (Server::bind().await, authority());
    let shown = certificate(&authority, "internal.example");
    let acceptor = acceptor(&shown, Some(&authority));
    let tls = UpstreamTls {
        certificate: Some(certificate(&authority, "gateway.example")),
        ..named(&authority, Some("internal.example"))
    };
    let upstream = upstream_of(&server, tls);
    join!(ask_twice(&upstream), serve_two(&server, &acceptor));
}

#[tokio::test]
async fn an_upstream_that_wants_a_certificate_and_gets_none_has_no_response() {
    let (server, authority) = (Server::bind().await, authority());
    let shown = certificate(&authority, "internal.example");
    let acceptor = acceptor(&shown, Some(&authority));
    let upstream = upstream_of(&server, named(&authority, Some("internal.example")));
    let ((result, _), ()) = join!(send(&upstream, get()), async {
        // The first connection, and one more if that was lost before it was answered.
        let refuse = async { acceptor.accept(server.accept().await.stream).await.is_err() };
        assert!(refuse.await);
    });
    let error = result.unwrap_err();
    assert!(
        matches!(error, SendError::Tls { .. } | SendError::Closed { .. }),
        "{error:?}"
    );
}
