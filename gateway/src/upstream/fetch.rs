//! Calls that plugins make to other services, behind a list of granted origins.
//!
//! Promises: only a granted origin is called; every address that its name resolves to is checked, and
//! only a checked one is connected to; redirects are answers like any other; head, body and time have limits.
//! Connections are pooled for each worker and policy, so that one which was checked under another grant is never
//! used. Left out: proxies, cookies, decompression.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use thiserror::Error;

use super::endpoint::Reach;
use super::error::{SendError, UpstreamError};
use super::{SendTrace, Upstream, tls};
use crate::body::{Body, BodyError};
use crate::config::{self, Grants, Origin};

/// Bytes of an answer's body: it is handed to the plugin as a whole, and counts against its memory.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Time for a call at most; the deadline of the plugin is usually shorter.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

/// Time to connect, the same as the default for upstreams.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Idle connections for each worker and origin: calls come in small numbers, to few services.
const IDLE_CONNECTIONS: usize = 8;

/// How long an idle connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// A call to make.
#[derive(Debug, Clone)]
pub struct FetchCall {
    /// Any but `CONNECT` and `TRACE`.
    pub method: Method,
    /// An absolute `http` or `https` URL.
    pub url: String,
    /// The header fields, without those of connection and framing; `host` is the URL's.
    pub headers: HeaderMap,
    /// The body, possibly empty.
    pub body: Bytes,
    /// The time for all of it, a minute at most.
    pub timeout: Duration,
}

/// What came back, whatever its status.
#[derive(Debug, Clone)]
pub struct FetchAnswer {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// Why there is no answer; the cases of `http-client.error` in the contract.
#[derive(Debug, Error)]
pub enum FetchError {
    /// The URL's origin, or its address, is not granted.
    #[error("denied: {0}")]
    Denied(String),
    /// The call is not well-formed.
    #[error("invalid call: {0}")]
    Invalid(String),
    /// No connection could be made.
    #[error("{0}")]
    Connect(String),
    /// The time was up.
    #[error("the time for the call was up")]
    Timeout,
    /// The connection broke, or the answer was not HTTP.
    #[error("{0}")]
    Protocol(String),
    /// The answer's body is too long.
    #[error("the answer is longer than {MAX_BODY_BYTES} bytes")]
    TooLarge,
}

/// What one plugin may call, with its connections.
pub struct FetchPolicy {
    origins: Vec<(Origin, Upstream)>,
}

impl FetchPolicy {
    /// A policy for these grants. `denied` are addresses that are never connected to, such as the own admin listener.
    ///
    /// # Errors
    ///
    /// As for [`Upstream::new`].
    pub fn new(grants: &Grants, denied: &[SocketAddr]) -> Result<Self, UpstreamError> {
        let reach = Reach::Granted {
            networks: grants.http_client_networks.as_slice().into(),
            denied: denied.into(),
        };
        let upstream = |origin: &Origin| {
            let upstream = Upstream::build(&definition(origin), &reach, tls::native)?;
            Ok((origin.clone(), upstream))
        };
        Ok(Self {
            origins: grants
                .http_client
                .iter()
                .flatten()
                .map(upstream)
                .collect::<Result<_, _>>()?,
        })
    }

