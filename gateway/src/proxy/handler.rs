//! The walk. Read [`handle`] from top to bottom; everything else is called from there.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;
use http::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri, Version};
use http_body::Body as _;

use super::body::{Passage, RequestBody, ResponseBody};
use super::client::Client;
use super::exchange::{Exchange, LogQueue, Record};
use super::failure::Failure;
use super::fields::{self, Trailers};
use super::forwarded::{self, Sender};
use super::{ids, matching, redirect, target};
use crate::body::Body;
use crate::config::FieldNames;
use crate::observe::Metrics;
use crate::plugin::{self, Decision, Facts, Hurry, RequestHead, ResponseHead};
use crate::route;
use crate::snapshot::{Route, Snapshot};
use crate::upstream;
use crate::worker;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What every request needs.
pub struct Proxy {
    /// The generation that serves now.
    pub snapshot: ArcSwap<Snapshot>,
    /// Where requests are counted.
    pub metrics: Arc<Metrics>,
    /// By worker.
    pub log_queues: Box<[LogQueue]>,
}

/// One request, from head to response head. It never fails; the exchange goes on with the response's body.
pub async fn handle(proxy: &Proxy, client: &Client, request: Request<Body>) -> Response<Body> {
    let snapshot = proxy.snapshot.load_full();
    let facts = begin(&snapshot, client, &request);
    let queue = worker::shard(&proxy.log_queues).clone();
    let mut exchange = Exchange::begin(
        snapshot,
        facts,
        client.activity.begin(),
        &proxy.metrics,
        queue,
    );
    let response = walk(&mut exchange, client, request).await;
    finish(exchange, response)
}

async fn walk(
    exchange: &mut Exchange,
    client: &Client,
    request: Request<Body>,
) -> plugin::Response {
    if let Some(port) = client.redirect {
        return redirect::answer(&exchange.record, &request, port);
    }
    let (index, request, trailers) = match admit(exchange, client, request) {
        Ok(admitted) => admitted,
        Err(failure) => return exchange.record.fail(&failure),
    };
    let Exchange { run, record } = exchange;
    let snapshot = Arc::clone(&record.snapshot);
    let route = &snapshot.routes[index];
    let response = match forward(run, record, route, request, trailers).await {
        Ok(response) => response,
        Err(failure) => record.fail(&failure),
    };
    back(run, record, route, response).await
}

/// Back through the chain, within what is left of the route's time.
async fn back(
    run: &mut plugin::Run,
    record: &Record,
    route: &Route,
    response: plugin::Response,
) -> plugin::Response {
    let failed = |error| record.fail(&Failure::on_response(error));
    let walk = route.chain.on_response(run, response, &failed);
    let Some(limit) = route.timeout else {
        return walk.await;
    };
    // Plugins that need not wait are heard even when the time is up: the walk is polled before the clock.
    let left = limit.saturating_sub(record.facts.clock.elapsed());
    match tokio::time::timeout(left, Box::pin(walk)).await {
        Ok(response) => response,
        Err(_) => record.fail(&Failure::Timeout(limit)),
    }
}

/// Through the chain, to the upstream, within the route's time.
async fn forward(
    run: &mut plugin::Run,
    record: &mut Record,
    route: &Route,
    request: plugin::Request,
    trailers: Trailers,
) -> Result<plugin::Response, Failure> {
    let Some(limit) = route.timeout else {
        return request_walk(run, record, route, request, trailers).await;
    };
    let walk = Box::pin(request_walk(run, record, route, request, trailers));
    tokio::time::timeout(limit, walk)
        .await
        .unwrap_or(Err(Failure::Timeout(limit)))
}

async fn request_walk(
    run: &mut plugin::Run,
    record: &mut Record,
    route: &Route,
    request: plugin::Request,
    trailers: Trailers,
) -> Result<plugin::Response, Failure> {
    match route
        .chain
        .on_request(run, request)
        .await
        .map_err(Failure::on_request)?
    {
        Decision::Next(request) => send(run, record, route, request, trailers).await,
        Decision::Respond(response) => Ok(response),
    }
}

