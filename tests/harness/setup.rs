//! A configuration, written piece by piece, with a folder of its own for it and its plugins.
//!
//! What a test does not say is set to what tests want: ports that the system chooses, two workers, no access log,
//! compiled components kept between runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gateway::StartOptions;

use crate::gateway::Running;
use crate::upstream::Upstream;
use crate::{guests, scratch};

/// A configuration in the making.
#[derive(Debug, Clone)]
pub struct Setup {
    folder: Arc<Folder>,
    server: String,
    limits: String,
    plugins: String,
    upstreams: String,
    routes: String,
    watch: bool,
}

/// A folder that goes when nobody holds it any more.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new, empty one.
    ///
    /// # Panics
    /// If it can't be made.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = scratch().join(format!("{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("the target folder can be written");
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in the target folder does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Setup {
    /// Nothing but the defaults.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "it makes a folder, which a default should not"
    )]
    pub fn new() -> Self {
        Self {
            folder: Arc::new(Folder::new()),
            server: String::new(),
            limits: String::new(),
            plugins: String::new(),
            upstreams: String::new(),
            routes: String::new(),
            watch: false,
        }
    }

    /// The same folder, for the next version of this configuration.
    #[must_use]
    pub fn again(&self) -> Self {
        Self {
            folder: Arc::clone(&self.folder),
            ..Self::new()
        }
    }

    /// One upstream and a route to it for every path, with these further keys.
    #[must_use]
    pub fn to(upstream: &Upstream, route_keys: &str) -> Self {
        Self::new().upstream("up", upstream).route("/*", route_keys)
    }

    /// Further keys of `[server]`.
    #[must_use]
    pub fn server(mut self, keys: &str) -> Self {
        push(&mut self.server, keys);
        self
    }

    /// Further keys of `[server.limits]`.
    #[must_use]
    pub fn limits(mut self, keys: &str) -> Self {
        push(&mut self.limits, keys);
        self
    }

    /// An upstream.
    #[must_use]
    pub fn upstream(self, name: &str, upstream: &Upstream) -> Self {
        self.upstream_at(name, &upstream.origin(), "")
    }

    /// An upstream with further keys.
    #[must_use]
    pub fn upstream_with(self, name: &str, upstream: &Upstream, keys: &str) -> Self {
        self.upstream_at(name, &upstream.origin(), keys)
    }

    /// An upstream with that endpoint and further keys.
    #[must_use]
    pub fn upstream_at(mut self, name: &str, origin: &str, keys: &str) -> Self {
        push(
            &mut self.upstreams,
            &format!("[upstreams.{name}]\nendpoints = [{origin:?}]\n{keys}"),
        );
        self
    }

    /// A route to the upstream `up`, unless the further keys name another.
    #[must_use]
    pub fn route(mut self, path: &str, keys: &str) -> Self {
        let upstream = if keys
            .lines()
            .any(|line| line.trim().starts_with("upstream "))
        {
            ""
        } else {
            "upstream = \"up\""
        };
        push(
            &mut self.routes,
            &format!("[[routes]]\npath = {path:?}\n{upstream}\n{keys}"),
        );
        self
    }

    /// A plugin from these bytes, with further keys.
    ///
    /// # Panics
    /// If they can't be written.
    #[must_use]
    pub fn plugin(self, name: &str, component: &[u8], keys: &str) -> Self {
        self.write_component(name, component);
        self.plugin_from(name, &format!("./{name}.wasm"), keys)
    }

    /// A plugin from what the configuration calls its component.
    #[must_use]
    pub fn plugin_from(mut self, name: &str, component: &str, keys: &str) -> Self {
        push(
            &mut self.plugins,
            &format!("[plugins.{name}]\ncomponent = {component:?}\n{keys}"),
        );
        self
    }

    /// The plugin that does what its configuration says, with these acts (TOML tables, comma-separated).
    #[must_use]
    pub fn acts(self, name: &str, acts: &str) -> Self {
        self.acts_with(name, acts, "")
    }

    /// The plugin that does what its configuration says, with these acts and further keys.
    #[must_use]
    pub fn acts_with(self, name: &str, acts: &str, keys: &str) -> Self {
        let config = format!("config = {{ acts = [{acts}] }}");
        let grants = if keys.contains("grants") {
            ""
        } else {
            guests::EVERY_GRANT
        };
        self.plugin(
            name,
            guests::MISBEHAVING,
            &format!("{config}\n{grants}\n{keys}"),
        )
    }

    /// Reload when files change.
    #[must_use]
    pub fn watch(mut self) -> Self {
        self.watch = true;
        self
    }

    /// Put a component into the folder, in one step.
    ///
    /// # Panics
    /// If it can't be written.
    pub fn write_component(&self, name: &str, component: &[u8]) {
        self.write_file(&format!("{name}.wasm"), component);
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration's file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder().join("gateway.toml")
    }

    /// As it will be written.
    #[must_use]
    pub fn toml(&self) -> String {
        let cache = scratch().join("cache");
        let defaults = [
            ("listen", "[\"127.0.0.1:0\"]".to_owned()),
            ("admin", "\"127.0.0.1:0\"".to_owned()),
            ("workers", "2".to_owned()),
            ("access-log", "\"off\"".to_owned()),
            ("cache-dir", format!("{cache:?}")),
        ];
        let mut text = "[server]\n".to_owned();
        let said = |key: &str| {
            self.server
                .lines()
                .any(|line| line.trim().split([' ', '=']).next() == Some(key))
        };
        for (key, value) in defaults.into_iter().filter(|(key, _)| !said(key)) {
            push(&mut text, &format!("{key} = {value}"));
        }
        push(&mut text, &self.server);
        push(&mut text, "[server.limits]");
        push(&mut text, &self.limits);
        for part in [&self.plugins, &self.upstreams, &self.routes] {
            push(&mut text, part);
        }
        text
    }

    /// Write it to its file, in one step, as editors do.
    ///
    /// # Panics
    /// If it can't be written.
    pub fn write(&self) {
        self.write_text(&self.toml());
    }

    /// Write something else to its file, in one step.
    ///
    /// # Panics
    /// If it can't be written.
    pub fn write_text(&self, text: &str) {
        self.write_file("gateway.toml", text.as_bytes());
    }

    /// Put a file into the folder: a reader sees the old one or the new one, and never half of one.
    ///
    /// # Panics
    /// If it can't be written.
    pub fn write_file(&self, name: &str, bytes: &[u8]) {
        let next = self.folder().join(format!("{name}.next"));
        fs::write(&next, bytes).expect("the folder can be written");
        fs::rename(&next, self.folder().join(name)).expect("the folder can be written");
    }

    /// Start a gateway from it.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Running {
        match self.try_start() {
            Ok(running) => running,
            Err(error) => panic!("the gateway does not start: {error}"),
        }
    }

    /// Start a gateway from it, or say why not.
    pub fn try_start(self) -> Result<Running, String> {
        let text = self.toml();
        self.try_start_from(&text)
    }

    /// Start a gateway in its folder, but from this text, or say why not.
    pub fn try_start_from(self, text: &str) -> Result<Running, String> {
        self.write_text(text);
        let file = self.file();
        let config = gateway::config::load(&file).map_err(|errors| errors.to_string())?;
        let options = StartOptions {
            config_path: Some(file),
            watch: self.watch,
        };
        let gateway = gateway::start(config, options).map_err(|error| error.to_string())?;
        Ok(Running::new(gateway, self))
    }
}

fn push(to: &mut String, text: &str) {
    to.push_str(text);
    to.push('\n');
}
