//! Addresses: ranges, origins, and which addresses are public.
//!
//! An IPv4 address that arrives in IPv6 clothes (`::ffff:10.0.0.1`) is that IPv4 address everywhere here; otherwise a
//! dual-stack socket would slip past every range. Names are not resolved here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::{Invalid, host};

/// A range of addresses, such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// The first address.
    pub address: IpAddr,
    /// How many leading bits count.
    pub prefix: u8,
}

impl Network {
    /// Whether an address lies in the range.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => within(
                u128::from(ip.to_bits() ^ network.to_bits()),
                32,
                self.prefix,
            ),
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                within(ip.to_bits() ^ network.to_bits(), 128, self.prefix)
            }
            _ => false,
        }
    }
}

/// Whether all of the first `prefix` of `width` bits are the same, given the bits that differ.
fn within(difference: u128, width: u8, prefix: u8) -> bool {
    let ignored = u32::from(width - prefix.min(width));
    difference.checked_shr(ignored).unwrap_or(0) == 0
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Network {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || {
            Invalid::new(format!(
                "expected an address or a range such as \"10.0.0.0/8\", found the string {text:?}"
            ))
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| wrong())?;
        let width: u8 = if written.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => width,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits
                .parse()
                .ok()
                .filter(|p| *p <= width)
                .ok_or_else(wrong)?,
            Some(_) => return Err(wrong()),
        };
        let first = first_address(written, prefix);
        if first != written {
            let problem = Invalid::new(format!("{text:?} is not the first address of its range"));
            return Err(problem.hint(format!("did you mean \"{first}/{prefix}\"?")));
        }
        // `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
        match first.to_canonical() {
            IpAddr::V4(v4) if width == 128 && prefix >= 96 => Ok(Self {
                address: IpAddr::V4(v4),
                prefix: prefix - 96,
            }),
            _ => Ok(Self {
                address: first,
                prefix,
            }),
        }
    }
}

