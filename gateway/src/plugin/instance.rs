//! One instance of a plugin: a store with its guest, and the hook functions found in it.
//!
//! Every call goes through [`Instance::call`]: it gives the guest its budget, runs it on a fiber so that it can wait and
//! be made to yield, and turns whatever goes wrong into a [`Fault`]. After a fault the instance must be dropped.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wasmtime::component::{
    ComponentExportIndex, ComponentNamedList, Instance as GuestInstance, Lift, Lower, Resource,
    TypedFunc,
};
use wasmtime::{Engine, Store, Trap, UpdateDeadline};

use super::bindings::{BodyDecision, ChunkDecision, Head, LogEntry, WireDecision, WireInterest};
use super::component::Loaded;
use super::cpu::CpuClock;
use super::fault::Fault;
use super::host::{Entry, Host, Scene};
use super::interest::Interest;
use super::spinning::Spinning;
use crate::observe::escape::escape;

/// Calls after which an instance is retired, so that whatever it leaks stays bounded; less up to a quarter, so that
/// instances that began together do not end together.
const RETIRE_AFTER_CALLS: u32 = 100_000;

/// Handles that a guest may hold at once: two heads, and what WASI gives it.
const MAX_HANDLES: usize = 128;

type Borrowed = Resource<Head>;
type RequestFunc = TypedFunc<(Borrowed,), (WireDecision,)>;
type RequestChunkFunc = TypedFunc<(Borrowed, Bytes, bool), (ChunkDecision,)>;
type RequestWholeFunc = TypedFunc<(Borrowed, Bytes), (BodyDecision,)>;
type ResponseFunc = TypedFunc<(Borrowed, Borrowed), (WireDecision,)>;
type ResponseChunkFunc = TypedFunc<(Borrowed, Borrowed, Bytes, bool), (ChunkDecision,)>;
type ResponseWholeFunc = TypedFunc<(Borrowed, Borrowed, Bytes), (BodyDecision,)>;
type LogFunc = TypedFunc<(Borrowed, Arc<LogEntry>), ()>;
type InitFunc = TypedFunc<(String,), (Result<WireInterest, String>,)>;

/// A guest and its store.
pub(super) struct Instance {
    store: Store<Host>,
    cpu: Arc<CpuClock>,
    hooks: Hooks,
    /// What the plugin declared at `init`.
    pub(super) declared: Interest,
    /// Calls that it may still serve.
    calls_left: u32,
    /// CPU time that its start took.
    start_cost: Duration,
}

#[derive(Default)]
struct Hooks {
    on_request: Option<RequestFunc>,
    on_request_chunk: Option<RequestChunkFunc>,
    on_request_whole: Option<RequestWholeFunc>,
    on_response: Option<ResponseFunc>,
    on_response_chunk: Option<ResponseChunkFunc>,
    on_response_whole: Option<ResponseWholeFunc>,
    on_log: Option<LogFunc>,
}

/// Which way a hook looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// From the client to the upstream.
    Request,
    /// From the upstream to the client.
    Response,
}

/// Why a fresh instance could not be had.
#[derive(Debug)]
pub(super) enum StartError {
    /// The plugin said no to its configuration.
    Refused(String),
    /// It went wrong before that.
    Fault(Fault),
    /// A function has another type than the contract says.
    Contract(String),
}

impl Instance {
    /// Instantiate, and hand over the configuration.
    pub(super) async fn start(
        engine: &Engine,
        loaded: &Loaded,
        entry: &Arc<Entry>,
        config: &str,
    ) -> Result<Self, StartError> {
        let mut store = new_store(engine, entry);
        let cpu = Arc::clone(&store.data().cpu);
        let started = Instant::now();
        cpu.begin();
        store.data_mut().begin(entry.limits.init_time, started);
        store.set_epoch_deadline(1);
        let made = {
            let making = pin!(loaded.pre.instantiate_async(&mut store));
            within(entry.limits.wall_time, pin!(cpu.count(started, making))).await
        };
        let instance = match made {
            Ok(Ok(instance)) => instance,
            Ok(Err(error)) => {
                return Err(StartError::Fault(
                    match fault_of(&store, &error, entry.limits.init_time) {
                        // Before the guest runs there is no output of its; this is no room for another instance.
                        Fault::Output(text) => Fault::Start(text),
                        fault => fault,
                    },
                ));
            }
            Err(fault) => return Err(StartError::Fault(fault)),
        };
        let contract = |error: wasmtime::Error| StartError::Contract(format!("{error:#}"));
        let made_in = cpu.lap(started);
        let hooks = Hooks::of(loaded, &instance, &mut store).map_err(contract)?;
        let init: InitFunc = instance
            .get_typed_func(&mut store, loaded.init)
            .map_err(contract)?;
        let mut instance = Self {
            store,
            cpu,
            hooks,
            declared: Interest::NONE,
            calls_left: calls_of_a_life(),
            start_cost: Duration::ZERO,
        };
        let begun = Instant::now();
        let answer = instance
            .call(&init, (config.to_owned(),), entry.limits.init_time, begun)
            .await
            .map_err(StartError::Fault)?;
        let declared = answer.0.map_err(StartError::Refused)?;
        instance.declared = Interest::from(declared).and(loaded.hooks);
        instance.start_cost = made_in + instance.cpu.lap(begun);
        Ok(instance)
    }

