//! `[plugins.NAME]`: components, their limits and what they may do.
//!
//! A component file has to exist; what is in it is looked at when it is compiled. A plugin that keeps somebody out
//! can't be skipped when it fails, whatever is written.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::read::{Item, Reader, Section};
use super::super::substitute::plugin_config;
use super::super::{
    Component, Grants, Invalid, Isolation, MAX_INSTANCES, OnFault, Place, Plugin, PluginConfig,
    PluginLimits, suggest,
};
use super::{LONGEST, SHORTEST, check_name};

/// The plugins in the binary, and whether each keeps somebody out.
const STOCK: [(&str, bool); 5] = [
    ("api-key", true),
    ("jwt", true),
    ("rate-limit", false),
    ("headers", false),
    ("access-log", false),
];

/// One call may compute for a minute: for batch work on a route of its own, not for traffic.
const COMPUTING_MAX: Duration = Duration::from_secs(60);
/// A page of Wasm memory; no instance has less.
const MEMORY_BYTES_MIN: usize = 64 << 10;
/// Memory or bytes that a plugin can be given; the pool reserves address space for as much.
const BYTES_MAX: usize = 1 << 30;
/// Calls that can be allowed; the deadline ends a hook long before.
const CALLS_MAX: u32 = 1_000_000_000;
/// Fetches of one hook; more is a crawler.
const FETCHES_MAX: u32 = 10_000;

/// The plugins that are written, also those with mistakes in them, so that a reference to one is no second mistake.
pub(super) type Plugins = BTreeMap<String, Found>;

/// A plugin that is written.
pub(super) struct Found {
    /// What was meant, unless there are mistakes that its own judgement would only repeat.
    pub(super) plugin: Option<Plugin>,
    /// Where it was written.
    pub(super) place: Place,
    /// Its configuration.
    pub(super) config: PluginConfig,
    /// Where its configuration was written, if it was.
    pub(super) config_place: Option<Place>,
}

/// All plugins.
pub(super) fn read(root: &mut Section<'_>) -> Plugins {
    let mut plugins = Plugins::new();
    for member in root
        .section("plugins")
        .map(|s| s.members())
        .unwrap_or_default()
    {
        check_name(&member);
        if let Some(section) = member.item.section() {
            plugins.insert(member.name.to_owned(), plugin(member.item.reader, section));
        }
    }
    plugins
}

fn plugin(reader: &Reader<'_>, mut section: Section<'_>) -> Found {
    let place = section.place();
    // With the default of a limit the plugin can still be asked; not with half of its grants or configuration.
    let limits = limits(section.section("limits"));
    let before = reader.problems();
    let component = section
        .required("component")
        .and_then(|item| component(&item));
    let written_config = section.take("config");
    let config = written_config
        .as_ref()
        .and_then(plugin_config)
        .unwrap_or_else(PluginConfig::empty);
    let grants = section.section("grants").map(grants).unwrap_or_default();
    let keeps_out = match &component {
        Some(Component::Stock(name)) => STOCK
            .iter()
            .any(|(stock, security)| stock == name && *security),
        _ => false,
    };
    let security = section.boolean("security", keeps_out);
    let isolations = [
        ("reuse", Isolation::Reuse),
        ("per-request", Isolation::PerRequest),
    ];
    let isolation = section.choice("isolation", Isolation::Reuse, &isolations);
    let mut on_fault = OnFault::Deny;
    if let Some(item) = section.take("on-fault") {
        let words = [("deny", OnFault::Deny), ("skip", OnFault::Skip)];
        on_fault = item.choice(&words).unwrap_or(on_fault);
        if security && on_fault == OnFault::Skip {
            let problem = Invalid::new("a plugin with 'security' can't be skipped when it fails");
            item.invalid(
                problem.hint("write \"deny\", or 'security = false' if it keeps nobody out"),
            );
        }
    }
    section.finish();
    let passed = reader.problems() == before;
    Found {
        plugin: component.filter(|_| passed).map(|component| Plugin {
            component,
            config: config.clone(),
            grants,
            limits,
            on_fault,
            security,
            isolation,
        }),
        place,
        config,
        config_place: written_config.map(|item| item.place()),
    }
}

