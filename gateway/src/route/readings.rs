//! How else a path could be read, and which route it would take then.
//!
//! [`normalise`](super::normalise) gives a path one spelling; what an upstream makes of that is its own affair. Many
//! decode once more, compare without regard to letter case, or drop dots and blanks at a segment's end and a slash at
//! the path's. So a request for `/ADMIN` may match a route for everything, and end up where only the route for `/admin`
//! should have let it. Here is found which route that other one is; what follows from it is the caller's to say.
//!
//! Leaves out what hardly any upstream does: Unicode's normal forms, extensions (`/admin.json`), streams of NTFS.

use std::borrow::Cow;

use http::{HeaderMap, Method};

use super::path::{decoded, push_escape};
use super::pattern::{Pattern, Segment};
use super::table::Table;

/// The other route that a request could be meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rival {
    /// As the path was written, or as it is when it has been decoded to the end.
    Literal(usize),
    /// For an upstream that compares loosely.
    Loose(usize),
}

/// What a route is looked up by.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// `Host` or the authority.
    pub host: &'a str,
    /// The path, [normalised](super::normalise).
    pub path: &'a str,
    /// The path as it was written, where that is something else.
    pub written: Option<&'a str>,
    /// The method.
    pub method: &'a Method,
    /// The fields.
    pub headers: &'a HeaderMap,
}

/// The table's patterns as an upstream may know them that compares loosely.
#[derive(Debug, Default)]
pub(super) struct Loose {
    pub(super) table: Table,
    /// By the index of the route: hosts and loosened pattern, so that routes that differ in nothing else are known.
    patterns: Vec<(Vec<String>, Pattern)>,
    /// Whether a pattern is not as it is loosened; then also a path that is, is to be looked up.
    has_strict_patterns: bool,
}

impl Loose {
    /// Take note of the next route; its pattern loosened.
    pub(super) fn push(&mut self, hosts: &[String], pattern: &Pattern) -> Pattern {
        let loosened = pattern_loosened(pattern);
        self.has_strict_patterns |= loosened.segments != pattern.segments;
        self.patterns.push((hosts.to_vec(), loosened.clone()));
        loosened
    }

    /// The other route of a request that has found one. Most requests are not looked up again: their path is as it
    /// was written, without escapes, in lower case.
    pub(super) fn rival(&self, strict: &Table, asked: Asked<'_>, found: usize) -> Option<Rival> {
        let strictly = |path: &str| {
            let other = strict.find(asked.host, path, asked.method, asked.headers);
            other.ok().filter(|other| other.index != found)
        };
        if let Some(other) = asked.written.and_then(strictly) {
            return Some(Rival::Literal(other.index));
        }
        if let Some(other) = nested(asked.path).as_deref().and_then(strictly) {
            return Some(Rival::Literal(other.index));
        }
        let path = loosened(asked.path);
        if matches!(path, Cow::Borrowed(_)) && !self.has_strict_patterns {
            return None;
        }
        let other = self
            .table
            .find(asked.host, &path, asked.method, asked.headers);
        // Whoever wrote two routes that differ in case or in the last slash alone meant what they wrote.
        let is_other =
            |index: &usize| *index != found && self.patterns[*index] != self.patterns[found];
        let other = other.ok().map(|other| other.index).filter(is_other);
        other.map(Rival::Loose)
    }
}

/// A normal path that holds escapes of escapes, decoded to the end and then escaped once.
fn nested(path: &str) -> Option<String> {
    path.contains("%25").then(|| escaped(&to_the_end(path)))
}

fn to_the_end(path: &str) -> Vec<u8> {
    let Ok(bytes) = decoded(path, |_| Ok::<_, std::convert::Infallible>(()));
    bytes
}

/// With an escape for everything but slashes and what needs none.
fn escaped(bytes: &[u8]) -> String {
    let mut path = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => path.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => path.push(char::from(byte)),
            _ => push_escape(&mut path, byte),
        }
    }
    path
}

/// A normal path as the loosest of upstreams reads it. Borrowed if that is no other.
fn loosened(path: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| !byte.is_ascii_uppercase() && byte != b'%';
    let has_end = |end: &str| path.ends_with(end) && path.len() > 1;
    if path.bytes().all(is_plain) && !has_end("/") && !has_end(".") && !path.contains("./") {
        return Cow::Borrowed(path);
    }
    let bytes = to_the_end(path);
    // Whoever decodes first and splits afterwards sees a query or a fragment begin.
    let end = bytes.iter().position(|byte| matches!(byte, b'?' | b'#'));
    let bytes = &bytes[..end.unwrap_or(bytes.len())];
    let mut loose = String::with_capacity(bytes.len());
    for segment in bytes.split(|byte| *byte == b'/') {
        let segment = segment_loosened(segment);
        if !segment.is_empty() {
            loose.push('/');
            loose.push_str(&escaped(&segment));
        }
    }
    if loose.is_empty() {
        loose.push('/');
    }
    Cow::Owned(loose)
}

