//! A route's path pattern, taken apart: `/exact`, `/users/{id}`, `/files/*`.
//!
//! A parsed pattern holds only what can match a normal path; a literal that never could is refused. How patterns
//! compare is the table's business.

use std::borrow::Cow;
use std::sync::Arc;

use thiserror::Error;

use super::path::{self, BadPath};

/// Segments in one pattern. Bounds the recursion of a lookup; far beyond what a person writes.
const MAX_SEGMENTS: usize = 64;

/// What is wrong with a path pattern or a rewrite template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PatternError {
    /// It does not begin with `/`.
    #[error("does not begin with `/`")]
    Relative,
    /// It has more segments than a pattern may have.
    #[error("has more than {MAX_SEGMENTS} segments")]
    TooLong,
    /// A segment before the last is empty.
    #[error("has an empty segment, which no normalised path has")]
    EmptySegment,
    /// A segment is `.` or `..`.
    #[error("has the dot segment `{0}`, which no normalised path has")]
    DotSegment(String),
    /// An asterisk that is not the rest.
    #[error(
        "has a stray `*` in `{0}`: the rest is the whole last segment, `*` in a path and `{{*}}` in a rewrite; \
             an asterisk itself is `%2A`"
    )]
    Star(String),
    /// A brace is not part of a whole segment `{name}`.
    #[error(
        "has a brace in `{0}`; a param is a whole segment such as `{{id}}` (letters, digits, `-`, `_`)"
    )]
    Brace(String),
    /// Two params have the same name.
    #[error("names the param `{0}` twice")]
    NameTwice(String),
    /// A literal segment can't be part of a path.
    #[error("has the segment `{segment}`, which can't match: {why}")]
    Literal {
        /// The segment as written.
        segment: String,
        /// Why a request with it would be refused.
        why: BadPath,
    },
}

/// The names of a pattern's params from left to right; none for most patterns.
pub(super) type Names = Option<Arc<[Box<str>]>>;

/// A route's path pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    pub(super) segments: Vec<Segment>,
    /// Whether `*` follows the segments.
    pub(super) rest: bool,
    pub(super) names: Names,
}

/// One segment of a pattern, the closing `*` aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// These bytes, unescaped. Empty only as the last: the slash at the end.
    Literal(Box<[u8]>),
    /// Any segment that is not empty.
    Param,
}

impl Pattern {
    pub(super) fn parse(written: &str) -> Result<Self, PatternError> {
        let mut segments = Vec::new();
        let mut rest = false;
        let mut names: Vec<Box<str>> = Vec::new();
        for part in parts(written, "*")? {
            match part {
                Part::Literal(literal) => {
                    segments.push(Segment::Literal(unescaped(&literal).into()))
                }
                Part::Name("*") => rest = true,
                Part::Name(name) if names.iter().any(|known| **known == *name) => {
                    return Err(PatternError::NameTwice(name.to_owned()));
                }
                Part::Name(name) => {
                    names.push(name.into());
                    segments.push(Segment::Param);
                }
            }
        }
        let names = (!names.is_empty()).then(|| names.into());
        Ok(Self {
            segments,
            rest,
            names,
        })
    }

    /// Which param has this name.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.names
            .as_ref()?
            .iter()
            .position(|known| **known == *name)
    }
}

/// One segment as written, in a pattern or in a rewrite template.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'w> {
    /// Text in normal form.
    Literal(String),
    /// The name between braces; `*` for the rest, which is last.
    Name(&'w str),
}

/// The segments of a pattern (where `rest` is written `*`) or of a template (`{*}`).
pub(super) fn parts<'w>(written: &'w str, rest: &str) -> Result<Vec<Part<'w>>, PatternError> {
    let inner = written.strip_prefix('/').ok_or(PatternError::Relative)?;
    let segments: Vec<&str> = inner.split('/').collect();
    if segments.len() > MAX_SEGMENTS {
        return Err(PatternError::TooLong);
    }
    let last = segments.len() - 1;
    let mut parts = Vec::with_capacity(segments.len());
    for (at, &segment) in segments.iter().enumerate() {
        let part = match segment {
            "" if at < last => return Err(PatternError::EmptySegment),
            _ if at == last && segment == rest => Part::Name("*"),
            _ if segment.contains('*') => return Err(PatternError::Star(segment.to_owned())),
            _ if segment.contains(['{', '}']) => Part::Name(name(segment)?),
            _ => Part::Literal(literal(segment)?),
        };
        parts.push(part);
    }
    Ok(parts)
}

