//! The host side of `wit/`: what lies in an instance's store, and one file for each imported interface.
//!
//! A host function first [`enter`]s: that counts the call against its budget and finds the scene, which is there only
//! while a hook runs. So an instance reaches its own exchange and nothing else, whatever it kept from an earlier call.

mod http_client;
mod kv;
mod limiter;
mod log;
mod output;
mod presets;
mod respond;
mod types;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use wasmtime::component::{Linker, ResourceTable};
use wasmtime::{ResourceLimiter, StoreContextMut};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

pub use http_client::{Fetch, FetchCall, FetchFailure, FetchReply};
pub(super) use log::Rate as LogRate;

use super::answer::Answer;
use super::cpu::CpuClock;
use super::engine::{MAX_CORE_INSTANCES, MAX_MEMORIES, MAX_TABLE_ELEMENTS, MAX_TABLES};
use super::fault::Fault;
use super::head::{Changes, RequestHead, ResponseHead};
use super::instance::Side;
use super::names::Names;
use super::preset::Presets;
use super::spinning::Spinning;
use crate::config::PluginLimits;
use crate::observe::AccessLog;
use crate::observe::metrics::Counter;
use crate::state;

/// What a plugin entry has in common over all its instances.
pub(super) struct Entry {
    /// The plugin's name in the configuration.
    pub(super) name: Arc<str>,
    /// What a call may consume.
    pub(super) limits: PluginLimits,
    /// The key-value store, if granted.
    pub(super) kv: Option<state::Kv>,
    /// Token buckets, if granted.
    pub(super) limiter: Option<state::Limiter>,
    /// Calls to other services, if granted.
    pub(super) fetch: Option<Arc<dyn Fetch>>,
    /// Where raw lines go.
    pub(super) access_log: Arc<AccessLog>,
    /// What all its instances together may write to the log.
    pub(super) log_rate: LogRate,
    /// What they may write to the access log.
    pub(super) access_rate: LogRate,
    /// Counts what is more than that.
    pub(super) log_entries_dropped: Counter,
}

/// Whether a head may be changed in the hook that is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// It may.
    Edit,
    /// It has left already, or never can.
    Read,
}

/// What the running hook sees.
pub(super) struct Scene {
    /// The request.
    pub(super) request: Arc<RequestHead>,
    /// Whether it may be changed.
    pub(super) request_access: Access,
    /// The response, in response hooks.
    pub(super) response: Option<Arc<ResponseHead>>,
    /// Whether it may be changed.
    pub(super) response_access: Access,
    /// What the plugin's preset does to the response when it comes back.
    pub(super) preset: Option<Arc<Changes>>,
    /// What else the plugin has ordered. Boxed, since it is rare and a scene is moved about with every call.
    pub(super) orders: Option<Box<Orders>>,
    /// The plugin's place in the chain.
    pub(super) slot: usize,
}

/// What a hook wants done when it has ended.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// To the response when it comes back.
    pub(super) later: Changes,
    /// In place of whoever would answer.
    pub(super) answer: Answer,
}

impl Scene {
    /// To order something.
    pub(super) fn orders(&mut self) -> &mut Orders {
        self.orders.get_or_insert_default()
    }

    /// Whether the hook can put a response of its own in place of what is on the stage.
    pub(super) fn may_answer(&self) -> bool {
        match self.response {
            Some(_) => self.response_access == Access::Edit,
            None => self.request_access == Access::Edit,
        }
    }
}

/// What is left of one call's limits.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) host_calls: u32,
    pub(super) fetches: u32,
    /// CPU time.
    pub(super) time: Duration,
    /// When the call began.
    pub(super) started: Instant,
    pub(super) spinning: Option<Spinning>,
}

/// The data of an instance's store.
pub(super) struct Host {
    pub(super) entry: Arc<Entry>,
    pub(super) scene: Option<Scene>,
    pub(super) budget: Budget,
    pub(super) cpu: Arc<CpuClock>,
    pub(super) memory: MemoryCap,
    /// Names of header fields that the guest has used.
    pub(super) names: Names,
    /// What the guest has prepared.
    pub(super) presets: Presets,
    /// Shared with the streams behind stdout and stderr.
    pub(super) log_bytes: Arc<AtomicUsize>,
    wasi: WasiCtx,
    table: ResourceTable,
}

/// Bytes that a guest may ask of `wasi:random` at once: no deadline can stop the host while it makes them.
const MAX_RANDOM_BYTES: u64 = 64 * 1024;

/// Resources that WASI may hold for one instance: streams and timers.
const MAX_WASI_RESOURCES: usize = 64;

