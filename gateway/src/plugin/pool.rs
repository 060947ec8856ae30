//! The instances of one plugin with one configuration.
//!
//! A warm instance is used again where it can be. One that trapped, ran out of time or whose client left is dropped, and
//! half-run state never meets another exchange. Instances are dropped by a thread of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use wasmtime::Engine;

use super::cache::hex;
use super::component::Loaded;
use super::fault::Fault;
use super::host::Entry;
use super::instance::{Instance, StartError};
use super::interest::Interest;
use super::lease::{HOOKS, Hook, Lease};
use super::stock::{Stock, Supply};
use super::suspension::Suspension;
use crate::config::{Isolation, OnFault};
use crate::observe::escape::escape;
use crate::observe::metrics::{HookMetrics, PluginMetrics};
use crate::worker;

/// How long an instance stays idle before it is retired.
const RETIRE_AFTER_IDLE: Duration = Duration::from_secs(60);
/// A call that faults is costly from this part of its CPU time on, its instance's start included, whatever the fault.
const COSTLY_PART: u32 = 10;
/// Fault messages of one plugin in the log: one in this time, with the number of those left out.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// The instances of one plugin with one configuration.
pub struct Pool {
    engine: Engine,
    loaded: Arc<Loaded>,
    entry: Arc<Entry>,
    config: String,
    on_fault: OnFault,
    isolation: Isolation,
    declared: Interest,
    stock: Stock<Box<Instance>>,
    /// Instances that stream a body.
    streaming: AtomicUsize,
    /// By [`Hook`], since one that is good says nothing of another.
    suspensions: [Suspension; HOOKS.len()],
    metrics: Arc<PluginMetrics>,
    /// By [`Hook`].
    hook_metrics: [Arc<HookMetrics>; 5],
    graveyard: SyncSender<Grave>,
    born: Instant,
    /// When a fault was logged last, in milliseconds since `born`, and how many were not since.
    logged_ms: AtomicU64,
    unlogged: AtomicU64,
}

/// What became of an exchange after a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// It failed.
    Denied,
    /// It went on as if the plugin were not there.
    Skipped,
    /// It was over already.
    None,
}

impl Policy {
    fn word(self) -> &'static str {
        match self {
            Self::Denied => "deny",
            Self::Skipped => "skip",
            Self::None => "none",
        }
    }
}

/// Room for an instance that is being made, given back if that doesn't come about.
struct Room<'a>(&'a Stock<Box<Instance>>);

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.0.remove();
    }
}

/// One of the instances that a body may hold while it streams, given back on drop.
pub(super) struct StreamPlace(Arc<Pool>);