    fn find(&self, origin: &Origin) -> Result<&Upstream, FetchError> {
        let granted = self.origins.iter().find(|(granted, _)| granted == origin);
        granted.map(|(_, upstream)| upstream).ok_or_else(|| {
            let scheme = if origin.tls { "https" } else { "http" };
            let (host, port) = (&origin.host, origin.port);
            FetchError::Denied(format!("{scheme}://{host}:{port} is not granted"))
        })
    }
}

/// Makes a call and waits for the whole answer.
///
/// # Errors
///
/// There is no answer; see [`FetchError`].
pub async fn fetch(call: FetchCall, allow: &FetchPolicy) -> Result<FetchAnswer, FetchError> {
    let limit = call.timeout.min(MAX_TIMEOUT);
    let (origin, request) = prepare(call)?;
    let upstream = allow.find(&origin)?;
    let whole = async {
        let response = upstream
            .send(request, &mut SendTrace::default(), None)
            .await?;
        let (head, body) = response.into_parts();
        Ok(FetchAnswer {
            status: head.status,
            headers: head.headers,
            body: collect(body).await?,
        })
    };
    match tokio::time::timeout(limit, whole).await {
        Ok(answer) => answer,
        Err(_) => Err(FetchError::Timeout),
    }
}

/// The call's origin, and the request as it goes over the wire.
fn prepare(call: FetchCall) -> Result<(Origin, Request<Body>), FetchError> {
    if matches!(call.method, Method::CONNECT | Method::TRACE) {
        return Err(FetchError::Invalid(format!("method {}", call.method)));
    }
    let url: Uri = call
        .url
        .parse()
        .map_err(|error| FetchError::Invalid(format!("URL: {error}")))?;
    let origin = origin(&url)?;
    let path = match url.path_and_query() {
        Some(path) => Uri::from(path.clone()),
        None => Uri::from_static("/"),
    };
    let mut request = Request::new(Body::full(call.body));
    *request.method_mut() = call.method;
    *request.uri_mut() = path;
    *request.headers_mut() = call.headers;
    let host = HeaderValue::try_from(host(&origin))
        .map_err(|error| FetchError::Invalid(format!("host: {error}")))?;
    request.headers_mut().insert(header::HOST, host);
    Ok((origin, request))
}

fn origin(url: &Uri) -> Result<Origin, FetchError> {
    let invalid = |reason: &str| FetchError::Invalid(format!("URL: {reason}"));
    let tls = match url.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(invalid("expected an absolute http or https URL")),
    };
    let authority = url.authority().ok_or_else(|| invalid("it has no host"))?;
    if authority.as_str().contains('@') {
        return Err(invalid("it has a user name"));
    }
    let default = if tls { 443 } else { 80 };
    // `port_u16` takes a port that is no number for none at all.
    let port = match authority.as_str().strip_prefix(authority.host()) {
        Some("") => default,
        Some(port) => port
            .strip_prefix(':')
            .and_then(|port| port.parse().ok())
            .ok_or_else(|| invalid("its port is not a number up to 65535"))?,
        None => return Err(invalid("its host is not plain")),
    };
    let host = authority.host().to_ascii_lowercase();
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(&host);
    Ok(Origin {
        tls,
        host: host.to_owned(),
        port,
    })
}

/// The value of `host`: without a port that the scheme implies (RFC 9110 4.2.3).
fn host(origin: &Origin) -> String {
    let host = if origin.host.contains(':') {
        format!("[{}]", origin.host)
    } else {
        origin.host.clone()
    };
    match (origin.tls, origin.port) {
        (false, 80) | (true, 443) => host,
        (_, port) => format!("{host}:{port}"),
    }
}

async fn collect(mut body: Body) -> Result<Bytes, FetchError> {
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(FetchError::TooLarge);
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if whole.len() + data.len() > MAX_BODY_BYTES {
            return Err(FetchError::TooLarge);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// The upstream that an origin is to its plugin. Waiting is limited for the call as a whole.
fn definition(origin: &Origin) -> config::Upstream {
    config::Upstream {
        endpoints: vec![origin.clone()],
        connect_timeout: CONNECT_TIMEOUT,
        response_timeout: MAX_TIMEOUT,
        body_timeout: MAX_TIMEOUT,
        idle_connections: IDLE_CONNECTIONS,
        idle_timeout: IDLE_TIMEOUT,
        tls: config::UpstreamTls::default(),
    }
}

impl From<SendError> for FetchError {
    fn from(error: SendError) -> Self {
        let text = error.to_string();
        match error {
            SendError::Denied { .. } => Self::Denied(text),
            SendError::NoEndpoint | SendError::Connect { .. } | SendError::Tls { .. } => {
                Self::Connect(text)
            }
            SendError::ConnectTimeout { .. } | SendError::ResponseTimeout { .. } => Self::Timeout,
            SendError::Closed { .. } | SendError::Protocol { .. } | SendError::RequestBody(_) => {
                Self::Protocol(text)
            }
        }
    }
}

impl From<BodyError> for FetchError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Idle(_) => Self::Timeout,
            BodyError::TooLarge(_) => Self::TooLarge,
            BodyError::Sender(_) | BodyError::Aborted(_) | BodyError::Fault(_) => {
                Self::Protocol(error.to_string())
            }
        }
    }
}
