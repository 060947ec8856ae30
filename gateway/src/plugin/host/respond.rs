//! `request.respond`: a plugin gives the response that it wants sent in place of whoever would answer.

use wasmtime::component::{LinkerInstance, Resource};

use super::super::answer::{Answer, Draft, Refusal};
use super::super::bindings::{EditError, GuestHeader, Head, LocalResponse};
use super::super::chain::Response;
use super::super::fault::Fault;
use super::{Ctx, Host, enter, scene_of};

pub(super) fn link(types: &mut LinkerInstance<'_, Host>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]request.respond",
        |mut store: Ctx<'_>, (_, local): (Resource<Head>, LocalResponse)| {
            let done = respond(&mut store, &local);
            if let Err(error) = &done {
                // The guest's call ends here, and it meant to stop the exchange.
                let fault = error.downcast_ref::<Fault>().cloned();
                let fault = fault.unwrap_or_else(|| Fault::Output(error.to_string()));
                scene_of(store.data_mut().scene.as_mut())?.orders().answer = Answer::Refused(fault);
            }
            done
        },
    )
}

fn respond(
    store: &mut Ctx<'_>,
    local: &LocalResponse,
) -> wasmtime::Result<(Result<(), EditError>,)> {
    if !enter(store)?.may_answer() {
        return Ok((Err(EditError::ReadOnly),));
    }
    let made = make(store, local)?;
    let scene = scene_of(store.data_mut().scene.as_mut())?;
    Ok((scene.orders().answer.give(made),))
}

/// The inner result is for the guest, the outer one ends its call. Lists are read where they lie, so that what is too much is
/// found here and not before the call has come to be.
fn make(store: &mut Ctx<'_>, local: &LocalResponse) -> wasmtime::Result<Result<Response, Refusal>> {
    let mut draft = match Draft::new(local.status, local.headers.len()) {
        Ok(draft) => draft,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let headers = local.headers.iter(&mut *store)?;
    let headers = headers.collect::<wasmtime::Result<Vec<GuestHeader>>>()?;
    let body = local.body.as_le_slice(&*store);
    let mut bytes = body.len();
    for header in &headers {
        let (name, value) = (
            header.name.to_str(&*store)?,
            header.value.as_le_slice(&*store),
        );
        bytes += name.len() + value.len();
        if let Err(refusal) = draft.append(&name, value) {
            return Ok(Err(refusal));
        }
    }
    if bytes > store.data().entry.limits.output_bytes {
        return Err(wasmtime::Error::msg(
            "a response of more than `limits.output`",
        ));
    }
    Ok(Ok(draft.finish(body.to_vec())))
}