fn first_address(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(u32::from(32 - prefix)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(u32::from(128 - prefix)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

/// Scheme, host and port of a URL, such as `https://login.example.com`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// Whether the scheme is `https`.
    pub tls: bool,
    /// Host name or address (IPv6 without brackets), lower-case.
    pub host: String,
    /// Port, 80 or 443 if not written.
    pub port: u16,
}

impl Origin {
    /// The port that need not be written.
    fn default_port(tls: bool) -> u16 {
        if tls { 443 } else { 80 }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]", self.host)?;
        } else {
            write!(f, "{scheme}://{}", self.host)?;
        }
        if self.port != Self::default_port(self.tls) {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

impl FromStr for Origin {
    type Err = Invalid;

    /// Messages don't repeat the text: what is wrong may be that it holds a password.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (tls, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some(_) => return Err(Invalid::new("the scheme must be http or https")),
            None => {
                let problem = Invalid::new("expected a URL such as \"http://127.0.0.1:9001\"");
                return Err(problem.hint("it begins with http:// or https://"));
            }
        };
        if rest.contains('@') {
            return Err(Invalid::new("a user or password can't stand in the URL"));
        }
        if let Some(end) = rest.find(['/', '?', '#', '\\']) {
            let message = "only scheme, host and port can stand here, without path or query";
            let scheme = if tls { "https" } else { "http" };
            return Err(
                Invalid::new(message).hint(format!("write \"{scheme}://{}\"", &rest[..end]))
            );
        }
        let (host, port) = host::authority(rest)?;
        Ok(Self {
            tls,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: port.unwrap_or(Self::default_port(tls)),
        })
    }
}

/// Whether an address is one of the public internet: not of this host, this link, a private network or a range that
/// the registries keep for special purposes (RFC 6890), also when it is wrapped in IPv6.
pub fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local() // with the metadata services of clouds
        || ip.is_documentation()
        || ip.is_multicast()
        || a == 0 // "this network", RFC 791
        || a >= 240 // reserved and broadcast
        || (a == 100 && b & 0xc0 == 64) // carrier-grade NAT, RFC 6598
        || (a == 192 && b == 0 && c == 0) // protocol assignments, RFC 6890
        || (a == 192 && b == 88 && c == 99) // 6to4 relays, RFC 7526
        || (a == 198 && b & 0xfe == 18); // benchmarks, RFC 2544
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    let embedded =
        |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match segments {
        // NAT64, RFC 6052: the address behind it counts.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(embedded(high, low)),
        // 6to4, RFC 3056: likewise.
        [0x2002, high, low, ..] => is_public_v4(embedded(high, low)),
        // Protocol assignments with Teredo and ORCHID (RFC 2928), documentation (RFC 3849, RFC 9637).
        [0x2001, 0..0x200, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..0x1000, ..] => false,
        // Only this much is handed out as global unicast; loopback, unspecified, unique-local, link-local, multicast,
        // local NAT64 and all that may yet be invented lie outside.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_holds_its_first_and_last_address_and_no_neighbour() {
        for (range, inside, outside) in [
            (
                "10.0.0.0/8",
                ["10.0.0.0", "10.255.255.255"],
                ["9.255.255.255", "11.0.0.0"],
            ),
            (
                "10.1.2.3",
                ["10.1.2.3", "::ffff:10.1.2.3"],
                ["10.1.2.2", "::ffff:10.1.2.4"],
            ),
            (
                "0.0.0.0/0",
                ["0.0.0.0", "255.255.255.255"],
                ["::", "2001::"],
            ),
            ("::/0", ["::", "ffff::"], ["0.0.0.0", "::ffff:1.2.3.4"]),
            ("fd00::/8", ["fd00::", "fdff:ffff::1"], ["fc00::", "fe00::"]),
            (
                "::ffff:10.0.0.0/104",
                ["10.0.0.0", "::ffff:10.9.9.9"],
                ["11.0.0.0", "::10.0.0.0"],
            ),
            ("::1", ["::1", "0:0::1"], ["::2", "127.0.0.1"]),
        ] {
            let network: Network = range.parse().unwrap();
            for address in inside {
                assert!(network.contains(ip(address)), "{range} {address}");
            }
            for address in outside {
                assert!(!network.contains(ip(address)), "{range} {address}");
            }
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "",
            "10",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "::/129",
            "a/8",
            "10.0.0.0/8/8",
            "/8",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        let refused = "10.1.2.3/8".parse::<Network>().unwrap_err();
        assert_eq!(
            refused.hint.as_deref(),
            Some("did you mean \"10.0.0.0/8\"?")
        );
    }

    #[test]
    fn origins_read_and_write() {
        for (text, form) in [
            ("http://127.0.0.1:9001", "http://127.0.0.1:9001"),
            ("HTTPS://Login.Example.com:443", "https://login.example.com"),
            ("http://a:443", "http://a:443"),
            ("https://[0:0::1]:8443", "https://[::1]:8443"),
        ] {
            let origin: Origin = text.parse().unwrap();
            assert_eq!(origin.to_string(), form);
            assert_eq!(form.parse(), Ok(origin));
        }
        let origin: Origin = "http://[::1]".parse().unwrap();
        assert_eq!(
            (origin.host.as_str(), origin.port, origin.tls),
            ("::1", 80, false)
        );
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "",
            "a:80",
            "ftp://a",
            "http://",
            "http://a/",
            "http://a/b",
            "http://a?b",
            "http://a#b",
            "http://a:0",
            "http://a:99999",
            "http:// a",
            "http://a\\b",
            "http://::1",
            "//a",
            "http://a:80:80",
            "http://[::1",
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_in_an_origin_is_not_repeated() {
        let refused = "http://joe:hunter2@a/b".parse::<Origin>().unwrap_err();
        assert!(!format!("{refused:?}").contains("hunter2"));
    }

    #[test]
    fn addresses_of_the_internet_are_public() {
        for text in "1.1.1.1 8.8.8.8 100.63.0.1 100.128.0.1 172.15.0.1 172.32.0.1 192.0.1.1 \
             223.255.255.255 198.17.0.1 198.20.0.1 2606:4700::1 2a00::1 2001:200::1 \
             64:ff9b::8.8.8.8 ::ffff:8.8.8.8 2002:808:808::1"
            .split_whitespace()
        {
            assert!(is_public(ip(text)), "{text}");
        }
    }

    #[test]
    fn addresses_of_special_ranges_are_not_public() {
        for text in "0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.0.1 \
             169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1 \
             192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.1.1.1 \
             240.0.0.1 255.255.255.255 :: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 \
             fe80::1 fec0::1 fc00::1 fd00:ec2::254 ff02::1 2001:db8::1 2001::1 2001:1ff::1 \
             3fff::1 64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b::169.254.169.254 64:ff9b:1::1 \
             2002:7f00:1::1 2002:a00:1::1 100::1 5f00::1 4000::1"
            .split_whitespace()
        {
            assert!(!is_public(ip(text)), "{text}");
        }
    }
}
