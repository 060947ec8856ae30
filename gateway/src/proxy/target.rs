//! What a client asks for: host, path and query, each with exactly one meaning.
//!
//! Where the parser below accepts more than a gateway should, it is refused here, before anything is routed: a `Host`
//! that is missing, doubled or no host; a target that is neither a path nor an absolute URL of HTTP (RFC 9112 3.2); a
//! method that differs from a known one in letter case alone, which upstreams disagree about.

use std::net::Ipv6Addr;

use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Version};

use super::failure::Failure;
use crate::config::PathNormalisation;
use crate::route::{self, BadPath};

/// What the client asks for.
#[derive(Debug)]
pub(super) struct Target {
    /// Host and port; the one value that is matched, forwarded and logged.
    pub(super) authority: Authority,
    /// Normalised path, and query.
    pub(super) path: PathAndQuery,
    /// The path as the client wrote it, where that is not its normal form.
    pub(super) written: Option<PathAndQuery>,
}

/// Read it from the request line and `Host`.
pub(super) fn read<B>(
    request: &Request<B>,
    uri_limit_bytes: usize,
    normalisation: PathNormalisation,
) -> Result<Target, Failure> {
    let method = request.method();
    if *method == Method::CONNECT || *method == Method::TRACE || is_known_but_for_case(method) {
        return Err(Failure::MethodRefused);
    }
    let uri = request.uri();
    let Some(raw) = uri.path_and_query() else {
        return Err(Failure::BadTarget);
    };
    if raw.as_str().len() > uri_limit_bytes {
        return Err(Failure::UriTooLong(uri_limit_bytes));
    }
    if uri
        .scheme()
        .is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS)
    {
        return Err(Failure::BadTarget);
    }
    let authority = authority(request)?;
    let path = route::normalise(raw.path()).map_err(Failure::BadPath)?;
    // Not so for `http://a?query`, whose path is empty and counts as a slash (RFC 9112 3.2.1).
    if path == raw.path() && raw.as_str().starts_with('/') {
        let path = raw.clone();
        return Ok(Target {
            authority,
            path,
            written: None,
        });
    }
    // Hex digits aside, which clients differ in. Normalising changes the case of nothing else.
    let is_written_so = raw.path().eq_ignore_ascii_case(&path);
    if normalisation == PathNormalisation::Strict && !is_written_so {
        return Err(Failure::BadPath(BadPath::NotNormal));
    }
    let text = raw
        .query()
        .map_or_else(|| path.to_string(), |query| format!("{path}?{query}"));
    let path = PathAndQuery::try_from(text).map_err(|_| Failure::BadTarget)?;
    Ok(Target {
        authority,
        path,
        written: Some(raw.clone()),
    })
}

/// RFC 9110 9.1: methods are case-sensitive, and not everybody knows. `get` would pass a route for `GET`.
fn is_known_but_for_case(method: &Method) -> bool {
    const KNOWN: [Method; 9] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::OPTIONS,
        Method::CONNECT,
        Method::TRACE,
    ];
    let text = method.as_str();
    text.bytes().any(|byte| byte.is_ascii_lowercase())
        && KNOWN
            .iter()
            .any(|known| known.as_str().eq_ignore_ascii_case(text))
}

fn authority<B>(request: &Request<B>) -> Result<Authority, Failure> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Err(Failure::BadHost("more than one Host")),
        (host, None) => host.map(|host| checked_host(host.as_bytes())).transpose()?,
    };
    match (request.uri().authority(), host) {
        // RFC 9112 3.2.2: the authority of an absolute target replaces Host. In h2 the two must agree (RFC 9113 8.3.1).
        (Some(authority), host) => {
            let authority = checked_host(authority.as_str().as_bytes())?;
            match host {
                Some(host)
                    if request.version() == Version::HTTP_2 && !same_host(&host, &authority) =>
                {
                    Err(Failure::BadHost("Host and :authority differ"))
                }
                _ => Ok(authority),
            }
        }
        (None, Some(host)) if request.uri().scheme().is_none() => Ok(host),
        (None, Some(_)) => Err(Failure::BadTarget),
        (None, None) => Err(Failure::BadHost("no Host")),
    }
}

fn same_host(one: &Authority, other: &Authority) -> bool {
    one.as_str().eq_ignore_ascii_case(other.as_str())
}

/// A host as RFC 9110 7.2 has it: `uri-host [ ":" port ]`, no user information.
fn checked_host(bytes: &[u8]) -> Result<Authority, Failure> {
    let refused = Failure::BadHost("Host is no host");
    let Ok(authority) = Authority::try_from(bytes) else {
        return Err(refused);
    };
    let text = authority.as_str();
    let host = authority.host();
    let rest = text.strip_prefix(host).unwrap_or_default();
    let port_is_fine = rest.is_empty()
        || rest.strip_prefix(':').is_some_and(|port| {
            port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
        });
    let host_is_fine = match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => is_name(host),
    };
    if !text.contains('@') && host_is_fine && port_is_fine {
        Ok(authority)
    } else {
        Err(refused)
    }
}

