//! Path patterns of routes, and what is cut from or put in place of a path.
//!
//! A pattern is `/` and segments: literal, `{name}`, or `*` as the last one. Literals have to be written the way a path
//! looks after normalisation (no dot segments, no `//`, escapes only where needed and in upper case), since nothing
//! else could ever match. Which route wins is the route table's business.

use super::super::{Invalid, suggest};

/// Characters besides letters, digits and escapes that a segment can hold: RFC 3986 3.3 without `;`, which is
/// refused in requests, and `*`, which is the wildcard.
const PLAIN: &str = "-._~!$&'()+,=:@";

/// What a rewrite needs to know of a pattern.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// The literal segments up to the first that is not.
    literal: Vec<String>,
    names: Vec<String>,
    /// Whether it ends in `*`.
    rest: bool,
}

impl Pattern {
    /// Check and take apart.
    pub(super) fn parse(text: &str) -> Result<Self, Invalid> {
        let mut pattern = Self {
            literal: Vec::new(),
            names: Vec::new(),
            rest: false,
        };
        let mut literal = true;
        let segments = segments(text)?;
        let last = segments.len() - 1;
        for (index, segment) in segments.into_iter().enumerate() {
            if segment == "*" && index == last {
                pattern.rest = true;
            } else if let Some(name) = parameter(segment) {
                pattern.add_name(name)?;
                literal = false;
            } else {
                check_literal(segment)?;
                if literal {
                    pattern.literal.push(segment.to_owned());
                }
            }
        }
        Ok(pattern)
    }

    fn add_name(&mut self, name: &str) -> Result<(), Invalid> {
        let first = |c: char| c.is_ascii_alphabetic() || c == '_';
        let fine = |c: char| first(c) || c.is_ascii_digit() || c == '-';
        if !name.starts_with(first) || !name.chars().all(fine) {
            let problem = Invalid::new(format!("'{{{name}}}' is not a parameter"));
            return Err(problem.hint("a letter, then letters, digits, '-' or '_', such as {id}"));
        }
        if self.names.iter().any(|known| known == name) {
            return Err(Invalid::new(format!(
                "the parameter '{{{name}}}' stands there twice"
            )));
        }
        self.names.push(name.to_owned());
        Ok(())
    }

    /// Check a prefix that is to be cut from the paths that match.
    pub(super) fn check_strip_prefix(&self, prefix: &str) -> Result<(), Invalid> {
        let segments = segments(prefix)?;
        if segments == [""] {
            return Err(Invalid::new("'/' cuts nothing off"));
        }
        if segments.last() == Some(&"") {
            let problem = Invalid::new("a prefix is written without the last '/'");
            return Err(problem.hint(format!("write {:?}", prefix.trim_end_matches('/'))));
        }
        let begins = self.literal.len() >= segments.len()
            && segments.iter().zip(&self.literal).all(|(a, b)| a == b);
        if !begins {
            let problem = Invalid::new(format!(
                "{prefix:?} is not how the path of the route begins"
            ));
            let literal = self.literal.join("/");
            return Err(match literal.trim_end_matches('/') {
                "" => problem,
                literal => problem.hint(format!("whole segments of \"/{literal}\" can be cut")),
            });
        }
        Ok(())
    }

    /// Check a path that is to be put in place of those that match.
    pub(super) fn check_rewrite_path(&self, path: &str) -> Result<(), Invalid> {
        let segments = segments(path)?;
        let last = segments.len() - 1;
        for (index, segment) in segments.into_iter().enumerate() {
            match parameter(segment) {
                Some("*") if index < last => {
                    return Err(Invalid::new("'{*}' can only be the last segment"));
                }
                Some("*") if self.rest => {}
                Some(name) if self.names.iter().any(|known| known == name) => {}
                Some(name) => {
                    let rest = self.rest.then_some("*");
                    let hint =
                        suggest::hint(name, self.names.iter().map(String::as_str).chain(rest));
                    let message = format!("the path of the route has no '{{{name}}}'");
                    return Err(Invalid { message, hint });
                }
                None => check_literal(segment)?,
            }
        }
        Ok(())
    }
}

/// The segments of a path; at least one, and only the last may be empty.
fn segments(path: &str) -> Result<Vec<&str>, Invalid> {
    let Some(rest) = path.strip_prefix('/') else {
        let problem = Invalid::new(format!("{path:?} does not begin with '/'"));
        return Err(problem.hint(format!("write {:?}", format!("/{path}"))));
    };
    let segments: Vec<&str> = rest.split('/').collect();
    if segments[..segments.len() - 1].contains(&"") {
        return Err(Invalid::new(
            "'//' can't match: repeated slashes are merged before",
        ));
    }
    Ok(segments)
}

