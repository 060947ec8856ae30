//! The control thread: it builds the first generation, starts the workers, then reloads, watches files and serves the
//! admin listener until it is told to stop.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use crate::admin::{self, View};
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

/// What the control thread is told.
pub(crate) enum Command {
    /// Reload; the answer is the new generation or what is wrong.
    Reload(Option<oneshot::Sender<Result<u64, String>>>),
    /// Drain, for the configured time or that one, and end.
    Stop(Option<Duration>),
}

/// What [`Gateway`] is made of once everything runs.
pub(crate) struct Doors {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) access_log: Arc<AccessLog>,
    pub(crate) metrics: Arc<Metrics>,
}

/// The control thread.
pub(crate) struct Control {
    reloader: Reloader,
    workers: Arc<Workers>,
    proxy: Arc<Proxy>,
}

impl Control {
    /// Start everything.
    pub(crate) async fn start(
        config: Config,
        options: StartOptions,
        commands: mpsc::UnboundedSender<Command>,
    ) -> Result<(Self, Doors), StartError> {
        let metrics = Arc::new(Metrics::new());
        let dropped = metrics.log_entries_dropped.clone();
        let access_log = AccessLog::open(&config.server.access_log, dropped);
        let access_log = Arc::new(access_log.map_err(StartError::AccessLog)?);
        let Loading {
            state,
            runtime,
            builder,
        } = Loading::new(&config, Arc::clone(&access_log), &metrics)?;
        let snapshot = builder.build(config, 1, None).await?;
        metrics.generation.set(1);
        let server = &snapshot.config.server;
        let mut listeners = Listeners::new(server.workers);
        let bound = listeners.prepare(&server.listen)?;
        listeners.set(bound.clone());
        let admin = server.admin.map(bind_admin).transpose()?;
        let files = Arc::new(WatchedFiles::default());
        files.set(&snapshot.config.files);

        let (proxy, workers) = serve(snapshot, &metrics, bound)?;
        metrics.read_samples_with(samples(&proxy, &runtime, &state));
        let doors = Doors {
            addresses: listeners
                .bound()
                .iter()
                .map(|bound| bound.address)
                .collect(),
            admin: admin
                .as_ref()
                .and_then(|listener| listener.local_addr().ok()),
            access_log: Arc::clone(&access_log),
            metrics: Arc::clone(&metrics),
        };
        if let Some(listener) = admin {
            let (proxy, metrics) = (Arc::clone(&proxy), Arc::clone(&metrics));
            let view = View {
                proxy,
                runtime,
                metrics,
                commands: commands.clone(),
            };
            tokio::spawn(admin::serve(listener, Arc::new(view)));
        }
        if options.watch && options.config_path.is_some() {
            tokio::spawn(watch(Arc::clone(&files), commands));
        }
        let reloader = Reloader {
            file: options.config_path,
            builder,
            proxy: Arc::clone(&proxy),
            listeners,
            workers: Arc::clone(&workers),
            access_log,
            metrics,
            files,
        };
        Ok((
            Self {
                reloader,
                workers,
                proxy,
            },
            doors,
        ))
    }

    /// Do as told until the end.
    pub(crate) async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Command>) {
        while let Some(command) = orders.recv().await {
            match command {
                Command::Reload(answer) => {
                    let done = self
                        .reloader
                        .reload()
                        .await
                        .map_err(|error| error.to_string());
                    if let Some(answer) = answer {
                        // Whoever asked may have gone.
                        let _ = answer.send(done);
                    }
                }
                Command::Stop(drain) => {
                    let configured = self.proxy.snapshot.load().limits.drain_timeout;
                    let workers = Arc::clone(&self.workers);
                    let stopping = tokio::task::spawn_blocking(move || {
                        workers.stop(drain.unwrap_or(configured))
                    });
                    // The admin listener goes on answering meanwhile.
                    let _ = stopping.await;
                    return;
                }
            }
        }
    }
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

fn bind_admin(address: SocketAddr) -> Result<TcpListener, StartError> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|source| StartError::BindAdmin { address, source })
}

async fn watch(files: Arc<WatchedFiles>, commands: mpsc::UnboundedSender<Command>) {
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
        if commands.send(Command::Reload(Some(answer))).is_err() {
            return;
        }
        // How it went is told by the reload itself; the next change is looked for when this one is done.
        let _ = when_done.await;
    }
}

fn samples(
    proxy: &Arc<Proxy>,
    runtime: &Arc<Runtime>,
    state: &Arc<State>,
) -> impl Fn() -> Samples + Send + Sync + 'static {
    let (proxy, runtime, state) = (
        Arc::downgrade(proxy),
        Arc::downgrade(runtime),
        Arc::clone(state),
    );
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
            stock: crate::stock_plugins::stock,
        };
        Ok(Self {
            state,
            runtime,
            builder,
        })
    }
}
