//! `gateway:plugin/types`: the request and response resources.
//!
//! Names and values that come from the guest are read where they lie in its memory; only what is kept is copied.

use std::sync::Arc;

use http::HeaderMap;
use wasmtime::component::{Linker, LinkerInstance, Resource, ResourceType, WasmList, WasmStr};

use super::super::bindings::{Edit, EditError, GuestHeader, Head, Header, WireCertificate, names};
use super::super::head::{self, Change, Field, MAX_HEADERS, RequestHead, ResponseHead};
use super::super::instance::Side;
use super::super::notes::Attribute;
use super::{Access, Ctx, Host, Scene, enter, respond, scene_of};

type This = Resource<Head>;

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut types = linker.instance(names::TYPES)?;
    types.resource("request", ResourceType::host::<Head>(), |_, _| Ok(()))?;
    types.resource("response", ResourceType::host::<Head>(), |_, _| Ok(()))?;
    link_request_reads(&mut types)?;
    link_request_edits(&mut types)?;
    link_response_edits(&mut types)?;
    link_notes(&mut types)?;
    link_status(&mut types)?;
    respond::link(&mut types)?;
    for (side, resource) in [(Side::Request, "request"), (Side::Response, "response")] {
        link_header_reads(&mut types, side, resource)?;
        link_header_edits(&mut types, side, resource)?;
    }
    Ok(())
}

fn link_request_reads(types: &mut LinkerInstance<'_, Host>) -> wasmtime::Result<()> {
    types.func_wrap("[method]request.id", |mut store: Ctx<'_>, (_,): (This,)| {
        Ok((enter(&mut store)?.request.facts.id.clone(),))
    })?;
    types.func_wrap(
        "[method]request.method",
        |mut store: Ctx<'_>, (_,): (This,)| {
            Ok((enter(&mut store)?.request.method.as_str().to_owned(),))
        },
    )?;
    types.func_wrap(
        "[method]request.scheme",
        |mut store: Ctx<'_>, (_,): (This,)| {
            Ok((enter(&mut store)?.request.facts.scheme.to_owned(),))
        },
    )?;
    types.func_wrap(
        "[method]request.authority",
        |mut store: Ctx<'_>, (_,): (This,)| {
            Ok((enter(&mut store)?.request.facts.authority.clone(),))
        },
    )?;
    types.func_wrap(
        "[method]request.path",
        |mut store: Ctx<'_>, (_,): (This,)| {
            Ok((enter(&mut store)?.request.target.path().to_owned(),))
        },
    )?;
    types.func_wrap(
        "[method]request.original-path",
        |mut store: Ctx<'_>, (_,): (This,)| {
            Ok((enter(&mut store)?.request.facts.target.path().to_owned(),))
        },
    )?;
    types.func_wrap(
        "[method]request.query",
        |mut store: Ctx<'_>, (_,): (This,)| {
            Ok((enter(&mut store)?.request.target.query().map(str::to_owned),))
        },
    )?;
    types.func_wrap(
        "[method]request.client-ip",
        |mut store: Ctx<'_>, (_,): (This,)| {
            Ok((enter(&mut store)?.request.facts.client_ip.to_string(),))
        },
    )?;
    types.func_wrap(
        "[method]request.client-certificate",
        |mut store: Ctx<'_>, (_,): (This,)| {
            let shown = &enter(&mut store)?.request.facts.client_certificate;
            Ok((shown.as_deref().map(WireCertificate::from),))
        },
    )?;
    types.func_wrap(
        "[method]request.route",
        |mut store: Ctx<'_>, (_,): (This,)| {
            Ok((enter(&mut store)?.request.facts.route.to_string(),))
        },
    )?;
    types.func_wrap(
        "[method]request.param",
        |mut store: Ctx<'_>, (_, name): (This, WasmStr)| {
            enter(&mut store)?;
            let name = name.to_str(&store)?;
            let params = &scene(&store)?.request.facts.params;
            let found = params.iter().find(|(known, _)| **known == *name);
            Ok((found.map(|(_, value)| value.clone()),))
        },
    )
}

fn link_request_edits(types: &mut LinkerInstance<'_, Host>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]request.set-method",
        |mut store: Ctx<'_>, (_, method): (This, WasmStr)| {
            enter(&mut store)?;
            let method = method.to_str(&store)?.into_owned();
            Ok((edit_request(&mut store, |request| {
                request.set_method(&method)
            })?,))
        },
    )?;
    types.func_wrap(
        "[method]request.set-path",
        |mut store: Ctx<'_>, (_, path): (This, WasmStr)| {
            enter(&mut store)?;
            let path = path.to_str(&store)?.into_owned();
            Ok((edit_request(&mut store, |request| request.set_path(&path))?,))
        },
    )?;
    types.func_wrap(
        "[method]request.set-query",
        |mut store: Ctx<'_>, (_, query): (This, Option<WasmStr>)| {
            enter(&mut store)?;
            let query = match query {
                Some(query) => Some(query.to_str(&store)?.into_owned()),
                None => None,
            };
            Ok((edit_request(&mut store, |request| {
                request.set_query(query.as_deref())
            })?,))
        },
    )
}

