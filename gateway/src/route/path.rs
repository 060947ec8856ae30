//! Path normalisation: one spelling for each path, or a refusal.
//!
//! What is matched, what plugins see and what the upstream receives is the string made here, so nobody can write a
//! guarded path in a way that the table reads differently from the upstream. It promises that the answer begins with
//! `/`, holds only the characters of RFC 3986 3.3, has no empty or dot segment, no decodable escape, no overlong UTF-8,
//! and is its own normal form. What upstreams read into a path beyond that (letter case, dots at the end, further
//! decoding) is for [`readings`](super::readings).

use std::borrow::Cow;

use thiserror::Error;

/// Why a path is refused. The text is constant, so it may go to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadPath {
    /// It does not begin with a slash.
    #[error("path does not begin with a slash")]
    Relative,
    /// A `%` is not followed by two hex digits.
    #[error("path has an invalid percent escape")]
    Escape,
    /// A raw control byte, space, non-ASCII byte, `\`, `;`, `?` or `#`.
    #[error("path has a character that is not allowed")]
    Character,
    /// An escaped control byte, `/`, `\` or `;`.
    #[error("path has an escaped character that is not allowed")]
    EscapedCharacter,
    /// An escape of an escape, at any depth, that ends as a dot or as a byte that may not be escaped.
    #[error("path has a doubly escaped character that is not allowed")]
    Nested,
    /// `..` leads above the root.
    #[error("path leads above the root")]
    AboveRoot,
    /// An escaped byte sequence that careless decoders of UTF-8 take for a shorter one, such as `%C0%AF` for `/`.
    #[error("path has an overlong UTF-8 sequence")]
    Overlong,
    /// It is not written in its normal form, where that is asked for.
    #[error("path is not written in its normal form (path-normalisation)")]
    NotNormal,
    /// Another reading of it would take another route.
    #[error("path could be read as one that takes another route")]
    OtherRoute,
}

/// The normal form of a path without query.
///
/// Unreserved characters are unescaped and the hex digits of all other escapes made upper-case (RFC 3986 6.2.2),
/// characters that a path may not hold but clients send (`"<>^{|}` and the backtick) are escaped, repeated slashes
/// are merged, and then dot segments are removed (RFC 3986 5.2.4). So `/a//../b` is `/b`, as for a file system.
///
/// A path that is normal already is borrowed and costs one pass without allocation.
///
/// # Errors
///
/// [`BadPath`] for whatever servers are known to disagree about: escaped slashes, path parameters, double escapes.
pub fn normalise(raw: &str) -> Result<Cow<'_, str>, BadPath> {
    let path = if is_normal(raw.as_bytes()) {
        Cow::Borrowed(raw)
    } else {
        Cow::Owned(without_dot_segments(&respelled(raw)?)?)
    };
    if path.contains('%') {
        check_decoded(&path)?;
    }
    Ok(path)
}

/// What a byte of a path means when it is written as it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Has no other spelling: RFC 3986 2.3.
    Unreserved,
    /// Stands for itself; its escape is something else. RFC 3986 2.2, so far as 3.3 allows it in a segment.
    Reserved,
    /// May only be written as an escape.
    Escaped,
    /// May only be written as an escape, and a raw one is refused rather than repaired.
    OnlyEscaped,
    /// May not be there, in any spelling.
    Refused,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::OnlyEscaped; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                Class::Unreserved
            }
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@' => {
                Class::Reserved
            }
            b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' => Class::Escaped,
            0..=0x1f | 0x7f | b'/' | b'\\' | b';' => Class::Refused,
            _ => Class::OnlyEscaped,
        };
        byte += 1;
    }
    classes
};

fn class(byte: u8) -> Class {
    CLASSES[usize::from(byte)]
}

fn is_normal(path: &[u8]) -> bool {
    if path.first() != Some(&b'/') {
        return false;
    }
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        at += match byte {
            b'/' if starts_with_odd_segment(&path[at + 1..]) => return false,
            b'/' => 1,
            b'%' if starts_with_normal_escape(&path[at + 1..]) => 3,
            _ if matches!(class(byte), Class::Unreserved | Class::Reserved) => 1,
            _ => return false,
        };
    }
    true
}

/// Whether the segment that begins here would be merged or removed. The empty segment at the end is neither.
fn starts_with_odd_segment(rest: &[u8]) -> bool {
    matches!(
        rest,
        [b'/', ..] | [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..]
    )
}

fn starts_with_normal_escape(rest: &[u8]) -> bool {
    let lower = |digit: &u8| digit.is_ascii_lowercase();
    match unescaped(rest) {
        Some(byte) => {
            !rest.iter().take(2).any(lower)
                && !matches!(class(byte), Class::Unreserved | Class::Refused)
        }
        None => false,
    }
}

