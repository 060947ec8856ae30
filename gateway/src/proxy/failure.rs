//! What can go wrong with a request: a closed list, each with one status and one stable reason.
//!
//! The client gets `{"error": reason, "request_id": id}` and nothing else; the cause goes to the log, once.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use thiserror::Error;

use crate::body::{Body, BodyError};
use crate::plugin::{ChainError, Response, ResponseHead};
use crate::route::BadPath;
use crate::upstream::SendError;

/// When a client that was turned away may come again, in seconds. Load that is shed has gone in a moment or comes from
/// somebody who doesn't heed this.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// Why a request could not be served.
#[derive(Debug, Error)]
pub enum Failure {
    /// No route matches.
    #[error("no route matches")]
    NoRoute,
    /// A route would match but for the method.
    #[error("no route takes this method here; allowed: {}", allow.to_str().unwrap_or_default())]
    MethodNotAllowed {
        /// For the `Allow` field (RFC 9110 10.2.1).
        allow: HeaderValue,
    },
    /// `CONNECT` or `TRACE`.
    #[error("the method is never forwarded")]
    MethodRefused,
    /// The path has no single meaning.
    #[error("{0}")]
    BadPath(BadPath),
    /// Host is missing, doubled, malformed, or contradicts the request target.
    #[error("{0}")]
    BadHost(&'static str),
    /// The connection was made for a host with another certificate.
    #[error("the connection is not for this host, which has a certificate of its own")]
    Misdirected,
    /// The request target is not one of the forms of RFC 9112 3.2 that are served here.
    #[error("the request target has a form that is not served")]
    BadTarget,
    /// A header field is not as its version of HTTP wants it.
    #[error("{0}")]
    BadField(&'static str),
    /// The request target is too long.
    #[error("the request target is longer than {0} bytes")]
    UriTooLong(usize),
    /// There are as many requests in flight as the gateway, or this route, takes on.
    #[error("as many requests are in flight as {0} allows")]
    Overloaded(&'static str),
    /// There are too many header fields, or too many bytes of them.
    #[error("the header fields are too many or too long")]
    HeadersTooLarge,
    /// The request body is longer than the route, or a plugin that wants it whole, allows.
    #[error("the request body is too long: {0}")]
    BodyTooLarge(String),
    /// No byte of request body came for too long.
    #[error("the request body stalled: {0}")]
    BodyTimeout(BodyError),
    /// The request body broke off or was malformed.
    #[error("the request body broke: {0}")]
    BadBody(BodyError),
    /// A plugin cut the request body off.
    #[error("{0}")]
    PluginAborted(String),
    /// A plugin faulted whose policy is `deny`.
    #[error("{0}")]
    PluginFault(String),
    /// The response body is longer than a plugin that wants it whole may hold.
    #[error("{0}")]
    ResponseTooLarge(ChainError),
    /// The response body broke off while a plugin waited for the whole of it.
    #[error("the response body broke off: {0}")]
    ResponseBody(BodyError),
    /// The upstream has no endpoint.
    #[error("the upstream has no endpoint")]
    NoEndpoint,
    /// No connection to the upstream.
    #[error("{0}")]
    UpstreamConnect(SendError),
    /// No connection to the upstream in time.
    #[error("{0}")]
    UpstreamConnectTimeout(SendError),
    /// The upstream closed the connection before a response head.
    #[error("{0}")]
    UpstreamClosed(SendError),
    /// What the upstream sent is no response.
    #[error("{0}")]
    UpstreamProtocol(SendError),
    /// No response head from the upstream in time.
    #[error("{0}")]
    UpstreamTimeout(SendError),
    /// The route's time for the whole exchange was up.
    #[error("no response head within the route's timeout of {0:?}")]
    Timeout(std::time::Duration),
}

impl Failure {
    /// The status that the client sees.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadPath(_)
            | Self::BadHost(_)
            | Self::BadTarget
            | Self::BadField(_)
            | Self::BadBody(_) => StatusCode::BAD_REQUEST,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::MethodRefused => StatusCode::NOT_IMPLEMENTED,
            Self::BodyTimeout(_) => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UriTooLong(_) => StatusCode::URI_TOO_LONG,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::ResponseTooLarge(_)
            | Self::ResponseBody(_)
            | Self::UpstreamConnect(_)
            | Self::UpstreamClosed(_)
            | Self::UpstreamProtocol(_)
            | Self::PluginAborted(_) => StatusCode::BAD_GATEWAY,
            Self::PluginFault(_) | Self::NoEndpoint | Self::Overloaded(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::UpstreamConnectTimeout(_) | Self::UpstreamTimeout(_) | Self::Timeout(_) => {
                StatusCode::GATEWAY_TIMEOUT
            }
        }
    }

    /// Whether the connection of HTTP/1.1 ends with the response: what the client sent was no request that anybody should
    /// have sent, or not all of it was read, so what it sent behind it is not to be taken for the next one.
    #[must_use]
    pub fn closes(&self) -> bool {
        match self {
            Self::MethodRefused
            | Self::BadPath(_)
            | Self::BadHost(_)
            | Self::BadTarget
            | Self::BadField(_)
            | Self::UriTooLong(_)
            | Self::HeadersTooLarge
            | Self::BodyTooLarge(_)
            | Self::BodyTimeout(_)
            | Self::BadBody(_) => true,
            Self::NoRoute
            | Self::Overloaded(_)
            | Self::Misdirected
            | Self::MethodNotAllowed { .. }
            | Self::PluginAborted(_)
            | Self::PluginFault(_)
            | Self::ResponseTooLarge(_)
            | Self::ResponseBody(_)
            | Self::NoEndpoint
            | Self::UpstreamConnect(_)
            | Self::UpstreamConnectTimeout(_)
            | Self::UpstreamClosed(_)
            | Self::UpstreamProtocol(_)
            | Self::UpstreamTimeout(_)
            | Self::Timeout(_) => false,
        }
    }

    /// The stable word for clients, logs and metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoRoute => "no-route",
            Self::MethodNotAllowed { .. } => "method-not-allowed",
            Self::MethodRefused => "method-refused",
            Self::BadPath(_) => "bad-path",
            Self::BadHost(_) => "bad-host",
            Self::Misdirected => "misdirected",
            Self::BadTarget => "bad-target",
            Self::BadField(_) => "bad-field",
            Self::UriTooLong(_) => "uri-too-long",
            Self::Overloaded(_) => "overloaded",
            Self::HeadersTooLarge => "headers-too-large",
            Self::BodyTooLarge(_) => "body-too-large",
            Self::BodyTimeout(_) => "body-timeout",
            Self::BadBody(_) => "bad-body",
            Self::PluginAborted(_) => "plugin-abort",
            Self::PluginFault(_) => "plugin-fault",
            Self::ResponseTooLarge(_) => "response-too-large",
            Self::ResponseBody(_) => "upstream-body",
            Self::NoEndpoint => "no-endpoint",
            Self::UpstreamConnect(_) => "upstream-connect",
            Self::UpstreamConnectTimeout(_) => "upstream-connect-timeout",
            Self::UpstreamClosed(_) => "upstream-closed",
            Self::UpstreamProtocol(_) => "upstream-protocol",
            Self::UpstreamTimeout(_) => "upstream-timeout",
            Self::Timeout(_) => "timeout",
        }
    }

