//! One request to an upstream: choose, connect, send, and once more where that is safe.
//!
//! When a second try is made:
//! - No connection could be made: the next endpoint is tried, since nothing was sent.
//! - The connection ended before a byte of the request was written: always safe.
//! - A pooled connection ended before a byte of the answer came: most likely it was closed while idle, but the
//!   request may have arrived. So only idempotent methods (RFC 9110 9.2.2) without a body are sent again.
//!
//! The second try is on a fresh connection, and there is no third. Request framing is decided here, from the body
//! alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;

use super::Upstream;
use super::client::{self, Connection, Lost};
use super::endpoint::Endpoint;
use super::error::SendError;
use super::outgoing::Outgoing;
use super::response::response_body;
use super::written::Written;
use crate::body::Body;

/// What is worth knowing of a request that was sent, for the log and for whoever waits. Filled as it happens, so it
/// says something of a failed one too.
#[derive(Debug, Clone, Default)]
pub struct SendTrace {
    /// Host and port of the endpoint that was tried last.
    pub endpoint: Option<Arc<str>>,
    /// Endpoints and connections that were tried.
    pub tries: u32,
    /// Whether the last try was on a connection that had served before.
    pub reused: bool,
    /// Time to make the last connection; `None` if none was made.
    pub connect: Option<Duration>,
    /// When the start was, if the caller has just looked at the clock.
    pub start: Option<Instant>,
    /// Time from the start to the response head; `None` if there was none.
    pub head: Option<Duration>,
}

/// Makes a request once more; it has no body.
pub type Again<'a> = dyn Fn() -> Request<Body> + Send + Sync + 'a;

/// How a request could be sent again.
enum Spare<'a> {
    None,
    Written(Written),
    Made(&'a Again<'a>),
}

/// Where connections may come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Pool,
    Fresh,
}

impl Upstream {
    /// Sends a request and answers with the response as soon as its head is there. `again` makes the same request once
    /// more, if the caller has what it takes; otherwise a copy is made of a request that may have to be sent again.
    ///
    /// The request is final but for its framing: its URI in origin form, `host` set, hop-by-hop fields gone. Dropping
    /// the future or the response's body closes the connection.
    ///
    /// # Errors
    ///
    /// No response head came; see [`SendError`]. What goes wrong later is an error of the response's body.
    pub async fn send(
        &self,
        request: Request<Body>,
        trace: &mut SendTrace,
        again: Option<&Again<'_>>,
    ) -> Result<Response<Body>, SendError> {
        let start = trace.start.unwrap_or_else(Instant::now);
        self.counters.here().requests.add(1);
        let turn = self.balance.next(self.endpoints.len());
        let turn = turn.ok_or(SendError::NoEndpoint)?;
        let mut request = request.map(Outgoing::new);
        frame(&mut request);
        let mut source = Source::Pool;
        loop {
            let connection = self.connection(turn, source, trace).await?;
            let spare = match again {
                _ if !connection.is_reused() || !is_repeatable(&request) => Spare::None,
                Some(again) => Spare::Made(again),
                None => Spare::Written(Written::of(&request)),
            };
            match self.exchange(connection, request).await {
                Ok(response) => {
                    trace.head = Some(start.elapsed());
                    return Ok(response);
                }
                Err(lost) if source == Source::Pool => request = repeated(*lost, spare)?,
                Err(lost) => return Err(lost.error),
            }
            source = Source::Fresh;
            self.counters.here().retries.add(1);
        }
    }

    /// A connection to the endpoint whose turn it is, or to the next one.
    async fn connection(
        &self,
        turn: usize,
        source: Source,
        trace: &mut SendTrace,
    ) -> Result<Connection, SendError> {
        match self.reach(&self.endpoints[turn], source, trace).await {
            Err(_) if self.endpoints.len() > 1 => {
                let next = &self.endpoints[(turn + 1) % self.endpoints.len()];
                self.reach(next, source, trace).await
            }
            result => result,
        }
    }

    /// A connection to this endpoint.
    async fn reach(
        &self,
        endpoint: &Endpoint,
        source: Source,
        trace: &mut SendTrace,
    ) -> Result<Connection, SendError> {
        trace.endpoint = Some(endpoint.name().clone());
        trace.tries += 1;
        let idle = match source {
            Source::Pool => endpoint.take_idle(),
            Source::Fresh => None,
        };
        trace.reused = idle.is_some();
        if let Some(connection) = idle {
            return Ok(connection);
        }
        let start = Instant::now();
        // Boxed, so that the rare and large future of connecting does not weigh on every request.
        let connecting = client::connect(
            endpoint,
            self.counters.here(),
            self.definition.connect_timeout,
        );
        let connection = Box::pin(connecting).await?;
        trace.connect = Some(start.elapsed());
        Ok(connection)
    }