/// Without dots and blanks at its end, in lower case.
fn segment_loosened(segment: &[u8]) -> Vec<u8> {
    let kept = segment
        .iter()
        .rposition(|byte| !matches!(byte, b'.' | b' '));
    let segment = &segment[..kept.map_or(0, |last| last + 1)];
    match std::str::from_utf8(segment) {
        // There and back: some letters have a lower case only by way of their upper case.
        Ok(text) if !text.is_ascii() => text.to_uppercase().to_lowercase().into_bytes(),
        _ => segment.to_ascii_lowercase(),
    }
}

fn pattern_loosened(pattern: &Pattern) -> Pattern {
    let loosened = pattern.segments.iter().map(|segment| match segment {
        Segment::Literal(literal) => Segment::Literal(segment_loosened(literal).into()),
        Segment::Param => Segment::Param,
    });
    // The last slash, and a literal of dots alone.
    let is_there =
        |segment: &Segment| !matches!(segment, Segment::Literal(text) if text.is_empty());
    let mut segments: Vec<Segment> = loosened.filter(is_there).collect();
    if segments.is_empty() && !pattern.rest {
        segments.push(Segment::Literal(Box::default()));
    }
    Pattern {
        segments,
        ..pattern.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::tests::route;

    #[test]
    fn a_path_is_loosened_in_case_escapes_and_ends() {
        for (path, expected) in [
            ("/ADMIN", "/admin"),
            ("/admin/", "/admin"),
            ("/admin./x", "/admin/x"),
            ("/admin...", "/admin"),
            ("/admin%20/x", "/admin/x"),
            ("/admin.%20.", "/admin"),
            ("/%20/admin", "/admin"),
            ("/%2561dmin", "/admin"),
            ("/%252541DMIN", "/admin"),
            ("/admin%3Fx", "/admin"),
            ("/admin%2523x/y", "/admin"),
            ("/%C3%89", "/%C3%A9"),
            ("/%E2%84%AAEY", "/key"),
            ("/a%25zz", "/a%25zz"),
            ("/", "/"),
            ("/%20", "/"),
        ] {
            assert_eq!(loosened(path), expected, "{path}");
            assert_eq!(loosened(expected), expected, "{path}");
        }
        for path in ["/", "/a", "/a/.b/c.d", "/a_b~c/@d:e"] {
            assert!(matches!(loosened(path), Cow::Borrowed(_)), "{path}");
        }
    }

    #[track_caller]
    fn rival(patterns: &[&str], path: &str, written: Option<&str>) -> Option<Rival> {
        let routes: Vec<_> = patterns.iter().map(|path| route(path)).collect();
        let table = Table::build(&routes).unwrap();
        let (method, headers) = (&Method::GET, &HeaderMap::new());
        let found = table.find("a", path, method, headers).unwrap().index;
        let asked = Asked {
            host: "a",
            path,
            written,
            method,
            headers,
        };
        table.rival(asked, found)
    }

    #[test]
    fn a_path_that_is_written_plainly_has_no_rival() {
        let patterns = ["/*", "/admin", "/admin/x/*", "/users/{id}"];
        for path in ["/", "/x", "/admin", "/admin/x/y", "/users/7", "/users/7/x"] {
            assert_eq!(rival(&patterns, path, None), None, "{path}");
        }
        assert_eq!(rival(&patterns, "/users/ABC", None), None);
        assert_eq!(rival(&patterns, "/admin/x/A%20B/", None), None);
    }

    #[test]
    fn a_path_as_it_was_written_may_have_one() {
        let patterns = ["/*", "/admin/*"];
        let written = |path| rival(&patterns, "/admin/x", Some(path));
        assert_eq!(written("//admin/x"), Some(Rival::Literal(0)));
        assert_eq!(written("/a/../admin/x"), Some(Rival::Literal(0)));
        assert_eq!(written("/%61dmin/x"), None);
        assert_eq!(written("/admin//x"), None);
    }

    #[test]
    fn so_may_one_that_is_decoded_twice_or_compared_loosely() {
        let patterns = ["/*", "/admin", "/admin/*", "/Users/{id}"];
        for (path, expected) in [
            ("/%2561dmin", Rival::Literal(1)),
            ("/%252561dmin/x", Rival::Literal(2)),
            ("/ADMIN", Rival::Loose(1)),
            ("/Admin/x", Rival::Loose(2)),
            ("/admin./x", Rival::Loose(2)),
            ("/admin%20", Rival::Loose(1)),
            ("/users/7", Rival::Loose(3)),
            ("/Users/7/", Rival::Loose(3)),
        ] {
            assert_eq!(rival(&patterns, path, None), Some(expected), "{path}");
        }
    }

    #[test]
    fn routes_that_differ_in_case_or_the_last_slash_were_meant_to() {
        let patterns = ["/*", "/admin", "/Admin", "/a", "/a/"];
        for path in ["/admin", "/Admin", "/a", "/a/"] {
            assert_eq!(rival(&patterns, path, None), None, "{path}");
        }
        assert_eq!(rival(&patterns, "/ADMIN", None), Some(Rival::Loose(1)));
    }
}
