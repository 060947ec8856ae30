//! Certificates, keys and authorities, as their files brought them, and who is asked for them.
//!
//! What is here was read and judged: a key fits its certificate, and every certificate can be parsed. Keys have no way to be
//! shown by accident. Two certificates are equal if their bytes are, wherever they were written, so that a changed file is a
//! changed definition and a moved line is not. Left out: revocation lists; whether anybody trusts a certificate.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Place;

/// TLS of a listener: a table `tls` beside its `address`.
#[derive(Debug, Clone, PartialEq)]
pub struct Tls {
    /// At least one. Clients get the one that is for the name they ask for (SNI), else the first. Keys `certificate` and
    /// `key`, or a list `certificates` of tables with these two.
    pub certificates: Vec<Certificate>,
    /// Whether clients need a certificate. Key `client-ca`, default no.
    pub clients: Option<ClientAuthentication>,
    /// The oldest version that is spoken. Key `min-version`: `1.2` (default) or `1.3`.
    pub min_version: TlsVersion,
}

/// A version of TLS; older ones are not spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246, with the cipher suites that are still good: ECDHE and AEAD.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// Which certificates of clients are believed.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientAuthentication {
    /// Who signed them. Key `client-ca`, a PEM file.
    pub authorities: Authorities,
    /// What becomes of clients without. Key `client-certificate`, default `required`.
    pub need: Need,
}

/// What becomes of clients without a certificate. One with a certificate that is not believed is always refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// They are refused in the handshake.
    Required,
    /// They are served; plugins see that there is none.
    Optional,
}

/// A certificate with its chain and private key.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate, then those that lead to an authority.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the first; `Debug` does not show it.
    pub key: Arc<PrivateKeyDer<'static>>,
    /// The DNS names that it is for, lower-case, with wildcards such as `*.example.com`.
    pub names: Vec<String>,
    /// From and until when it is good.
    pub validity: Validity,
    /// Where its file was written down.
    pub place: Place,
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain && self.key == other.key
    }
}

/// From and until when a certificate is good, in seconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub not_before: i64,
    /// The last one.
    pub not_after: i64,
}

impl Validity {
    /// What is wrong with it at that time, if anything.
    #[must_use]
    pub fn problem(self, now: SystemTime) -> Option<String> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let days = |seconds: i64| match seconds / 86_400 {
            0 => "less than a day".to_owned(),
            1 => "1 day".to_owned(),
            days => format!("{days} days"),
        };
        if now > self.not_after {
            let since = days(now - self.not_after);
            return Some(format!("the certificate expired {since} ago"));
        }
        let early = now < self.not_before;
        early.then(|| {
            let left = days(self.not_before - now);
            format!("the certificate becomes valid in {left}")
        })
    }
}

/// Certificates of authorities, at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Authorities(pub Vec<CertificateDer<'static>>);

/// `[upstreams.NAME.tls]`: TLS with the endpoints that have `https`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UpstreamTls {
    /// Who signs the endpoints' certificates, nobody else being believed. Key `ca`, a PEM file; default this machine's roots.
    pub authorities: Option<Authorities>,
    /// Who we are to the endpoints. Keys `certificate` and `key`, PEM files; default nobody.
    pub certificate: Option<Certificate>,
    /// The name that is asked for and must stand in the endpoints' certificates. Key `server-name`, default the host of
    /// each endpoint.
    pub server_name: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_good_from_its_first_to_its_last_second() {
        let validity = Validity {
            not_before: 1_000_000,
            not_after: 2_000_000,
        };
        let at = |seconds| validity.problem(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!((at(1_000_000), at(2_000_000)), (None, None));
        assert_eq!(
            at(999_999).as_deref(),
            Some("the certificate becomes valid in less than a day")
        );
        assert_eq!(
            at(2_000_001).as_deref(),
            Some("the certificate expired less than a day ago")
        );
        assert_eq!(
            at(2_000_000 + 3 * 86_400).as_deref(),
            Some("the certificate expired 3 days ago")
        );
    }
}
