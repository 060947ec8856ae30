//! The table: a trie of path segments for each host pattern.
//!
//! [`Table::find`] walks the trie in the order of [the rule](super), most specific branch first, and takes the first
//! route that holds completely. A branch is entered at most once for a request, so the work is bounded by the
//! configuration, whatever the client sends. Only routes that end in the same branch are compared with one another,
//! in a lookup and when the table is built. It knows routes by their index and leaves what they are to the caller.

use std::collections::{BTreeSet, HashMap};

use http::{HeaderMap, HeaderValue, Method};
use thiserror::Error;

use crate::config::Route;

use super::conditions::{Conditions, MethodFit};
use super::error::RouteError;
use super::hosts::{self, Hosts};
use super::params::Params;
use super::pattern::{self, Names, Pattern, Segment};
use super::readings::{Asked, Loose, Rival};

/// All routes, ready for lookups.
#[derive(Debug, Default)]
pub struct Table {
    hosts: Hosts,
    branches: Vec<Branch>,
    /// By the index of the route.
    entries: Vec<Entry>,
    /// The same routes for another reading of paths. `None` in that table itself.
    loose: Option<Box<Loose>>,
}

/// The route for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Its index in the routes that the table was built from.
    pub index: usize,
    /// What its path pattern matched.
    pub params: Params,
}

/// Why there is no route for a request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoMatch {
    /// No route has this host, path and these headers: 404.
    #[error("no route")]
    NotFound,
    /// Some have, but for other methods: 405 (RFC 9110 15.5.6).
    #[error("no route for this method")]
    Method {
        /// The methods of all of them, for the field `Allow`.
        allow: HeaderValue,
    },
}

/// Where a row of segments leads.
#[derive(Debug, Default)]
struct Branch {
    /// Branches by the next segment, unescaped.
    literals: HashMap<Box<[u8]>, usize>,
    /// The branch for any other next segment.
    param: Option<usize>,
    /// Routes whose pattern ends here: more header matches first, then in the order of the configuration.
    exact: Vec<usize>,
    /// The same for those whose pattern goes on with `*`.
    rest: Vec<usize>,
}

#[derive(Debug)]
struct Entry {
    conditions: Conditions,
    names: Names,
}

impl Table {
    /// Builds the table of these routes.
    ///
    /// # Errors
    ///
    /// Every path pattern that can't match, and every pair of routes that [the rule](super) can't tell apart.
    pub fn build(routes: &[Route]) -> Result<Self, Vec<RouteError>> {
        let mut table = Self::default();
        let mut loose = Loose::default();
        let mut errors = Vec::new();
        for (index, route) in routes.iter().enumerate() {
            let mut names = None;
            match Pattern::parse(&route.path) {
                Ok(pattern) => {
                    table.insert(index, route, &pattern);
                    let loosened = loose.push(&route.hosts, &pattern);
                    loose.table.insert(index, route, &loosened);
                    names = pattern.names;
                }
                Err(why) => errors.push(RouteError::path(route, why)),
            }
            for table in [&mut table, &mut loose.table] {
                table.entries.push(Entry {
                    conditions: Conditions::of(route),
                    names: names.clone(),
                });
            }
        }
        loose.table.sort_leaves();
        table.loose = Some(Box::new(loose));
        table.sort_leaves();
        let ambiguous = table.ambiguous_pairs();
        errors.extend(
            ambiguous
                .iter()
                .map(|&(later, earlier)| RouteError::ambiguous(&routes[later], &routes[earlier])),
        );
        if errors.is_empty() {
            Ok(table)
        } else {
            Err(errors)
        }
    }