/// The byte that the two hex digits after a `%` stand for.
pub(super) fn unescaped(rest: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*rest.get(at)?).to_digit(16);
    u8::try_from((digit(0)? << 4) | digit(1)?).ok()
}

/// The same path with each character in its one spelling.
fn respelled(raw: &str) -> Result<String, BadPath> {
    if !raw.starts_with('/') {
        return Err(BadPath::Relative);
    }
    let bytes = raw.as_bytes();
    let mut path = String::with_capacity(raw.len() + 16);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        if byte == b'%' {
            let byte = unescaped(&bytes[at..]).ok_or(BadPath::Escape)?;
            at += 2;
            match class(byte) {
                Class::Unreserved => path.push(char::from(byte)),
                Class::Refused => return Err(BadPath::EscapedCharacter),
                Class::Reserved | Class::Escaped | Class::OnlyEscaped => {
                    push_escape(&mut path, byte)
                }
            }
        } else {
            match class(byte) {
                Class::Unreserved | Class::Reserved => path.push(char::from(byte)),
                Class::Escaped => push_escape(&mut path, byte),
                Class::Refused if byte == b'/' => path.push('/'),
                Class::Refused | Class::OnlyEscaped => return Err(BadPath::Character),
            }
        }
    }
    Ok(path)
}

/// Write a byte as an escape.
pub(super) fn push_escape(path: &mut String, byte: u8) {
    const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
    path.push('%');
    path.push(char::from(DIGITS[usize::from(byte >> 4)]));
    path.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// RFC 3986 5.2.4 on a path whose empty segments don't count, except that `..` at the root is an error: whoever
/// writes it hopes that somebody counts differently.
fn without_dot_segments(path: &str) -> Result<String, BadPath> {
    let mut kept = Vec::new();
    let mut is_folder = true;
    for segment in path.split('/').skip(1) {
        is_folder = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop().ok_or(BadPath::AboveRoot)?),
            _ => kept.push(segment),
        }
    }
    let mut clean = String::with_capacity(path.len());
    for segment in &kept {
        clean.push('/');
        clean.push_str(segment);
    }
    if is_folder {
        clean.push('/');
    }
    Ok(clean)
}

/// Refuse what a path in normal form becomes if it is decoded again and again, as careless servers do: a dot or a refused
/// byte, or overlong UTF-8.
fn check_decoded(path: &str) -> Result<(), BadPath> {
    let decoded = decoded(path, |byte| {
        if byte == b'.' || class(byte) == Class::Refused {
            Err(BadPath::Nested)
        } else {
            Ok(())
        }
    })?;
    // RFC 3629 3: two bytes for what one holds, three for two, four for three.
    let is_overlong = |bytes: &[u8]| {
        matches!(
            bytes,
            [0xc0 | 0xc1, 0x80..=0xbf] | [0xe0, 0x80..=0x9f] | [0xf0, 0x80..=0x8f]
        )
    };
    if decoded.windows(2).any(is_overlong) {
        return Err(BadPath::Overlong);
    }
    Ok(())
}

