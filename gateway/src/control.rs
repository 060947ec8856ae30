//! The control thread: it builds the first generation, starts the workers, then reloads, watches files and serves the
//! admin listener until it is told to stop.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use crate::admin::{self, Serving, View};
use crate::config::Config;
use crate::gateway::{StartError, StartOptions};
use crate::observe::metrics::{PoolSample, Samples, UpstreamSample};
use crate::observe::{AccessLog, Metrics};
use crate::plugin::{Runtime, RuntimeParts};
use crate::proxy::{LogQueue, Proxy};
use crate::reload::{Reloader, Watch, WatchedFiles};
use crate::server::{Bound, Listeners, Shared, Workers};
use crate::snapshot::{Builder, Snapshot};
use crate::state::State;

/// A wish for a reload: where to send the new generation, or what is wrong.
pub(crate) type ReloadRequest = oneshot::Sender<Result<u64, String>>;

/// How long to drain when told to stop, if not as configured.
pub(crate) type Stop = Option<Duration>;

/// How often idle plugin instances are looked through.
const SWEEP_INTERVAL: Duration = Duration::from_secs(15);

/// What [`crate::Gateway`] is made of once everything runs.
pub(crate) struct Doors {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) access_log: Arc<AccessLog>,
    pub(crate) metrics: Arc<Metrics>,
}

/// The control thread.
pub(crate) struct Control {
    reloader: Reloader,
    view: Arc<View>,
}

impl Control {
    /// Start everything. The admin listener comes first, so that whoever watches can tell loading from not being there.
    pub(crate) async fn start(
        config: Config,
        options: StartOptions,
        commands: mpsc::UnboundedSender<ReloadRequest>,
    ) -> Result<(Self, Doors), StartError> {
        let metrics = Arc::new(Metrics::new());
        let view = Arc::new(View::new(Arc::clone(&metrics), commands.clone()));
        let admin = config
            .server
            .admin
            .map(|address| serve_admin(address, &view));
        let admin = admin.transpose()?;
        let access_log = AccessLog::open(
            &config.server.access_log,
            metrics.log_entries_dropped.clone(),
        );
        let access_log = Arc::new(access_log.map_err(StartError::AccessLog)?);
        let loading = Loading::new(&config, Arc::clone(&access_log), &metrics, admin)?;
        tokio::spawn(sweep(Arc::downgrade(&loading.runtime)));
        // Before anything is read for the snapshot: what changes from now on counts as a change.
        let files = Arc::new(WatchedFiles::default());
        files.set(&config.files);
        let snapshot = loading.builder.build(config, 1, None).await?;
        metrics.generation.set(1);

        let server = &snapshot.config.server;
        let mut listeners = Listeners::new(server.workers);
        listeners.set(listeners.prepare(&server.listen)?);
        let bound = listeners.bound().to_vec();
        let addresses = bound.iter().map(|bound| bound.address).collect();
        let (proxy, workers) = serve(snapshot, &metrics, bound)?;
        metrics.read_samples_with(samples(&proxy, &loading));
        view.serve(Serving {
            proxy: Arc::clone(&proxy),
            runtime: loading.runtime,
        });
        if options.watch && options.config_path.is_some() {
            tokio::spawn(watch(Arc::clone(&files), commands));
        }
        let reloader = Reloader {
            file: options.config_path,
            builder: loading.builder,
            proxy,
            listeners,
            workers,
            access_log: Arc::clone(&access_log),
            metrics: Arc::clone(&metrics),
            files,
        };
        let doors = Doors {
            addresses,
            admin,
            access_log,
            metrics,
        };
        Ok((Self { reloader, view }, doors))
    }

    /// Reload when asked, until told to stop. Wishes that come while one is carried out share the next reload; a stop
    /// does not wait for any.
    pub(crate) async fn run(
        mut self,
        mut wishes: mpsc::UnboundedReceiver<ReloadRequest>,
        mut stop: oneshot::Receiver<Stop>,
    ) {
        loop {
            let first = tokio::select! {
                biased;
                limit = &mut stop => return self.drain(limit.unwrap_or(Some(Duration::ZERO))).await,
                Some(first) = wishes.recv() => first,
            };
            let mut asked = vec![first];
            while let Ok(another) = wishes.try_recv() {
                asked.push(another);
            }
            let done = tokio::select! {
                biased;
                // What is built is dropped; the generation that serves does so to the end.
                limit = &mut stop => {
                    drop((asked, wishes));
                    return self.drain(limit.unwrap_or(Some(Duration::ZERO))).await;
                }
                done = self.reloader.reload() => done.map_err(|error| error.to_string()),
            };
            for answer in asked {
                // Whoever asked may have gone.
                let _ = answer.send(done.clone());
            }
        }
    }