    /// The response that the client gets.
    #[must_use]
    pub fn response(&self, request_id: &str) -> Response {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Self::MethodNotAllowed { allow } = self {
            headers.insert(ALLOW, allow.clone());
        }
        if let Self::Overloaded(_) = self {
            headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        // Neither word needs escaping: reasons are ours, ids are hexadecimal.
        let body = format!(
            "{{\"error\": \"{}\", \"request_id\": \"{request_id}\"}}\n",
            self.reason()
        );
        let head = ResponseHead {
            status: self.status(),
            headers,
            from_upstream: false,
        };
        Response {
            head: Arc::new(head),
            body: Body::full(Bytes::from(body)),
        }
    }

    /// A chain that broke on the way to the upstream.
    #[must_use]
    pub fn on_request(error: ChainError) -> Self {
        match error {
            ChainError::Fault { .. } => Self::PluginFault(error.to_string()),
            ChainError::TooLarge { .. } => Self::BodyTooLarge(error.to_string()),
            ChainError::Body(error) => Self::request_body(error),
        }
    }

    /// A chain that broke on the way back.
    #[must_use]
    pub fn on_response(error: ChainError) -> Self {
        match error {
            ChainError::Fault { .. } => Self::PluginFault(error.to_string()),
            ChainError::TooLarge { .. } => Self::ResponseTooLarge(error),
            ChainError::Body(BodyError::Aborted(text)) => Self::PluginAborted(text),
            ChainError::Body(BodyError::Fault(text)) => Self::PluginFault(text),
            ChainError::Body(error) => Self::ResponseBody(error),
        }
    }

    /// A request body that ended before its end.
    #[must_use]
    pub fn request_body(error: BodyError) -> Self {
        match error {
            BodyError::Sender(_) => Self::BadBody(error),
            BodyError::Idle(_) => Self::BodyTimeout(error),
            BodyError::TooLarge(_) => Self::BodyTooLarge(error.to_string()),
            BodyError::Aborted(text) => Self::PluginAborted(text),
            BodyError::Fault(text) => Self::PluginFault(text),
        }
    }

    /// A request that the upstream did not answer.
    #[must_use]
    pub fn send(error: SendError) -> Self {
        match error {
            SendError::NoEndpoint => Self::NoEndpoint,
            SendError::Connect { .. } | SendError::Tls { .. } | SendError::Denied { .. } => {
                Self::UpstreamConnect(error)
            }
            SendError::ConnectTimeout { .. } => Self::UpstreamConnectTimeout(error),
            SendError::ResponseTimeout { .. } => Self::UpstreamTimeout(error),
            SendError::Closed { .. } => Self::UpstreamClosed(error),
            SendError::Protocol { .. } => Self::UpstreamProtocol(error),
            SendError::RequestBody(error) => Self::request_body(error),
        }
    }
}