/// What is known before the request is looked at.
fn begin(snapshot: &Snapshot, client: &Client, request: &Request<Body>) -> Facts {
    let authority = request
        .uri()
        .authority()
        .map(|authority| authority.as_str().to_owned());
    let host = || {
        request
            .headers()
            .get(HOST)
            .map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned())
    };
    Facts {
        id: id_of(snapshot, client, request),
        started: SystemTime::now(),
        clock: Instant::now(),
        client_ip: forwarded::client_ip(request.headers(), client.ip, &snapshot.trusted_proxies),
        protocol: request.version(),
        scheme: client.scheme,
        authority: authority.or_else(host).unwrap_or_default(),
        method: request.method().clone(),
        target: request
            .uri()
            .path_and_query()
            .cloned()
            .unwrap_or(PathAndQuery::from_static("/")),
        route: Arc::clone(&snapshot.no_route),
        params: Vec::new(),
        times: Box::default(),
        normalise: |path| {
            route::normalise(path)
                .ok()
                .map(std::borrow::Cow::into_owned)
        },
        client_certificate: client.certificate(),
        notes: parking_lot::Mutex::default(),
    }
}

/// A trusted proxy may have given the request its id; anybody else gets one from us.
fn id_of(snapshot: &Snapshot, client: &Client, request: &Request<Body>) -> String {
    let given = request.headers().get(X_REQUEST_ID);
    let is_trusted = || {
        snapshot
            .trusted_proxies
            .iter()
            .any(|network| network.contains(client.ip))
    };
    let given = given
        .filter(|_| is_trusted())
        .and_then(|id| id.to_str().ok());
    given
        .filter(|id| ids::is_acceptable(id))
        .map_or_else(ids::next, str::to_owned)
}

/// Check the request, find its route, and give it the one form in which plugins and upstream will see it.
fn admit(
    exchange: &mut Exchange,
    client: &Client,
    request: Request<Body>,
) -> Result<(usize, plugin::Request, Trailers), Failure> {
    let Exchange { run, record } = exchange;
    record.check_room()?;
    let snapshot = Arc::clone(&record.snapshot);
    let normalisation = snapshot.config.server.path_normalisation;
    let target = target::read(&request, snapshot.limits.uri_bytes, normalisation)?;
    if !client.may_ask_for(target.authority.host()) {
        return Err(Failure::Misdirected);
    }
    if request.headers().len() > snapshot.limits.headers {
        return Err(Failure::HeadersTooLarge);
    }
    let (mut parts, body) = request.into_parts();
    let (path, host) = (target.path.path(), target.authority.as_str());
    // Before the route is looked for: it must match the fields that the upstream receives, and no others.
    let trailers = tidy(&mut parts, &snapshot, client, host)?;
    let matched = matching::find(
        &snapshot,
        route::Asked {
            host,
            path,
            written: target.written.as_ref().map(PathAndQuery::path),
            method: &parts.method,
            headers: &parts.headers,
        },
    )?;
    let route = &snapshot.routes[matched.index];
    let to_upstream = matching::rewritten(route, &target.path, &matched.params)?;
    // Together: the entry for the log goes to the chain of this route, with this run.
    record.route = Some(matched.index);
    *run = route
        .chain
        .begin(route.timeout.map_or(Hurry::None, |_| Hurry::TimeLimit));
    record.take_place(route)?;
    let facts =
        Arc::get_mut(&mut record.facts).expect("nobody else has it before the chain begins");
    facts.route = Arc::clone(&route.name);
    facts.params = matched
        .params
        .iter(path)
        .map(|(name, value)| (name.into(), value.to_owned()))
        .collect();
    facts.times = route.chain.times_of_exchange();
    facts.authority = host.to_owned();

    set_request_id(&mut parts.headers, &facts.id);
    fields::add_via(&mut parts.headers, parts.version);
    facts.target = target.path.clone();
    let head = RequestHead {
        method: parts.method,
        target: to_upstream,
        headers: parts.headers,
        facts: Arc::clone(&record.facts),
    };
    let body = watched(record, route, &snapshot, body)?;
    let head = Arc::new(head);
    Ok((matched.index, plugin::Request { head, body }, trailers))
}

/// Check the fields, and leave those that the upstream may receive, with what we say of the client.
fn tidy(
    parts: &mut Parts,
    snapshot: &Snapshot,
    client: &Client,
    host: &str,
) -> Result<Trailers, Failure> {
    let headers = &mut parts.headers;
    if parts.version == Version::HTTP_2 {
        fields::check_h2(headers)?;
    }
    let trailers = fields::strip_request(headers);
    if snapshot.config.server.field_names == FieldNames::Plain {
        fields::keep_plain_names(headers);
    }
    fields::join_cookies(headers);
    let sender = Sender {
        peer: client.ip,
        scheme: client.scheme,
        authority: host,
    };
    forwarded::set(headers, sender, &snapshot.trusted_proxies);
    Ok(trailers)
}

