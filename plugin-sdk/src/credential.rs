//! Where a request carries its credential: a header field, a cookie, a query parameter; and how it is taken off.
//!
//! Promises: the credential that was found is the only one that can be forwarded. What else stands in these places is
//! taken off, and a place with two credentials is refused, since the upstream might read the other one. Leaves out:
//! forms in a body (RFC 6750 section 2.2), which would hold back every request with a form.

use std::fmt;

use crate::{Edit, EditError, Request, header, query};

/// The places, in the order in which they are looked at.
///
/// ```
/// # use plugin_sdk::{Decision, Fault, LocalResponse, NoConfig, OnRequest, Plugin, Request};
/// use plugin_sdk::{credential::Places, header};
///
/// struct Members(Places);
/// # impl Plugin for Members {
/// #     type Config = NoConfig;
/// #     fn new(_: NoConfig) -> Result<Self, String> {
/// #         Ok(Self(Places::bearer(header::AUTHORIZATION, Some("session".to_owned()), None)?))
/// #     }
/// # }
///
/// impl OnRequest for Members {
///     fn on_request(&self, request: &mut Request) -> Result<Decision, Fault> {
///         let Ok(token) = self.0.find(request) else {
///             return Ok(LocalResponse::failure(401, "members-only", request).into());
///         };
///         // .. look whether the token is good, then keep it from the upstream:
///         let edits = self.0.strip(request, token.place)?;
///         request.edit_headers(&edits)?;
///         # assert_eq!(token.text, "t0ken");
///         Ok(Decision::Next)
///     }
/// }
/// # use plugin_sdk::testing::{Exchange, Harness};
/// # let harness = Harness::<Members>::new("")?;
/// # let exchange = Exchange::get("/").header("cookie", "a=1; session=t0ken");
/// # assert_eq!(harness.on_request(&exchange)?, Decision::Next);
/// # assert_eq!(exchange.request().header_str("cookie").as_deref(), Some("a=1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Places {
    scheme: &'static str,
    header: header::Name,
    cookie: Option<String>,
    query: Option<String>,
    is_forwarded: bool,
}

/// What was found.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// It, without the scheme.
    pub text: String,
    /// Where it was.
    pub place: Place,
}

/// A place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The header field.
    Header,
    /// The cookie.
    Cookie,
    /// The query parameter.
    Query,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// No place has one.
    Missing,
    /// A place has several, of which the upstream might believe another one.
    Repeated,
    /// It is not UTF-8.
    Malformed,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Missing => "the request has no credential",
            Self::Repeated => "the request has more than one credential in one place",
            Self::Malformed => "the credential is not UTF-8",
        })
    }
}

impl std::error::Error for Error {}

impl Places {
    /// A header field with the scheme `Bearer`, then a cookie and a query parameter. In `authorization` other schemes
    /// are none of our business; in a field of one's own the bare credential will do.
    pub fn bearer(
        header: header::Name,
        cookie: Option<String>,
        query: Option<String>,
    ) -> Result<Self, String> {
        if let Some(name) = cookie.as_ref().filter(|name| !header::is_token(name)) {
            return Err(format!("`cookie`: {name:?} can't be its name"));
        }
        if query.as_deref() == Some("") {
            return Err("`query` is empty".to_owned());
        }
        Ok(Self {
            scheme: "bearer",
            header,
            cookie,
            query,
            is_forwarded: false,
        })
    }

    /// The same places with another scheme in the header field.
    #[must_use]
    pub fn scheme(self, scheme: &'static str) -> Self {
        Self { scheme, ..self }
    }

    /// Whether the upstream gets the credential that was found.
    #[must_use]
    pub fn forwarded(self, is_forwarded: bool) -> Self {
        Self {
            is_forwarded,
            ..self
        }
    }

    /// The credential.
    pub fn find(&self, request: &Request<'_>) -> Result<Credential, Error> {
        if let Some(text) = self.in_header(request)? {
            return Ok(Credential {
                text,
                place: Place::Header,
            });
        }
        if let Some(name) = &self.cookie {
            let cookies = cookies(request);
            if let Some(pair) = only(cookie_pairs(&cookies, name, Wanted::Named))? {
                let value = pair.splitn(2, |byte| *byte == b'=').nth(1);
                let value = str::from_utf8(value.unwrap_or_default());
                let value = value.map_err(|_| Error::Malformed)?.trim();
                return Ok(Credential {
                    text: value.trim_matches('"').to_owned(),
                    place: Place::Cookie,
                });
            }
        }
        if let Some(name) = &self.query {
            let query = request.query().unwrap_or_default();
            let pairs = query.split('&');
            let values = pairs.filter_map(|pair| query::param(pair, name)).collect();
            if let Some(text) = only(values)? {
                return Ok(Credential {
                    text,
                    place: Place::Query,
                });
            }
        }
        Err(Error::Missing)
    }

