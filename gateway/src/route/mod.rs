//! Which route a request takes, and which path the upstream gets. Pure: no sockets, no clock, no state.
//!
//! [`normalise`] gives each path one spelling, [`Table`] finds the route for it and says which other one the path could
//! be meant for ([`Rival`]), [`Rewrite`] makes the upstream's path of it. Everything that can be wrong with a route is found when the table is built.
//!
//! # The rule
//!
//! Of all routes whose host, path, header matches and methods hold for a request, the one with the most specific host
//! wins; among equals the most specific path, compared segment by segment from the left; then the one with more header
//! matches; then the one that names the method.
//!
//! | compared | from most to least specific |
//! |---|---|
//! | host | `api.example.com`, then `*.example.com`, then `*.com`, then any |
//! | path | at the first segment that differs: a literal, then `{param}`, then `*`; the path's end before `*` |
//! | headers | more matches before fewer |
//! | methods | the method is named, then `HEAD` where only `GET` is named, then any method |
//!
//! The rule is applied to routes that hold *completely*: a route whose host or path is the most specific, but whose
//! headers or methods don't hold, hides nothing. If no route holds, but some would but for the method, the answer is
//! 405 with all of their methods.
//!
//! For example, with these routes:
//!
//! ```text
//! a  any host           /users/*
//! b  any host           /users/{id}
//! c  any host           /users/me           GET
//! d  any host           /users/me           x-version = 2
//! e  *.example.com      /{section}/*
//! ```
//!
//! | request | route | because |
//! |---|---|---|
//! | `GET other.org/users/7` | b | `{id}` before `*` |
//! | `GET other.org/users/me` | c | a literal before `{id}` |
//! | `HEAD other.org/users/me` | c | `GET` stands for `HEAD` as well (RFC 9110 9.3.2) |
//! | `PUT other.org/users/me` | b | c does not hold, d neither |
//! | `PUT other.org/users/me`, `x-version: 2` | d | literal path, header holds |
//! | `GET other.org/users/me`, `x-version: 2` | d | more header matches, before methods count |
//! | `GET other.org/users/7/`, `GET other.org/users` | a | a slash at the end counts, except for `*` |
//! | `GET api.example.com/users/me` | e | the host is compared first |
//! | `GET api.example.com/` | none | `{section}` is never empty |
//!
//! # Details
//!
//! - `*` is a whole last segment: `/files/*` matches `/files`, `/files/` and everything below.
//! - `{param}` is a whole segment, and not an empty one.
//! - Literals are compared unescaped: `/%40me` takes the route of `/@me`, since the upstream will hardly tell them
//!   apart. The path that is forwarded keeps the escape.
//! - Hosts are compared in lower case, without port and without one dot at the end. `*.example.com` matches one or
//!   more labels before `.example.com`, and not `example.com`.
//! - Routes are ambiguous, which is an error, if a request can match both and the rule prefers neither: same host
//!   pattern, same path but for the names of params, as many header matches, a method in common. Two header matches
//!   that want different values of one field count as exclusive; if a client sends that field twice, the route that
//!   stands first in the configuration is taken.

mod conditions;
mod error;
mod hosts;
mod params;
mod path;
mod pattern;
mod readings;
mod rewrite;
mod table;
#[cfg(test)]
mod tests;

pub use error::{RouteError, RouteProblem};
pub use params::Params;
pub use path::{BadPath, normalise};
pub use pattern::PatternError;
pub use readings::{Asked, Rival};
pub use rewrite::{Rewrite, RewriteError};
pub use table::{Match, NoMatch, Table};
