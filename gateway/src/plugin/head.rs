//! What hooks see of an exchange: its facts and notes, the request head, the response head. Every edit that a plugin
//! makes passes here and is checked, whatever the plugin did before.
//!
//! Framing, hop-by-hop and connection-level fields can't be set by a plugin: they are the core's to compute
//! (RFC 9110 7.6.1, RFC 9112 6).

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Version};
use parking_lot::Mutex;

use super::bindings::EditError;
use super::certificate::ClientCertificate;
use super::notes::Notes;

/// Header fields that a message may have after a plugin's edits: what may come from a client (`limits.headers` is at
/// most 1,000) and some more. It also keeps far from the point (32,768) where a `HeaderMap` panics.
pub(super) const MAX_HEADERS: usize = 1_088;
/// Bytes of all names and values after a plugin's edits: what upstreams and clients commonly accept.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Up to so many fields, a small one is added without summing up the others: it can't bring much on top of what came
/// from the wire, whose bytes are limited there.
const FEW_HEADERS: usize = 64;
/// Bytes of name and value of a small field.
const SMALL_FIELD_BYTES: usize = 256;
/// Bytes of a path or query that a plugin sets.
const MAX_TARGET_BYTES: usize = 8 * 1024;

/// What is known of an exchange before its chain runs, and what the chain notes about it.
#[derive(Debug)]
pub struct Facts {
    /// Unique in this process; sent as `x-request-id`.
    pub id: String,
    /// When the request head had been read, by the calendar.
    pub started: SystemTime,
    /// The same moment, to measure from.
    pub clock: Instant,
    /// The client: the peer, or what a trusted proxy said of it.
    pub client_ip: IpAddr,
    /// The protocol that the client speaks.
    pub protocol: Version,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Host and port that the client asked for.
    pub authority: String,
    /// The method that the client used.
    pub method: Method,
    /// Normalised path and query that the client asked for.
    pub target: PathAndQuery,
    /// The matched route.
    pub route: Arc<str>,
    /// What the `{name}`s of the route's path matched.
    pub params: Vec<(Arc<str>, String)>,
    /// Nanoseconds spent in each place of the chain.
    pub times: Box<[AtomicU64]>,
    /// How a path that a plugin sets is normalised; `None` refuses it.
    pub normalise: fn(&str) -> Option<String>,
    /// Who the client is by TLS, if it said so and was believed.
    pub client_certificate: Option<Arc<ClientCertificate>>,
    /// What the chain notes.
    pub notes: Mutex<Notes>,
}

impl Facts {
    pub(super) fn add_time(&self, slot: usize, time: Duration) {
        if let Some(sum) = self.times.get(slot) {
            let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            sum.fetch_add(nanoseconds, Ordering::Relaxed);
        }
    }
}

/// The head of the request, as it will be sent to the upstream.
#[derive(Debug, Clone)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// Path and query; the path is normalised.
    pub target: PathAndQuery,
    /// The header fields, without hop-by-hop fields and `host`.
    pub headers: HeaderMap,
    /// What is known of the exchange.
    pub facts: Arc<Facts>,
}

impl RequestHead {
    pub(super) fn set_method(&mut self, method: &str) -> Result<(), EditError> {
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| EditError::InvalidValue)?;
        if method == Method::CONNECT || method == Method::TRACE {
            return Err(EditError::Forbidden);
        }
        self.method = method;
        Ok(())
    }

    pub(super) fn set_path(&mut self, path: &str) -> Result<(), EditError> {
        if path.len() > MAX_TARGET_BYTES {
            return Err(EditError::TooLarge);
        }
        let path = (self.facts.normalise)(path).ok_or(EditError::InvalidValue)?;
        self.retarget(&path, self.target.query().map(str::to_owned).as_deref())
    }

    pub(super) fn set_query(&mut self, query: Option<&str>) -> Result<(), EditError> {
        if query.is_some_and(|query| query.len() > MAX_TARGET_BYTES) {
            return Err(EditError::TooLarge);
        }
        // `#` would end the query, and what is not printable ASCII would end the request line.
        if query.is_some_and(|query| query.bytes().any(|b| b == b'#' || !b.is_ascii_graphic())) {
            return Err(EditError::InvalidValue);
        }
        let path = self.target.path().to_owned();
        self.retarget(&path, query)
    }

    fn retarget(&mut self, path: &str, query: Option<&str>) -> Result<(), EditError> {
        let target = match query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        self.target = PathAndQuery::try_from(target).map_err(|_| EditError::InvalidValue)?;
        Ok(())
    }
}

/// The head of the response, as the client will see it.
#[derive(Debug, Clone)]
pub struct ResponseHead {
    /// The status, 200 to 599.
    pub status: StatusCode,
    /// The header fields, without hop-by-hop fields.
    pub headers: HeaderMap,
    /// Whether the upstream made it.
    pub from_upstream: bool,
}

impl ResponseHead {
    pub(super) fn set_status(&mut self, status: u16) -> Result<(), EditError> {
        self.status = final_status(status).ok_or(EditError::InvalidValue)?;
        Ok(())
    }
}