/// Labels with dots between them, and at most one behind them. Addresses of IPv4 are such names too.
fn is_name(host: &str) -> bool {
    let labels = host.strip_suffix('.').unwrap_or(host).split('.');
    let is_label = |label: &str| {
        let mut bytes = label.bytes();
        !label.is_empty() && bytes.all(|b| b.is_ascii_alphanumeric() || b"-_~".contains(&b))
    };
    labels.into_iter().all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, hosts: &[&str]) -> Request<()> {
        let mut builder = Request::builder().uri(target);
        for host in hosts {
            builder = builder.header(HOST, *host);
        }
        builder.body(()).unwrap()
    }

    fn repaired(request: &Request<()>, limit: usize) -> Result<Target, Failure> {
        read(request, limit, PathNormalisation::Repair)
    }

    fn authority_of(target: &str, hosts: &[&str]) -> Option<String> {
        repaired(&request(target, hosts), 100)
            .ok()
            .map(|target| target.authority.to_string())
    }

    #[test]
    fn host_is_taken_once_and_only_if_it_is_one() {
        assert_eq!(
            authority_of("/", &["a.example:8080"]).as_deref(),
            Some("a.example:8080")
        );
        assert_eq!(
            authority_of("/", &["[::1]:80"]).as_deref(),
            Some("[::1]:80")
        );
        for hosts in [
            &[][..],
            &["a", "a"],
            &["a,b"],
            &["user@a"],
            &["a/b"],
            &["a:b"],
            &["a:99999"],
            &["a b"],
            &[""],
            &["a:"],
            &["a:+80"],
            &["a:-1"],
            &["."],
            &["a..b"],
            &["a.."],
            &[".a"],
            &["[::1"],
            &["[x]"],
            &["[v1.a]"],
            &["[::1]x"],
            &["a%2eb"],
        ] {
            assert_eq!(authority_of("/", hosts), None, "{hosts:?}");
        }
    }

    #[test]
    fn an_absolute_target_replaces_host() {
        assert_eq!(
            authority_of("http://b.example/x", &["a.example"]).as_deref(),
            Some("b.example")
        );
    }

    #[test]
    fn other_forms_of_target_are_refused() {
        assert!(matches!(
            repaired(&request("foo", &["a"]), 100),
            Err(Failure::BadTarget | Failure::BadPath(_))
        ));
        for target in ["ftp://a/", "ws://a/", "javascript://a/"] {
            assert!(
                matches!(
                    repaired(&request(target, &["a"]), 100),
                    Err(Failure::BadTarget)
                ),
                "{target}"
            );
        }
        assert!(matches!(
            repaired(&request("*", &["a"]), 100),
            Err(Failure::BadPath(_))
        ));
    }

    #[test]
    fn the_path_is_normalised_and_the_query_kept() {
        let target = repaired(&request("/a/./b//%63?x=%2e", &["h"]), 100).unwrap();
        assert_eq!(target.path.as_str(), "/a/b/c?x=%2e");
        assert_eq!(target.written.unwrap().path(), "/a/./b//%63");
        let target = repaired(&request("http://h?x", &[]), 100).unwrap();
        assert_eq!(target.path.as_str(), "/?x");
    }

    #[test]
    fn only_the_normal_form_is_taken_where_that_is_asked_for() {
        let strict = |target| read(&request(target, &["h"]), 100, PathNormalisation::Strict);
        for target in [
            "/",
            "/a?x=//",
            "/%C3%A9",
            "/%c3%a9",
            "http://h",
            "http://h?x",
        ] {
            assert!(strict(target).is_ok(), "{target}");
        }
        for target in ["//", "/./a", "/a/..", "/%61", "/a|b"] {
            let refused = strict(target);
            assert!(
                matches!(refused, Err(Failure::BadPath(BadPath::NotNormal))),
                "{target}"
            );
        }
    }

    #[test]
    fn a_known_method_in_other_letters_is_refused() {
        for method in ["get", "Get", "hEAD", "trace", "Connect", "dELETE"] {
            let mut request = request("/", &["h"]);
            *request.method_mut() = method.parse().unwrap();
            let refused = repaired(&request, 100);
            assert!(matches!(refused, Err(Failure::MethodRefused)), "{method}");
        }
        for method in ["PURGE", "purge", "M-SEARCH", "PROPFIND"] {
            let mut request = request("/", &["h"]);
            *request.method_mut() = method.parse().unwrap();
            assert!(repaired(&request, 100).is_ok(), "{method}");
        }
    }

    #[test]
    fn a_target_may_be_as_long_as_the_limit_and_no_longer() {
        let path = format!("/{}", "a".repeat(99));
        assert!(repaired(&request(&path, &["h"]), 100).is_ok());
        assert!(matches!(
            repaired(&request(&path, &["h"]), 99),
            Err(Failure::UriTooLong(99))
        ));
    }
}
