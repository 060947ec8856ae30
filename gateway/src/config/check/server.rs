//! `[server]`: workers, and what is true of all listeners; `listeners` and `limits` read the tables in it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;

use toml::de::DeValue;

use super::super::read::{Item, Reader, Section};
use super::super::{AccessLog, FieldNames, Invalid, Listener, PathNormalisation, Server, suggest};
use super::plugins::Plugins;
use super::{chain, limits, listeners};

/// Threads beyond this are no use on any machine.
const WORKERS_MAX: u32 = 1024;
/// Less would evict values at once.
const KV_MEMORY_BYTES_MIN: usize = 64 << 10;
/// Memory for `kv` that can be allowed.
const KV_MEMORY_BYTES_MAX: usize = 1 << 40;

/// The table, or its defaults if it is not written.
pub(super) fn read(reader: &Reader<'_>, root: &mut Section<'_>, plugins: &Plugins) -> Server {
    let mut server = defaults(reader);
    let Some(mut section) = root.section("server") else {
        return server;
    };
    let listen = section.take("listen");
    if let Some(item) = &listen {
        server.listen = listeners::read(item);
    }
    server.admin = section
        .take("admin")
        .and_then(|item| admin(&item, &server.listen));
    server.workers = section.count("workers", server.workers, 1..=WORKERS_MAX);
    server.plugins = chain::read(&mut section, plugins);
    if let Some(item) = section.take("cache-dir") {
        server.cache_dir = cache_dir(&item);
    }
    if let Some(item) = section.take("access-log")
        && let Some(access_log) = access_log(&item)
    {
        server.access_log = access_log;
    }
    let network = "a range such as \"10.0.0.0/8\"";
    let networks = section.list("trusted-proxies", &format!("a list with {network}"));
    server.trusted_proxies = networks
        .iter()
        .filter_map(|i| i.parsed(network, str::parse))
        .collect();
    require_trust(listen.as_ref(), &server);
    let words = [
        ("repair", PathNormalisation::Repair),
        ("strict", PathNormalisation::Strict),
    ];
    server.path_normalisation =
        section.choice("path-normalisation", server.path_normalisation, &words);
    let words = [("plain", FieldNames::Plain), ("any", FieldNames::Any)];
    server.field_names = section.choice("field-names", server.field_names, &words);
    let kv_bounds = KV_MEMORY_BYTES_MIN..=KV_MEMORY_BYTES_MAX;
    server.kv_memory_bytes = section.size("kv-memory", server.kv_memory_bytes, kv_bounds);
    if let Some(limits) = section.section("limits") {
        server.limits = limits::read(limits, server.limits);
    }
    section.finish();
    server
}

fn defaults(reader: &Reader<'_>) -> Server {
    Server {
        listen: vec![Listener::plain(SocketAddr::from(([127, 0, 0, 1], 8080)))],
        admin: None,
        workers: thread::available_parallelism().map_or(1, |cores| cores.get()),
        plugins: Vec::new(),
        cache_dir: default_cache_dir(reader),
        access_log: AccessLog::Stdout,
        trusted_proxies: Vec::new(),
        path_normalisation: PathNormalisation::Repair,
        field_names: FieldNames::Plain,
        kv_memory_bytes: 64 << 20,
        limits: limits::defaults(),
    }
}

/// The user's cache folder by the XDG base directory specification: relative values are to be ignored.
fn default_cache_dir(reader: &Reader<'_>) -> Option<PathBuf> {
    let folder = |name| {
        (reader.variables)(name)
            .ok()
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
    Some(base?.join("gateway"))
}

fn admin(item: &Item<'_>, listeners: &[Listener]) -> Option<SocketAddr> {
    let admin = item.parsed("an address such as \"127.0.0.1:9901\"", listeners::parse)?;
    let mut addresses = listeners.iter().map(|listener| listener.address);
    if let Some(listener) = addresses.find(|address| listeners::overlap(*address, admin)) {
        item.problem(format!(
            "is the same as, or part of, the listener {listener} for clients"
        ));
    }
    Some(admin)
}

/// Whoever may say for whom a connection is must be known.
fn require_trust(listen: Option<&Item<'_>>, server: &Server) {
    let is_spoken = server.listen.iter().any(|listener| listener.proxy_protocol);
    if let Some(item) = listen.filter(|_| is_spoken && server.trusted_proxies.is_empty()) {
        let problem = Invalid::new("'proxy-protocol' is on, and nobody may speak it");
        item.invalid(problem.hint("name the balancers in server.trusted-proxies"));
    }
}

fn cache_dir(item: &Item<'_>) -> Option<PathBuf> {
    match item.value.get_ref() {
        DeValue::Boolean(false) => None,
        DeValue::String(text) if !text.is_empty() => Some(item.reader.resolve(text)),
        _ => {
            item.expected("a folder, or false for no cache");
            None
        }
    }
}

fn access_log(item: &Item<'_>) -> Option<AccessLog> {
    let what = "\"stdout\", \"stderr\", \"off\" or a file's path such as \"./access.log\"";
    match item.string(what)? {
        "stdout" => Some(AccessLog::Stdout),
        "stderr" => Some(AccessLog::Stderr),
        "off" => Some(AccessLog::Off),
        // A word that is no path is a mistyped one of the above, and would become a file that nobody looks for.
        word if !word.contains(['/', '.']) => {
            let hint = suggest::hint(word, ["stdout", "stderr", "off"]);
            let message = format!("expected {what}, found the string {word:?}");
            item.invalid(Invalid { message, hint });
            None
        }
        path => {
            let path = item.reader.resolve(path);
            if path.is_dir() || !path.parent().is_some_and(|folder| folder.is_dir()) {
                item.problem("is not a file in a folder that exists");
            }
            Some(AccessLog::File(path))
        }
    }
}