impl StreamPlace {
    /// A client or upstream that takes its time holds an instance for as long, so a quarter is kept for other hooks.
    fn take(pool: &Arc<Pool>) -> Result<Self, Fault> {
        let limit = pool.entry.limits.instances;
        let limit = limit - limit / 4;
        let before = pool.streaming.fetch_add(1, Ordering::Relaxed);
        let place = Self(Arc::clone(pool));
        if before < limit {
            Ok(place)
        } else {
            Err(Fault::Busy(limit))
        }
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.0.streaming.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What goes to the thread that drops instances.
#[expect(
    clippy::vec_box,
    reason = "they come boxed, and moving them out would be work for the one who gives them away"
)]
pub(super) struct Grave(#[expect(dead_code, reason = "only its drop counts")] Vec<Box<Instance>>);

/// How a pool stands, for the admin listener.
#[derive(Debug, Clone)]
pub struct PoolStatus {
    /// The plugin's name in the configuration.
    pub plugin: String,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: String,
    /// Hooks that the component exports.
    pub exports: Vec<&'static str>,
    /// Hooks that the plugin asked for at `init`.
    pub interest: Vec<&'static str>,
    /// Idle instances.
    pub idle: usize,
    /// Instances in a call.
    pub busy: usize,
    /// Whether the plugin is left alone after repeated faults.
    pub suspended: bool,
}

/// What a pool is made of.
pub(super) struct PoolParts {
    pub(super) engine: Engine,
    pub(super) loaded: Arc<Loaded>,
    pub(super) entry: Arc<Entry>,
    pub(super) config: String,
    pub(super) on_fault: OnFault,
    pub(super) isolation: Isolation,
    pub(super) metrics: Arc<PluginMetrics>,
    pub(super) graveyard: SyncSender<Grave>,
}

impl Pool {
    /// Make a pool with a warm instance for each worker, as far as `limits.instances` allows. A plugin that can't start, or
    /// refuses its configuration, is found out here, at load.
    pub(super) async fn new(parts: PoolParts) -> Result<Self, StartError> {
        let PoolParts {
            engine,
            loaded,
            entry,
            config,
            on_fault,
            isolation,
            metrics,
            graveyard,
        } = parts;
        let first = Instance::start(&engine, &loaded, &entry, &config).await?;
        let declared = first.declared;
        let stock = Stock::new(entry.limits.instances);
        let mut warm = Some(first);
        // The last shard belongs to the control thread, which serves nobody.
        let workers = worker::count().saturating_sub(1).max(1);
        let warmed = workers.min(entry.limits.instances);
        for worker in (0..warmed).filter(|_| isolation == Isolation::Reuse) {
            let instance = match warm.take() {
                Some(instance) => instance,
                None => Instance::start(&engine, &loaded, &entry, &config).await?,
            };
            stock.add(worker, Box::new(instance));
        }
        Ok(Self {
            engine,
            loaded,
            entry,
            config,
            on_fault,
            isolation,
            declared,
            stock,
            streaming: AtomicUsize::new(0),
            suspensions: Default::default(),
            hook_metrics: HOOKS.map(|hook| metrics.hook(hook)),
            metrics,
            graveyard,
            born: Instant::now(),
            logged_ms: AtomicU64::new(0),
            unlogged: AtomicU64::new(0),
        })
    }

    /// The plugin's name in the configuration.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.entry.name
    }

    /// What the plugin asked for at `init`.
    pub(super) fn declared(&self) -> Interest {
        self.declared
    }

    /// Hooks that the component exports.
    pub(super) fn exports(&self) -> Interest {
        self.loaded.hooks
    }

    pub(super) fn on_fault(&self) -> OnFault {
        self.on_fault
    }

    pub(super) fn buffered_body_bytes(&self) -> usize {
        self.entry.limits.buffered_body_bytes
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        let idle = self.stock.idle();
        let limit = self.entry.limits.instances;
        let made = limit.saturating_sub(self.stock.room());
        PoolStatus {
            plugin: self.entry.name.to_string(),
            digest: hex(&self.loaded.digest),
            exports: self.loaded.hooks.names(),
            interest: self.declared.names(),
            idle,
            busy: made.saturating_sub(idle),
            suspended: self.suspensions.iter().any(Suspension::is_suspended),
        }
    }

    /// An instance for the caller alone, if there is a warm one.
    pub(super) fn warm_lease(self: &Arc<Self>, hook: Hook) -> Result<Option<Lease<'_>>, Fault> {
        self.suspensions[hook as usize].admit()?;
        // The lease's drop gives it back.
        let warm = self.stock.take_warm();
        Ok(warm.map(|instance| Lease::new(self, instance)))
    }

    /// An instance for the caller alone: a warm one if there is one.
    ///
    /// What is rare is boxed: the future of starting an instance is large, and would be moved about with every call.
    pub(super) async fn lease(self: &Arc<Self>, hook: Hook) -> Result<Lease<'_>, Fault> {
        match self.warm_lease(hook)? {
            Some(lease) => Ok(lease),
            None => Box::pin(self.lease_when_free(hook)).await,
        }
    }

    /// An instance for a body, for as long as that takes.
    pub(super) async fn lease_for_stream(
        self: &Arc<Self>,
        hook: Hook,
    ) -> Result<(Lease<'static>, StreamPlace), Fault> {
        let place = StreamPlace::take(self)?;
        Ok((self.lease(hook).await?.into_owned(), place))
    }

    /// An instance for the caller alone, waited for or made.
    pub(super) async fn lease_when_free(self: &Arc<Self>, hook: Hook) -> Result<Lease<'_>, Fault> {
        let limits = &self.entry.limits;
        let free = tokio::time::timeout(limits.instance_wait, self.stock.take_when_free()).await;
        let instance = match free {
            Ok(Supply::Instance(instance)) => instance,
            Ok(Supply::Room) => {
                let room = Room(&self.stock);
                let instance = self.start(hook).await?;
                // It is the instance's now.
                std::mem::forget(room);
                instance
            }
            Err(_) => return Err(Fault::Busy(limits.instances)),
        };
        Ok(Lease::new(self, instance))
    }

    async fn start(&self, hook: Hook) -> Result<Box<Instance>, Fault> {
        let started = Instance::start(&self.engine, &self.loaded, &self.entry, &self.config).await;
        let instance = started.map_err(|error| match error {
            StartError::Fault(fault) => {
                if fault.is_costly() {
                    self.suspensions[hook as usize].note_costly(Instant::now());
                }
                Fault::Start(fault.to_string())
            }
            StartError::Refused(text) | StartError::Contract(text) => Fault::Start(text),
        })?;
        Ok(Box::new(instance))
    }

    /// Take back an instance that is as good as new.
    pub(super) fn release(&self, instance: Box<Instance>, now: Instant) {
        let tired =
            instance.is_old() || instance.memory_bytes() > self.entry.limits.memory_bytes / 4 * 3;
        if tired || self.isolation == Isolation::PerRequest {
            self.bury(instance);
        } else {
            self.stock.put_back(instance, now);
        }
    }

    /// Retire what has been idle for long.
    pub(super) fn sweep(&self) {
        let retired = self.stock.retire(RETIRE_AFTER_IDLE);
        retired.into_iter().for_each(|it| self.discard(it));
    }

    /// Take back an instance that must not be used again.
    pub(super) fn bury(&self, instance: Box<Instance>) {
        self.stock.remove();
        self.discard(instance);
    }

    /// Take note of how a call went that ended now; of a fault also what it has cost, in CPU time.
    pub(super) fn note(
        &self,
        hook: Hook,
        time: Duration,
        now: Instant,
        fault: Option<(&Fault, Duration)>,
    ) {
        let suspension = &self.suspensions[hook as usize];
        match fault {
            None => suspension.note_good(now),
            // A call can also burn much and end in a fault of another kind.
            Some((fault, cost))
                if fault.is_costly() || cost > self.entry.limits.time / COSTLY_PART =>
            {
                suspension.note_costly(now);
            }
            Some(_) => {}
        }
        self.hook_metrics[hook as usize].count(time);
    }

    fn discard(&self, instance: Box<Instance>) {
        // If the thread can't keep up, or is gone at the end of the process, it is dropped here.
        let _ = self.graveyard.try_send(Grave(vec![instance]));
    }

    /// Count a fault and tell the log, but not more often than makes sense.
    pub(super) fn report(&self, fault: &Fault, policy: Policy) {
        self.metrics.faults.count(fault.kind());
        if policy == Policy::Skipped {
            self.metrics.skips.inc();
        }
        if policy == Policy::Denied {
            // The failure of its exchange tells it, with the exchange's id.
            return;
        }
        let now_ms = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX) + 1;
        let logged_ms = self.logged_ms.load(Ordering::Relaxed);
        let interval_ms = LOG_INTERVAL.as_millis() as u64;
        if logged_ms != 0 && now_ms < logged_ms + interval_ms {
            self.unlogged.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.logged_ms.store(now_ms, Ordering::Relaxed);
        let unlogged = self.unlogged.swap(0, Ordering::Relaxed);
        let plugin = &*self.entry.name;
        let policy = policy.word();
        tracing::error!(
            plugin,
            kind = fault.kind(),
            policy,
            unlogged,
            "plugin fault: {}",
            escape(&fault.to_string())
        );
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let _ = self.graveyard.try_send(Grave(self.stock.empty().collect()));
    }
}
