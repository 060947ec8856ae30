//! Listeners that do nothing but send their clients to https.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderValue, LOCATION};
use http::{Request, StatusCode};

use super::exchange::Record;
use super::failure::Failure;
use super::target::{self, Target};
use crate::body::Body;
use crate::plugin::{Response, ResponseHead};

/// The default of https, which need not be written (RFC 9110 4.2.2).
const HTTPS_PORT: u16 = 443;

/// The answer to a request that is not served here. Its target is checked like any other.
pub(super) fn answer(record: &Record, request: &Request<Body>, port: u16) -> Response {
    let snapshot = &record.snapshot;
    let (bytes, server) = (snapshot.limits.uri_bytes, &snapshot.config.server);
    let target = target::read(request, bytes, server.path_normalisation);
    match target.and_then(|target| location(&target, port)) {
        Ok(location) => moved(location),
        Err(failure) => record.fail(&failure),
    }
}

/// The same host and path by https. 308 keeps method and body (RFC 9110 15.4.9).
fn moved(location: HeaderValue) -> Response {
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(LOCATION, location);
    let head = ResponseHead {
        status: StatusCode::PERMANENT_REDIRECT,
        headers,
        from_upstream: false,
    };
    Response {
        head: Arc::new(head),
        body: Body::empty(),
    }
}

fn location(target: &Target, port: u16) -> Result<HeaderValue, Failure> {
    let (host, path) = (target.authority.host(), &target.path);
    let text = if port == HTTPS_PORT {
        format!("https://{host}{path}")
    } else {
        format!("https://{host}:{port}{path}")
    };
    HeaderValue::try_from(text).map_err(|_| Failure::BadTarget)
}
