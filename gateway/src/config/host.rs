//! Host names and addresses as they are written in `hosts`, `rewrite-host` and URLs.
//!
//! Everything comes out lower-case, without a last dot, IPv6 in brackets and in its one canonical text. Names are
//! what resolvers accept (letters, digits, `-`, `_`); a name that ends in a number but is no IPv4 address is refused,
//! since resolvers disagree on `127.1`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Invalid;

/// Longest name of a host, RFC 1035 2.3.4.
const NAME_BYTES_MAX: usize = 253;
/// Longest part of a name between dots, RFC 1035 2.3.4.
const LABEL_BYTES_MAX: usize = 63;

/// A name, an IPv4 address, or an IPv6 address in brackets.
pub(super) fn host(text: &str) -> Result<String, Invalid> {
    if let Some(rest) = text.strip_prefix('[') {
        let address = rest
            .strip_suffix(']')
            .and_then(|a| a.parse::<Ipv6Addr>().ok());
        return match address {
            Some(address) => Ok(format!("[{address}]")),
            None => Err(Invalid::new(format!(
                "{text:?} is not an IPv6 address in brackets"
            ))),
        };
    }
    if text.parse::<Ipv4Addr>().is_ok() {
        return Ok(text.to_owned());
    }
    name(text)
}

/// A host with an optional port.
pub(super) fn authority(text: &str) -> Result<(String, Option<u16>), Invalid> {
    let end_of_host = text.rfind(']').map_or(0, |end| end + 1);
    let Some(colon) = text[end_of_host..].find(':') else {
        return Ok((host(text)?, None));
    };
    let (name, rest) = text.split_at(end_of_host + colon);
    let digits = &rest[1..];
    let port = digits
        .parse::<u16>()
        .ok()
        .filter(|port| *port > 0 && digits.bytes().all(|b| b.is_ascii_digit()));
    match port {
        Some(port) => Ok((host(name)?, Some(port))),
        None if text.parse::<Ipv6Addr>().is_ok() => {
            Err(Invalid::new("an IPv6 address stands in brackets").hint(format!("write [{text}]")))
        }
        None => Err(Invalid::new("the port must be a number from 1 to 65535")),
    }
}

/// A host that a route serves: as [`host`], or `*.` in front of a name.
pub(super) fn pattern(text: &str) -> Result<String, Invalid> {
    if text == "*" {
        return Err(Invalid::new("'*' alone is not a host").hint("leave the key out for any host"));
    }
    if let Some(rest) = text.strip_prefix("*.") {
        if rest.parse::<Ipv4Addr>().is_ok() {
            return Err(Invalid::new("an address has no subdomains"));
        }
        return Ok(format!("*.{}", name(rest)?));
    }
    if text.contains('*') {
        let message = "'*' can only be the first part of a host";
        return Err(Invalid::new(message).hint("such as *.example.com"));
    }
    match authority(text)? {
        (host, None) => Ok(host),
        (host, Some(_)) => {
            Err(Invalid::new("routes match hosts without a port").hint(format!("write {host:?}")))
        }
    }
}

fn name(text: &str) -> Result<String, Invalid> {
    let refuse = |why: &str| Err(Invalid::new(format!("{text:?} is not a host name: {why}")));
    if text.is_empty() {
        return Err(Invalid::new("a host must not be empty"));
    }
    if let Some(without) = text.strip_suffix('.') {
        let problem = Invalid::new("a host is written without the last dot");
        return Err(problem.hint(format!("write {without:?}")));
    }
    if !text.is_ascii() {
        return refuse("write international names in their xn-- form");
    }
    if text.len() > NAME_BYTES_MAX {
        return refuse("it is longer than 253 bytes");
    }
    for label in text.split('.') {
        if label.is_empty() || label.len() > LABEL_BYTES_MAX {
            return refuse("each part between dots has 1 to 63 characters");
        }
        if let Some(bad) = label
            .chars()
            .find(|c| !c.is_ascii_alphanumeric() && !"-_".contains(*c))
        {
            return refuse(&format!("{bad:?} is not allowed"));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return refuse("no part begins or ends with '-'");
        }
    }
    let last = text.rsplit('.').next().unwrap_or(text);
    if last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x") {
        return refuse("it ends in a number but is not an IPv4 address");
    }
    Ok(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_come_out_in_one_form() {
        for (text, form) in [
            ("Example.COM", "example.com"),
            ("localhost", "localhost"),
            ("my_service-1", "my_service-1"),
            ("10.0.0.1", "10.0.0.1"),
            ("[0:0::1]", "[::1]"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(host(text).as_deref(), Ok(form));
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long = ["a"; 128].join(".");
        for text in [
            "",
            ".",
            "a..b",
            "-a",
            "a-",
            "a b",
            "bücher.example",
            "127.1",
            "1",
            "0x7f",
            "256.0.0.1",
            "::1",
            "[::1",
            "[fe80::1%eth0]",
            "a/b",
            "a@b",
            "example.com.",
            long.as_str(),
            "a\0b",
            "*.a",
        ] {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ports_are_split_off() {
        assert_eq!(authority("A:80"), Ok(("a".to_owned(), Some(80))));
        assert_eq!(authority("[::1]:80"), Ok(("[::1]".to_owned(), Some(80))));
        assert_eq!(authority("[::1]"), Ok(("[::1]".to_owned(), None)));
        for text in "a: a:0 a:65536 a:+1 a:b ::1 :80 [::1]x:80 a:1:2 ] a]:1".split_whitespace() {
            assert!(authority(text).is_err(), "{text}");
        }
    }

    #[test]
    fn patterns_are_exact_or_begin_with_a_wildcard() {
        assert_eq!(pattern("*.Example.com").as_deref(), Ok("*.example.com"));
        assert_eq!(pattern("a.b").as_deref(), Ok("a.b"));
        for text in "* *. *.10.0.0.1 a.*.b *a.b a.b:80 **.a *.*.a a.b:x".split_whitespace() {
            assert!(pattern(text).is_err(), "{text}");
        }
    }
}