    /// The route for a request. `host` is the value of `Host` or the authority, with or without a port; `path` is
    /// [normalised](super::normalise) and without query.
    ///
    /// # Errors
    ///
    /// [`NoMatch`] says whether another method would have found one.
    pub fn find(
        &self,
        host: &str,
        path: &str,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Match, NoMatch> {
        if !path.starts_with('/') {
            return Err(NoMatch::NotFound);
        }
        let host = hosts::canonical(host);
        let mut walk = Walk {
            table: self,
            path,
            method,
            headers,
            values: Vec::new(),
            refused: Vec::new(),
        };
        match self
            .hosts
            .lookup(&host)
            .find_map(|root| walk.find(root, Some(1)))
        {
            Some(Found { index, rest }) => {
                let params = Params::new(self.entries[index].names.clone(), walk.values, rest);
                Ok(Match { index, params })
            }
            None if walk.refused.is_empty() => Err(NoMatch::NotFound),
            None => Err(NoMatch::Method {
                allow: self.allow(&walk.refused),
            }),
        }
    }

    /// The other route that a request could be meant for, which has found this one. [`Rival`] says by which reading.
    #[must_use]
    pub fn rival(&self, asked: Asked<'_>, found: usize) -> Option<Rival> {
        self.loose.as_deref()?.rival(self, asked, found)
    }

    fn insert(&mut self, index: usize, route: &Route, pattern: &Pattern) {
        let named: BTreeSet<_> = route
            .hosts
            .iter()
            .map(|host| hosts::canonical(host))
            .collect();
        if named.is_empty() {
            self.insert_below(index, None, pattern);
        }
        for host in named {
            self.insert_below(index, Some(&host), pattern);
        }
    }

    fn insert_below(&mut self, index: usize, host: Option<&str>, pattern: &Pattern) {
        let new = self.branches.len();
        let mut at = self.hosts.entry(host, new);
        self.grow(at);
        for segment in &pattern.segments {
            let new = self.branches.len();
            let branch = &mut self.branches[at];
            at = match segment {
                Segment::Literal(literal) => *branch.literals.entry(literal.clone()).or_insert(new),
                Segment::Param => *branch.param.get_or_insert(new),
            };
            self.grow(at);
        }
        let branch = &mut self.branches[at];
        let leaf = if pattern.rest {
            &mut branch.rest
        } else {
            &mut branch.exact
        };
        leaf.push(index);
    }

    /// Makes the branch that was just given the next number.
    fn grow(&mut self, at: usize) {
        if at == self.branches.len() {
            self.branches.push(Branch::default());
        }
    }

    fn sort_leaves(&mut self) {
        for branch in &mut self.branches {
            for leaf in [&mut branch.exact, &mut branch.rest] {
                leaf.sort_by_key(|&index| {
                    (
                        usize::MAX - self.entries[index].conditions.header_count(),
                        index,
                    )
                });
            }
        }
    }

    /// Pairs of routes that can't be told apart, the later one first; each once, whatever hosts they share.
    fn ambiguous_pairs(&self) -> BTreeSet<(usize, usize)> {
        let leaves = self
            .branches
            .iter()
            .flat_map(|branch| [&branch.exact, &branch.rest]);
        let mut pairs = BTreeSet::new();
        for leaf in leaves {
            for (position, &earlier) in leaf.iter().enumerate() {
                let known = &self.entries[earlier].conditions;
                let others = leaf[position + 1..].iter();
                // Sorted: behind the last route with as many header matches there is no other.
                let rivals =
                    others.take_while(|&&later| self.header_count(later) == known.header_count());
                let ambiguous = rivals
                    .filter(|&&later| self.entries[later].conditions.is_ambiguous_with(known));
                pairs.extend(ambiguous.map(|&later| (later, earlier)));
            }
        }
        pairs
    }

    fn header_count(&self, index: usize) -> usize {
        self.entries[index].conditions.header_count()
    }

    fn allow(&self, refused: &[usize]) -> HeaderValue {
        let methods = refused
            .iter()
            .flat_map(|&index| self.entries[index].conditions.allowed());
        let methods: Vec<&str> = methods.collect::<BTreeSet<_>>().into_iter().collect();
        HeaderValue::from_str(&methods.join(", "))
            .expect("methods are tokens, which a header value may hold")
    }
}

/// One lookup under way.
struct Walk<'a> {
    table: &'a Table,
    path: &'a str,
    method: &'a Method,
    headers: &'a HeaderMap,
    /// What the params on the way to this branch stand for.
    values: Vec<(usize, usize)>,
    /// Routes that hold but for their methods.
    refused: Vec<usize>,
}

struct Found {
    index: usize,
    rest: Option<usize>,
}

impl Walk<'_> {
    /// The most specific route below a branch. The next segment begins at `start`; `None` is the end of the path.
    ///
    /// Recurses once for each segment of a pattern, of which there are few, and not for each segment of a path.
    fn find(&mut self, at: usize, start: Option<usize>) -> Option<Found> {
        let branch = &self.table.branches[at];
        let Some(start) = start else {
            return match self.first_that_holds(&branch.exact) {
                Some(index) => Some(Found { index, rest: None }),
                None => self.find_rest(branch, self.path.len()),
            };
        };
        let end = self.path[start..]
            .find('/')
            .map_or(self.path.len(), |length| start + length);
        let next = (end < self.path.len()).then_some(end + 1);
        let segment = &self.path[start..end];
        if let Some(&below) = branch.literals.get(&*pattern::unescaped(segment))
            && let Some(found) = self.find(below, next)
        {
            return Some(found);
        }
        if let Some(below) = branch.param
            && !segment.is_empty()
        {
            self.values.push((start, end));
            if let Some(found) = self.find(below, next) {
                return Some(found);
            }
            self.values.pop();
        }
        self.find_rest(branch, start)
    }

    fn find_rest(&mut self, branch: &Branch, start: usize) -> Option<Found> {
        let index = self.first_that_holds(&branch.rest)?;
        Some(Found {
            index,
            rest: Some(start),
        })
    }

    /// Of routes with the same host and path the one with the most header matches, then with the best method.
    fn first_that_holds(&mut self, leaf: &[usize]) -> Option<usize> {
        let mut best: Option<(usize, MethodFit)> = None;
        for &index in leaf {
            let conditions = &self.table.entries[index].conditions;
            if best.is_some_and(|(known, _)| {
                self.table.header_count(known) > conditions.header_count()
            }) {
                break;
            }
            if !conditions.headers_hold(self.headers) {
                continue;
            }
            match conditions.method_fit(self.method) {
                None => self.refused.push(index),
                Some(fit) if best.is_none_or(|(_, known)| fit > known) => best = Some((index, fit)),
                Some(_) => {}
            }
        }
        best.map(|(index, _)| index)
    }
}
