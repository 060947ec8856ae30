//! `[server]`: listeners and workers; `limits` reads the table of limits in it.
//!
//! Whether an address can be bound is found out by binding it, not here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;

use toml::de::DeValue;

use super::super::read::{Item, Reader, Section};
use super::super::{AccessLog, FieldNames, Invalid, PathNormalisation, Server, suggest};
use super::plugins::Plugins;
use super::{chain, limits};

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
    if let Some(item) = section.take("listen") {
        server.listen = listeners(&item);
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
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 8080))],
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

fn listeners(item: &Item<'_>) -> Vec<SocketAddr> {
    let what = "a list of addresses such as [\"127.0.0.1:8080\"]";
    let items = item
        .filled_list(what, "leave the key out for 127.0.0.1:8080")
        .unwrap_or_default();
    let mut listeners = Vec::new();
    for item in items {
        let Some(address) = item.parsed("an address such as \"127.0.0.1:8080\"", address) else {
            continue;
        };
        if let Some(other) = listeners.iter().find(|other| overlap(**other, address)) {
            item.problem(format!("is the same as, or part of, the listener {other}"));
        }
        listeners.push(address);
    }
    listeners
}

fn admin(item: &Item<'_>, listeners: &[SocketAddr]) -> Option<SocketAddr> {
    let admin = item.parsed("an address such as \"127.0.0.1:9901\"", address)?;
    if let Some(listener) = listeners.iter().find(|listener| overlap(**listener, admin)) {
        item.problem(format!(
            "is the same as, or part of, the listener {listener} for clients"
        ));
    }
    Some(admin)
}

/// Whether two listeners would get the same connections. Port 0 is a new port each time.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let same_family = a.is_ipv4() == b.is_ipv4();
    let any = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || (same_family && any))
}

fn address(text: &str) -> Result<SocketAddr, Invalid> {
    text.parse().map_err(|_| {
        let problem = Invalid::new(format!("{text:?} is not an address with a port"));
        match text.strip_prefix(':').or(text.strip_prefix("localhost:")) {
            Some(port) => problem.hint(format!("did you mean \"127.0.0.1:{port}\"?")),
            None => problem.hint("such as \"127.0.0.1:8080\", \"0.0.0.0:80\" or \"[::1]:8080\""),
        }
    })
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
