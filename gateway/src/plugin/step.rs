//! One plugin's part in an exchange: call its hooks on a message, and make of the answer what the chain goes on with.

use std::sync::Arc;
use std::time::Instant;

use http::{Method, StatusCode, header};

use super::answer::Answer;
use super::bindings::{BodyDecision, WireDecision};
use super::body::{Begun, CollectError, HookBody, Stage, Whole};
use super::chain::{ChainError, Response, Run};
use super::fault::Fault;
use super::head::{Changes, RequestHead, ResponseHead};
use super::hook::{head_hook, taken_down, whole_hook};
use super::host::{Access, Orders, Scene};
use super::instance::Side;
use super::interest::Interest;
use super::lease::{Hook, Lease};
use super::pool::{Policy, Pool, StreamPlace};
use crate::body::Body;
use crate::config::OnFault;

/// The request passes one plugin: its head, which the run has, and its body. The response, if the plugin answered. `now` is
/// the time, before and after.
pub(super) async fn request_step(
    run: &mut Run,
    slot: usize,
    pool: &Arc<Pool>,
    body: &mut Body,
    now: &mut Instant,
) -> Result<Option<Response>, ChainError> {
    if run.interests[slot].wants(Interest::REQUEST) {
        let original = (pool.on_fault() == OnFault::Skip).then(|| Arc::clone(run.head()));
        let mut stage = Some(scene_of_request(run.lend(), slot));
        let decision = head_hook(pool, Side::Request, &mut stage, now).await;
        let seen = taken_down(stage);
        run.give_back(seen.request);
        match settle(pool, decision)? {
            Some(WireDecision::Next | WireDecision::NextPreset(_)) => {
                keep(run, slot, seen.orders, seen.preset);
            }
            Some(WireDecision::NextWith(interest)) => {
                keep(run, slot, seen.orders, seen.preset);
                run.set_interest(slot, Interest::from(interest).and(pool.exports()));
            }
            Some(WireDecision::Respond) => return respond(pool, seen.orders).map(Some),
            None => {
                run.set_interest(slot, Interest::NONE);
                run.request = original.or(run.request.take());
            }
        }
    }
    if !run.interests[slot].wants(Interest::REQUEST_WHOLE.or(Interest::REQUEST_CHUNKS)) {
        return Ok(None);
    }
    // Rare and large, so kept out of every request's future.
    let step = Box::pin(request_body(run, slot, pool, body)).await;
    *now = Instant::now();
    step
}

async fn request_body(
    run: &mut Run,
    slot: usize,
    pool: &Arc<Pool>,
    body: &mut Body,
) -> Result<Option<Response>, ChainError> {
    if run.interests[slot].wants(Interest::REQUEST_WHOLE) {
        return request_whole(run, slot, pool, body).await;
    }
    if !http_body::Body::is_end_stream(body)
        && let Some(lease) = settle(pool, pool.lease_for_stream(Hook::RequestBody).await)?
    {
        let seen = scene(run.head(), Access::Read, None, slot);
        drop_length(run);
        *body = wrap(lease, seen, Side::Request, take(body));
    }
    Ok(None)
}

async fn request_whole(
    run: &mut Run,
    slot: usize,
    pool: &Arc<Pool>,
    body: &mut Body,
) -> Result<Option<Response>, ChainError> {
    let mut whole = collect(pool, take(body)).await?;
    let original = (pool.on_fault() == OnFault::Skip).then(|| Arc::clone(run.head()));
    let mut stage = Some(scene_of_request(run.lend(), slot));
    let decision = whole_hook(pool, Side::Request, &mut stage, &whole).await;
    let seen = taken_down(stage);
    run.give_back(seen.request);
    match settle(pool, decision)? {
        Some(BodyDecision::Pass) => keep(run, slot, seen.orders, seen.preset),
        None => {
            run.set_interest(slot, Interest::NONE);
            run.request = original.or(run.request.take());
        }
        Some(BodyDecision::Replace(data)) => {
            keep(run, slot, seen.orders, seen.preset);
            whole.data = data.into();
            drop_length(run);
        }
        Some(BodyDecision::Respond) => return respond(pool, seen.orders).map(Some),
    }
    *body = whole.into_body();
    Ok(None)
}