/// A path decoded until no escape is left. `check` is shown each byte that was escaped. Each `%` and each decoded byte
/// is looked at once, so a long row of `%2525..` costs no more than its length.
pub(super) fn decoded<E>(path: &str, check: impl Fn(u8) -> Result<(), E>) -> Result<Vec<u8>, E> {
    let mut decoded: Vec<u8> = Vec::with_capacity(path.len());
    for &byte in path.as_bytes() {
        decoded.push(byte);
        while let [.., b'%', high, low] = decoded[..]
            && let Some(byte) = unescaped(&[high, low])
        {
            check(byte)?;
            decoded.truncate(decoded.len() - 3);
            decoded.push(byte);
        }
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::tests::Dice;

    fn normal(raw: &str) -> Result<String, BadPath> {
        normalise(raw).map(Cow::into_owned)
    }

    #[test]
    fn a_normal_path_is_borrowed() {
        for path in [
            "/",
            "/a",
            "/a/",
            "/a/b.c/..d/.e/f..",
            "/%20",
            "/%C3%A9",
            "/%E0%B8%81%F0%9F%8D%95",
            "/%C0%E9",
            "/a:b@c=d,e+f",
            "/%40",
            "/%25",
            "/...",
        ] {
            assert_eq!(normalise(path), Ok(Cow::Borrowed(path)));
            assert!(
                matches!(normalise(path), Ok(Cow::Borrowed(_))),
                "{path} was copied"
            );
        }
    }

    #[test]
    fn each_character_gets_its_one_spelling() {
        for (raw, expected) in [
            ("/%61%2d%5F%7e", "/a-_~"),
            ("/%c3%a9", "/%C3%A9"),
            ("/a|{b}^`\"<>", "/a%7C%7Bb%7D%5E%60%22%3C%3E"),
            ("/%7bb%7D", "/%7Bb%7D"),
            ("/%3f%23%25", "/%3F%23%25"),
        ] {
            assert_eq!(normal(raw).as_deref(), Ok(expected), "{raw}");
        }
    }

    #[test]
    fn slashes_and_dot_segments_go() {
        for (raw, expected) in [
            ("//", "/"),
            ("//a///b//", "/a/b/"),
            ("/.", "/"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/./b/../c", "/a/c"),
            ("/a//../b", "/b"),
            ("/a/%2e/b/%2E%2e/c/.%2e", "/a/"),
        ] {
            assert_eq!(normal(raw).as_deref(), Ok(expected), "{raw}");
        }
    }

    #[test]
    fn what_servers_disagree_about_is_refused() {
        for (raw, expected) in [
            ("", BadPath::Relative),
            ("*", BadPath::Relative),
            ("a/b", BadPath::Relative),
            ("/%", BadPath::Escape),
            ("/%4", BadPath::Escape),
            ("/%4g", BadPath::Escape),
            ("/%%32e", BadPath::Escape),
            ("/%+1", BadPath::Escape),
            ("/a\\b", BadPath::Character),
            ("/a;b", BadPath::Character),
            ("/a b", BadPath::Character),
            ("/a\0", BadPath::Character),
            ("/a\x7f", BadPath::Character),
            ("/é", BadPath::Character),
            ("/a#b", BadPath::Character),
            ("/a?b", BadPath::Character),
            ("/a%2fb", BadPath::EscapedCharacter),
            ("/a%5Cb", BadPath::EscapedCharacter),
            ("/a%00", BadPath::EscapedCharacter),
            ("/a%0d%0a", BadPath::EscapedCharacter),
            ("/a%3bb", BadPath::EscapedCharacter),
            ("/%252e", BadPath::Nested),
            ("/a%252Fb", BadPath::Nested),
            ("/a%255cb", BadPath::Nested),
            ("/a%25252fb", BadPath::Nested),
            ("/a%25%32%66b", BadPath::Nested),
            ("/a%25%2532f", BadPath::Nested),
            ("/..", BadPath::AboveRoot),
            ("/a/../..", BadPath::AboveRoot),
            ("/%2e%2e/a", BadPath::AboveRoot),
            ("/%c0%ae%C0%AE/a", BadPath::Overlong),
            ("/a%c0%afb", BadPath::Overlong),
            ("/%C1%A1dmin", BadPath::Overlong),
            ("/a%e0%80%afb", BadPath::Overlong),
            ("/a%F0%80%80%AFb", BadPath::Overlong),
            ("/a%25C0%25AFb", BadPath::Overlong),
            ("//../a", BadPath::AboveRoot),
        ] {
            assert_eq!(normal(raw), Err(expected), "{raw:?}");
        }
    }

    #[test]
    fn a_harmless_double_escape_stays() {
        assert_eq!(normal("/100%2525/%2541").as_deref(), Ok("/100%2525/%2541"));
    }

    #[test]
    fn a_row_of_nested_escapes_takes_linear_time() {
        let row = format!("/%{}", "25".repeat(1 << 20));
        assert_eq!(normal(&row), Ok(row));
    }

    #[test]
    fn the_normal_form_is_its_own_normal_form_and_a_valid_uri() {
        const PARTS: [&str; 24] = [
            "/", "/", "/", "/", ".", "..", "a", "B", "%2e", "%2E", "%25", "25", "2e", "2f", "%61",
            "%c3", "%A9", "%2f", "%", "{", "@", "%40", "%32", "~",
        ];
        let mut dice = Dice::new(13);
        let mut accepted = 0;
        for _ in 0..200_000 {
            let length = dice.below(12);
            let tail: String = (0..length).map(|_| dice.pick(&PARTS)).collect();
            let Ok(once) = normal(&format!("/{tail}")) else {
                continue;
            };
            accepted += 1;
            assert!(
                matches!(normalise(&once), Ok(Cow::Borrowed(twice)) if twice == once),
                "/{tail} became {once}, which is not normal"
            );
            let uri: http::uri::PathAndQuery = once.parse().unwrap();
            assert_eq!(uri.as_str(), once);
        }
        assert!(accepted > 20_000, "the generator only makes bad paths");
    }
}
