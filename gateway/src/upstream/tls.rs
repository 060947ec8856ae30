//! How upstreams are trusted: by this machine's root certificates.
//!
//! The roots are read once, when the first `https` endpoint is configured (`SSL_CERT_FILE` and `SSL_CERT_DIR` are
//! honoured), and kept for the life of the process. TLS 1.2 and 1.3 by ring; HTTP/1.1 is the only protocol offered,
//! because it is the only one spoken to upstreams. Left out: client certificates, and switching checks off.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore};

use super::error::UpstreamError;

static NATIVE: OnceLock<Arc<ClientConfig>> = OnceLock::new();

/// The configuration that trusts this machine's roots. A failure is not remembered: a reload may find them.
pub(super) fn native() -> Result<Arc<ClientConfig>, UpstreamError> {
    if let Some(config) = NATIVE.get() {
        return Ok(config.clone());
    }
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    tracing::debug!(added, ignored, errors = ?found.errors, "root certificates read");
    if added == 0 {
        let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        return Err(UpstreamError::NoRoots(if errors.is_empty() {
            "none found".to_owned()
        } else {
            errors.join("; ")
        }));
    }
    Ok(NATIVE.get_or_init(|| trusting(roots)).clone())
}

/// A configuration that trusts just these roots.
pub(super) fn trusting(roots: RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has cipher suites for the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}
