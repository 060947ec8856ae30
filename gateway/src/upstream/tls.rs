//! How upstreams are trusted: by this machine's root certificates, or by authorities of their own; and who we are to them.
//!
//! The roots are read once, when the first `https` endpoint is configured that needs them (`SSL_CERT_FILE` and
//! `SSL_CERT_DIR` are honoured), and kept for the life of the process. TLS 1.2 and 1.3 by ring; HTTP/1.1 is the only protocol
//! offered, because it is the only one spoken to upstreams. Left out: revocation, and switching checks off.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore};

use super::error::UpstreamError;
use crate::config::{Certificate, UpstreamTls};

static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
static NATIVE: OnceLock<Arc<ClientConfig>> = OnceLock::new();

/// The configuration for an upstream.
pub(super) fn of(definition: &UpstreamTls) -> Result<Arc<ClientConfig>, UpstreamError> {
    let roots = match &definition.authorities {
        // Sessions with all of them are kept in one place.
        None if definition.certificate.is_none() => return native(),
        None => native_roots()?,
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in &authorities.0 {
                roots.add(authority.clone()).map_err(UpstreamError::Tls)?;
            }
            Arc::new(roots)
        }
    };
    trusting(roots, definition.certificate.as_ref())
}

/// The configuration that trusts this machine's roots. A failure is not remembered: a reload may find them.
pub(super) fn native() -> Result<Arc<ClientConfig>, UpstreamError> {
    if let Some(config) = NATIVE.get() {
        return Ok(config.clone());
    }
    let config = trusting(native_roots()?, None)?;
    Ok(NATIVE.get_or_init(|| config).clone())
}

fn native_roots() -> Result<Arc<RootCertStore>, UpstreamError> {
    if let Some(roots) = ROOTS.get() {
        return Ok(roots.clone());
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
    Ok(ROOTS.get_or_init(|| Arc::new(roots)).clone())
}

/// A configuration that trusts just these roots, and shows that certificate to whoever asks for one.
pub(super) fn trusting(
    roots: Arc<RootCertStore>,
    certificate: Option<&Certificate>,
) -> Result<Arc<ClientConfig>, UpstreamError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(UpstreamError::Tls)?
        .with_root_certificates(roots);
    let mut config = match certificate {
        None => builder.with_no_client_auth(),
        Some(certificate) => {
            let (chain, key) = (certificate.chain.clone(), certificate.key.clone_key());
            builder
                .with_client_auth_cert(chain, key)
                .map_err(UpstreamError::Tls)?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