    /// Show the guest what the next hook is about; afterwards, what it has made of it comes back, also after a fault.
    pub(super) fn swap_scene(&mut self, stage: &mut Option<Scene>) {
        std::mem::swap(&mut self.store.data_mut().scene, stage);
    }

    /// Call `handle` of `on-request` or `on-response` on the stage; it has `started` then.
    pub(super) async fn head(
        &mut self,
        side: Side,
        started: Instant,
    ) -> Result<WireDecision, Fault> {
        let time = self.time();
        let (answer,) = match (side, self.hooks.on_request, self.hooks.on_response) {
            (Side::Request, Some(hook), _) => self.call(&hook, (request(),), time, started).await?,
            (Side::Response, _, Some(hook)) => {
                self.call(&hook, (request(), response()), time, started)
                    .await?
            }
            _ => (WireDecision::Next,),
        };
        if let WireDecision::NextPreset(number) = answer {
            self.store.data_mut().apply_preset(side, number)?;
        }
        Ok(answer)
    }

    /// Call `chunk` of `on-request-body` or `on-response-body` on the stage.
    pub(super) async fn chunk(
        &mut self,
        side: Side,
        data: Bytes,
        end: bool,
        started: Instant,
    ) -> Result<ChunkDecision, Fault> {
        let time = self.time();
        let hooks = (self.hooks.on_request_chunk, self.hooks.on_response_chunk);
        let (answer,) = match (side, hooks) {
            (Side::Request, (Some(hook), _)) => {
                self.call(&hook, (request(), data, end), time, started)
                    .await?
            }
            (Side::Response, (_, Some(hook))) => {
                let params = (request(), response(), data, end);
                self.call(&hook, params, time, started).await?
            }
            _ => (ChunkDecision::Pass,),
        };
        Ok(answer)
    }

    /// Call `whole` of `on-request-body` or `on-response-body` on the stage.
    pub(super) async fn whole(
        &mut self,
        side: Side,
        body: Bytes,
        started: Instant,
    ) -> Result<BodyDecision, Fault> {
        let time = self.time();
        let hooks = (self.hooks.on_request_whole, self.hooks.on_response_whole);
        let (answer,) = match (side, hooks) {
            (Side::Request, (Some(hook), _)) => {
                self.call(&hook, (request(), body), time, started).await?
            }
            (Side::Response, (_, Some(hook))) => {
                let params = (request(), response(), body);
                self.call(&hook, params, time, started).await?
            }
            _ => (BodyDecision::Pass,),
        };
        Ok(answer)
    }

    /// Call `handle` of `on-log` on the stage.
    pub(super) async fn log(
        &mut self,
        entry: Arc<LogEntry>,
        started: Instant,
    ) -> Result<(), Fault> {
        let Some(hook) = self.hooks.on_log else {
            return Ok(());
        };
        self.call(&hook, (request(), entry), self.time(), started)
            .await
    }

    /// Whether it has served long enough.
    pub(super) fn is_old(&self) -> bool {
        self.calls_left == 0
    }

    /// Bytes of linear memory that the guest has grown to.
    pub(super) fn memory_bytes(&self) -> usize {
        self.store.data().memory.grown_bytes
    }

    /// CPU time that it has cost to start it, and to make the call that `started` then and ends now.
    pub(super) fn cost(&self, started: Instant) -> Duration {
        self.start_cost + self.cpu.lap(started)
    }

    /// CPU time of a hook.
    fn time(&self) -> Duration {
        self.store.data().entry.limits.time
    }