impl Host {
    pub(super) fn new(entry: &Arc<Entry>) -> Self {
        let log_bytes = Arc::new(AtomicUsize::new(entry.limits.log_bytes));
        let output = output::LogStream::new(Arc::clone(entry), Arc::clone(&log_bytes));
        // Clocks and randomness work; no file, socket, argument, variable or input is there.
        let wasi = WasiCtxBuilder::new()
            .stdout(output.clone())
            .stderr(output)
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .max_random_size(MAX_RANDOM_BYTES)
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_WASI_RESOURCES);
        Self {
            entry: Arc::clone(entry),
            scene: None,
            budget: Budget {
                host_calls: 0,
                fetches: 0,
                time: Duration::ZERO,
                started: Instant::now(),
                spinning: None,
            },
            cpu: Arc::default(),
            memory: MemoryCap {
                limit_bytes: entry.limits.memory_bytes,
                ..MemoryCap::default()
            },
            names: Names::default(),
            presets: Presets::default(),
            log_bytes,
            wasi,
            table,
        }
    }

    /// Begin a call that `started` now and may use so much CPU time.
    pub(super) fn begin(&mut self, time: Duration, started: Instant) {
        let limits = &self.entry.limits;
        self.budget = Budget {
            host_calls: limits.host_calls,
            fetches: limits.fetches,
            time,
            started,
            spinning: None,
        };
        self.log_bytes.store(limits.log_bytes, Ordering::Relaxed);
        self.memory.refused = false;
    }

    /// The hook on that side has ended by naming this preset.
    pub(super) fn apply_preset(&mut self, side: Side, number: u32) -> Result<(), Fault> {
        let preset = self.presets.get(number).ok_or_else(|| {
            Fault::Output(format!(
                "answered with preset {number}, which it has not prepared"
            ))
        })?;
        let scene =
            scene_of(self.scene.as_mut()).map_err(|error| Fault::Output(error.to_string()))?;
        let done = match side {
            Side::Request => preset.apply_to_request(scene),
            Side::Response => preset.apply_to_response(scene),
        };
        done.map_err(|error| Fault::Output(format!("its preset {number} is refused ({error:?})")))
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// The cap on an instance's memory and tables, all of its core modules together.
#[derive(Debug, Default)]
pub(super) struct MemoryCap {
    limit_bytes: usize,
    /// What all memories have grown to.
    pub(super) grown_bytes: usize,
    table_elements: usize,
    /// Whether growth was refused during this call, so that what follows can be told from an ordinary trap.
    pub(super) refused: bool,
}

impl MemoryCap {
    /// Count growth from `now` to `desired` within `limit`, if it stays within.
    fn grow(total: &mut usize, now: usize, desired: usize, limit: usize) -> bool {
        let grown = total.saturating_add(desired.saturating_sub(now));
        if grown <= limit {
            *total = grown;
        }
        grown <= limit
    }
}

impl ResourceLimiter for MemoryCap {
    fn memory_growing(
        &mut self,
        now: usize,
        desired: usize,
        _max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed = Self::grow(&mut self.grown_bytes, now, desired, self.limit_bytes);
        self.refused |= !allowed;
        Ok(allowed)
    }

    fn table_growing(
        &mut self,
        now: usize,
        desired: usize,
        _max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed = Self::grow(&mut self.table_elements, now, desired, MAX_TABLE_ELEMENTS);
        self.refused |= !allowed;
        Ok(allowed)
    }

    fn instances(&self) -> usize {
        MAX_CORE_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}

pub(super) type Ctx<'a> = StoreContextMut<'a, Host>;

/// Link everything that some plugin may import. What one plugin may import is decided when it is loaded.
pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    types::link(linker)?;
    log::link(linker)?;
    presets::link(linker)?;
    kv::link(linker)?;
    limiter::link(linker)?;
    http_client::link(linker)
}

/// Count a host call; an error ends the guest's call.
fn charge<'a>(store: &'a mut Ctx<'_>) -> wasmtime::Result<&'a mut Host> {
    let host = store.data_mut();
    match host.budget.host_calls.checked_sub(1) {
        Some(left) => host.budget.host_calls = left,
        None => {
            return Err(wasmtime::Error::new(Fault::HostCalls(
                host.entry.limits.host_calls,
            )));
        }
    }
    Ok(host)
}

/// Count a host call and find what the running hook sees.
fn enter<'a>(store: &'a mut Ctx<'_>) -> wasmtime::Result<&'a mut Scene> {
    let host = charge(store)?;
    scene_of(host.scene.as_mut())
}

fn scene_of<S>(scene: Option<S>) -> wasmtime::Result<S> {
    scene.ok_or_else(|| {
        wasmtime::Error::new(Fault::Output("used an exchange outside of a hook".into()))
    })
}