    async fn exchange(
        &self,
        mut connection: Connection,
        request: Request<Outgoing>,
    ) -> Result<Response<Body>, Box<Lost>> {
        let limit = self.definition.response_timeout;
        let response = connection.exchange(request, limit).await?;
        check(&response).map_err(|reason| Lost {
            error: SendError::Protocol {
                endpoint: connection.endpoint().clone(),
                reason: reason.to_owned(),
            },
            unsent: None,
            answered: true,
        })?;
        let limit = self.definition.body_timeout;
        Ok(response.map(|incoming| response_body(incoming, connection, limit)))
    }
}

/// The request to send again, if that is safe.
fn repeated(lost: Lost, spare: Spare<'_>) -> Result<Request<Outgoing>, SendError> {
    if let Some(unsent) = lost.unsent {
        return Ok(unsent);
    }
    let mut request = match (lost.error, spare) {
        (SendError::Closed { .. }, Spare::Written(written)) if !lost.answered => written.read(),
        (SendError::Closed { .. }, Spare::Made(again)) if !lost.answered => again(),
        (error, _) => return Err(error),
    }
    .map(Outgoing::new);
    frame(&mut request);
    Ok(request)
}

/// Whether a request may be sent twice: an idempotent method (RFC 9110 9.2.2) and no body.
fn is_repeatable(request: &Request<Outgoing>) -> bool {
    request.method().is_idempotent() && request.body().is_end_stream()
}

/// Frames a request by what its body says of itself (RFC 9112 6), whatever it came with.
///
/// hyper would believe fields that are there, and would silently drop the body of a GET whose length it does not
/// know.
fn frame(request: &mut Request<Outgoing>) {
    *request.version_mut() = Version::HTTP_11;
    let length = if request.body().is_end_stream() {
        Some(0)
    } else {
        request.body().size_hint().exact()
    };
    let headers = request.headers_mut();
    headers.remove(TRANSFER_ENCODING);
    headers.remove(CONTENT_LENGTH);
    match length {
        // RFC 9110 8.6: to be said where content is expected, and better not where it is not.
        Some(0) => {
            if matches!(
                *request.method(),
                Method::POST | Method::PUT | Method::PATCH
            ) {
                let headers = request.headers_mut();
                headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
        }
        Some(length) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        None => {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }
}

/// What hyper accepts in a response head and a gateway must not.
fn check(response: &Response<Incoming>) -> Result<(), &'static str> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err("it switches protocols without being asked to");
    }
    let headers = response.headers();
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let one = |length: &HeaderValue| length.as_bytes().iter().all(u8::is_ascii_digit);
    // RFC 9110 8.6: the same length several times may be repaired, but nobody honest sends it.
    if !lengths.next().is_none_or(one) || lengths.next().is_some() {
        return Err("its content-length is not one number");
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        // RFC 9112 6.3: whoever sends both may be after somebody who believes the other one.
        (Some(_), _) if headers.contains_key(CONTENT_LENGTH) => {
            Err("it has both content-length and transfer-encoding")
        }
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        // hyper undoes only `chunked`; another coding would be passed on with its name removed.
        _ => Err("its transfer-encoding is not just 'chunked'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post() -> Request<Outgoing> {
        let mut post = Request::new(Outgoing::new(Body::full("body")));
        *post.method_mut() = Method::POST;
        post
    }

    fn lost(error: SendError, unsent: Option<Request<Outgoing>>) -> Lost {
        Lost {
            error,
            unsent,
            answered: false,
        }
    }

    #[test]
    fn what_was_not_written_is_sent_again_whatever_it_is() {
        let unsent = repeated(lost(SendError::NoEndpoint, Some(post())), Spare::None).unwrap();
        assert_eq!(unsent.method(), Method::POST);
        assert!(!unsent.body().is_end_stream());
    }

    #[test]
    fn what_may_have_been_acted_upon_is_not_repeated() {
        assert!(!is_repeatable(&post()));
        let mut with_body = post();
        *with_body.method_mut() = Method::GET;
        assert!(!is_repeatable(&with_body));
        let empty = Request::new(Outgoing::new(Body::empty()));
        assert!(is_repeatable(&empty));
    }

    #[test]
    fn a_timeout_is_final() {
        let timeout = SendError::ResponseTimeout {
            endpoint: "endpoint".into(),
            limit: Duration::ZERO,
        };
        let again = || Request::new(Body::empty());
        assert!(repeated(lost(timeout, None), Spare::Made(&again)).is_err());
    }
}
