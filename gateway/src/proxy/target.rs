//! What a client asks for: host, path and query, each with exactly one meaning.
//!
//! Where the parser below accepts more than a gateway should, it is refused here, before anything is routed: a `Host`
//! that is missing, doubled or no host; a target that is neither a path nor an absolute URL (RFC 9112 3.2).

use http::header::HOST;
use http::uri::{Authority, PathAndQuery};
use http::{Method, Request, Version};

use super::failure::Failure;
use crate::route;

/// What the client asks for.
#[derive(Debug)]
pub(super) struct Target {
    /// Host and port; the one value that is matched, forwarded and logged.
    pub(super) authority: Authority,
    /// Normalised path, and query.
    pub(super) path: PathAndQuery,
}

/// Read it from the request line and `Host`.
pub(super) fn read<B>(request: &Request<B>, uri_limit_bytes: usize) -> Result<Target, Failure> {
    if *request.method() == Method::CONNECT || *request.method() == Method::TRACE {
        return Err(Failure::MethodRefused);
    }
    let uri = request.uri();
    let Some(raw) = uri.path_and_query() else {
        return Err(Failure::BadTarget);
    };
    if raw.as_str().len() > uri_limit_bytes {
        return Err(Failure::UriTooLong(uri_limit_bytes));
    }
    let authority = authority(request)?;
    let path = route::normalise(raw.path()).map_err(Failure::BadPath)?;
    let path = if path == raw.path() {
        raw.clone()
    } else {
        let text = raw
            .query()
            .map_or_else(|| path.to_string(), |query| format!("{path}?{query}"));
        PathAndQuery::try_from(text).map_err(|_| Failure::BadTarget)?
    };
    Ok(Target { authority, path })
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
        || rest
            .strip_prefix(':')
            .is_some_and(|port| port.parse::<u16>().is_ok());
    let host_is_fine = !host.is_empty()
        && (host.starts_with('[')
            || host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)));
    if !text.contains('@') && host_is_fine && port_is_fine {
        Ok(authority)
    } else {
        Err(refused)
    }
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

    fn authority_of(target: &str, hosts: &[&str]) -> Option<String> {
        read(&request(target, hosts), 100)
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
            read(&request("foo", &["a"]), 100),
            Err(Failure::BadTarget | Failure::BadPath(_))
        ));
        assert!(matches!(
            read(&request("*", &["a"]), 100),
            Err(Failure::BadPath(_))
        ));
    }

    #[test]
    fn the_path_is_normalised_and_the_query_kept() {
        let target = read(&request("/a/./b//%63?x=%2e", &["h"]), 100).unwrap();
        assert_eq!(target.path.as_str(), "/a/b/c?x=%2e");
    }

    #[test]
    fn a_target_may_be_as_long_as_the_limit_and_no_longer() {
        let path = format!("/{}", "a".repeat(99));
        assert!(read(&request(&path, &["h"]), 100).is_ok());
        assert!(matches!(
            read(&request(&path, &["h"]), 99),
            Err(Failure::UriTooLong(99))
        ));
    }
}
