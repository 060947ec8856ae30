//! The operators' door: health, metrics, what is loaded, and reload. On a listener of its own.
//!
//! `GET /health` answers as long as the process lives; `GET /ready` is 200
//! while a generation serves, 503 while the first one is loaded and when the gateway drains; `GET /metrics` in OpenMetrics text;
//! `GET /routes` and `GET /plugins` in JSON; `POST /reload` reloads and answers with the new generation or with what is
//! wrong. A request whose `Host` is a name other than `localhost` is refused, so that no web page can reach this
//! through a name of its own that it points here (DNS rebinding); so is one with an `Origin`, which is what a page's form sends.

use std::convert::Infallible;
use std::net::{IpAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HOST, HeaderValue, ORIGIN};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::control::ReloadRequest;
use crate::observe::Metrics;
use crate::observe::metrics::CONTENT_TYPE as METRICS_TYPE;
use crate::plugin::Runtime;
use crate::proxy::Proxy;
use crate::snapshot::Snapshot;

/// Admin connections at the same time.
const MAX_CONNECTIONS: usize = 64;
/// Time for a request head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// What the admin listener can see and do.
pub(crate) struct View {
    metrics: Arc<Metrics>,
    commands: mpsc::UnboundedSender<ReloadRequest>,
    serving: OnceLock<Serving>,
    is_draining: AtomicBool,
}

impl View {
    /// Of a gateway that is loading.
    pub(crate) fn new(
        metrics: Arc<Metrics>,
        commands: mpsc::UnboundedSender<ReloadRequest>,
    ) -> Self {
        Self {
            metrics,
            commands,
            serving: OnceLock::new(),
            is_draining: AtomicBool::new(false),
        }
    }

    /// The first generation serves.
    pub(crate) fn serve(&self, serving: Serving) {
        if self.serving.set(serving).is_err() {
            tracing::error!("the first generation was announced twice");
        }
    }

    /// The gateway begins to drain.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }
}

/// What serves.
pub(crate) struct Serving {
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) runtime: Arc<Runtime>,
}

type Answer = Response<Full<Bytes>>;

/// Serve until dropped.
pub(crate) async fn serve(listener: TcpListener, view: Arc<View>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        tracing::error!("the admin listener can't be used");
        return;
    };
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "can't accept admin connections");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let view = Arc::clone(&view);
        tokio::spawn(async move {
            let _place = place;
            let service = service_fn(|request| {
                let view = Arc::clone(&view);
                async move { Ok::<_, Infallible>(answer(&view, &request).await) }
            });
            let mut builder = http1::Builder::new();
            builder
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT);
            if let Err(error) = builder
                .serve_connection(TokioIo::new(stream), service)
                .await
            {
                tracing::debug!(%error, "admin connection ended");
            }
        });
    }
}

async fn answer<B>(view: &View, request: &Request<B>) -> Answer {
    if request.headers().contains_key(ORIGIN) {
        return text(StatusCode::FORBIDDEN, "not for web pages\n");
    }
    if !is_addressed_directly(request) {
        return text(
            StatusCode::FORBIDDEN,
            "Host must be an address or localhost\n",
        );
    }
    let (method, path) = (request.method(), request.uri().path());
    let allowed = if path == "/reload" {
        Method::POST
    } else {
        Method::GET
    };
    let is_known = [
        "/health", "/ready", "/metrics", "/routes", "/plugins", "/reload",
    ]
    .contains(&path);
    if !is_known {
        return text(
            StatusCode::NOT_FOUND,
            "there is /health /ready /metrics /routes /plugins and POST /reload\n",
        );
    }
    if *method != allowed && !(*method == Method::HEAD && allowed == Method::GET) {
        let mut answer = text(
            StatusCode::METHOD_NOT_ALLOWED,
            "another method is needed here\n",
        );
        let allow = if allowed == Method::POST {
            "POST"
        } else {
            "GET, HEAD"
        };
        answer
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static(allow));
        return answer;
    }
    match path {
        "/health" => return text(StatusCode::OK, "ok\n"),
        "/metrics" => return metrics(view),
        "/reload" => return reload(view).await,
        _ => {}
    }
    let Some(serving) = view.serving.get() else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "loading\n");
    };
    let snapshot = serving.proxy.snapshot.load_full();
    match path {
        "/routes" => json(StatusCode::OK, &routes(&snapshot)),
        "/plugins" => json(StatusCode::OK, &plugins(&snapshot, &serving.runtime)),
        _ if view.is_draining.load(Ordering::Relaxed) => {
            text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
        }
        _ => text(StatusCode::OK, "ready\n"),
    }
}

