//! What the operator meant: the checked configuration.
//!
//! [`load`] reads a TOML file and answers with a [`Config`] or with *all* its problems, each with file, line, key
//! and what would be right. Past this door nothing is optional that is not optional, every name that is referred to
//! exists, and every limit has a value; certificates are read, and fit their keys. What a plugin thinks of its own `config` table is not known here; the
//! snapshot asks the plugin. Whether two routes contradict each other is not known here either; the route table is
//! built to find that.
//!
//! Reading order: `check` (the door, and one file for each table below it), `read` (typed access that collects
//! problems), then the values: `limits`, `units`, `host`, `network`, `secret`, `substitute`; `suggest` and `error` last.

mod check;
mod error;
mod host;
mod limits;
pub mod network;
mod read;
mod secret;
mod substitute;
mod suggest;
pub mod tls;
mod units;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

pub use check::{load, load_partly, log_level, parse};
pub use error::{ConfigError, ConfigErrors, Invalid};
pub use limits::ClientLimits;
pub use network::{Network, Origin};
pub use secret::PluginConfig;
pub use tls::{Certificate, ClientAuthentication, Need, Tls, TlsVersion, UpstreamTls};

/// A whole, checked configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Listeners, workers, limits on clients.
    pub server: Server,
    /// What the program says about itself.
    pub log: Log,
    /// Plugin entries by name.
    pub plugins: BTreeMap<String, Plugin>,
    /// Where each plugin was written, for errors about its component. Not part of [`Plugin`], so that a moved line
    /// is not a changed plugin.
    pub plugin_places: BTreeMap<String, Place>,
    /// Upstreams by name.
    pub upstreams: BTreeMap<String, Upstream>,
    /// Routes in the order of the file.
    pub routes: Vec<Route>,
    /// Every file whose change means a reload: the configuration itself, component files, secret files,
    /// certificates and keys. Absolute.
    pub files: Vec<PathBuf>,
}

impl Config {
    /// Every certificate of ours.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        let listeners = self.server.listen.iter().filter_map(|it| it.tls.as_ref());
        let upstreams = self.upstreams.values();
        listeners
            .flat_map(|tls| &tls.certificates)
            .chain(upstreams.filter_map(|upstream| upstream.tls.certificate.as_ref()))
    }
}

/// `[server]`: what concerns the process and its clients.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Where clients are served. Key `listen`: a list of addresses, or of tables (see [`Listener`]); default
    /// `["127.0.0.1:8080"]`.
    pub listen: Vec<Listener>,
    /// Address of the admin listener. Key `admin`, default none.
    pub admin: Option<SocketAddr>,
    /// Worker threads. Key `workers`, default one for each core.
    pub workers: usize,
    /// Plugins in front of every route's own chain. Key `plugins`, default none.
    pub plugins: Vec<ChainEntry>,
    /// Where compiled components are kept. Key `cache-dir`; default the user's cache folder; `false` is none.
    pub cache_dir: Option<PathBuf>,
    /// Where lines for the access log go. Key `access-log`: `stdout` (default), `stderr`, `off` or a file's path.
    pub access_log: AccessLog,
    /// Addresses (CIDR) whose `X-Forwarded-*` and `Forwarded` are believed and appended to. Key `trusted-proxies`,
    /// default none.
    pub trusted_proxies: Vec<Network>,
    /// What happens to a path that is not in its normal form. Key `path-normalisation`: `repair` (default) or `strict`.
    pub path_normalisation: PathNormalisation,
    /// Which request fields pass, by their names. Key `field-names`: `plain` (default) or `any`.
    pub field_names: FieldNames,
    /// Memory for all plugins' `kv` values. Key `kv-memory`, default 64 MiB.
    pub kv_memory_bytes: usize,
    /// Limits on clients.
    pub limits: ClientLimits,
}

/// An element of `server.listen`: an address for plain HTTP, or a table. `[[server.listen]]` writes the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// Where it listens. Key `address`, required.
    pub address: SocketAddr,
    /// TLS, with HTTP/2 or HTTP/1.1 as the client chooses. Key `tls`, default none.
    pub tls: Option<Tls>,
    /// Answer every request with a redirect (308) to this port by https, and serve nothing else. Key `redirect = "https"`,
    /// default none; key `redirect-port`, default 443.
    pub redirect: Option<u16>,
    /// Whether each connection begins with a header of the PROXY protocol (v1 or v2), which says for whom it is. Only
    /// peers in `trusted-proxies` may connect then. Key `proxy-protocol`, default false.
    pub proxy_protocol: bool,
}

