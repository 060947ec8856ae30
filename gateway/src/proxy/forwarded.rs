//! Who the client is, and what the upstream is told about it: `X-Forwarded-*`, `X-Real-IP` and `Forwarded` (RFC 7239).
//!
//! What a client writes there is its own invention, so it is overwritten, and other claims of that kind are dropped. Only a peer in `trusted-proxies` is believed:
//! its fields are appended to, and the client is the last address in `X-Forwarded-For` that is not itself a trusted
//! proxy.

use std::net::IpAddr;

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};

use super::fields;
use crate::config::Network;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Addresses in `X-Forwarded-For` that are looked at, from the last.
const MAX_HOPS: usize = 32;

/// What is known of a request's sender.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sender<'a> {
    /// The other end of the connection.
    pub(super) peer: IpAddr,
    /// `http` or `https`, between the peer and us.
    pub(super) scheme: &'static str,
    /// Host and port that were asked for.
    pub(super) authority: &'a str,
}

/// The client's address.
pub(super) fn client_ip(headers: &HeaderMap, peer: IpAddr, trusted: &[Network]) -> IpAddr {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(ip));
    if trusted.is_empty() || !is_trusted(peer) {
        return peer;
    }
    let mut client = peer;
    for ip in hops(headers).take(MAX_HOPS) {
        // Something that is no address hides who came before it.
        let Some(ip) = ip else { return client };
        client = ip;
        if !is_trusted(ip) {
            return client;
        }
    }
    client
}

/// Tell the upstream who asks.
pub(super) fn set(headers: &mut HeaderMap, sender: Sender<'_>, trusted: &[Network]) {
    let is_believed = trusted.iter().any(|network| network.contains(sender.peer));
    let Ok(peer) = HeaderValue::try_from(sender.peer.to_string()) else {
        return;
    };
    let element = forwarded_element(sender);
    if is_believed {
        append(headers, X_FORWARDED_FOR, &peer);
        append(headers, FORWARDED, &element);
        headers.entry(X_REAL_IP).or_insert(peer);
        headers
            .entry(X_FORWARDED_PROTO)
            .or_insert(HeaderValue::from_static(sender.scheme));
        if let Ok(host) = HeaderValue::from_str(sender.authority) {
            headers.entry(X_FORWARDED_HOST).or_insert(host);
        }
        return;
    }
    fields::strip_claims(headers);
    headers.insert(X_REAL_IP, peer.clone());
    headers.insert(X_FORWARDED_FOR, peer);
    headers.insert(FORWARDED, element);
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(sender.scheme));
    if let Ok(host) = HeaderValue::from_str(sender.authority) {
        headers.insert(X_FORWARDED_HOST, host);
    }
}

/// The addresses of `X-Forwarded-For`, from the last to the first.
fn hops(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let values: Vec<&HeaderValue> = headers.get_all(X_FORWARDED_FOR).iter().collect();
    values.into_iter().rev().flat_map(|value| {
        // Hop by hop: what a client wrote first must not hide what a proxy has added.
        let hops = value.as_bytes().rsplit(|byte| *byte == b',');
        hops.map(|hop| {
            std::str::from_utf8(hop)
                .ok()
                .and_then(|hop| address(hop.trim()))
        })
        .collect::<Vec<_>>()
    })
}

/// An address, with or without port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.parse().ok();
    bare.or_else(|| {
        text.parse::<std::net::SocketAddr>()
            .ok()
            .map(|address| address.ip())
    })
    .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
}

/// RFC 7239 4: IPv6 addresses stand in brackets and quotes; so does whatever is not a token.
fn forwarded_element(sender: Sender<'_>) -> HeaderValue {
    let peer = match sender.peer {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("\"[{ip}]\""),
    };
    let text = format!(
        "for={peer};host=\"{}\";proto={}",
        sender.authority, sender.scheme
    );
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("for=unknown"))
}

fn append(headers: &mut HeaderMap, name: HeaderName, value: &HeaderValue) {
    let values = headers.get_all(&name).iter().map(HeaderValue::as_bytes);
    let mut joined: Vec<u8> = Vec::new();
    for part in values.chain([value.as_bytes()]) {
        if !joined.is_empty() {
            joined.extend_from_slice(b", ");
        }
        joined.extend_from_slice(part);
    }
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(name, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn with(name: HeaderName, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn the_client_is_the_peer_unless_the_peer_is_trusted() {
        let headers = with(X_FORWARDED_FOR, "198.51.100.7, 10.0.0.2");
        assert_eq!(client_ip(&headers, ip("10.0.0.1"), &[]), ip("10.0.0.1"));
        assert_eq!(
            client_ip(&headers, ip("10.0.0.1"), &[network("10.0.0.0/8")]),
            ip("198.51.100.7")
        );
        assert_eq!(
            client_ip(&headers, ip("192.0.2.9"), &[network("10.0.0.0/8")]),
            ip("192.0.2.9")
        );
    }

    #[test]
    fn what_a_client_wrote_hides_nothing_that_a_proxy_has_added() {
        let value = HeaderValue::from_bytes(b"\xff, 203.0.113.9").unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(X_FORWARDED_FOR, value);
        assert_eq!(
            client_ip(&headers, ip("10.0.0.1"), &[network("10.0.0.0/8")]),
            ip("203.0.113.9")
        );
    }

    #[test]
    fn what_is_no_address_hides_what_stands_before_it() {
        let headers = with(X_FORWARDED_FOR, "198.51.100.7, unknown, 10.0.0.2");
        assert_eq!(
            client_ip(&headers, ip("10.0.0.1"), &[network("10.0.0.0/8")]),
            ip("10.0.0.2")
        );
    }

    #[test]
    fn an_untrusted_peer_is_overwritten_and_a_trusted_one_appended_to() {
        let sender = Sender {
            peer: ip("10.0.0.1"),
            scheme: "http",
            authority: "a.example",
        };
        let mut headers = with(X_FORWARDED_FOR, "1.2.3.4");
        set(&mut headers, sender, &[]);
        assert_eq!(headers[X_FORWARDED_FOR], "10.0.0.1");
        assert_eq!(
            headers[FORWARDED],
            "for=10.0.0.1;host=\"a.example\";proto=http"
        );

        let mut headers = with(X_FORWARDED_FOR, "1.2.3.4");
        set(&mut headers, sender, &[network("10.0.0.0/8")]);
        assert_eq!(headers[X_FORWARDED_FOR], "1.2.3.4, 10.0.0.1");
    }
}
