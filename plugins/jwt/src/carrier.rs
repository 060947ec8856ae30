//! Where a request carries its token: a header field, a cookie, a query parameter; and how it is taken off.
//!
//! Promises: the token that was checked is the only one that can be forwarded. What else stands in a configured place
//! is taken off, and a place with two tokens is refused, since the upstream might read the other one. Leaves out: the
//! form body of RFC 6750 section 2.2, which would hold back every request with a form.

use plugin_sdk::{Edit, Fault, Request, query};

use crate::refusal::Refusal;

/// The places, in the order in which they are looked at.
pub(crate) struct Carriers {
    /// A header field, in lower case.
    pub(crate) header: String,
    pub(crate) cookie: Option<String>,
    pub(crate) query: Option<String>,
    /// Whether the upstream gets the token.
    pub(crate) forwards: bool,
}

/// A place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Header,
    Cookie,
    Query,
}

impl Carriers {
    /// The token, and where it was.
    pub(crate) fn find(&self, request: &Request) -> Result<(String, Place), Refusal> {
        if let Some(token) = self.in_header(request)? {
            return Ok((token, Place::Header));
        }
        if let Some(name) = &self.cookie {
            let cookies = cookies(request);
            if let Some(pair) = only(cookie_pairs(&cookies, name, Wanted::Named))? {
                let value = pair.split_once('=').map_or("", |(_, value)| value.trim());
                return Ok((value.trim_matches('"').to_owned(), Place::Cookie));
            }
        }
        if let Some(name) = &self.query {
            let query = request.query().unwrap_or_default();
            let values = query
                .split('&')
                .filter_map(|pair| query::param(pair, name))
                .collect();
            if let Some(token) = only(values)? {
                return Ok((token, Place::Query));
            }
        }
        Err(Refusal::Missing)
    }

    fn in_header(&self, request: &Request) -> Result<Option<String>, Refusal> {
        let Some(value) = only(request.header_values(&self.header))? else {
            return Ok(None);
        };
        let value = String::from_utf8(value).map_err(|_| Refusal::Malformed)?;
        let value = value.trim();
        // RFC 9110 section 11.1: the scheme in any case. A field of one's own may do without.
        match value.split_once([' ', '\t']) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                Ok(Some(token.trim().to_owned()))
            }
            // Other credentials, such as `Basic`: no token, and none of our business.
            _ if self.header == "authorization" => Ok(None),
            _ => Ok(Some(value.to_owned())),
        }
    }

    /// Take off what must not reach the upstream; the edits of header fields that are left to do.
    pub(crate) fn strip(&self, request: &mut Request, found: Place) -> Result<Vec<Edit>, Fault> {
        let keeps = |place| self.forwards && place == found;
        let mut edits = Vec::new();
        if found == Place::Header && !keeps(Place::Header) {
            edits.push(Edit::remove(&self.header));
        }
        if let Some(name) = self.cookie.as_ref().filter(|_| !keeps(Place::Cookie)) {
            let before = cookies(request);
            if !cookie_pairs(&before, name, Wanted::Named).is_empty() {
                let rest = cookie_pairs(&before, name, Wanted::Others);
                edits.push(if rest.is_empty() {
                    Edit::remove("cookie")
                } else {
                    Edit::set("cookie", rest.join("; "))
                });
            }
        }
        if let Some(name) = self.query.as_ref().filter(|_| !keeps(Place::Query)) {
            let before = request.query();
            let after = before
                .as_deref()
                .and_then(|before| query::without_param(before, name));
            if after != before {
                request.set_query(after.as_deref())?;
            }
        }
        Ok(edits)
    }
}

/// The one value, or none.
fn only<T>(values: Vec<T>) -> Result<Option<T>, Refusal> {
    let mut values = values.into_iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Refusal::Repeated),
        (value, None) => Ok(value),
    }
}

/// All cookies: HTTP/2 may split them over several fields (RFC 9113 section 8.2.3).
fn cookies(request: &Request) -> String {
    let fields = request.header_values("cookie");
    let fields: Vec<_> = fields
        .iter()
        .map(|field| String::from_utf8_lossy(field))
        .collect();
    fields.join("; ")
}

/// Which cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Named,
    Others,
}

fn cookie_pairs<'a>(cookies: &'a str, name: &str, wanted: Wanted) -> Vec<&'a str> {
    let is_named = |pair: &str| pair.split_once('=').map_or(pair, |(key, _)| key).trim() == name;
    cookies
        .split(';')
        .map(str::trim)
        .filter(|pair| !pair.is_empty() && is_named(pair) == (wanted == Wanted::Named))
        .collect()
}
