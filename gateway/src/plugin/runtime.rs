//! What all plugins of the process share: the engine, the linked host, the compile cache, and the pools that are alive,
//! so that a reload takes over what did not change.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use thiserror::Error;
use wasmtime::Engine;
use wasmtime::component::Linker;

use super::cache::{Cache, Digest, digest};
use super::component::{ComponentError, Loaded};
use super::engine::{Ticker, new_engine};
use super::host::{self, Entry, Fetch, Host};
use super::instance::StartError;
use super::pool::{Grave, Pool, PoolParts};
use crate::config::{Grants, Isolation, OnFault, PluginLimits};
use crate::observe::{AccessLog, Metrics};
use crate::state::State;

/// How long compiling one component may take.
const COMPILE_TIMEOUT: Duration = Duration::from_secs(120);

/// Instances that wait to be dropped. They still hold their memory.
const GRAVEYARD_PLACES: usize = 256;

/// What the runtime is built on.
pub struct RuntimeParts {
    /// Where compiled components are kept, if anywhere.
    pub cache_dir: Option<PathBuf>,
    /// What `kv` and `limiter` keep.
    pub state: Arc<State>,
    /// Where raw log lines go.
    pub access_log: Arc<AccessLog>,
    /// Where calls and faults are counted.
    pub metrics: Arc<Metrics>,
}

/// What all plugins of the process share.
pub struct Runtime {
    engine: Engine,
    linker: Linker<Host>,
    cache: Cache,
    state: Arc<State>,
    access_log: Arc<AccessLog>,
    metrics: Arc<Metrics>,
    graveyard: SyncSender<Grave>,
    loaded: Mutex<HashMap<Digest, Weak<Loaded>>>,
    pools: Mutex<Vec<(PoolKey, Weak<Pool>)>>,
    _ticker: Ticker,
}

/// A component that was compiled and found to be a plugin.
#[derive(Clone)]
pub struct LoadedComponent(Arc<Loaded>);

/// What makes a pool. Two chain places with the same spec share one.
pub struct PoolSpec {
    /// The plugin's name in the configuration.
    pub name: String,
    /// The plugin's configuration as JSON.
    pub config: String,
    /// What it may use.
    pub grants: Grants,
    /// What it may consume.
    pub limits: PluginLimits,
    /// What a fault means.
    pub on_fault: OnFault,
    /// Whether instances are reused.
    pub isolation: Isolation,
}

/// What must be equal for a pool to be taken over.
#[derive(PartialEq)]
struct PoolKey {
    digest: Digest,
    name: String,
    config: String,
    grants: Grants,
    limits: PluginLimits,
    on_fault: OnFault,
    isolation: Isolation,
}

/// Why a plugin can't be loaded. The texts are for the operator.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The bytes are no plugin, or one that wants more than it was granted.
    #[error("the component {0}")]
    Component(String),
    /// Compiling took too long.
    #[error("compiling the component took more than {COMPILE_TIMEOUT:?}")]
    CompileTimeout,
    /// The plugin does not accept its configuration.
    #[error("the plugin refuses its config: {0}")]
    Refused(String),
    /// The plugin does not start.
    #[error("the plugin does not start: its init {0}")]
    Start(String),
    /// The runtime itself could not be set up.
    #[error("the plugin runtime can't start: {0}")]
    Runtime(String),
}

impl Runtime {
    /// Set up the engine and its threads.
    ///
    /// # Errors
    /// This machine can't run it.
    pub fn new(parts: RuntimeParts) -> Result<Self, LoadError> {
        let failed = |error: wasmtime::Error| LoadError::Runtime(format!("{error:#}"));
        let engine = new_engine().map_err(failed)?;
        let mut linker = Linker::new(&engine);
        host::link(&mut linker).map_err(failed)?;
        let ticker =
            Ticker::start(&engine).map_err(|error| LoadError::Runtime(error.to_string()))?;
        let (graveyard, graves) = sync_channel::<Grave>(GRAVEYARD_PLACES);
        // Giving an instance's memory back to the kernel takes longer than most hooks; no worker should do it.
        std::thread::Builder::new()
            .name("instance-drop".into())
            .spawn(move || graves.into_iter().for_each(drop))
            .map_err(|error| LoadError::Runtime(error.to_string()))?;
        Ok(Self {
            engine,
            linker,
            cache: Cache::new(parts.cache_dir),
            state: parts.state,
            access_log: parts.access_log,
            metrics: parts.metrics,
            graveyard,
            loaded: Mutex::new(HashMap::new()),
            pools: Mutex::new(Vec::new()),
            _ticker: ticker,
        })
    }