fn link_notes(types: &mut LinkerInstance<'_, Host>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]request.state",
        |mut store: Ctx<'_>, (_,): (This,)| {
            let scene = enter(&mut store)?;
            Ok((scene
                .request
                .facts
                .state(scene.slot)
                .map(|state| state.to_vec()),))
        },
    )?;
    types.func_wrap(
        "[method]request.set-state",
        |mut store: Ctx<'_>, (_, state): (This, WasmList<u8>)| {
            enter(&mut store)?;
            let scene = scene(&store)?;
            Ok((scene
                .request
                .facts
                .set_state(scene.slot, state.as_le_slice(&store)),))
        },
    )?;
    types.func_wrap(
        "[method]request.attribute",
        |mut store: Ctx<'_>, (_, name): (This, WasmStr)| {
            enter(&mut store)?;
            let name = name.to_str(&store)?;
            Ok((scene(&store)?.request.facts.attribute(&name),))
        },
    )?;
    types.func_wrap(
        "[method]request.set-attribute",
        |mut store: Ctx<'_>, (_, name, value): (This, WasmStr, WasmStr)| {
            enter(&mut store)?;
            let (name, value) = (name.to_str(&store)?, value.to_str(&store)?);
            let facts = &scene(&store)?.request.facts;
            let attribute = Attribute::checked(&name, &value);
            Ok((attribute.and_then(|attribute| facts.share(Arc::new(attribute))),))
        },
    )
}

fn link_status(types: &mut LinkerInstance<'_, Host>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]response.status",
        |mut store: Ctx<'_>, (_,): (This,)| {
            Ok((scene_of(enter(&mut store)?.response.as_ref())?
                .status
                .as_u16(),))
        },
    )?;
    types.func_wrap(
        "[method]response.from-upstream",
        |mut store: Ctx<'_>, (_,): (This,)| {
            Ok((scene_of(enter(&mut store)?.response.as_ref())?.from_upstream,))
        },
    )?;
    types.func_wrap(
        "[method]response.set-status",
        |mut store: Ctx<'_>, (_, status): (This, u16)| {
            let scene = enter(&mut store)?;
            Ok((open_response(scene)?.and_then(|response| response.set_status(status)),))
        },
    )
}

fn link_header_reads(
    types: &mut LinkerInstance<'_, Host>,
    side: Side,
    resource: &str,
) -> wasmtime::Result<()> {
    types.func_wrap(
        &format!("[method]{resource}.header"),
        move |mut store: Ctx<'_>, (_, name): (This, WasmStr)| {
            enter(&mut store)?;
            let name = name.to_str(&store)?;
            let value = headers(scene(&store)?, side)?.get(&*name);
            Ok((value.map(|value| value.as_bytes().to_vec()),))
        },
    )?;
    types.func_wrap(
        &format!("[method]{resource}.header-values"),
        move |mut store: Ctx<'_>, (_, name): (This, WasmStr)| {
            enter(&mut store)?;
            let name = name.to_str(&store)?;
            let values = headers(scene(&store)?, side)?.get_all(&*name);
            let values = values.iter().map(|value| value.as_bytes().to_vec());
            Ok((values.collect::<Vec<_>>(),))
        },
    )?;
    types.func_wrap(
        &format!("[method]{resource}.headers"),
        move |mut store: Ctx<'_>, (_,): (This,)| {
            let scene = enter(&mut store)?;
            let all = headers(scene, side)?.iter().map(|(name, value)| Header {
                name: name.as_str().to_owned(),
                value: value.as_bytes().to_vec(),
            });
            Ok((all.collect::<Vec<_>>(),))
        },
    )
}

