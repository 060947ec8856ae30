//! What TLS says of a client's connection: which certificate of ours it was served, and who the client is.
//!
//! One matcher says which certificate is for a host, in the handshake (SNI) and for each request (`Host`): a request for a
//! host of another certificate is refused with 421 (RFC 9110 15.5.20), so that whoever keeps hosts apart by certificates
//! keeps them apart. Connections may carry requests for every host of their certificate (RFC 9113 9.1.1).

use std::collections::HashMap;
use std::sync::Arc;

use crate::plugin::ClientCertificate;

/// Which certificate is for which host. Certificates are numbered; number 0 is for all hosts that no other is for.
#[derive(Debug, Default)]
pub struct Names {
    exact: HashMap<String, usize>,
    /// By what stands behind `*.`.
    wildcards: HashMap<String, usize>,
    by_certificate: Vec<Vec<String>>,
}

impl Names {
    /// For certificates with these names, lower-case. Of two with the same name the first counts.
    #[must_use]
    pub fn new<'a>(certificates: impl IntoIterator<Item = &'a [String]>) -> Self {
        let mut names = Self::default();
        for (number, of_this) in certificates.into_iter().enumerate() {
            for name in of_this {
                let (map, key) = match name.strip_prefix("*.") {
                    Some(suffix) => (&mut names.wildcards, suffix),
                    None => (&mut names.exact, name.as_str()),
                };
                map.entry(key.to_owned()).or_insert(number);
            }
            names.by_certificate.push(of_this.to_vec());
        }
        names
    }

    /// The certificate for a host, without port: by its own name, then by a wildcard in place of its first label.
    #[must_use]
    pub fn select(&self, host: &str) -> usize {
        let host = canonical(host);
        let exact = self.exact.get(&host);
        let found = exact.or_else(|| self.wildcards.get(parent(&host)?));
        found.copied().unwrap_or(0)
    }

    /// Whether a certificate has a name for a host.
    fn covers(&self, certificate: usize, host: &str) -> bool {
        let host = canonical(host);
        let names = self.by_certificate.get(certificate);
        names.into_iter().flatten().any(|name| {
            *name == host
                || name
                    .strip_prefix("*.")
                    .is_some_and(|suffix| parent(&host) == Some(suffix))
        })
    }
}

/// Lower-case and without the dot that stands for the root.
fn canonical(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// What stands behind the first label.
fn parent(host: &str) -> Option<&str> {
    let (label, parent) = host.split_once('.')?;
    (!label.is_empty()).then_some(parent)
}

/// A connection by TLS.
#[derive(Debug)]
pub struct Secure {
    asked: Option<Box<str>>,
    names: Arc<Names>,
    served: usize,
    /// Who the client is, if it said so and was believed.
    pub certificate: Option<Arc<ClientCertificate>>,
}

impl Secure {
    /// The client asked for that name (SNI).
    #[must_use]
    pub fn new(
        asked: Option<&str>,
        names: Arc<Names>,
        certificate: Option<Arc<ClientCertificate>>,
    ) -> Self {
        Self {
            served: asked.map_or(0, |name| names.select(name)),
            asked: asked.map(Into::into),
            names,
            certificate,
        }
    }

    /// Whether a request for that host belongs on this connection.
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        self.asked
            .as_deref()
            .is_some_and(|asked| asked.eq_ignore_ascii_case(host))
            || self.names.select(host) == self.served
            || self.names.covers(self.served, host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(certificates: &[&[&str]]) -> Arc<Names> {
        let owned: Vec<Vec<String>> = certificates
            .iter()
            .map(|names| names.iter().map(|name| (*name).to_owned()).collect())
            .collect();
        Arc::new(Names::new(owned.iter().map(Vec::as_slice)))
    }

    fn sample() -> Arc<Names> {
        names(&[
            &["default.example"],
            &["a.example", "*.a.example"],
            &["special.a.example"],
            &["b.example", "a.example"],
        ])
    }

    #[test]
    fn a_host_has_the_certificate_of_its_name_then_of_its_wildcard_then_the_first() {
        let names = sample();
        for (host, certificate) in [
            ("default.example", 0),
            ("a.example", 1),
            ("A.Example.", 1),
            ("x.a.example", 1),
            ("special.a.example", 2),
            ("b.example", 3),
            ("x.y.a.example", 0),
            (".a.example", 0),
            ("*.a.example", 1),
            ("other.example", 0),
            ("127.0.0.1", 0),
            ("[::1]", 0),
            ("", 0),
        ] {
            assert_eq!(names.select(host), certificate, "{host}");
        }
        assert_eq!(names_of_none().select("a"), 0);
    }

    fn names_of_none() -> Names {
        Names::new([])
    }

    #[test]
    fn a_request_belongs_where_its_hosts_certificate_was_served() {
        let is_for =
            |asked: Option<&str>, host: &str| Secure::new(asked, sample(), None).is_for(host);
        for (asked, host) in [
            (Some("a.example"), "a.example"),
            (Some("a.example"), "A.EXAMPLE"),
            (Some("a.example"), "x.a.example"),
            (Some("x.a.example"), "y.a.example"),
            // The wildcard covers it, though it has a certificate of its own.
            (Some("a.example"), "special.a.example"),
            // Served by 3, which is for this one, too.
            (Some("b.example"), "a.example"),
            (Some("other.example"), "another.example"),
            (Some("other.example"), "default.example"),
            (None, "default.example"),
            (None, "127.0.0.1"),
        ] {
            assert!(is_for(asked, host), "{asked:?} {host}");
        }
        for (asked, host) in [
            (Some("a.example"), "b.example"),
            (Some("a.example"), "default.example"),
            (Some("a.example"), "other.example"),
            (Some("special.a.example"), "a.example"),
            (Some("other.example"), "a.example"),
            (None, "a.example"),
            (None, "x.a.example."),
        ] {
            assert!(!is_for(asked, host), "{asked:?} {host}");
        }
    }
}
