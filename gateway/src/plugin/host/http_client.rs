//! `gateway:plugin/http-client`: calls to other services. Looks blocking to the guest, waits in the gateway.
//!
//! Which origins and addresses may be called is the concern of whoever implements [`Fetch`]; the number of calls in one
//! hook, and the time, are checked here.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use thiserror::Error;
use wasmtime::component::Linker;

use super::super::bindings::{Header, HttpError, HttpRequest, HttpResponse, names};
use super::super::head::{MAX_HEADERS, belongs_to_core};
use super::{Ctx, Host, charge};

/// A plugin's call to another service, well-formed as HTTP.
#[derive(Debug)]
pub struct FetchCall {
    /// The method.
    pub method: Method,
    /// An absolute URL, as the plugin wrote it.
    pub url: String,
    /// Header fields, without those of framing and connection and without `host`.
    pub headers: HeaderMap,
    /// The body, possibly empty.
    pub body: Vec<u8>,
    /// When to give up.
    pub timeout: Duration,
}

/// The answer to a call.
#[derive(Debug)]
pub struct FetchReply {
    /// The status, whatever it is.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Why there is no answer. The texts reach the plugin.
#[derive(Debug, Error)]
pub enum FetchFailure {
    /// Origin or address are not granted.
    #[error("denied: {0}")]
    Denied(String),
    /// Not a URL that can be called.
    #[error("invalid: {0}")]
    Invalid(String),
    /// No connection.
    #[error("connect: {0}")]
    Connect(String),
    /// The time was up.
    #[error("timeout")]
    Timeout,
    /// The connection broke, or the answer was not HTTP.
    #[error("protocol: {0}")]
    Protocol(String),
    /// The answer is too long.
    #[error("too large")]
    TooLarge,
}

/// Makes the calls of one plugin, as far as its grant goes.
pub trait Fetch: Send + Sync {
    /// Make a call and wait for the whole answer.
    fn fetch<'a>(
        &'a self,
        call: FetchCall,
    ) -> Pin<Box<dyn Future<Output = Result<FetchReply, FetchFailure>> + Send + 'a>>;
}

/// A call that names no time of its own is given up after this; the plugin's wall time stands in any case.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.instance(names::HTTP_CLIENT)?.func_wrap_async(
        "fetch",
        |mut store: Ctx<'_>, (request,): (HttpRequest,)| {
            Box::new(async move {
                let host = charge(&mut store)?;
                let Some(left) = host.budget.fetches.checked_sub(1) else {
                    let limit = host.entry.limits.fetches;
                    let text = format!("more than {limit} calls in one hook (limits.fetches)");
                    return Ok((Err(HttpError::Denied(text)),));
                };
                host.budget.fetches = left;
                let Some(fetch) = host.entry.fetch.clone() else {
                    return Ok((Err(HttpError::Denied("not granted".into())),));
                };
                let reply = match checked(request) {
                    Ok(call) => fetch.fetch(call).await,
                    Err(refused) => Err(refused),
                };
                Ok((reply.map(to_wire).map_err(failure_to_wire),))
            })
        },
    )
}

fn checked(request: HttpRequest) -> Result<FetchCall, FetchFailure> {
    let method = Method::from_bytes(request.method.as_bytes())
        .map_err(|_| FetchFailure::Invalid("the method is no token".into()))?;
    let mut headers = HeaderMap::with_capacity(request.headers.len().min(MAX_HEADERS));
    for Header { name, value } in request.headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| FetchFailure::Invalid("a header name is no token".into()))?;
        // Dropped, not refused, so that a plugin can pass on a request's fields as they are.
        if belongs_to_core(&name) {
            continue;
        }
        let value = HeaderValue::from_bytes(&value).map_err(|_| {
            FetchFailure::Invalid(format!("the value of header '{name}' has control bytes"))
        })?;
        // As many as a message may have on its way through the chain, so that all of them can be passed on.
        if headers.len() >= MAX_HEADERS {
            let text = format!("more than {MAX_HEADERS} header fields");
            return Err(FetchFailure::Invalid(text));
        }
        headers.append(name, value);
    }
    Ok(FetchCall {
        method,
        url: request.url,
        headers,
        body: request.body.unwrap_or_default(),
        timeout: request
            .timeout
            .map_or(DEFAULT_TIMEOUT, Duration::from_millis),
    })
}

fn to_wire(reply: FetchReply) -> HttpResponse {
    let headers = reply.headers.iter().map(|(name, value)| Header {
        name: name.as_str().to_owned(),
        value: value.as_bytes().to_vec(),
    });
    HttpResponse {
        status: reply.status.as_u16(),
        headers: headers.collect(),
        body: reply.body,
    }
}

fn failure_to_wire(failure: FetchFailure) -> HttpError {
    match failure {
        FetchFailure::Denied(text) => HttpError::Denied(text),
        FetchFailure::Invalid(text) => HttpError::Invalid(text),
        FetchFailure::Connect(text) => HttpError::Connect(text),
        FetchFailure::Timeout => HttpError::Timeout,
        FetchFailure::Protocol(text) => HttpError::Protocol(text),
        FetchFailure::TooLarge => HttpError::TooLarge,
    }
}