    /// Compile a component, on a thread of its own, or find that it is there already.
    ///
    /// # Errors
    /// The bytes are no plugin for this gateway.
    pub async fn component(
        self: &Arc<Self>,
        bytes: Arc<[u8]>,
    ) -> Result<LoadedComponent, LoadError> {
        let digest = digest(&bytes);
        if let Some(loaded) = self.loaded.lock().get(&digest).and_then(Weak::upgrade) {
            return Ok(LoadedComponent(loaded));
        }
        let runtime = Arc::clone(self);
        let compiling = tokio::task::spawn_blocking(move || {
            Loaded::new(&runtime.engine, &runtime.linker, &runtime.cache, &bytes)
        });
        // A compilation can't be stopped, only left alone: its thread ends when it is done.
        let done = tokio::time::timeout(COMPILE_TIMEOUT, compiling).await;
        let loaded = done
            .map_err(|_| LoadError::CompileTimeout)?
            .map_err(|panic| LoadError::Runtime(panic.to_string()))?
            .map_err(component_error)?;
        let loaded = Arc::new(loaded);
        let mut known = self.loaded.lock();
        known.retain(|_, loaded| loaded.strong_count() > 0);
        known.insert(digest, Arc::downgrade(&loaded));
        Ok(LoadedComponent(loaded))
    }

    /// A pool for that component and spec: the living one, or a new one whose first instance has accepted its
    /// configuration. `fetch` is asked for only if the component may call other services.
    ///
    /// # Errors
    /// A grant is missing, there is no room for so many instances, or the plugin does not start or refuses its configuration.
    pub async fn pool(
        &self,
        component: &LoadedComponent,
        spec: PoolSpec,
        fetch: Option<Arc<dyn Fetch>>,
    ) -> Result<Arc<Pool>, LoadError> {
        let loaded = &component.0;
        loaded.check_grants(&spec.grants).map_err(component_error)?;
        loaded
            .check_instances(spec.limits.instances)
            .map_err(component_error)?;
        let PoolSpec {
            name,
            config,
            grants,
            limits,
            on_fault,
            isolation,
        } = spec;
        let key = PoolKey {
            digest: loaded.digest,
            name,
            config,
            grants,
            limits,
            on_fault,
            isolation,
        };
        if let Some(pool) = self.find(&key) {
            return Ok(pool);
        }
        let entry = Entry {
            name: key.name.as_str().into(),
            limits: key.limits.clone(),
            kv: key.grants.kv.then(|| self.state.kv(&key.name)),
            limiter: key.grants.limiter.then(|| self.state.limiter(&key.name)),
            fetch,
            access_log: Arc::clone(&self.access_log),
            log_rate: host::LogRate::of_log(),
            access_rate: host::LogRate::of_access_log(),
            log_entries_dropped: self.metrics.log_entries_dropped.clone(),
        };
        let parts = PoolParts {
            engine: self.engine.clone(),
            loaded: Arc::clone(loaded),
            entry: Arc::new(entry),
            config: key.config.clone(),
            on_fault: key.on_fault,
            isolation: key.isolation,
            metrics: self.metrics.plugin(&key.name),
            graveyard: self.graveyard.clone(),
        };
        let pool = Pool::new(parts).await.map_err(|error| match error {
            StartError::Refused(text) => LoadError::Refused(escaped(&text)),
            StartError::Fault(fault) => LoadError::Start(escaped(&fault.to_string())),
            StartError::Contract(text) => component_error(ComponentError::Contract(text)),
        })?;
        let pool = Arc::new(pool);
        self.pools.lock().push((key, Arc::downgrade(&pool)));
        Ok(pool)
    }

    /// Pools that are alive, of every generation that still serves.
    #[must_use]
    pub fn pools(&self) -> Vec<Arc<Pool>> {
        self.pools
            .lock()
            .iter()
            .filter_map(|(_, pool)| pool.upgrade())
            .collect()
    }

    /// Retire instances that have been idle for long; to be called now and then.
    pub fn sweep(&self) {
        self.pools().iter().for_each(|pool| pool.sweep());
    }

    fn find(&self, key: &PoolKey) -> Option<Arc<Pool>> {
        let mut pools = self.pools.lock();
        pools.retain(|(_, pool)| pool.strong_count() > 0);
        pools
            .iter()
            .find(|(known, _)| known == key)
            .and_then(|(_, pool)| pool.upgrade())
    }
}

fn component_error(error: ComponentError) -> LoadError {
    LoadError::Component(escaped(&error.to_string()))
}

/// What a component says or is called is not for a terminal as it is.
fn escaped(text: &str) -> String {
    crate::observe::escape::escape(text).into_owned()
}
