//! `gateway:plugin/presets`: what an instance does to many exchanges alike, handed over once.

use std::sync::Arc;

use wasmtime::component::Linker;

use super::super::bindings::{Edit, EditError, GuestPreset, names};
use super::super::head::Changes;
use super::super::notes::Attribute;
use super::super::preset::Preset;
use super::types::read_change;
use super::{Ctx, Host, charge};

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.instance(names::PRESETS)?.func_wrap(
        "prepare",
        |mut store: Ctx<'_>, (guest,): (GuestPreset,)| {
            charge(&mut store)?;
            let number = match read(&store, &guest)? {
                Ok(preset) => store.data_mut().presets.add(preset),
                Err(error) => Err(error),
            };
            Ok((number,))
        },
    )
}

/// The inner result is for the guest, the outer one ends its call.
fn read(store: &Ctx<'_>, guest: &GuestPreset) -> wasmtime::Result<Result<Preset, EditError>> {
    let mut attributes = Vec::new();
    for attribute in &guest.attributes {
        let (name, value) = (
            attribute.name.to_str(store)?,
            attribute.value.to_str(store)?,
        );
        match Attribute::checked(&name, &value) {
            Ok(attribute) => attributes.push(Arc::new(attribute)),
            Err(error) => return Ok(Err(error)),
        }
    }
    let request = read_changes(store, &guest.request_edits)?;
    let response = read_changes(store, &guest.response_edits)?;
    Ok(request.and_then(|request| {
        Ok(Preset {
            request,
            response: Arc::new(response?),
            attributes,
        })
    }))
}

fn read_changes(store: &Ctx<'_>, edits: &[Edit]) -> wasmtime::Result<Result<Changes, EditError>> {
    let mut changes = Changes::default();
    for edit in edits {
        let change = read_change(store, edit)?;
        if let Err(error) = change.and_then(|change| changes.push(change)) {
            return Ok(Err(error));
        }
    }
    Ok(Ok(changes))
}
