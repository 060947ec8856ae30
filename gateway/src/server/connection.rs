//! One client connection, HTTP/1.1 or HTTP/2 by ALPN or by its first bytes.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::Watcher;

use super::io::{ClientIo, Times};
use super::opening::{self, Arrival, Protocol};
use super::panic::Caught;
use super::strict::Strict;
use crate::body::Body;
use crate::config::ClientLimits;
use crate::proxy::{Activity, Client, Proxy, handle};

/// Streams that a client may reset before we have looked at them, and resets that we cause (CVE-2023-44487,
/// CVE-2025-8671): beyond these the connection is closed.
const MAX_RESET_STREAMS: usize = 20;
/// Windows of an HTTP/2 stream and connection: what a client may send ahead of us.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// Serve until the client or we have had enough.
pub(super) async fn serve(arrival: Arrival, proxy: Arc<Proxy>, watcher: Watcher) {
    let limits = proxy.snapshot.load().limits.clone();
    let redirect = arrival.mode.redirect;
    let Some(opened) = opening::open(arrival, &proxy, limits.handshake_timeout).await else {
        return;
    };
    let peer = opened.peer;
    let activity = Arc::new(Activity::default());
    let times = Times {
        header: limits.header_timeout,
        idle: limits.idle_timeout,
        write: limits.body_timeout,
    };
    let io = ClientIo::new(opened.stream, Arc::clone(&activity), times);
    let io = TokioIo::new(Strict::new(io, Arc::clone(&activity)));
    let client = Arc::new(Client {
        ip: peer.ip().to_canonical(),
        scheme: opened.secure.as_ref().map_or("http", |_| "https"),
        secure: opened.secure,
        redirect,
        activity,
    });
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let (proxy, client) = (Arc::clone(&proxy), Arc::clone(&client));
        async move {
            if request.version() == http::Version::HTTP_2 {
                client.activity.set_multiplexed();
            }
            let handled = Caught::new(handle(&proxy, &client, request.map(Body::incoming)));
            Ok::<_, Infallible>(handled.response(&proxy.metrics).await)
        }
    });
    let builder = match opened.protocol {
        Protocol::ByPreface => builder(&limits),
        Protocol::H1 => builder(&limits).http1_only(),
        Protocol::H2 => builder(&limits).http2_only(),
    };
    let connection = builder.serve_connection(io, service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%peer, %error, "client connection ended");
    }
}

fn builder(limits: &ClientLimits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(limits.headers)
        .max_buf_size(limits.header_bytes.max(8 * 1024));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
        .max_local_error_reset_streams(MAX_RESET_STREAMS);
    builder
}