fn watched(
    record: &Record,
    route: &Route,
    snapshot: &Snapshot,
    body: Body,
) -> Result<Body, Failure> {
    if body.is_end_stream() {
        return Ok(body);
    }
    let limit_bytes = route.max_body_bytes;
    if let Some(limit) = limit_bytes.filter(|limit| body.size_hint().lower() > *limit) {
        return Err(Failure::BodyTooLarge(format!(
            "announced as longer than {limit} bytes (max-body)"
        )));
    }
    // No plugin sees trailers, so on their way they could say what a plugin has denied or set (RFC 9110 6.5.1 lets
    // them be discarded).
    let trailers = if route.chain.pools().is_empty() {
        Passage::Open
    } else {
        Passage::Closed
    };
    Ok(RequestBody::wrap(
        body,
        &record.counters,
        limit_bytes,
        &snapshot.limits,
        trailers,
    ))
}

/// To the upstream and back. The head is copied only if a plugin on the way back wants to see it; then that one also
/// serves for a second try.
async fn send(
    run: &plugin::Run,
    record: &mut Record,
    route: &Route,
    request: plugin::Request,
    trailers: Trailers,
) -> Result<plugin::Response, Failure> {
    let host = host(route, &record.facts);
    let addressed = |head: RequestHead, body: Body| {
        let mut request = Request::new(body);
        *request.method_mut() = head.method;
        *request.uri_mut() = Uri::from(head.target);
        let headers = request.headers_mut();
        *headers = head.headers;
        fields::offer_trailers(headers, trailers);
        headers.insert(HOST, host.clone());
        request
    };
    let first = addressed(Arc::unwrap_or_clone(request.head), request.body);
    let kept = run.request();
    let again = kept.map(|kept| || addressed(RequestHead::clone(kept), Body::empty()));
    let again = again.as_ref().map(|again| again as &upstream::Again<'_>);
    record.trace.start = run.ended();
    let response = route.upstream.send(first, &mut record.trace, again).await;
    let (mut parts, body) = response.map_err(Failure::send)?.into_parts();
    fields::strip_response(&mut parts.headers);
    fields::add_via(&mut parts.headers, parts.version);
    let head = ResponseHead {
        status: parts.status,
        headers: parts.headers,
        from_upstream: true,
    };
    Ok(plugin::Response {
        head: Arc::new(head),
        body,
    })
}

fn host(route: &Route, facts: &Facts) -> HeaderValue {
    route.rewrite_host.clone().unwrap_or_else(|| {
        HeaderValue::from_str(&facts.authority).unwrap_or(HeaderValue::from_static(""))
    })
}

/// Hand the response to the client; from here the exchange lives in its body.
fn finish(mut exchange: Exchange, response: plugin::Response) -> Response<Body> {
    let plugin::Response { head, mut body } = response;
    let ResponseHead {
        status,
        mut headers,
        ..
    } = Arc::unwrap_or_clone(head);
    set_request_id(&mut headers, &exchange.record.facts.id);
    if exchange.record.facts.method == http::Method::HEAD && !body.is_end_stream() {
        // RFC 9110 9.3.2: the fields of a GET without its body. The length is known here and lost behind.
        if let Some(length) = body.size_hint().exact() {
            headers.entry(CONTENT_LENGTH).or_insert(length.into());
        }
        body = Body::empty();
    }
    if status == http::StatusCode::NO_CONTENT || status == http::StatusCode::NOT_MODIFIED {
        body = Body::empty();
    }
    if let Some(length) = body.size_hint().exact()
        && exchange.record.facts.method != http::Method::HEAD
        && status != http::StatusCode::NOT_MODIFIED
        && headers
            .get(CONTENT_LENGTH)
            .is_some_and(|told| *told != HeaderValue::from(length))
    {
        // What was told belongs to a body that a plugin has taken the place of.
        headers.remove(CONTENT_LENGTH);
    }
    exchange.sent(status, &mut headers);
    let mut to_client = Response::new(ResponseBody::wrap(body, exchange));
    *to_client.status_mut() = status;
    *to_client.headers_mut() = headers;
    to_client
}

fn set_request_id(headers: &mut http::HeaderMap, id: &str) {
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(X_REQUEST_ID, id);
    }
}