fn take(body: &mut Body) -> Body {
    std::mem::replace(body, Body::empty())
}

/// Keep what is to be done to the response when it passes this place.
fn keep(run: &mut Run, slot: usize, orders: Option<Box<Orders>>, preset: Option<Arc<Changes>>) {
    if let Some(orders) = orders.filter(|orders| !orders.later.is_empty()) {
        run.defer(slot, Arc::new(orders.later));
    }
    if let Some(preset) = preset {
        run.defer(slot, preset);
    }
}

/// The response passes a place that wants its header fields edited. Without room for that it is a fault.
pub(super) fn changed(
    pool: &Arc<Pool>,
    mut response: Response,
    changes: &Changes,
) -> Result<Response, ChainError> {
    let original = (pool.on_fault() == OnFault::Skip).then(|| Arc::clone(&response.head));
    let done = changes.apply(&mut Arc::make_mut(&mut response.head).headers);
    let done = done.map_err(|error| {
        Fault::Output(format!("its edits of the response are refused ({error:?})"))
    });
    if settle(pool, done)?.is_none()
        && let Some(original) = original
    {
        response.head = original;
    }
    Ok(response)
}

/// The request's body will have another length.
fn drop_length(run: &mut Run) {
    let mut head = run.lend();
    Arc::make_mut(&mut head)
        .headers
        .remove(header::CONTENT_LENGTH);
    run.give_back(head);
}

/// The response passes one plugin.
pub(super) async fn response_step(
    run: &mut Run,
    slot: usize,
    pool: &Arc<Pool>,
    request: &Arc<RequestHead>,
    mut response: Response,
    now: &mut Instant,
) -> Result<Response, ChainError> {
    if run.interests[slot].wants(Interest::RESPONSE) {
        let original = (pool.on_fault() == OnFault::Skip).then(|| Arc::clone(&response.head));
        let mut stage = Some(scene(request, Access::Read, Some(response.head), slot));
        let decision = head_hook(pool, Side::Response, &mut stage, now).await;
        let seen = taken_down(stage);
        let head = seen.response.ok_or_else(|| lost(pool))?;
        match settle(pool, decision)? {
            Some(WireDecision::Next | WireDecision::NextPreset(_)) => response.head = head,
            Some(WireDecision::NextWith(interest)) => {
                response.head = head;
                run.set_interest(slot, Interest::from(interest).and(pool.exports()));
            }
            Some(WireDecision::Respond) => return respond(pool, seen.orders),
            None => {
                run.set_interest(slot, Interest::NONE);
                response.head = original.unwrap_or(head);
            }
        }
    }
    let interest = run.interests[slot];
    if has_no_body(request, &response) {
        if interest.wants(Interest::RESPONSE_WHOLE.or(Interest::RESPONSE_CHUNKS)) {
            // RFC 9110 8.6: what a GET would say; the plugin might have changed it.
            Arc::make_mut(&mut response.head)
                .headers
                .remove(header::CONTENT_LENGTH);
        }
        return Ok(response);
    }
    if interest.wants(Interest::RESPONSE_WHOLE) {
        let step = Box::pin(response_whole(slot, pool, request, response)).await;
        *now = Instant::now();
        return step;
    }
    if !interest.wants(Interest::RESPONSE_CHUNKS) {
        return Ok(response);
    }
    let lease = pool.lease_for_stream(Hook::ResponseBody).await;
    *now = Instant::now();
    if let Some(lease) = settle(pool, lease)? {
        Arc::make_mut(&mut response.head)
            .headers
            .remove(header::CONTENT_LENGTH);
        let mut seen = scene(
            request,
            Access::Read,
            Some(Arc::clone(&response.head)),
            slot,
        );
        seen.response_access = Access::Read;
        response.body = wrap(lease, seen, Side::Response, response.body);
    }
    Ok(response)
}

