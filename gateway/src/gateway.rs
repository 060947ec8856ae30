//! A running gateway: the threads that make it up, and the doors to it. `main` and the tests use the same.
//!
//! One control thread reloads, watches files and serves the admin listener; the workers serve clients. [`start`]
//! returns when everything is bound, loaded and serving.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::Builder as RuntimeBuilder;
use tokio::sync::{mpsc, oneshot};

use crate::config::{self, Config, ConfigErrors};
use crate::control::{Control, Doors, Loading, ReloadRequest, Stop};
use crate::observe::{AccessLog, Metrics};
use crate::plugin::LoadError;
use crate::server::BindError;
use crate::worker;

/// How a gateway is started.
#[derive(Debug, Clone, Default)]
pub struct StartOptions {
    /// The file that a reload reads.
    pub config_path: Option<PathBuf>,
    /// Whether to reload when that file, or one that it names, changes.
    pub watch: bool,
}

/// Why a gateway did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration, or what it names, is not right.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// An address can't be had.
    #[error("{0}")]
    Bind(#[from] BindError),
    /// The admin address can't be had.
    #[error("can't listen on {address} (server.admin): {source}")]
    BindAdmin {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The access log can't be opened.
    #[error("can't open the access log: {0}")]
    AccessLog(std::io::Error),
    /// The plugin runtime can't start.
    #[error("{0}")]
    Runtime(#[from] LoadError),
    /// The system gives no more threads or files.
    #[error("can't start a thread: {0}")]
    System(#[from] std::io::Error),
    /// The control thread ended before it had started everything.
    #[error("the control thread ended at its start")]
    Ended,
}

/// A running gateway. Dropping it stops it at once; [`Gateway::stop`] drains.
pub struct Gateway {
    addresses: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    access_log: Arc<AccessLog>,
    metrics: Arc<Metrics>,
    commands: mpsc::UnboundedSender<ReloadRequest>,
    stop: Option<oneshot::Sender<Stop>>,
    control: Option<JoinHandle<()>>,
}

/// Start a gateway.
///
/// # Errors
/// Everything that is wrong with the configuration and what it names; or something that the system refuses.
pub fn start(config: Config, options: StartOptions) -> Result<Gateway, StartError> {
    // One shard more than there are workers, for what the control thread does while it loads plugins.
    worker::set_count(config.server.workers + 1);
    let (started, when_started) = std_mpsc::channel();
    let (commands, wishes) = mpsc::unbounded_channel();
    let (stop, when_stopped) = oneshot::channel();
    let for_control = commands.clone();
    let control = std::thread::Builder::new()
        .name("control".into())
        .spawn(move || {
            worker::enter(config.server.workers);
            let runtime = match RuntimeBuilder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = started.send(Err(error.into()));
                    return;
                }
            };
            runtime.block_on(async {
                match Control::start(config, options, for_control).await {
                    Ok((control, doors)) => {
                        let _ = started.send(Ok(doors));
                        control.run(wishes, when_stopped).await;
                    }
                    Err(error) => {
                        let _ = started.send(Err(error));
                    }
                }
            });
            runtime.shutdown_background();
        })?;
    let doors = when_started.recv().unwrap_or(Err(StartError::Ended))?;
    let Doors {
        addresses,
        admin,
        access_log,
        metrics,
    } = doors;
    Ok(Gateway {
        addresses,
        admin,
        access_log,
        metrics,
        commands,
        stop: Some(stop),
        control: Some(control),
    })
}

/// Find everything that a start from this file would find, all at once, and serve nothing: also what each plugin thinks
/// of its configuration, as far as that could be read. The answer is what a start would serve.
///
/// # Errors
/// As for [`start`], but for addresses.
pub fn check(file: &Path) -> Result<Config, StartError> {
    let (config, mut errors) = config::load_partly(file);
    let config = match config.map(build_once) {
        Some(Ok(config)) => Some(config),
        Some(Err(StartError::Config(found))) => {
            errors.extend(found.iter().cloned());
            None
        }
        // Of two kinds of failure the one that the file can mend is more use.
        Some(Err(error)) if errors.is_empty() => return Err(error),
        Some(Err(_)) | None => None,
    };
    ConfigErrors::check(errors)?;
    config.ok_or(StartError::Ended)
}

/// Make a generation and throw it away.
fn build_once(config: Config) -> Result<Config, StartError> {
    let runtime = RuntimeBuilder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let metrics = Arc::new(Metrics::new());
        // Plugins that write to the access log at their init must not write to the real one.
        let nowhere = AccessLog::open(&config::AccessLog::Off, metrics.log_entries_dropped.clone());
        let loading = Loading::new(
            &config,
            Arc::new(nowhere.map_err(StartError::AccessLog)?),
            &metrics,
            config.server.admin,
        )?;
        Ok(loading.builder.build(config, 1, None).await?.config)
    });
    runtime.shutdown_background();
    outcome
}

impl Gateway {
    /// The addresses that clients are served on.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The address of the admin listener.
    #[must_use]
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Where access-log lines go.
    #[must_use]
    pub fn access_log(&self) -> &AccessLog {
        &self.access_log
    }

    /// Reload and wait for it. Not to be called from an async task.
    ///
    /// # Errors
    /// What is wrong; nothing has changed then.
    pub fn reload(&self) -> Result<u64, String> {
        let (answer, when_done) = oneshot::channel();
        let ended = || "the gateway is stopping".to_owned();
        self.commands.send(answer).map_err(|_| ended())?;
        when_done.blocking_recv().map_err(|_| ended())?
    }

    /// Drain and wait for the end.
    pub fn stop(mut self) {
        self.end(None);
    }

    fn end(&mut self, drain: Option<Duration>) {
        if let Some(stop) = self.stop.take() {
            // If the control thread is gone there is nothing left to stop.
            let _ = stop.send(drain);
        }
        if let Some(control) = self.control.take() {
            if control.join().is_err() {
                tracing::error!("the control thread panicked");
            }
            self.access_log.flush();
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.end(Some(Duration::ZERO));
    }
}
