//! What a route asks of a request beyond host and path: header fields and methods.
//!
//! Says whether they hold, how specific they are, and whether two routes with the same host and path can be told apart.

use http::{HeaderMap, Method};

use crate::config::{HeaderMatch, Route};

/// A route's header matches and methods.
#[derive(Debug)]
pub(super) struct Conditions {
    headers: Vec<HeaderMatch>,
    /// Empty: any.
    methods: Vec<Method>,
}

/// How a route's methods hold for a request; greater is more specific.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MethodFit {
    /// The route takes any method.
    Any,
    /// `HEAD`, by a route that names `GET` (RFC 9110 9.3.2).
    Implied,
    /// The route names the method.
    Named,
}

impl Conditions {
    pub(super) fn of(route: &Route) -> Self {
        let mut headers: Vec<HeaderMatch> = Vec::new();
        for header in &route.headers {
            // Written twice it asks for nothing more, so it must not count twice.
            if !headers.contains(header) {
                headers.push(header.clone());
            }
        }
        Self {
            headers,
            methods: route.methods.clone(),
        }
    }

    /// How many header matches there are, which is how specific they are.
    pub(super) fn header_count(&self) -> usize {
        self.headers.len()
    }

    pub(super) fn headers_hold(&self, headers: &HeaderMap) -> bool {
        self.headers.iter().all(|wanted| match &wanted.value {
            None => headers.contains_key(&wanted.name),
            Some(value) => headers
                .get_all(&wanted.name)
                .iter()
                .any(|given| given == value),
        })
    }

    pub(super) fn method_fit(&self, method: &Method) -> Option<MethodFit> {
        if self.methods.is_empty() {
            Some(MethodFit::Any)
        } else if self.methods.contains(method) {
            Some(MethodFit::Named)
        } else if *method == Method::HEAD && self.methods.contains(&Method::GET) {
            Some(MethodFit::Implied)
        } else {
            None
        }
    }

    /// The methods that hold, for `Allow`.
    pub(super) fn allowed(&self) -> impl Iterator<Item = &str> {
        let head = self.methods.contains(&Method::GET).then_some("HEAD");
        self.methods.iter().map(Method::as_str).chain(head)
    }

    /// Whether one request can fit both equally well.
    pub(super) fn is_ambiguous_with(&self, other: &Self) -> bool {
        self.header_count() == other.header_count()
            && self.shares_method(other)
            && !self.headers.iter().any(|header| other.excludes(header))
    }

    fn shares_method(&self, other: &Self) -> bool {
        match (self.methods.is_empty(), other.methods.is_empty()) {
            (true, true) => true,
            (false, false) => self
                .methods
                .iter()
                .any(|method| other.methods.contains(method)),
            // One names the method, the other doesn't: the first wins.
            (true, false) | (false, true) => false,
        }
    }

    /// Whether a header match wants another value of the same field.
    fn excludes(&self, header: &HeaderMatch) -> bool {
        let differs = |own: &HeaderMatch| own.value.is_some() && own.value != header.value;
        header.value.is_some()
            && self
                .headers
                .iter()
                .any(|own| own.name == header.name && differs(own))
    }
}
