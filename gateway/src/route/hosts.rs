//! Which sets of paths a host leads to, most specific first.
//!
//! Exact names and wildcard suffixes are hashed; a lookup tries the name, then each of its suffixes that is no longer
//! than the longest wildcard, so a long name made up by a client costs nothing. It leaves out whether a host is valid.

use std::borrow::Cow;
use std::collections::HashMap;

/// Host patterns, each with the number of the trie of its paths.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    exact: HashMap<Box<str>, usize>,
    /// By what follows the `*.`.
    wildcard: HashMap<Box<str>, usize>,
    longest_wildcard: usize,
    any: Option<usize>,
}

impl Hosts {
    /// The place for a pattern's trie, which is `new` if the pattern is. `None` stands for any host.
    pub(super) fn entry(&mut self, pattern: Option<&str>, new: usize) -> usize {
        let Some(pattern) = pattern else {
            return *self.any.get_or_insert(new);
        };
        match pattern.strip_prefix("*.") {
            Some(suffix) => {
                self.longest_wildcard = self.longest_wildcard.max(suffix.len());
                *self.wildcard.entry(suffix.into()).or_insert(new)
            }
            None => *self.exact.entry(pattern.into()).or_insert(new),
        }
    }

    /// The tries for a [`canonical`] host.
    pub(super) fn lookup<'a>(&'a self, host: &'a str) -> impl Iterator<Item = usize> + 'a {
        let exact = self.exact.get(host).copied();
        exact
            .into_iter()
            .chain(self.wildcards(host))
            .chain(self.any)
    }

    fn wildcards<'a>(&'a self, host: &'a str) -> impl Iterator<Item = usize> + 'a {
        // A suffix of the longest wildcard's length has its dot one byte before it.
        let near = host.len().saturating_sub(self.longest_wildcard + 1);
        let dots = host
            .bytes()
            .enumerate()
            .skip(near.max(1))
            .filter(|&(_, byte)| byte == b'.');
        let dots = dots.take(if self.wildcard.is_empty() {
            0
        } else {
            usize::MAX
        });
        dots.filter_map(|(dot, _)| self.wildcard.get(&host[dot + 1..]).copied())
    }
}

/// A host as it is compared: lower-case, without port, without one dot at the end.
pub(super) fn canonical(host: &str) -> Cow<'_, str> {
    let name = without_port(host);
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The colons inside the brackets of an IPv6 address end in `]`, which is no digit.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_compared_without_case_port_and_last_dot() {
        for (host, expected) in [
            ("example.com", "example.com"),
            ("EXAMPLE.com:8080", "example.com"),
            ("example.com.", "example.com"),
            ("example.com.:80", "example.com"),
            ("example.com..", "example.com."),
            ("example.com:", "example.com"),
            ("[::1]:80", "[::1]"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
            ("", ""),
        ] {
            assert_eq!(canonical(host), expected, "{host}");
        }
    }

    #[test]
    fn longer_patterns_come_first() {
        let mut hosts = Hosts::default();
        for (number, pattern) in ["*.com", "*.b.com", "a.b.com"].into_iter().enumerate() {
            assert_eq!(hosts.entry(Some(pattern), number), number);
        }
        assert_eq!(hosts.entry(None, 3), 3);
        assert_eq!(hosts.entry(Some("*.com"), 9), 0);
        let found = |host: &str| hosts.lookup(host).collect::<Vec<_>>();
        assert_eq!(found("a.b.com"), [2, 1, 0, 3]);
        assert_eq!(found("z.a.b.com"), [1, 0, 3]);
        assert_eq!(found("b.com"), [0, 3]);
        assert_eq!(found("com"), [3]);
        assert_eq!(found(".com"), [3]);
        assert_eq!(found(""), [3]);
    }
}