impl Listener {
    /// Plain HTTP.
    #[must_use]
    pub fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            tls: None,
            redirect: None,
            proxy_protocol: false,
        }
    }
}

/// What happens to a path that is not written in its normal form. What has no single meaning is refused either way, and so
/// is what another reading would send to another route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathNormalisation {
    /// It is matched and forwarded in its normal form.
    Repair,
    /// It is refused with 400, but for the case of hex digits.
    Strict,
}

/// Which request fields pass, by their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldNames {
    /// Those of letters, digits and hyphens; others are dropped. CGI and what followed it read `x_user`, and some of them
    /// `x.user`, as `x-user`, so that a client could set what a plugin is sure to have set itself.
    Plain,
    /// All that HTTP allows.
    Any,
}

/// Where lines for the access log go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, appended to.
    File(PathBuf),
    /// Nowhere.
    Off,
}

/// `[log]`: what the program says about itself, on standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Which messages: a level or `tracing-subscriber` directives such as `info,gateway::upstream=debug`. Key
    /// `level`, default `info`.
    pub level: String,
    /// How they are written. Key `format`: `text` (default) or `json`.
    pub format: LogFormat,
}

/// How log messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[plugins.NAME]`: a component with its limits and what it may do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plugin {
    /// Where the component comes from. Key `component`, required.
    pub component: Component,
    /// The plugin's own configuration. Key `config`, default `{}`.
    pub config: PluginConfig,
    /// What the plugin may use beyond the log. Key `grants`, default nothing.
    pub grants: Grants,
    /// What the plugin may consume. Key `limits`.
    pub limits: PluginLimits,
    /// What a fault means for the exchange. Key `on-fault`: `deny` (default) or `skip`.
    pub on_fault: OnFault,
    /// Whether the plugin keeps somebody out; then `on-fault = "skip"` is refused. Key `security`, default true for
    /// `stock:api-key` and `stock:jwt`, else false.
    pub security: bool,
    /// Whether instances are reused. Key `isolation`: `reuse` (default) or `per-request`.
    pub isolation: Isolation,
}

/// Where a component comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Component {
    /// `stock:NAME`, embedded in the binary.
    Stock(String),
    /// A file, absolute or relative to the configuration's folder; absolute here.
    File(PathBuf),
}

impl std::fmt::Display for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stock(name) => write!(f, "stock:{name}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What a plugin may use beyond the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// `kv = true`: the key-value store.
    pub kv: bool,
    /// `limiter = true`: token buckets.
    pub limiter: bool,
    /// `http-client = ["https://login.example.com", ...]`: origins (scheme, host, port) that it may call. An empty list
    /// lets a component that imports the client be loaded, and every call of it be refused.
    pub http_client: Option<Vec<Origin>>,
    /// `http-client-networks = ["10.1.0.0/16"]`: addresses that are not public and yet allowed for those origins. An
    /// origin whose host is an address or `localhost` allows itself.
    pub http_client_networks: Vec<Network>,
}

/// Instances that one plugin can be given: a quarter of what the process has address space for, so that no plugin's burst
/// takes the room of all others.
pub const MAX_INSTANCES: u32 = 1_250;

/// What a plugin may consume. Time and calls are per hook call unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginLimits {
    /// CPU time. Key `time`, default 50 ms, at least 1 ms.
    pub time: Duration,
    /// Time by the clock, waiting in host calls included. Key `wall-time`, default 5 s.
    pub wall_time: Duration,
    /// CPU time for `init`, once per instance. Key `init-time`, default 1 s.
    pub init_time: Duration,
    /// Linear memory of one instance. Key `memory`, default 16 MiB, at least 64 KiB, at most 1 GiB.
    pub memory_bytes: usize,
    /// Instances at the same time, idle ones too, in the whole process, for each `config` that the entry is used with: a
    /// route's own makes instances of its own. Those of an old generation that still serves count apart. Key `instances`,
    /// default 512, at most [`MAX_INSTANCES`].
    pub instances: usize,
    /// Time to wait for an instance when all are busy. Key `instance-wait`, default 100 ms.
    pub instance_wait: Duration,
    /// Calls to the gateway. Key `host-calls`, default 1,000.
    pub host_calls: u32,
    /// Bytes written to the log. Key `log-bytes`, default 16 KiB.
    pub log_bytes: usize,
    /// Calls of `http-client.fetch`. Key `fetches`, default 8.
    pub fetches: u32,
    /// Bytes of a whole body held for the plugin. Key `buffered-body`, default 1 MiB.
    pub buffered_body_bytes: usize,
    /// Bytes that the plugin may hand to the gateway in one call. Key `output`, default 4 MiB.
    pub output_bytes: usize,
}