    fn in_header(&self, request: &Request<'_>) -> Result<Option<String>, Error> {
        let Some(value) = only(request.header_values(&self.header))? else {
            return Ok(None);
        };
        let value = String::from_utf8(value).map_err(|_| Error::Malformed)?;
        let value = value.trim();
        // RFC 9110 11.1: the scheme in any case. What begins like ours and goes on otherwise is no other scheme's either.
        let end = value.find([' ', '\t', ',', ';', '=', '"']);
        let (scheme, rest) = value.split_at(end.unwrap_or(value.len()));
        match rest.trim_start() {
            "" if scheme.eq_ignore_ascii_case(self.scheme) => Ok(None),
            credential if scheme.eq_ignore_ascii_case(self.scheme) => {
                let is_parted = rest.starts_with([' ', '\t']);
                let credential = is_parted.then(|| credential.to_owned());
                credential.ok_or(Error::Malformed).map(Some)
            }
            _ if self.header == header::AUTHORIZATION => Ok(None),
            _ => Ok(Some(value.to_owned())),
        }
    }

    /// Take off what must not reach the upstream, once a credential was found in that place. The query is changed; the
    /// edits of header fields are given back, to be done in one call with others.
    pub fn strip(&self, request: &mut Request<'_>, found: Place) -> Result<Vec<Edit>, EditError> {
        let is_kept = |place| self.is_forwarded && place == found;
        let mut edits = Vec::new();
        if found == Place::Header && !is_kept(Place::Header) {
            edits.push(Edit::remove(&self.header));
        }
        if let Some(name) = self.cookie.as_ref().filter(|_| !is_kept(Place::Cookie)) {
            let before = cookies(request);
            if !cookie_pairs(&before, name, Wanted::Named).is_empty() {
                let rest = cookie_pairs(&before, name, Wanted::Others);
                edits.push(if rest.is_empty() {
                    Edit::remove("cookie")
                } else {
                    Edit::set("cookie", rest.join(COOKIE_SEPARATOR))
                });
            }
        }
        if let Some(name) = self.query.as_ref().filter(|_| !is_kept(Place::Query)) {
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
fn only<T>(values: Vec<T>) -> Result<Option<T>, Error> {
    let mut values = values.into_iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Error::Repeated),
        (value, None) => Ok(value),
    }
}

/// What stands between two cookies (RFC 6265 4.2.1).
const COOKIE_SEPARATOR: &[u8] = b"; ";

/// All cookies: HTTP/2 may split them over several fields (RFC 9113 8.2.3). Bytes, since other cookies must pass as they
/// are.
fn cookies(request: &Request<'_>) -> Vec<u8> {
    request.header_values("cookie").join(COOKIE_SEPARATOR)
}

/// Which cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Named,
    Others,
}

fn cookie_pairs<'a>(cookies: &'a [u8], name: &str, wanted: Wanted) -> Vec<&'a [u8]> {
    let is_named = |pair: &[u8]| {
        let key = pair.split(|byte| *byte == b'=').next();
        key.unwrap_or_default().trim_ascii() == name.as_bytes()
    };
    cookies
        .split(|byte| *byte == b';')
        .map(<[u8]>::trim_ascii)
        .filter(|pair| !pair.is_empty() && is_named(pair) == (wanted == Wanted::Named))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Credential, Error, Place, Places};
    use crate::header::{AUTHORIZATION, Name};
    use crate::testing::Exchange;

    fn find(header: Name, values: &[&[u8]]) -> Result<Credential, Error> {
        let places = Places::bearer(header.clone(), None, None)
            .unwrap()
            .scheme("ApiKey");
        let exchange = Exchange::get("/");
        let exchange = values
            .iter()
            .fold(exchange, |exchange, value| exchange.header(&header, value));
        places.find(&exchange.request())
    }

    #[test]
    fn a_credential_has_its_scheme_or_a_field_of_its_own() {
        let own: Name = "x-key".parse().unwrap();
        let found = |text: &str| {
            Ok(Credential {
                text: text.to_owned(),
                place: Place::Header,
            })
        };
        assert!(find(AUTHORIZATION, &[b"apikey a"]) == found("a"));
        assert!(find(AUTHORIZATION, &[b"Bearer a"]) == Err(Error::Missing));
        assert!(find(own.clone(), &[b"ApiKey a"]) == found("a"));
        assert!(find(own.clone(), &[b"Bearer a"]) == found("Bearer a"));
        assert!(find(own.clone(), &[b"a", b"a"]) == Err(Error::Repeated));
        assert!(find(own.clone(), &[b"\xff"]) == Err(Error::Malformed));
        assert!(find(own, &[]) == Err(Error::Missing));
    }

    #[test]
    fn taking_a_cookie_off_leaves_the_bytes_of_others_alone() {
        let places = Places::bearer(AUTHORIZATION, Some("session".to_owned()), None).unwrap();
        let exchange = Exchange::get("/").header("cookie", b"a=\xff\xfe; session=t; \xe9=1");
        let found = places.find(&exchange.request()).ok().unwrap();
        assert_eq!((&*found.text, found.place), ("t", Place::Cookie));
        let edits = places.strip(&mut exchange.request(), found.place).unwrap();
        exchange.request().edit_headers(&edits).unwrap();
        assert_eq!(
            exchange.request().header_values("cookie"),
            [b"a=\xff\xfe; \xe9=1"]
        );
        let exchange = Exchange::get("/").header("cookie", b"session=\xff");
        assert!(places.find(&exchange.request()) == Err(Error::Malformed));
    }
}
