//! Which header fields pass. Fields that concern one connection end here (RFC 9110 7.6.1): the known ones always, those
//! that `Connection` nominates before any plugin sees the message, so that no client can nominate away what the gateway
//! or a plugin adds later.

use http::Version;
use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE, VIA,
};

use super::failure::Failure;

/// Fields that some upstream frameworks take for the path or method instead of the request line; a client could
/// use them to get around a route.
const OVERRIDES: [&str; 5] = [
    "x-original-url",
    "x-rewrite-url",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];

/// Fields by which other proxies and networks say who the client is. Beside `X-Forwarded-*`, which all go by their prefix.
const CLAIMS: [&str; 6] = [
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
];

/// Whether the client may be sent trailers, which is the one use of `TE` that is passed on (RFC 9110 10.1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trailers {
    Accepted,
    NotAccepted,
}

/// Refuse in a request of HTTP/2 what its parser lets pass, and would mean something else in HTTP/1.1.
pub(super) fn check_h2(headers: &HeaderMap) -> Result<(), Failure> {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    for value in headers.values().map(HeaderValue::as_bytes) {
        // RFC 9113 8.2.1.
        if is_blank(value.first()) || is_blank(value.last()) {
            return Err(Failure::BadField("a value begins or ends with a blank"));
        }
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let is_number = |length: &HeaderValue| {
        !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit)
    };
    if !lengths.next().is_none_or(is_number) || lengths.next().is_some() {
        return Err(Failure::BadField("Content-Length is not one number"));
    }
    Ok(())
}

/// Take from a request the fields whose names are not plain.
pub(super) fn keep_plain_names(headers: &mut HeaderMap) {
    let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    remove_named(headers, |name| !name.bytes().all(is_plain));
}

/// Take from a request what only a trusted proxy may say of its client.
pub(super) fn strip_claims(headers: &mut HeaderMap) {
    remove_named(headers, |name| {
        name.starts_with("x-forwarded-") || CLAIMS.contains(&name)
    });
}

/// Nearly always there is none of those.
fn remove_named(headers: &mut HeaderMap, is_one: impl Fn(&str) -> bool) {
    let names = headers.keys().filter(|name| is_one(name.as_str()));
    let names: Vec<HeaderName> = names.cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Take from a request what must not go on.
pub(super) fn strip_request(headers: &mut HeaderMap) -> Trailers {
    let trailers = accepts_trailers(headers);
    let framed_by_coding = headers.contains_key(TRANSFER_ENCODING);
    strip_connection(headers);
    headers.remove(HOST);
    headers.remove(EXPECT);
    // `Proxy-Authorization` is for us as the next proxy, and we ask for none; whoever put it there meant another.
    headers.remove(PROXY_AUTHORIZATION);
    for name in OVERRIDES {
        headers.remove(name);
    }
    if framed_by_coding {
        // RFC 9112 6.3: a transfer coding overrides the length; keeping both is how requests are smuggled.
        headers.remove(CONTENT_LENGTH);
    }
    trailers
}

/// An h2 client may send its cookies as several fields, which in HTTP/1.1 are one (RFC 9113 8.2.3).
pub(super) fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if crumbs.len() < 2 {
        return;
    }
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

/// Take from an upstream's response what must not go on.
pub(super) fn strip_response(headers: &mut HeaderMap) {
    let framed_by_coding = headers.contains_key(TRANSFER_ENCODING);
    strip_connection(headers);
    headers.remove(PROXY_AUTHENTICATE);
    if framed_by_coding {
        headers.remove(CONTENT_LENGTH);
    }
}

/// Let the upstream send trailers if the client takes them.
pub(super) fn offer_trailers(headers: &mut HeaderMap, trailers: Trailers) {
    if trailers == Trailers::Accepted {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        // RFC 9110 10.1.4: who sends TE must nominate it.
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
}

/// Name ourselves in `Via`, behind whoever stands there (RFC 9110 7.6.3).
pub(super) fn add_via(headers: &mut HeaderMap, version: Version) {
    let ours = match version {
        Version::HTTP_10 => "1.0 gateway",
        Version::HTTP_2 => "2 gateway",
        _ => "1.1 gateway",
    };
    headers.append(VIA, HeaderValue::from_static(ours));
}

fn accepts_trailers(headers: &HeaderMap) -> Trailers {
    let codings = headers
        .get_all(TE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let accepted = codings
        .flat_map(|value| value.split(','))
        .any(|coding| coding.trim().eq_ignore_ascii_case("trailers"));
    if accepted {
        Trailers::Accepted
    } else {
        Trailers::NotAccepted
    }
}

fn strip_connection(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        for name in nominated(headers) {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    headers.remove(TRANSFER_ENCODING);
    headers.remove(TE);
    headers.remove(UPGRADE);
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
    headers.remove("http2-settings");
}

/// Fields that `Connection` names, but for those that say where the message goes or how long it is.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(CONNECTION).iter();
    let names = values.flat_map(|value| value.as_bytes().split(|b| *b == b','));
    names
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = fields.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        pairs.fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        })
    }

    #[test]
    fn fields_of_the_connection_and_those_it_nominates_end_here() {
        let mut request = headers(&[
            ("connection", "close, X-Private"),
            ("connection", "keep-alive"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABkAAQAAP__"),
            ("te", "gzip"),
            ("x-original-url", "/admin"),
            ("x-stays", "1"),
        ]);
        assert_eq!(strip_request(&mut request), Trailers::NotAccepted);
        assert_eq!(request, headers(&[("x-stays", "1")]));
    }

    #[test]
    fn a_name_that_some_take_for_another_is_not_plain() {
        let mut request = headers(&[
            ("x-user", "1"),
            ("x_user", "2"),
            ("x.user", "3"),
            ("x-us~er", "4"),
            ("x-user2", "5"),
        ]);
        keep_plain_names(&mut request);
        assert_eq!(request, headers(&[("x-user", "1"), ("x-user2", "5")]));
    }

    #[test]
    fn who_the_client_is_said_to_be_goes() {
        let mut request = headers(&[
            ("x-forwarded-for", "1"),
            ("x-forwarded-for", "2"),
            ("x-forwarded-anything", "3"),
            ("true-client-ip", "4"),
            ("x-forward", "5"),
        ]);
        strip_claims(&mut request);
        assert_eq!(request, headers(&[("x-forward", "5")]));
    }

    #[test]
    fn cookie_crumbs_become_one_cookie() {
        let mut request = headers(&[("cookie", "a=1"), ("cookie", "b=2")]);
        join_cookies(&mut request);
        assert_eq!(request, headers(&[("cookie", "a=1; b=2")]));
    }

    #[test]
    fn a_length_beside_a_transfer_coding_is_dropped() {
        let mut request = headers(&[("content-length", "5"), ("transfer-encoding", "chunked")]);
        strip_request(&mut request);
        assert!(request.is_empty());
    }

    #[test]
    fn connection_cannot_nominate_the_length_away() {
        let mut request = headers(&[("content-length", "5"), ("connection", "content-length")]);
        strip_request(&mut request);
        assert_eq!(request, headers(&[("content-length", "5")]));
    }

    #[test]
    fn trailers_are_offered_to_the_upstream_only_if_the_client_takes_them() {
        let mut request = headers(&[("te", "gzip;q=0.5, Trailers")]);
        let trailers = strip_request(&mut request);
        assert!(request.is_empty());
        offer_trailers(&mut request, trailers);
        assert_eq!(
            request,
            headers(&[("te", "trailers"), ("connection", "te")])
        );
    }
}