    async fn drain(self, limit: Stop) {
        self.view.drain();
        let configured = self.reloader.proxy.snapshot.load().limits.drain_timeout;
        let workers = self.reloader.workers;
        let stopping =
            tokio::task::spawn_blocking(move || workers.stop(limit.unwrap_or(configured)));
        // The admin listener goes on answering meanwhile.
        if stopping.await.is_err() {
            tracing::error!("stopping the workers panicked");
        }
    }
}

fn serve_admin(address: SocketAddr, view: &Arc<View>) -> Result<SocketAddr, StartError> {
    let failed = |source| StartError::BindAdmin { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tokio::spawn(admin::serve(listener, Arc::clone(view)));
    Ok(address)
}

/// Start the workers on a first generation.
fn serve(
    snapshot: Snapshot,
    metrics: &Arc<Metrics>,
    bound: Vec<Arc<Bound>>,
) -> Result<(Arc<Proxy>, Arc<Workers>), StartError> {
    let workers = 0..snapshot.config.server.workers;
    let (log_queues, logs): (Vec<_>, Vec<_>) = workers.map(|_| LogQueue::new()).unzip();
    let proxy = Arc::new(Proxy {
        snapshot: ArcSwap::from_pointee(snapshot),
        metrics: Arc::clone(metrics),
        log_queues: log_queues.into(),
    });
    let shared = Arc::new(Shared::new(Arc::clone(&proxy)));
    let workers = Workers::start(&shared, bound, logs)?;
    Ok((proxy, Arc::new(workers)))
}

/// Retire idle instances now and then, for as long as there is a runtime.
async fn sweep(runtime: Weak<Runtime>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let Some(runtime) = runtime.upgrade() else {
            return;
        };
        runtime.sweep();
    }
}

async fn watch(files: Arc<WatchedFiles>, commands: mpsc::UnboundedSender<ReloadRequest>) {
    let mut watch = match Watch::new(files) {
        Ok(watch) => watch,
        Err(error) => {
            tracing::error!(%error, "can't watch files; reload by SIGHUP or POST /reload");
            return;
        }
    };
    loop {
        watch.changed().await;
        let (answer, when_done) = oneshot::channel();
        if commands.send(answer).is_err() {
            return;
        }
        // How it went is told by the reload itself; the next change is looked for when this one is done.
        let _ = when_done.await;
    }
}

fn samples(proxy: &Arc<Proxy>, loading: &Loading) -> impl Fn() -> Samples + Send + Sync + 'static {
    let (proxy, runtime) = (Arc::downgrade(proxy), Arc::downgrade(&loading.runtime));
    let state = Arc::clone(&loading.state);
    move || Samples {
        upstreams: proxy
            .upgrade()
            .map(|proxy| upstream_samples(&proxy.snapshot.load()))
            .unwrap_or_default(),
        pools: runtime
            .upgrade()
            .map(|runtime| pool_samples(&runtime))
            .unwrap_or_default(),
        state: state.stats(),
    }
}

fn upstream_samples(snapshot: &Snapshot) -> Vec<UpstreamSample> {
    let sample = |(name, upstream): (&String, &Arc<crate::upstream::Upstream>)| {
        let stats = upstream.stats();
        UpstreamSample {
            name: name.clone(),
            open: stats.open,
            idle: stats.idle,
            connects: stats.connects,
            connect_failures: stats.connect_failures,
            retries: stats.retries,
            requests: stats.requests,
        }
    };
    snapshot.upstreams.iter().map(sample).collect()
}

fn pool_samples(runtime: &Runtime) -> Vec<PoolSample> {
    let pools = runtime.pools();
    let statuses = pools.iter().map(|pool| pool.status());
    statuses
        .map(|status| PoolSample {
            plugin: status.plugin,
            idle: status.idle as u64,
            busy: status.busy as u64,
        })
        .collect()
}

/// What loads plugins, and what they remember.
pub(crate) struct Loading {
    state: Arc<State>,
    runtime: Arc<Runtime>,
    pub(crate) builder: Builder,
}

impl Loading {
    pub(crate) fn new(
        config: &Config,
        access_log: Arc<AccessLog>,
        metrics: &Arc<Metrics>,
        admin: Option<SocketAddr>,
    ) -> Result<Self, StartError> {
        let state = Arc::new(State::new(config.server.kv_memory_bytes));
        let runtime = Arc::new(Runtime::new(RuntimeParts {
            cache_dir: config.server.cache_dir.clone(),
            state: Arc::clone(&state),
            access_log,
            metrics: Arc::clone(metrics),
        })?);
        let builder = Builder {
            runtime: Arc::clone(&runtime),
            metrics: Arc::clone(metrics),
            stock: stock_plugins::stock,
            never_called: admin.into_iter().collect(),
        };
        Ok(Self {
            state,
            runtime,
            builder,
        })
    }
}