fn component(item: &Item<'_>) -> Option<Component> {
    let text = item.string("\"stock:NAME\" or a file's path")?;
    let stock_names = STOCK.map(|(name, _)| name);
    if let Some(name) = text.strip_prefix("stock:") {
        if stock_names.contains(&name) {
            return Some(Component::Stock(name.to_owned()));
        }
        let hint = suggest::hint(name, stock_names);
        let message = format!("there is no stock plugin {name:?}");
        item.invalid(Invalid { message, hint });
        return None;
    }
    let path = item.reader.resolve(text);
    item.reader.watch(&path);
    if path.is_file() {
        return Some(Component::File(path));
    }
    let why = if path.exists() {
        "is not a file"
    } else {
        "does not exist"
    };
    let message = format!("the component {text:?} {why}");
    let hint =
        suggest::nearest(text, &stock_names).map(|name| format!("did you mean \"stock:{name}\"?"));
    item.invalid(Invalid { message, hint });
    None
}

fn grants(mut section: Section<'_>) -> Grants {
    let kv = section.boolean("kv", false);
    let limiter = section.boolean("limiter", false);
    let origin = "an origin such as \"https://login.example.com\"";
    let origins = section
        .take("http-client")
        .and_then(|item| item.list(&format!("a list with {origin}")));
    let http_client: Option<Vec<_>> = origins.as_ref().map(|origins| {
        let parsed = origins.iter().map(|i| i.parsed(origin, str::parse));
        parsed.flatten().collect()
    });
    let network = "a range such as \"10.0.0.0/8\"";
    let networks = section.take("http-client-networks");
    if let Some(networks) = networks
        .as_ref()
        .filter(|_| origins.as_ref().is_none_or(Vec::is_empty))
    {
        networks.problem("has no effect without origins in 'http-client'");
    }
    let networks = networks
        .and_then(|item| item.list(&format!("a list with {network}")))
        .unwrap_or_default();
    let http_client_networks = networks
        .iter()
        .filter_map(|i| i.parsed(network, str::parse))
        .collect();
    section.finish();
    Grants {
        kv,
        limiter,
        http_client,
        http_client_networks,
    }
}

fn limits(section: Option<Section<'_>>) -> PluginLimits {
    let mut limits = PluginLimits {
        time: Duration::from_millis(50),
        wall_time: Duration::from_secs(5),
        init_time: Duration::from_secs(1),
        memory_bytes: 16 << 20,
        instances: 512,
        instance_wait: Duration::from_millis(100),
        host_calls: 1_000,
        log_bytes: 16 << 10,
        fetches: 8,
        buffered_body_bytes: 1 << 20,
        output_bytes: 4 << 20,
    };
    let Some(mut section) = section else {
        return limits;
    };
    let computing = SHORTEST..=COMPUTING_MAX;
    let waiting = SHORTEST..=LONGEST;
    limits.time = section.duration("time", limits.time, computing.clone());
    limits.wall_time = section.duration("wall-time", limits.wall_time, waiting.clone());
    limits.init_time = section.duration("init-time", limits.init_time, computing);
    limits.memory_bytes = section.size("memory", limits.memory_bytes, MEMORY_BYTES_MIN..=BYTES_MAX);
    limits.instances = section.count("instances", limits.instances, 1..=MAX_INSTANCES);
    limits.instance_wait = section.duration("instance-wait", limits.instance_wait, waiting);
    limits.host_calls = section.count("host-calls", limits.host_calls, 1..=CALLS_MAX);
    limits.log_bytes = section.size("log-bytes", limits.log_bytes, 1..=BYTES_MAX);
    limits.fetches = section.count("fetches", limits.fetches, 1..=FETCHES_MAX);
    limits.buffered_body_bytes =
        section.size("buffered-body", limits.buffered_body_bytes, 1..=BYTES_MAX);
    limits.output_bytes = section.size("output", limits.output_bytes, 1..=BYTES_MAX);
    section.finish();
    limits
}
