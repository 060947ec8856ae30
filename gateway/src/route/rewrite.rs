//! The path that the upstream gets: the client's, without a prefix, or made from a template.
//!
//! A template's placeholders are whole segments, like a pattern's params. So the result of a normal path is normal
//! again by construction, and nothing has to be checked while a request waits.

use std::borrow::Cow;

use thiserror::Error;

use crate::config::Route;

use super::error::{RouteError, RouteProblem};
use super::params::Params;
use super::pattern::{Part, Pattern, PatternError, Segment, parts, unescaped};

/// What a route does to the path, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite(Kind);

/// What is wrong with a route's `strip-prefix` or `rewrite-path`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RewriteError {
    /// Both keys are there.
    #[error("has both strip-prefix and rewrite-path; only one of them can make the path")]
    Both,
    /// The prefix is no prefix of the path pattern's literal segments.
    #[error(
        "has the strip-prefix `{0}`, which is not the literal beginning of its path, segment by segment"
    )]
    NoPrefix(String),
    /// The template is malformed.
    #[error("has the rewrite-path `{template}`, which {why}")]
    Template {
        /// As written.
        template: String,
        /// What is wrong with it.
        why: PatternError,
    },
    /// The template uses a param that the pattern has not.
    #[error("has the rewrite-path `{template}` with `{{{name}}}`, which its path does not have")]
    UnknownParam {
        /// As written.
        template: String,
        /// The name between the braces.
        name: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Keep,
    /// How many segments to drop. Not the prefix's text, since the client may have escaped it differently.
    Strip(usize),
    Template(Vec<Piece>),
}

/// One segment of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    Param(usize),
    Rest,
}

impl Rewrite {
    /// Compiles what the route says.
    ///
    /// # Errors
    ///
    /// A template or prefix that does not fit the route's path pattern, or a wrong pattern.
    pub fn compile(route: &Route) -> Result<Self, RouteError> {
        let pattern = Pattern::parse(&route.path).map_err(|why| RouteError::path(route, why))?;
        let kind = match (&route.strip_prefix, &route.rewrite_path) {
            (None, None) => Ok(Kind::Keep),
            (Some(prefix), None) => strip(prefix, &pattern),
            (None, Some(template)) => compile_template(template, &pattern),
            (Some(_), Some(_)) => Err(RewriteError::Both),
        };
        kind.map(Self)
            .map_err(|problem| RouteError::new(route, RouteProblem::Rewrite(problem)))
    }

    /// The path for the upstream. `path` is the normalised path that was looked up, `params` what the table found.
    #[must_use]
    pub fn apply<'p>(&self, path: &'p str, params: &Params) -> Cow<'p, str> {
        match &self.0 {
            Kind::Keep => Cow::Borrowed(path),
            Kind::Strip(segments) => {
                // One slash stands before each dropped segment, and the next begins what stays.
                let stays = path.match_indices('/').nth(*segments);
                Cow::Borrowed(stays.map_or("/", |(slash, _)| &path[slash..]))
            }
            Kind::Template(pieces) => Cow::Owned(fill(pieces, path, params)),
        }
    }
}

fn strip(prefix: &str, pattern: &Pattern) -> Result<Kind, RewriteError> {
    let no_prefix = || RewriteError::NoPrefix(prefix.to_owned());
    let inner = prefix.strip_prefix('/').ok_or_else(no_prefix)?;
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if inner.is_empty() {
        return Ok(Kind::Keep);
    }
    let mut known = pattern.segments.iter();
    let mut count = 0;
    for segment in inner.split('/') {
        match known.next() {
            Some(Segment::Literal(literal)) if **literal == *unescaped(segment) => count += 1,
            _ => return Err(no_prefix()),
        }
    }
    Ok(Kind::Strip(count))
}

fn compile_template(template: &str, pattern: &Pattern) -> Result<Kind, RewriteError> {
    let unknown = |name: &str| RewriteError::UnknownParam {
        template: template.to_owned(),
        name: name.to_owned(),
    };
    let parts = parts(template, "{*}").map_err(|why| RewriteError::Template {
        template: template.to_owned(),
        why,
    })?;
    let pieces = parts.into_iter().map(|part| match part {
        Part::Literal(literal) => Ok(Piece::Literal(literal.into())),
        Part::Name("*") if pattern.rest => Ok(Piece::Rest),
        Part::Name(name) => pattern
            .position(name)
            .map(Piece::Param)
            .ok_or_else(|| unknown(name)),
    });
    pieces.collect::<Result<_, _>>().map(Kind::Template)
}