fn metrics(view: &View) -> Answer {
    let mut answer = text(StatusCode::OK, view.metrics.encode());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(METRICS_TYPE));
    answer
}

async fn reload(view: &View) -> Answer {
    let (done, when_done) = oneshot::channel();
    let sent = view.commands.send(done);
    match (sent, when_done.await) {
        (Ok(()), Ok(Ok(generation))) => json(StatusCode::OK, &Reloaded { generation }),
        (Ok(()), Ok(Err(problems))) => {
            let errors = problems.lines().collect();
            json(StatusCode::UNPROCESSABLE_ENTITY, &Refused { errors })
        }
        _ => text(StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping\n"),
    }
}

/// Whether `Host` is an address or `localhost`.
fn is_addressed_directly<B>(request: &Request<B>) -> bool {
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    let Some(authority) = host.and_then(|host| host.parse::<http::uri::Authority>().ok()) else {
        return false;
    };
    let name = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[derive(Serialize)]
struct Reloaded {
    generation: u64,
}

#[derive(Serialize)]
struct Refused<'a> {
    errors: Vec<&'a str>,
}

#[derive(Serialize)]
struct Routes<'a> {
    generation: u64,
    routes: Vec<RouteView<'a>>,
}

#[derive(Serialize)]
struct RouteView<'a> {
    name: &'a str,
    hosts: &'a [String],
    path: &'a str,
    methods: Vec<&'a str>,
    upstream: &'a str,
    endpoints: Vec<String>,
    plugins: Vec<&'a str>,
}

fn routes(snapshot: &Snapshot) -> Routes<'_> {
    let pairs = snapshot.config.routes.iter().zip(&snapshot.routes);
    Routes {
        generation: snapshot.generation,
        routes: pairs
            .map(|(written, route)| RouteView {
                name: &written.name,
                hosts: &written.hosts,
                path: &written.path,
                methods: written.methods.iter().map(Method::as_str).collect(),
                upstream: &written.upstream,
                endpoints: route
                    .upstream
                    .definition()
                    .endpoints
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
                plugins: route
                    .chain
                    .pools()
                    .iter()
                    .map(|pool| &**pool.name())
                    .collect(),
            })
            .collect(),
    }
}

#[derive(Serialize)]
struct Plugins {
    generation: u64,
    plugins: Vec<PluginView>,
}

#[derive(Serialize)]
struct PluginView {
    name: String,
    component: Option<String>,
    digest: String,
    exports: Vec<&'static str>,
    interest: Vec<&'static str>,
    idle: usize,
    busy: usize,
    suspended: bool,
}

/// One entry for each pool: a plugin that is used with two configurations has two.
fn plugins(snapshot: &Snapshot, runtime: &Runtime) -> Plugins {
    let view = |status: crate::plugin::PoolStatus| PluginView {
        component: snapshot
            .config
            .plugins
            .get(&status.plugin)
            .map(|plugin| plugin.component.to_string()),
        name: status.plugin,
        digest: status.digest,
        exports: status.exports,
        interest: status.interest,
        idle: status.idle,
        busy: status.busy,
        suspended: status.suspended,
    };
    let pools = runtime.pools();
    Plugins {
        generation: snapshot.generation,
        plugins: pools.iter().map(|pool| view(pool.status())).collect(),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    answer
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    // Only strings, numbers and lists are in these; that can't fail.
    let mut body = serde_json::to_vec_pretty(value).unwrap_or_default();
    body.push(b'\n');
    let mut answer = text(status, body);
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
