//! One client connection, HTTP/1.1 or HTTP/2 by its first bytes, as agreed on if there was ALPN.
//!
//! A connection that has nothing to say costs little more than its socket: it is given to hyper, with buffers of 16 KiB,
//! when its first bytes are there, and taken back from it when it has been quiet for a second. Only HTTP/1 can be taken
//! back: an HTTP/2 connection has a state of its own between requests.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use http::header::{CONNECTION, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;

use super::io::{ClientIo, Spoken};
use super::opening::{self, Arrival};
use super::panic::Caught;
use super::stream::Streams;
use super::strict::Strict;
use crate::body::Body;
use crate::config::ClientLimits;
use crate::proxy::{Activity, Client, Grace, Proxy, handle};

/// Windows of an HTTP/2 stream and connection: what a client may send ahead of us.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// What a stream may hold of a response that its client's windows let through and its socket does not.
const STREAM_SEND_BYTES: usize = 64 * 1024;
/// Streams that a client may have reset before we have looked at them: it does so only in one breath with opening them.
const MAX_UNSEEN_RESETS: usize = 20;
/// Header fields that hyper parses on its stack if it is not told a number, even this one.
const HEADERS_ON_STACK: usize = 100;

/// Told when connections should end, once what is open on them has.
pub(super) type Drain = watch::Receiver<()>;

/// How serving a connection ended.
type Served = Result<(), Box<dyn Error + Send + Sync>>;

/// Serve until the client or we have had enough.
pub(super) async fn serve(arrival: Arrival, proxy: Arc<Proxy>, mut drain: Drain) {
    let redirect = arrival.mode.redirect;
    let opened = tokio::select! {
        biased;
        opened = opening::open(arrival, &proxy) => opened,
        _ = drain.changed() => return,
    };
    let Some(opened) = opened else {
        return;
    };
    let _place = opened.place;
    let peer = opened.peer;
    let activity = Arc::new(Activity::default());
    let limits = proxy.snapshot.load_full();
    let io = ClientIo::new(opened.wire, Arc::clone(&activity), &limits.limits);
    let client = Client {
        ip: peer.ip().to_canonical(),
        scheme: opened.secure.as_ref().map_or("http", |_| "https"),
        secure: opened.secure,
        redirect,
        activity,
    };
    let server = Server {
        most: limits.limits.requests_per_connection,
        proxy,
        client: Arc::new(client),
    };
    let ended = server.exchanges(io, opened.agreed, drain).await;
    let reason = server.client.activity.cut_reason();
    if let Some(reason) = reason {
        server.proxy.metrics.client_connections_cut.count(reason);
    }
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, reason, "client connection ended");
    }
}

/// What serves the requests of one connection.
#[derive(Clone)]
struct Server {
    proxy: Arc<Proxy>,
    client: Arc<Client>,
    /// Requests that it may have.
    most: Option<u32>,
}

impl Server {
    async fn exchanges(
        &self,
        mut io: ClientIo,
        agreed: Option<Spoken>,
        mut drain: Drain,
    ) -> Served {
        let spoken = tokio::select! {
            biased;
            spoken = io.spoken() => spoken?,
            _ = drain.changed() => return Ok(()),
        };
        match spoken {
            // Whoever agrees on one and speaks the other is no client of ours.
            Some(spoken) if agreed.is_some_and(|agreed| agreed != spoken) => Ok(()),
            Some(Spoken::Http1) => self.http1(io, drain).await,
            Some(Spoken::Http2) => self.http2(io, drain).await,
            None => Ok(()),
        }
    }

    async fn http2(&self, io: ClientIo, mut drain: Drain) -> Served {
        let builder = http2(&self.proxy.snapshot.load().limits);
        let service = service_fn(|request| self.clone().answer(request));
        let mut connection = Box::pin(builder.serve_connection(TokioIo::new(io), service));
        let end = http2::Connection::graceful_shutdown;
        let ended = drive(&mut connection, end, &self.client.activity, &mut drain).await;
        // It takes no rest.
        ended.unwrap_or(Ok(()))
    }

    async fn http1(&self, io: ClientIo, mut drain: Drain) -> Served {
        let mut io = Strict::new(io);
        loop {
            let builder = http1(&self.proxy.snapshot.load().limits);
            let service = service_fn(|request| self.clone().answer(request));
            let mut connection = Box::pin(builder.serve_connection(TokioIo::new(io), service));
            let end = http1::Connection::graceful_shutdown;
            let ended = drive(&mut connection, end, &self.client.activity, &mut drain).await;
            if let Some(ended) = ended {
                return ended;
            }
            let parts = Pin::into_inner(connection).into_parts();
            io = parts.io.into_inner();
            io.repeat(&parts.read_buf);
            let is_in_head = !parts.read_buf.is_empty();
            let has_more = tokio::select! {
                biased;
                has_more = io.stream().more(is_in_head) => has_more?,
                _ = drain.changed() => false,
            };
            if !has_more {
                return Ok(());
            }
        }
    }

    async fn answer(
        self,
        request: hyper::Request<hyper::body::Incoming>,
    ) -> Result<http::Response<Body>, Infallible> {
        let handled = handle(&self.proxy, &self.client, request.map(Body::incoming));
        let mut response = Caught::new(handled).response(&self.proxy.metrics).await;
        let activity = &self.client.activity;
        if self.most.is_some_and(|most| activity.begun() >= most) {
            last(&mut response, activity);
        }
        Ok(response)
    }
}

/// Drive a connection to its end, or until it may rest; tell it when it is to end. `None`: it rests.
async fn drive<C: Future<Output = hyper::Result<()>>>(
    connection: &mut Pin<Box<C>>,
    end: fn(Pin<&mut C>),
    activity: &Activity,
    drain: &mut Drain,
) -> Option<Served> {
    let mut drain = pin!(drain.changed());
    let mut is_ending = false;
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(Some(ended.map_err(Into::into)));
            }
            if is_ending {
                return Poll::Pending;
            }
            if !activity.is_over() && drain.as_mut().poll(cx).is_pending() {
                return if activity.takes_rest() {
                    Poll::Ready(None)
                } else {
                    Poll::Pending
                };
            }
            is_ending = true;
            end(connection.as_mut());
        }
    })
    .await
}

/// This is the last response of its connection: HTTP/1 says so in it, HTTP/2 of the connection.
fn last(response: &mut http::Response<Body>, activity: &Activity) {
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    activity.end();
}

fn http1(limits: &ClientLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes);
    if limits.headers != HEADERS_ON_STACK {
        builder.max_headers(limits.headers);
    }
    builder
}

fn http2(limits: &ClientLimits) -> http2::Builder<Streams> {
    let grace = Grace::of_client(limits);
    let resets = usize::try_from(limits.resets).unwrap_or(usize::MAX);
    let mut builder = http2::Builder::new(Streams { grace });
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(STREAM_SEND_BYTES)
        .max_pending_accept_reset_streams(MAX_UNSEEN_RESETS)
        .max_local_error_reset_streams(resets);
    builder
}