async fn response_whole(
    slot: usize,
    pool: &Arc<Pool>,
    request: &Arc<RequestHead>,
    response: Response,
) -> Result<Response, ChainError> {
    let mut whole = collect(pool, response.body).await?;
    let original = (pool.on_fault() == OnFault::Skip).then(|| Arc::clone(&response.head));
    let mut stage = Some(scene(request, Access::Read, Some(response.head), slot));
    let decision = whole_hook(pool, Side::Response, &mut stage, &whole).await;
    let seen = taken_down(stage);
    let mut head = seen.response.ok_or_else(|| lost(pool))?;
    match settle(pool, decision)? {
        Some(BodyDecision::Pass) => {}
        None => head = original.unwrap_or(head),
        Some(BodyDecision::Replace(data)) => {
            whole.data = data.into();
            Arc::make_mut(&mut head)
                .headers
                .remove(header::CONTENT_LENGTH);
        }
        Some(BodyDecision::Respond) => return respond(pool, seen.orders),
    }
    Ok(Response {
        head,
        body: whole.into_body(),
    })
}

/// RFC 9112 6.3: no body follows, whatever the fields say.
fn has_no_body(request: &RequestHead, response: &Response) -> bool {
    let status = response.head.status;
    request.facts.method == Method::HEAD
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

fn scene_of_request(head: Arc<RequestHead>, slot: usize) -> Scene {
    Scene {
        request: head,
        request_access: Access::Edit,
        response: None,
        response_access: Access::Read,
        preset: None,
        orders: None,
        slot,
    }
}

/// What a hook sees that may not change the request.
pub(super) fn scene(
    request: &Arc<RequestHead>,
    request_access: Access,
    response: Option<Arc<ResponseHead>>,
    slot: usize,
) -> Scene {
    Scene {
        request: Arc::clone(request),
        request_access,
        response,
        response_access: Access::Edit,
        preset: None,
        orders: None,
        slot,
    }
}

async fn collect(pool: &Arc<Pool>, body: Body) -> Result<Whole, ChainError> {
    let limit_bytes = pool.buffered_body_bytes();
    Whole::collect(body, limit_bytes)
        .await
        .map_err(|error| match error {
            CollectError::TooLarge => ChainError::TooLarge {
                plugin: pool.name().clone(),
                limit_bytes,
            },
            CollectError::Body(error) => ChainError::Body(error),
        })
}

fn wrap(
    (lease, place): (Lease<'static>, StreamPlace),
    scene: Scene,
    side: Side,
    body: Body,
) -> Body {
    HookBody::wrap(
        body,
        Stage {
            lease,
            place,
            scene,
            side,
            begun: Begun::NotYet,
        },
    )
}

/// What a call's end means by the plugin's policy: `None` is a fault that is skipped.
fn settle<T>(pool: &Arc<Pool>, result: Result<T, Fault>) -> Result<Option<T>, ChainError> {
    let fault = match result {
        Ok(value) => return Ok(Some(value)),
        Err(fault) => fault,
    };
    match pool.on_fault() {
        // A plugin that is only left alone for a moment must not be got around by whoever brought that about.
        OnFault::Skip if fault != Fault::Suspended => {
            pool.report(&fault, Policy::Skipped);
            Ok(None)
        }
        OnFault::Skip | OnFault::Deny => {
            pool.report(&fault, Policy::Denied);
            Err(ChainError::Fault {
                plugin: pool.name().clone(),
                fault,
            })
        }
    }
}

/// The response that a hook has given. What is wrong with it is a fault, and one that can't be skipped: the plugin meant
/// to stop the exchange here.
fn respond(pool: &Arc<Pool>, orders: Option<Box<Orders>>) -> Result<Response, ChainError> {
    let fault = match orders.unwrap_or_default().answer {
        Answer::Given(response) => return Ok(*response),
        Answer::Refused(fault) => fault,
        Answer::None => Fault::Output("answered `respond` without a response".into()),
    };
    pool.report(&fault, Policy::Denied);
    Err(ChainError::Fault {
        plugin: pool.name().clone(),
        fault,
    })
}

fn lost(pool: &Pool) -> ChainError {
    let fault = Fault::Output("the response head was lost".into());
    ChainError::Fault {
        plugin: pool.name().clone(),
        fault,
    }
}
