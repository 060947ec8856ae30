//! From one generation to the next: read, check, build, bind, swap. A failure at any step leaves the old one serving.
//!
//! `Reloader` does it; `Watch` says when the files behind it have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::Notify;

use crate::config::{self, Config, ConfigErrors};
use crate::observe::{AccessLog, Metrics};
use crate::proxy::Proxy;
use crate::server::{BindError, Listeners, Workers};
use crate::snapshot::Builder;

/// After a change, how long files must stay as they are before they are read: editors write in several steps.
const QUIET: Duration = Duration::from_millis(150);

/// How often the files are looked at without an event: what lies behind a symbolic link, or in a folder that was replaced,
/// has none.
const POLL: Duration = Duration::from_secs(2);

/// A file that never is quiet is read all the same after this time.
const RESTLESS: Duration = Duration::from_secs(1);

/// Why a reload changed nothing.
#[derive(Debug, Error)]
pub enum ReloadError {
    /// The configuration, or what it names, is not right.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// A new address can't be had.
    #[error("{0}")]
    Bind(#[from] BindError),
    /// The access log's new file can't be opened.
    #[error("can't open the access log: {0}")]
    AccessLog(std::io::Error),
    /// A file without routes, where there were some: most likely it is being written.
    #[error("the configuration has no [[routes]] left; to serve nothing, stop the gateway")]
    NoRoutes,
    /// The gateway was started without a file.
    #[error("there is no configuration file to reload")]
    NoFile,
}

/// Makes the next generation serve.
pub(crate) struct Reloader {
    pub(crate) file: Option<PathBuf>,
    pub(crate) builder: Builder,
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) listeners: Listeners,
    pub(crate) workers: Arc<Workers>,
    pub(crate) access_log: Arc<AccessLog>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) files: Arc<WatchedFiles>,
}

impl Reloader {
    /// Reload, and tell log and metrics how it went.
    pub(crate) async fn reload(&mut self) -> Result<u64, ReloadError> {
        let done = self.attempt().await;
        match &done {
            Ok(generation) => {
                self.metrics.reloads.count("ok");
                tracing::info!(generation, "reloaded");
            }
            Err(error) => {
                self.metrics.reloads.count("error");
                let serving = self.proxy.snapshot.load().generation;
                tracing::error!(serving, "reload failed, nothing has changed: {error}");
            }
        }
        done
    }

    async fn attempt(&mut self) -> Result<u64, ReloadError> {
        let file = self.file.clone().ok_or(ReloadError::NoFile)?;
        // Before reading: what changes while we read will be seen as a change again.
        self.files.remember();
        let config = config::load(&file).inspect_err(|errors| self.files.add(errors.files()))?;
        self.files.set(&config.files);
        let before = self.proxy.snapshot.load_full();
        if config.routes.is_empty() && !before.config.routes.is_empty() {
            return Err(ReloadError::NoRoutes);
        }
        warn_of_fixed(&before.config, &config);
        let snapshot = self
            .builder
            .build(config, before.generation + 1, Some(&before))
            .await?;
        let listeners = self.listeners.prepare(&snapshot.config.server.listen)?;
        let access_log = &snapshot.config.server.access_log;
        if *access_log != before.config.server.access_log {
            self.access_log
                .switch(access_log)
                .map_err(ReloadError::AccessLog)?;
        }
        let generation = snapshot.generation;
        self.proxy.snapshot.store(Arc::new(snapshot));
        self.metrics
            .generation
            .set(i64::try_from(generation).unwrap_or(i64::MAX));
        self.listeners.set(listeners);
        self.workers.serve(self.listeners.bound().to_vec());
        Ok(generation)
    }
}

/// Some settings are looked at only when the process starts.
fn warn_of_fixed(before: &Config, now: &Config) {
    let (old, new) = (&before.server, &now.server);
    let fixed = [
        ("server.workers", old.workers != new.workers),
        ("server.admin", old.admin != new.admin),
        ("server.cache-dir", old.cache_dir != new.cache_dir),
        (
            "server.kv-memory",
            old.kv_memory_bytes != new.kv_memory_bytes,
        ),
        ("log", before.log != now.log),
    ];
    for (key, _) in fixed.into_iter().filter(|(_, changed)| *changed) {
        tracing::warn!(key, "this change takes effect at the next start");
    }
}