fn link_header_edits(
    types: &mut LinkerInstance<'_, Host>,
    side: Side,
    resource: &str,
) -> wasmtime::Result<()> {
    type Put = fn(&mut HeaderMap, Field) -> Result<(), EditError>;
    let puts: [(&str, Put); 2] = [("set", head::set_header), ("append", head::append_header)];
    for (verb, put) in puts {
        types.func_wrap(
            &format!("[method]{resource}.{verb}-header"),
            move |mut store: Ctx<'_>, (_, name, value): (This, WasmStr, WasmList<u8>)| {
                enter(&mut store)?;
                let field = field(&store, &name, &value)?;
                let scene = scene_of(store.data_mut().scene.as_mut())?;
                Ok((edit_headers(scene, side, |headers| put(headers, field?))?,))
            },
        )?;
    }
    types.func_wrap(
        &format!("[method]{resource}.remove-header"),
        move |mut store: Ctx<'_>, (_, name): (This, WasmStr)| {
            enter(&mut store)?;
            let name = store.data().names.to_edit(&name.to_str(&store)?);
            let scene = scene_of(store.data_mut().scene.as_mut())?;
            Ok((edit_headers(scene, side, |headers| {
                head::remove_header(headers, &name?);
                Ok(())
            })?,))
        },
    )?;
    types.func_wrap(
        &format!("[method]{resource}.edit-headers"),
        move |mut store: Ctx<'_>, (_, edits): (This, Vec<Edit>)| {
            enter(&mut store)?;
            if edits.len() > MAX_HEADERS {
                return Ok((Err(EditError::TooLarge),));
            }
            for edit in &edits {
                let change = read_change(&store, edit)?;
                let scene = scene_of(store.data_mut().scene.as_mut())?;
                let done = edit_headers(scene, side, |headers| change?.apply(headers))?;
                if done.is_err() {
                    return Ok((done,));
                }
            }
            Ok((Ok(()),))
        },
    )
}

fn link_response_edits(types: &mut LinkerInstance<'_, Host>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]request.edit-response-headers",
        |mut store: Ctx<'_>, (_, edits): (This, Vec<Edit>)| {
            if enter(&mut store)?.request_access == Access::Read {
                return Ok((Err(EditError::ReadOnly),));
            }
            for edit in &edits {
                let change = read_change(&store, edit)?;
                let scene = scene_of(store.data_mut().scene.as_mut())?;
                let done = change.and_then(|change| scene.orders().later.push(change));
                if done.is_err() {
                    return Ok((done,));
                }
            }
            Ok((Ok(()),))
        },
    )
}

/// An edit, read where it lies in the guest's memory. The inner result is for the guest, the outer one ends its call.
pub(super) fn read_change(
    store: &Ctx<'_>,
    edit: &Edit,
) -> wasmtime::Result<Result<Change, EditError>> {
    let field = |header: &GuestHeader| field(store, &header.name, &header.value);
    Ok(match edit {
        Edit::Set(header) => field(header)?.map(Change::Set),
        Edit::Append(header) => field(header)?.map(Change::Append),
        Edit::Remove(name) => {
            let names = &store.data().names;
            names.to_edit(&name.to_str(store)?).map(Change::Remove)
        }
    })
}

fn field(
    store: &Ctx<'_>,
    name: &WasmStr,
    value: &WasmList<u8>,
) -> wasmtime::Result<Result<Field, EditError>> {
    let name = store.data().names.to_edit(&name.to_str(store)?);
    Ok(name.and_then(|name| Field::new(name, value.as_le_slice(store))))
}

fn scene<'a>(store: &'a Ctx<'_>) -> wasmtime::Result<&'a Scene> {
    scene_of(store.data().scene.as_ref())
}

fn headers(scene: &Scene, side: Side) -> wasmtime::Result<&HeaderMap> {
    match side {
        Side::Request => Ok(&scene.request.headers),
        Side::Response => Ok(&scene_of(scene.response.as_ref())?.headers),
    }
}

/// The inner result is for the guest, the outer one ends its call.
type Edited = wasmtime::Result<Result<(), EditError>>;

fn edit_headers(
    scene: &mut Scene,
    side: Side,
    edit: impl FnOnce(&mut HeaderMap) -> Result<(), EditError>,
) -> Edited {
    match side {
        Side::Request => Ok(open_request(scene).and_then(|request| edit(&mut request.headers))),
        Side::Response => {
            Ok(open_response(scene)?.and_then(|response| edit(&mut response.headers)))
        }
    }
}

fn edit_request(
    store: &mut Ctx<'_>,
    edit: impl FnOnce(&mut RequestHead) -> Result<(), EditError>,
) -> Edited {
    let scene = scene_of(store.data_mut().scene.as_mut())?;
    Ok(open_request(scene).and_then(edit))
}

/// The request to change. It is copied first if somebody else still needs it as it was.
fn open_request(scene: &mut Scene) -> Result<&mut RequestHead, EditError> {
    match scene.request_access {
        Access::Edit => Ok(Arc::make_mut(&mut scene.request)),
        Access::Read => Err(EditError::ReadOnly),
    }
}

fn open_response(scene: &mut Scene) -> wasmtime::Result<Result<&mut ResponseHead, EditError>> {
    let response = scene_of(scene.response.as_mut())?;
    Ok(match scene.response_access {
        Access::Edit => Ok(Arc::make_mut(response)),
        Access::Read => Err(EditError::ReadOnly),
    })
}
