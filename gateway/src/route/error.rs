//! What can be wrong with a set of routes: found when the table is built, never later.
//!
//! Each error knows the route and where it was written, so that the configuration's report can show file and line;
//! the text itself does not repeat them, except for the other route of a pair.

use thiserror::Error;

use crate::config::{Place, Route};

use super::pattern::PatternError;
use super::rewrite::RewriteError;

/// What is wrong with a route.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("route `{name}` {problem}")]
pub struct RouteError {
    /// The route's name.
    pub name: String,
    /// Where the route was written.
    pub origin: Place,
    /// What is wrong.
    pub problem: Box<RouteProblem>,
}

/// The ways in which a route can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RouteProblem {
    /// Its path pattern.
    #[error("has the path `{path}`, which {why}")]
    Path {
        /// The pattern as written.
        path: String,
        /// What is wrong with it.
        why: PatternError,
    },
    /// What it does to the path.
    #[error(transparent)]
    Rewrite(RewriteError),
    /// A request can match both it and an earlier route, and the rule prefers neither.
    #[error(
        "is ambiguous with route `{name}` at {}:{}: same host, path, number of headers, and a method in common",
        origin.file.display(), origin.line
    )]
    Ambiguous {
        /// The other route's name.
        name: String,
        /// Where the other route was written.
        origin: Place,
    },
}

impl RouteError {
    pub(super) fn new(route: &Route, problem: RouteProblem) -> Self {
        Self {
            name: route.name.clone(),
            origin: route.origin.clone(),
            problem: Box::new(problem),
        }
    }

    pub(super) fn ambiguous(route: &Route, earlier: &Route) -> Self {
        let (name, origin) = (earlier.name.clone(), earlier.origin.clone());
        Self::new(route, RouteProblem::Ambiguous { name, origin })
    }

    pub(super) fn path(route: &Route, why: PatternError) -> Self {
        Self::new(
            route,
            RouteProblem::Path {
                path: route.path.clone(),
                why,
            },
        )
    }
}