/// What a fault of a plugin means for the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFault {
    /// The exchange fails with 503 `plugin-fault`.
    Deny,
    /// The exchange goes on as if the plugin were not there; counted and logged.
    Skip,
}

/// Whether instances are reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// An instance serves one call after another.
    Reuse,
    /// A fresh instance for each exchange and hook.
    PerRequest,
}

/// One place in a chain: `"NAME"` or `{ use = "NAME", config = { ... } }`.
#[derive(Debug, Clone, PartialEq)]
pub struct ChainEntry {
    /// A key of [`Config::plugins`].
    pub plugin: String,
    /// The configuration for this place: the entry's own table with the keys of `[plugins.NAME] config` that it
    /// does not set.
    pub config: PluginConfig,
    /// Where the configuration was written, for errors that the plugin reports: the entry's own `config`, else that of
    /// `[plugins.NAME]`, else the entry.
    pub origin: Place,
}

/// Where something was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The file as given on the command line.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Dotted key, such as `routes[0].plugins[1].config`.
    pub key: String,
}

/// `[upstreams.NAME]`: where requests go.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// At least one. Key `endpoints`, required: `http://HOST:PORT` or `https://HOST:PORT`, no path.
    pub endpoints: Vec<Origin>,
    /// Time to connect, TLS included. Key `connect-timeout`, default 3 s.
    pub connect_timeout: Duration,
    /// Time until the response head, counted anew from each piece of request body that was sent. Key `response-timeout`, default 60 s.
    pub response_timeout: Duration,
    /// Time without a byte of response body. Key `body-timeout`, default 30 s.
    pub body_timeout: Duration,
    /// Idle connections kept per worker and endpoint. Key `idle-connections`, default 64; 0 keeps none.
    pub idle_connections: usize,
    /// How long an idle connection is kept. Key `idle-timeout`, default 30 s.
    pub idle_timeout: Duration,
    /// TLS with `https` endpoints. Key `tls`.
    pub tls: UpstreamTls,
}

/// `[[routes]]`: which requests go to which upstream, by which chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Unique name for logs, metrics and plugins. Key `name`, default `HOST PATH` as written (with methods if given).
    pub name: String,
    /// Where it was written.
    pub origin: Place,
    /// Host patterns, lower-case, without port: exact or `*.example.com`; empty means any. Key `hosts` (list) or `host`.
    pub hosts: Vec<String>,
    /// Path pattern as written: `/exact`, `/users/{id}`, `/files/*` (a last segment `*` matches the prefix itself and
    /// everything below). Key `path`.
    pub path: String,
    /// Methods; empty means any. Key `methods`; `CONNECT` and `TRACE` are refused before routing, and here.
    pub methods: Vec<Method>,
    /// Header fields that must be there. Key `headers = { "x-version" = "2", "x-debug" = true }`.
    pub headers: Vec<HeaderMatch>,
    /// A key of [`Config::upstreams`]. Key `upstream`, required.
    pub upstream: String,
    /// Prefix to cut from the path before the chain runs: leading literal segments of `path`. Key `strip-prefix`.
    pub strip_prefix: Option<String>,
    /// Path to put in place before the chain runs. A segment `{name}` stands for that of the pattern, a last segment
    /// `{*}` for what `*` matched. Key `rewrite-path`, not together with `strip-prefix`.
    pub rewrite_path: Option<String>,
    /// `Host` for the upstream. Key `rewrite-host`, default the client's.
    pub rewrite_host: Option<HeaderValue>,
    /// Time for the exchange until the response head. Key `timeout`, default none beyond the upstream's.
    pub timeout: Option<Duration>,
    /// Bytes of request body. Key `max-body`, default none.
    pub max_body_bytes: Option<u64>,
    /// Requests of this route in flight; one more is 503 `overloaded`. Key `requests-in-flight`, default none beyond
    /// that of `[server.limits]`.
    pub requests_in_flight: Option<u32>,
    /// The chain, `[server] plugins` included in front. Key `plugins`.
    pub plugins: Vec<ChainEntry>,
}

/// A header field that must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderMatch {
    /// Its name.
    pub name: HeaderName,
    /// The exact value that one of the fields must have; `None` for any.
    pub value: Option<HeaderValue>,
}
