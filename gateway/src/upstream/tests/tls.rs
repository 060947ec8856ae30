//! TLS to upstreams, with a certificate made for the test.

use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use rustls::{RootCertStore, ServerConfig};
use tokio::join;
use tokio_rustls::TlsAcceptor;

use super::super::Reach;
use super::super::tls::trusting;
use super::*;

/// A listener with a certificate for `localhost`, and an upstream that trusts it under this name.
async fn secured(host: &str) -> (Server, TlsAcceptor, Upstream) {
    let server = Server::bind().await;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let endpoint = Origin {
        tls: true,
        host: host.to_owned(),
        ..server.origin()
    };
    let trust = || Ok(trusting(roots.clone()));
    let upstream = Upstream::build(&definition([endpoint]), &Reach::Any, trust).unwrap();
    (server, TlsAcceptor::from(Arc::new(config)), upstream)
}

#[tokio::test]
async fn a_request_goes_over_tls_and_the_connection_is_kept() {
    let (server, acceptor, upstream) = secured("localhost").await;
    let serve = async {
        let mut stream = acceptor.accept(server.accept().await.stream).await.unwrap();
        for _ in 0..2 {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(soon(stream.read_u8()).await.unwrap());
            }
            stream.write_all(OK.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
        }
    };
    let requests = async {
        let (first, _) = text(&upstream, get()).await;
        let (second, trace) = text(&upstream, get()).await;
        assert!(trace.reused);
        (first, second)
    };
    let ((first, second), ()) = join!(requests, serve);
    assert_eq!((&*first, &*second), ("ok", "ok"));
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let (server, acceptor, upstream) = secured("127.0.0.1").await;
    let ((result, _), refused) = join!(send(&upstream, get()), async {
        acceptor.accept(server.accept().await.stream).await.is_err()
    });
    assert!(matches!(result, Err(SendError::Tls { .. })), "{result:?}");
    assert!(refused);
}
