//! What the `{name}`s and the `*` of a route's path matched, as ranges of the path.
//!
//! Costs no allocation for a route without params, and one for any other. It leaves the path to the caller, who
//! keeps it anyway; values are as escaped as the path is.

use super::pattern::Names;

/// What the params of the matched pattern stand for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Params {
    names: Names,
    /// Start and end, one for each name.
    values: Vec<(usize, usize)>,
    /// Where the rest begins, for a pattern that ends with `*`.
    rest: Option<usize>,
}

impl Params {
    pub(super) fn new(names: Names, values: Vec<(usize, usize)>, rest: Option<usize>) -> Self {
        debug_assert_eq!(names.as_ref().map_or(0, |names| names.len()), values.len());
        Self {
            names,
            values,
            rest,
        }
    }

    /// What `{name}` matched in `path`, which must be the path that was looked up; `*` is the rest.
    #[must_use]
    pub fn get<'p>(&self, name: &str, path: &'p str) -> Option<&'p str> {
        if name == "*" {
            return self.rest(path);
        }
        let names = self.names.as_ref()?;
        self.at(names.iter().position(|known| **known == *name)?, path)
    }

    /// What `*` matched, without its leading slash: for `/files/*` that is `a/b` in `/files/a/b`, and nothing in
    /// `/files/` and `/files`.
    #[must_use]
    pub fn rest<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.get(self.rest?..)
    }

    /// Names and values from left to right, without the rest.
    pub fn iter<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let names = self.names.iter().flat_map(|names| names.iter());
        names
            .zip(&self.values)
            .filter_map(|(name, &(start, end))| Some((&**name, path.get(start..end)?)))
    }

    pub(super) fn at<'p>(&self, position: usize, path: &'p str) -> Option<&'p str> {
        let &(start, end) = self.values.get(position)?;
        path.get(start..end)
    }
}
