//! The route of a request, unless its path could be meant for another one (THREATS 13); and the path that it gives the
//! upstream.
//!
//! Refused is a path that would take another route as it was written, or decoded to the end: whoever sits before or
//! behind us may go by that one. A path that only a loose comparison takes for another's is common enough (`/Users/A`),
//! so it is refused only if it would get past a plugin that way.

use http::uri::PathAndQuery;

use super::failure::Failure;
use crate::route::{Asked, BadPath, Match, NoMatch, Params, Rival};
use crate::snapshot::{Route, Snapshot};

/// Find it.
pub(super) fn find(snapshot: &Snapshot, asked: Asked<'_>) -> Result<Match, Failure> {
    let table = &snapshot.table;
    let found = table
        .find(asked.host, asked.path, asked.method, asked.headers)
        .map_err(|none| match none {
            NoMatch::NotFound => Failure::NoRoute,
            NoMatch::Method { allow } => Failure::MethodNotAllowed { allow },
        })?;
    match table.rival(asked, found.index) {
        Some(Rival::Literal(_)) => Err(Failure::BadPath(BadPath::OtherRoute)),
        Some(Rival::Loose(other)) if !has_all_plugins(snapshot, found.index, other) => {
            Err(Failure::BadPath(BadPath::OtherRoute))
        }
        Some(Rival::Loose(_)) | None => Ok(found),
    }
}

/// Path and query as the route says that the upstream gets them.
pub(super) fn rewritten(
    route: &Route,
    target: &PathAndQuery,
    params: &Params,
) -> Result<PathAndQuery, Failure> {
    let path = route.rewrite.apply(target.path(), params);
    if path == target.path() {
        return Ok(target.clone());
    }
    let text = target
        .query()
        .map_or_else(|| path.to_string(), |query| format!("{path}?{query}"));
    PathAndQuery::try_from(text).map_err(|_| Failure::BadTarget)
}

/// Whether a route has every plugin that another has, with the same configuration.
fn has_all_plugins(snapshot: &Snapshot, route: usize, other: usize) -> bool {
    let plugins = |index: usize| snapshot.config.routes[index].plugins.iter();
    plugins(other).all(|wanted| {
        plugins(route).any(|own| own.plugin == wanted.plugin && own.config == wanted.config)
    })
}