    /// Run the guest. Most calls return at the first poll and need no timer.
    async fn call<P, R>(
        &mut self,
        function: &TypedFunc<P, R>,
        params: P,
        time: Duration,
        started: Instant,
    ) -> Result<R, Fault>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        self.calls_left = self.calls_left.saturating_sub(1);
        self.store.data_mut().begin(time, started);
        self.cpu.begin();
        self.store.set_epoch_deadline(1);
        let wall_time = self.store.data().entry.limits.wall_time;
        let answer = {
            let mut call = pin!(function.call_async(&mut self.store, params));
            match poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await {
                Poll::Ready(answer) => answer,
                Poll::Pending => within(wall_time, pin!(self.cpu.count(started, call))).await?,
            }
        };
        self.store.data_mut().budget.spinning = None;
        answer.map_err(|error| fault_of(&self.store, &error, time))
    }
}

impl Hooks {
    fn of(
        loaded: &Loaded,
        instance: &GuestInstance,
        store: &mut Store<Host>,
    ) -> wasmtime::Result<Self> {
        let exports = &loaded.exports;
        Ok(Self {
            on_request: typed(instance, store, exports.on_request.as_ref())?,
            on_request_chunk: typed(instance, store, exports.on_request_chunk.as_ref())?,
            on_request_whole: typed(instance, store, exports.on_request_whole.as_ref())?,
            on_response: typed(instance, store, exports.on_response.as_ref())?,
            on_response_chunk: typed(instance, store, exports.on_response_chunk.as_ref())?,
            on_response_whole: typed(instance, store, exports.on_response_whole.as_ref())?,
            on_log: typed(instance, store, exports.on_log.as_ref())?,
        })
    }
}

fn typed<P, R>(
    instance: &GuestInstance,
    store: &mut Store<Host>,
    export: Option<&ComponentExportIndex>,
) -> wasmtime::Result<Option<TypedFunc<P, R>>>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    export
        .map(|export| instance.get_typed_func(&mut *store, export))
        .transpose()
}

fn request() -> Borrowed {
    Resource::new_borrow(0)
}

fn response() -> Borrowed {
    Resource::new_borrow(1)
}

fn new_store(engine: &Engine, entry: &Arc<Entry>) -> Store<Host> {
    let mut store = Store::new(engine, Host::new(entry));
    store.limiter(|host| &mut host.memory);
    store.set_hostcall_fuel(entry.limits.output_bytes);
    store.set_max_component_handles(MAX_HANDLES);
    store.epoch_deadline_callback(|mut store| {
        let Host { budget, cpu, .. } = store.data_mut();
        let used = cpu.lap(budget.started);
        if used >= budget.time {
            return Ok(UpdateDeadline::Interrupt);
        }
        let spinning = budget.spinning.get_or_insert_with(Spinning::begin);
        Ok(UpdateDeadline::YieldCustom(1, spinning.pause(used)))
    });
    store
}

fn calls_of_a_life() -> u32 {
    static MADE: AtomicU32 = AtomicU32::new(0);
    // Odd and far from any power of two, so that neighbours fall far apart.
    let spread = MADE.fetch_add(1, Ordering::Relaxed).wrapping_mul(7919) % (RETIRE_AFTER_CALLS / 4);
    RETIRE_AFTER_CALLS - spread
}

/// Wait, but not for ever. By reference, since the future of a call is large.
async fn within<F: Future>(limit: Duration, future: Pin<&mut F>) -> Result<F::Output, Fault> {
    tokio::time::timeout(limit, future)
        .await
        .map_err(|_| Fault::WallTime(limit))
}

fn fault_of(store: &Store<Host>, error: &wasmtime::Error, time: Duration) -> Fault {
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return fault.clone();
    }
    let host = store.data();
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => Fault::Time(time),
        Some(Trap::StackOverflow) => Fault::Stack,
        // An allocator that is refused memory ends in `unreachable`; only the refusal tells it from a panic.
        _ if host.memory.refused => Fault::Memory(host.entry.limits.memory_bytes),
        Some(trap) => {
            let plugin = &*host.entry.name;
            tracing::debug!(target: "plugin", plugin, "trap: {}", escape(&format!("{error:#}")));
            Fault::Trap(trap.to_string())
        }
        // The cause alone: what else is in there are names that the guest chose.
        None => Fault::Output(error.root_cause().to_string()),
    }
}
