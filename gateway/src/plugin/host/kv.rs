//! `gateway:plugin/kv`: bytes by key, across exchanges and instances.

use std::time::Instant;

use wasmtime::component::Linker;

use super::super::bindings::{KvError, names};
use super::{Ctx, Host, charge};
use crate::state;

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut kv = linker.instance(names::KV)?;
    kv.func_wrap("get", |mut store: Ctx<'_>, (key,): (String,)| {
        let value = granted(&mut store)?
            .get(&key, Instant::now())
            .map_err(to_wire);
        Ok((value.map(|value| value.map(|value| value.to_vec())),))
    })?;
    kv.func_wrap(
        "set",
        |mut store: Ctx<'_>, (key, value, ttl): (String, Vec<u8>, Option<u64>)| {
            Ok((granted(&mut store)?
                .set(&key, &value, ttl, Instant::now())
                .map_err(to_wire),))
        },
    )?;
    kv.func_wrap("delete", |mut store: Ctx<'_>, (key,): (String,)| {
        Ok((granted(&mut store)?
            .delete(&key, Instant::now())
            .map_err(to_wire),))
    })?;
    kv.func_wrap(
        "compare-and-set",
        |mut store: Ctx<'_>,
         (key, expected, value, ttl): (String, Option<Vec<u8>>, Vec<u8>, Option<u64>)| {
            let kv = granted(&mut store)?;
            let done = kv.compare_and_set(&key, expected.as_deref(), &value, ttl, Instant::now());
            Ok((done.map_err(to_wire),))
        },
    )
}

fn granted<'a>(store: &'a mut Ctx<'_>) -> wasmtime::Result<&'a state::Kv> {
    let kv = charge(store)?.entry.kv.as_ref();
    kv.ok_or_else(|| wasmtime::Error::msg("kv is not granted"))
}

fn to_wire(error: state::KvError) -> KvError {
    match error {
        state::KvError::TooLarge => KvError::TooLarge,
        state::KvError::Full => KvError::Full,
        state::KvError::Unavailable(text) => KvError::Unavailable(text),
    }
}
