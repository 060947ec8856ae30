//! `request.respond`: a plugin gives the response that it wants sent in place of whoever would answer.

use wasmtime::component::{LinkerInstance, Resource};

use super::super::answer::{Answer, Draft, Refusal};
use super::super::bindings::{EditError, Head, LocalResponse};
use super::super::chain::Response;
use super::{Ctx, Host, enter, scene_of};

pub(super) fn link(types: &mut LinkerInstance<'_, Host>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]request.respond",
        |mut store: Ctx<'_>, (_, local): (Resource<Head>, LocalResponse)| {
            let done = respond(&mut store, local);
            if let Err(error) = &done {
                // The guest's call ends here, and it meant to stop the exchange.
                let refused = Answer::Refused(format!("{error:#}"));
                scene_of(store.data_mut().scene.as_mut())?.orders().answer = refused;
            }
            done
        },
    )
}

fn respond(
    store: &mut Ctx<'_>,
    local: LocalResponse,
) -> wasmtime::Result<(Result<(), EditError>,)> {
    if !enter(store)?.may_answer() {
        return Ok((Err(EditError::ReadOnly),));
    }
    let made = make(store, local)?;
    let scene = scene_of(store.data_mut().scene.as_mut())?;
    Ok((scene.orders().answer.give(made),))
}

/// The inner result is for the guest, the outer one ends its call.
fn make(store: &Ctx<'_>, local: LocalResponse) -> wasmtime::Result<Result<Response, Refusal>> {
    let mut draft = match Draft::new(local.status, local.headers.len()) {
        Ok(draft) => draft,
        Err(refusal) => return Ok(Err(refusal)),
    };
    for header in &local.headers {
        let name = header.name.to_str(store)?;
        if let Err(refusal) = draft.append(&name, header.value.as_le_slice(store)) {
            return Ok(Err(refusal));
        }
    }
    Ok(Ok(draft.finish(local.body)))
}