/// A status that a plugin may choose: final, and one that exists.
pub(super) fn final_status(status: u16) -> Option<StatusCode> {
    (200..=599)
        .contains(&status)
        .then(|| StatusCode::from_u16(status).ok())
        .flatten()
}

/// A field that a plugin may set.
#[derive(Debug, Clone)]
pub(super) struct Field(HeaderName, HeaderValue);

impl Field {
    pub(super) fn checked(name: &str, value: &[u8]) -> Result<Self, EditError> {
        Self::new(checked_name(name)?, value)
    }

    /// Under a name that a plugin may change.
    pub(super) fn new(name: HeaderName, value: &[u8]) -> Result<Self, EditError> {
        // Before it is read and copied: no message has room for it.
        if value.len() > MAX_HEADER_BYTES {
            return Err(EditError::TooLarge);
        }
        // RFC 9110 5.5: white space around a value is not part of it, so the other side would read something else.
        if value.trim_ascii().len() < value.len() {
            return Err(EditError::InvalidValue);
        }
        let value = HeaderValue::from_bytes(value).map_err(|_| EditError::InvalidValue)?;
        Ok(Self(name, value))
    }
}

/// An edit of header fields, checked but for the room that it takes.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// Replace every field of the name.
    Set(Field),
    /// Add a field.
    Append(Field),
    /// Remove every field of the name.
    Remove(HeaderName),
}

impl Change {
    /// Do it.
    pub(super) fn apply(self, headers: &mut HeaderMap) -> Result<(), EditError> {
        match self {
            Self::Set(field) => set_header(headers, field),
            Self::Append(field) => append_header(headers, field),
            Self::Remove(name) => {
                remove_header(headers, &name);
                Ok(())
            }
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Set(Field(name, value)) | Self::Append(Field(name, value)) => {
                name.as_str().len() + value.len()
            }
            Self::Remove(name) => name.as_str().len(),
        }
    }
}

/// Edits for later, bounded like the fields of a message.
#[derive(Debug, Default)]
pub(super) struct Changes {
    list: Vec<Change>,
    bytes: usize,
}

impl Changes {
    pub(super) fn push(&mut self, change: Change) -> Result<(), EditError> {
        let bytes = self.bytes + change.bytes();
        if self.list.len() >= MAX_HEADERS || bytes > MAX_HEADER_BYTES {
            return Err(EditError::TooLarge);
        }
        self.bytes = bytes;
        self.list.push(change);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Bytes of names and values.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Do all of them, or as many as there is room for. Names and values are shared, not copied.
    pub(super) fn apply(&self, headers: &mut HeaderMap) -> Result<(), EditError> {
        let have_room =
            self.bytes <= SMALL_FIELD_BYTES && headers.len() + self.list.len() <= FEW_HEADERS;
        for change in &self.list {
            match change {
                // As for a small field, all of them in one look.
                Change::Set(Field(name, value)) if have_room => {
                    headers.insert(name, value.clone());
                }
                other => other.clone().apply(headers)?,
            }
        }
        Ok(())
    }
}

/// Replace every field of a name.
pub(super) fn set_header(headers: &mut HeaderMap, field: Field) -> Result<(), EditError> {
    check_room(headers, &field)?;
    headers.insert(field.0, field.1);
    Ok(())
}

/// Add a field.
pub(super) fn append_header(headers: &mut HeaderMap, field: Field) -> Result<(), EditError> {
    check_room(headers, &field)?;
    headers.append(field.0, field.1);
    Ok(())
}

/// Remove every field of a name.
pub(super) fn remove_header(headers: &mut HeaderMap, name: &HeaderName) {
    headers.remove(name);
}

/// A name that a plugin may change.
fn checked_name(name: &str) -> Result<HeaderName, EditError> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| EditError::InvalidName)?;
    if belongs_to_core(&name) {
        Err(EditError::Forbidden)
    } else {
        Ok(name)
    }
}

fn check_room(headers: &HeaderMap, Field(name, value): &Field) -> Result<(), EditError> {
    if headers.len() >= MAX_HEADERS {
        return Err(EditError::TooLarge);
    }
    let added = name.as_str().len() + value.len();
    if added <= SMALL_FIELD_BYTES && headers.len() < FEW_HEADERS {
        return Ok(());
    }
    let present: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if present + added > MAX_HEADER_BYTES {
        Err(EditError::TooLarge)
    } else {
        Ok(())
    }
}

/// Whether a field is the core's to compute.
pub(super) fn belongs_to_core(name: &HeaderName) -> bool {
    *name == header::CONTENT_LENGTH
        || *name == header::TRANSFER_ENCODING
        || *name == header::CONNECTION
        || *name == header::HOST
        || *name == header::UPGRADE
        || *name == header::TE
        || *name == header::TRAILER
        || *name == header::EXPECT
        || matches!(
            name.as_str(),
            "keep-alive" | "proxy-connection" | "http2-settings"
        )
}