fn parameter(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

fn check_literal(segment: &str) -> Result<(), Invalid> {
    if segment == "." || segment == ".." {
        return Err(Invalid::new(
            "dot segments can't match: they are resolved before",
        ));
    }
    let mut rest = segment;
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        match first {
            '%' => {
                check_escape(rest.get(..2).unwrap_or(rest))?;
                rest = &rest[2..];
            }
            '*' => return Err(Invalid::new("'*' can only be the whole last segment")),
            '{' | '}' => {
                return Err(Invalid::new(
                    "a parameter is a whole segment, such as /{id}/",
                ));
            }
            '?' | '#' => return Err(Invalid::new("query and fragment are no part of the path")),
            _ if first.is_ascii_alphanumeric() || PLAIN.contains(first) => {}
            _ => {
                let mut bytes = [0; 4];
                let escaped: String = first
                    .encode_utf8(&mut bytes)
                    .bytes()
                    .map(|byte| format!("%{byte:02X}"))
                    .collect();
                let problem =
                    Invalid::new(format!("the character {first:?} can't stand in a path"));
                return Err(match first {
                    ';' | '\\' => problem.hint("requests with it are refused"),
                    _ if first.is_control() => problem,
                    _ => problem.hint(format!("write {escaped}")),
                });
            }
        }
    }
    Ok(())
}

fn check_escape(digits: &str) -> Result<(), Invalid> {
    let hex = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let Some(byte) = u8::from_str_radix(digits, 16).ok().filter(|_| hex) else {
        return Err(Invalid::new(
            "'%' begins an escape with two hexadecimal digits, such as %20",
        ));
    };
    let plain = char::from(byte);
    if plain.is_ascii_alphanumeric() || "-._~".contains(plain) {
        let problem = Invalid::new(format!(
            "the escape %{digits} can't match: it is decoded before"
        ));
        return Err(problem.hint(format!("write {plain}")));
    }
    if byte.is_ascii_control() || "/\\;".contains(plain) {
        return Err(Invalid::new(format!(
            "requests with the escape %{digits} are refused"
        )));
    }
    if digits.bytes().any(|digit| digit.is_ascii_lowercase()) {
        let problem = Invalid::new("escapes are in upper case when they are matched");
        return Err(problem.hint(format!("write %{}", digits.to_ascii_uppercase())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_literals_parameters_and_a_last_wildcard() {
        for text in
            "/ /* /a /a/ /a/* /{a}/{b-2}/* /a.b/..c/~x /%20/%C3%A9 /a:b@c,(d)=e /.well-known/*"
                .split_whitespace()
        {
            assert!(Pattern::parse(text).is_ok(), "{text}");
        }
        for text in [
            "", "a", "*", "//", "/a//b", "/*/a", "/a*", "/**", "/a/./b", "/..", "/{}", "/{1}",
            "/{a", "/a}", "/a{b}", "/{a}b", "/{a}/{a}", "/{*}", "/{a/b}", "/a?b", "/a#b", "/a b",
            "/é", "/a;b", "/a\\b", "/%", "/%2", "/%zz", "/%+1", "/%61", "/%2e%2E", "/%2F", "/%5C",
            "/%3B", "/%00", "/%7F", "/%c3", "/%é", "/\u{7f}", "/a\n",
        ] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hints_say_how_to_write_it() {
        let hint = |text| Pattern::parse(text).unwrap_err().hint.unwrap();
        assert_eq!(hint("users"), "write \"/users\"");
        assert_eq!(hint("/é"), "write %C3%A9");
        assert_eq!(hint("/%61"), "write a");
        assert_eq!(hint("/%c3"), "write %C3");
    }

    #[test]
    fn a_prefix_to_strip_is_whole_leading_literal_segments() {
        let check = |path: &str, prefix: &str| {
            Pattern::parse(path)
                .unwrap()
                .check_strip_prefix(prefix)
                .is_ok()
        };
        for (path, prefix) in [
            ("/a/b/*", "/a"),
            ("/a/b/*", "/a/b"),
            ("/a", "/a"),
            ("/a/{x}/b", "/a"),
            ("/a/", "/a"),
        ] {
            assert!(check(path, prefix), "{path} {prefix}");
        }
        for (path, prefix) in [
            ("/a/b", "/b"),
            ("/ab/c", "/a"),
            ("/a/{x}", "/a/{x}"),
            ("/a/*", "/a/*"),
            ("/a/*", "/a/"),
            ("/a", "/"),
            ("/a", "/a/b"),
            ("/a", "a"),
            ("/{x}/a", "/a"),
            ("/*", "/a"),
            ("/a", ""),
        ] {
            assert!(!check(path, prefix), "{path} {prefix}");
        }
    }

    #[test]
    fn a_rewrite_uses_what_the_pattern_has() {
        let check =
            |path: &str, to: &str| Pattern::parse(path).unwrap().check_rewrite_path(to).is_ok();
        for (path, to) in [
            ("/a/{x}/*", "/b/{x}/{*}"),
            ("/a/{x}", "/{x}/{x}/"),
            ("/a", "/"),
            ("/*", "/{*}"),
        ] {
            assert!(check(path, to), "{path} {to}");
        }
        for (path, to) in [
            ("/a/{x}", "/{y}"),
            ("/a", "/{*}"),
            ("/a/*", "/{*}/b"),
            ("/a/*", "/*"),
            ("/a/{x}", "/p-{x}"),
            ("/a", "b"),
            ("/a", "/b?c=1"),
            ("/a", "/../b"),
            ("/a", "/b//c"),
            ("/a", "http://x/"),
            ("/a", ""),
        ] {
            assert!(!check(path, to), "{path} {to}");
        }
    }
}