fn name(segment: &str) -> Result<&str, PatternError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    segment
        .strip_prefix('{')
        .and_then(|name| name.strip_suffix('}'))
        .filter(|name| !name.is_empty() && name.bytes().all(allowed))
        .ok_or_else(|| PatternError::Brace(segment.to_owned()))
}

fn literal(segment: &str) -> Result<String, PatternError> {
    // A path of that one segment; `..` leads above its root, and what a `.` leaves is the slash alone.
    match path::normalise(&format!("/{segment}")) {
        Ok(normal) if normal.len() > 1 || segment.is_empty() => Ok(normal[1..].to_owned()),
        Ok(_) | Err(BadPath::AboveRoot) => Err(PatternError::DotSegment(segment.to_owned())),
        Err(why) => Err(PatternError::Literal {
            segment: segment.to_owned(),
            why,
        }),
    }
}

/// The bytes that a segment of a normal path stands for: what literals are compared by.
pub(super) fn unescaped(segment: &str) -> Cow<'_, [u8]> {
    if !segment.contains('%') {
        return Cow::Borrowed(segment.as_bytes());
    }
    let mut rest = segment.as_bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = if first == b'%' {
            path::unescaped(tail)
        } else {
            None
        };
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    Cow::Owned(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal_segment(text: &str) -> Segment {
        Segment::Literal(text.as_bytes().into())
    }

    #[test]
    fn a_pattern_is_taken_apart() {
        let pattern = Pattern::parse("/users/{id}/x/{other-id}/*").unwrap();
        let expected = [
            literal_segment("users"),
            Segment::Param,
            literal_segment("x"),
            Segment::Param,
        ];
        assert_eq!(pattern.segments, expected);
        assert!(pattern.rest);
        assert_eq!(
            (pattern.position("id"), pattern.position("other-id")),
            (Some(0), Some(1))
        );
        assert_eq!(pattern.position("*"), None);
    }

    #[test]
    fn a_slash_at_the_end_is_an_empty_literal() {
        assert_eq!(Pattern::parse("/").unwrap().segments, [literal_segment("")]);
        assert_eq!(
            Pattern::parse("/a/").unwrap().segments,
            [literal_segment("a"), literal_segment("")]
        );
        assert!(Pattern::parse("/*").unwrap().segments.is_empty());
    }

    #[test]
    fn literals_are_the_bytes_they_stand_for() {
        let segment = Pattern::parse("/%7e%40%c3%A9%2A").unwrap().segments;
        assert_eq!(segment, [literal_segment("~@é*")]);
        assert_eq!(
            unescaped("a%25%FF%"),
            Cow::<[u8]>::Owned(b"a%\xff%".to_vec())
        );
    }

    #[test]
    fn a_pattern_that_can_never_match_is_refused() {
        let owned = str::to_owned;
        let bad = |segment: &str, why| PatternError::Literal {
            segment: owned(segment),
            why,
        };
        for (written, expected) in [
            ("", PatternError::Relative),
            ("users", PatternError::Relative),
            ("*", PatternError::Relative),
            ("/a//b", PatternError::EmptySegment),
            ("//", PatternError::EmptySegment),
            ("/a/./b", PatternError::DotSegment(owned("."))),
            ("/a/%2e%2E", PatternError::DotSegment(owned("%2e%2E"))),
            ("/*/a", PatternError::Star(owned("*"))),
            ("/a*", PatternError::Star(owned("a*"))),
            ("/{*}", PatternError::Star(owned("{*}"))),
            ("/{}", PatternError::Brace(owned("{}"))),
            ("/a{b}", PatternError::Brace(owned("a{b}"))),
            ("/{a b}", PatternError::Brace(owned("{a b}"))),
            ("/{a}/{a}", PatternError::NameTwice(owned("a"))),
            ("/a%2Fb", bad("a%2Fb", BadPath::EscapedCharacter)),
            ("/a;b", bad("a;b", BadPath::Character)),
            ("/é", bad("é", BadPath::Character)),
            ("/%zz", bad("%zz", BadPath::Escape)),
        ] {
            assert_eq!(Pattern::parse(written), Err(expected), "{written}");
        }
        assert_eq!(Pattern::parse(&"/a".repeat(65)), Err(PatternError::TooLong));
        assert!(Pattern::parse(&"/a".repeat(64)).is_ok());
    }
}