fn fill(pieces: &[Piece], path: &str, params: &Params) -> String {
    let mut filled = String::with_capacity(path.len() + 32);
    for piece in pieces {
        let value = match piece {
            Piece::Literal(literal) => literal,
            Piece::Param(position) => params.at(*position, path).unwrap_or_default(),
            Piece::Rest => params.rest(path).unwrap_or_default(),
        };
        // `/files` has no slash where `/files/` has one, and keeps that difference: `/data/{*}` makes `/data` of it.
        let is_bare = *piece == Piece::Rest && value.is_empty() && !path.ends_with('/');
        if !is_bare || filled.is_empty() {
            filled.push('/');
            filled.push_str(value);
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;
    use crate::route::tests::{Dice, route};
    use crate::route::{Table, normalise};

    fn rewritten(mut route: Route, path: &str) -> String {
        let rewrite = Rewrite::compile(&route).unwrap();
        route.name = "it".to_owned();
        let table = Table::build(&[route]).unwrap();
        let found = table
            .find("", path, &Method::GET, &HeaderMap::new())
            .unwrap();
        let result = rewrite.apply(path, &found.params).into_owned();
        assert_eq!(
            normalise(&result).as_deref(),
            Ok(&*result),
            "{path} was rewritten to a path that is not normal"
        );
        result
    }

    fn stripping(pattern: &str, prefix: &str) -> Route {
        Route {
            strip_prefix: Some(prefix.to_owned()),
            ..route(pattern)
        }
    }

    fn rewriting(pattern: &str, template: &str) -> Route {
        Route {
            rewrite_path: Some(template.to_owned()),
            ..route(pattern)
        }
    }

    #[test]
    fn a_stripped_path_begins_with_a_slash() {
        for (pattern, prefix, path, expected) in [
            ("/users/*", "/users", "/users/1/x", "/1/x"),
            ("/users/*", "/users", "/users/", "/"),
            ("/users/*", "/users", "/users", "/"),
            ("/users/*", "/users/", "/users/1", "/1"),
            ("/a/b", "/a/b", "/a/b", "/"),
            ("/a/b/", "/a", "/a/b/", "/b/"),
            ("/a/*", "/", "/a/b", "/a/b"),
            ("/@a/{id}", "/%40a", "/@a/1", "/1"),
            ("/@a/{id}", "/@a", "/%40a/1", "/1"),
        ] {
            assert_eq!(
                rewritten(stripping(pattern, prefix), path),
                expected,
                "{path} without {prefix}"
            );
        }
    }

    #[test]
    fn a_template_is_filled() {
        for (pattern, template, path, expected) in [
            ("/a/{x}/b/{y}", "/{y}/{x}", "/a/1/b/2", "/2/1"),
            ("/a/{x}", "/v2/{x}/{x}/", "/a/%C3%A9", "/v2/%C3%A9/%C3%A9/"),
            ("/a/*", "/b/{*}", "/a/c/d/", "/b/c/d/"),
            ("/a/*", "/b/{*}", "/a/", "/b/"),
            ("/a/*", "/b/{*}", "/a", "/b"),
            ("/a/*", "/{*}", "/a", "/"),
            ("/a/*", "/{*}", "/a/b", "/b"),
            ("/a/{x}/*", "/%7e/{x}/{*}", "/a/1/2", "/~/1/2"),
            ("/a/*", "/fixed", "/a/1", "/fixed"),
            ("/a", "/", "/a", "/"),
        ] {
            assert_eq!(
                rewritten(rewriting(pattern, template), path),
                expected,
                "{path} by {template}"
            );
        }
    }

    #[test]
    fn what_does_not_fit_the_pattern_is_refused() {
        let both = Route {
            strip_prefix: Some("/a".to_owned()),
            ..rewriting("/a", "/b")
        };
        for (route, expected) in [
            (both, "only one of them"),
            (stripping("/users/*", "/use"), "not the literal beginning"),
            (stripping("/users/*", "users"), "not the literal beginning"),
            (stripping("/users", "/users/x"), "not the literal beginning"),
            (stripping("/{users}", "/users"), "not the literal beginning"),
            (
                rewriting("/a/{x}", "/{y}"),
                "`{y}`, which its path does not have",
            ),
            (
                rewriting("/a", "/{*}"),
                "`{*}`, which its path does not have",
            ),
            (rewriting("/a/{x}", "/a-{x}"), "a brace in `a-{x}`"),
            (rewriting("/a/*", "/{*}/b"), "a stray `*`"),
            (rewriting("/a/*", "/*"), "a stray `*`"),
            (rewriting("/a", "b"), "does not begin"),
            (rewriting("/a", "/b/../c"), "dot segment"),
            (rewriting("/a", "/b?c"), "not allowed"),
            (stripping("/a//b", "/a"), "an empty segment"),
        ] {
            let error = Rewrite::compile(&route).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_rewritten_path_is_normal_whatever_the_client_sent() {
        const PARTS: [&str; 10] = ["/", "/", "a", "%25", "2e", ".", "%C3", "..", "%2E", "~"];
        let routes = [
            rewriting("/{x}/*", "/{x}/{x}/{*}"),
            rewriting("/{x}/*", "/2e/{x}"),
            rewriting("/*", "/2e/{*}"),
            rewriting("/{x}/*", "/{*}"),
        ];
        let mut dice = Dice::new(7);
        let mut tried = 0;
        while tried < 2_000 {
            let tail: String = (0..dice.below(10)).map(|_| dice.pick(&PARTS)).collect();
            if let Ok(path) = normalise(&format!("/a{tail}")) {
                let route = routes[dice.below(routes.len())].clone();
                if path != "/" || route.path == "/*" {
                    rewritten(route, &path);
                    tried += 1;
                }
            }
        }
    }
}