/// The files behind the configuration, and how they looked when they were last read.
#[derive(Default)]
pub(crate) struct WatchedFiles(Mutex<BTreeMap<PathBuf, Look>>);

/// Enough of a file to see that it is another one.
type Look = Option<(SystemTime, u64, u64)>;

impl WatchedFiles {
    /// These are the files now. Those that are known keep the look they had when they were last read.
    pub(crate) fn set(&self, paths: &[PathBuf]) {
        let mut files = self.0.lock();
        let known = std::mem::take(&mut *files);
        *files = paths
            .iter()
            .map(|path| {
                (
                    path.clone(),
                    known.get(path).copied().unwrap_or_else(|| look(path)),
                )
            })
            .collect();
    }

    /// These are files too, of a configuration that was refused: mending one of them must count.
    fn add(&self, paths: &[PathBuf]) {
        let mut files = self.0.lock();
        for path in paths {
            files.entry(path.clone()).or_insert_with(|| look(path));
        }
    }

    fn remember(&self) {
        *self.0.lock() = self.looks();
    }

    fn has_changed(&self) -> bool {
        let looks = self.looks();
        *self.0.lock() != looks
    }

    fn looks(&self) -> BTreeMap<PathBuf, Look> {
        let paths: Vec<PathBuf> = self.0.lock().keys().cloned().collect();
        let look = |path: PathBuf| {
            let look = look(&path);
            (path, look)
        };
        paths.into_iter().map(look).collect()
    }

    /// The folders to watch: a file that is replaced by a rename is another file in the same folder.
    fn folders(&self) -> BTreeSet<PathBuf> {
        let files = self.0.lock();
        let folders = files.keys().filter_map(|path| path.parent());
        folders.map(Path::to_path_buf).collect()
    }
}

fn look(path: &Path) -> Look {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len(), meta.ino()))
}

/// Waits for the files to change.
pub(crate) struct Watch {
    files: Arc<WatchedFiles>,
    event: Arc<Notify>,
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
}

impl Watch {
    /// Watch these, whichever they are at the time.
    pub(crate) fn new(files: Arc<WatchedFiles>) -> Result<Self, notify::Error> {
        let event = Arc::new(Notify::new());
        let wake = Arc::clone(&event);
        let watcher = notify::recommended_watcher(move |_| wake.notify_one())?;
        Ok(Self {
            files,
            event,
            watcher,
            folders: BTreeSet::new(),
        })
    }

    /// Wait until they have changed since they were last read, and are quiet again.
    pub(crate) async fn changed(&mut self) {
        loop {
            self.follow();
            if self.files.has_changed() {
                return self.settled().await;
            }
            // Either way it is time to look again.
            let _ = tokio::time::timeout(POLL, self.event.notified()).await;
        }
    }

    /// Wait until the files themselves are quiet; others in their folders don't matter.
    async fn settled(&self) {
        let give_up = tokio::time::Instant::now() + RESTLESS;
        let mut before = self.files.looks();
        while tokio::time::Instant::now() < give_up {
            tokio::time::sleep(QUIET).await;
            let now = self.files.looks();
            if now == before {
                return;
            }
            before = now;
        }
    }

    fn follow(&mut self) {
        let folders = self.files.folders();
        for gone in self.folders.difference(&folders) {
            // A folder that is gone is not watched any more anyway.
            let _ = self.watcher.unwatch(gone);
        }
        for new in folders.difference(&self.folders) {
            if let Err(error) = self.watcher.watch(new, RecursiveMode::NonRecursive) {
                tracing::warn!(folder = %new.display(), %error, "can't watch for changes");
            }
        }
        self.folders = folders
            .into_iter()
            .filter(|folder| folder.is_dir())
            .collect();
    }
}
