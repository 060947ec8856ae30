//! One generation: routes, chains and upstreams made from one checked configuration. This is their only constructor.
//!
//! A snapshot is built beside the one that serves, complete and warm, before it is swapped in. What did not change (a
//! component with its configuration, an upstream's definition) is taken over with its instances and connections.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use crate::config::{
    self, ChainEntry, ClientLimits, Component, Config, ConfigError, ConfigErrors, Network, Place,
};
use crate::observe::Metrics;
use crate::observe::metrics::{InFlight, RouteMetrics};
use crate::plugin::{
    Chain, Fetch, LoadError, LoadedComponent, MAX_COMPONENT_BYTES, PoolSpec, Runtime,
};
use crate::proxy::GrantedFetch;
use crate::route::{Rewrite, Table};
use crate::upstream::Upstream;

/// One generation.
pub struct Snapshot {
    /// Counts from 1.
    pub generation: u64,
    /// What it was made from.
    pub config: Config,
    /// Finds routes.
    pub table: Table,
    /// By the index that the table answers with.
    pub routes: Vec<Route>,
    /// The name that stands for no route.
    pub no_route: Arc<str>,
    /// Whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Limits on clients.
    pub limits: ClientLimits,
    /// Upstreams by name.
    pub upstreams: BTreeMap<String, Arc<Upstream>>,
    unrouted: Chain,
}

/// A route, ready to serve.
pub struct Route {
    /// Its name.
    pub name: Arc<str>,
    /// Its plugins.
    pub chain: Chain,
    /// Where its requests go.
    pub upstream: Arc<Upstream>,
    /// The path for the upstream.
    pub rewrite: Rewrite,
    /// The host for the upstream, if not the client's.
    pub rewrite_host: Option<HeaderValue>,
    /// Time until the response head.
    pub timeout: Option<Duration>,
    /// Bytes of request body.
    pub max_body_bytes: Option<u64>,
    /// Requests of this route in flight.
    pub requests_in_flight: Option<u32>,
    metrics: Arc<RouteMetrics>,
}

impl Route {
    /// A place among so many requests in flight; `None`: there is none left. They are counted across generations.
    #[must_use]
    pub fn place(&self, limit: u32) -> Option<InFlight> {
        InFlight::take(&self.metrics, limit)
    }
}

impl Snapshot {
    /// The chain of a route; without one, the server's own plugins, of which only `on-log` runs.
    #[must_use]
    pub fn chain(&self, route: Option<usize>) -> &Chain {
        route.map_or(&self.unrouted, |index| &self.routes[index].chain)
    }

    /// Where requests of a route are counted.
    #[must_use]
    pub fn route_metrics<'a>(
        &'a self,
        route: Option<usize>,
        metrics: &'a Metrics,
    ) -> &'a RouteMetrics {
        route.map_or(metrics.unrouted(), |index| &self.routes[index].metrics)
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// Makes snapshots.
pub struct Builder {
    /// Loads plugins.
    pub runtime: Arc<Runtime>,
    /// Resolves routes' counters.
    pub metrics: Arc<Metrics>,
    /// Finds an embedded plugin.
    pub stock: fn(&str) -> Option<&'static [u8]>,
    /// Addresses that no plugin may call: our own admin listener.
    pub never_called: Vec<SocketAddr>,
}

impl Builder {
    /// Build a generation, taking over from `before` what did not change.
    ///
    /// # Errors
    /// Everything that is wrong with routes, components and plugins' configurations, at once.
    pub async fn build(
        &self,
        config: Config,
        generation: u64,
        before: Option<&Snapshot>,
    ) -> Result<Snapshot, ConfigErrors> {
        let mut errors = Vec::new();
        let table = Table::build(&config.routes).unwrap_or_else(|conflicts| {
            errors.extend(
                conflicts
                    .iter()
                    .map(|conflict| ConfigError::at(&conflict.origin, conflict.to_string())),
            );
            Table::default()
        });
        let upstreams = upstreams(&config, before, &mut errors);
        let components = self.components(&config, &mut errors).await;
        let mut chains = Vec::new();
        let own = std::iter::once(&config.server.plugins);
        for entries in own.chain(config.routes.iter().map(|route| &route.plugins)) {
            chains.push(self.chain(&config, &components, entries, &mut errors).await);
        }
        let mut chains = chains.into_iter();
        let unrouted = chains.next().unwrap_or_default();
        let mut routes = Vec::new();
        for (route, chain) in config.routes.iter().zip(chains) {
            match (Rewrite::compile(route), upstreams.get(&route.upstream)) {
                (Ok(rewrite), Some(upstream)) => routes.push(Route {
                    name: route.name.as_str().into(),
                    chain,
                    upstream: Arc::clone(upstream),
                    rewrite,
                    rewrite_host: route.rewrite_host.clone(),
                    timeout: route.timeout,
                    max_body_bytes: route.max_body_bytes,
                    requests_in_flight: route.requests_in_flight,
                    metrics: self.metrics.route(&route.name),
                }),
                (Err(error), _) => errors.push(ConfigError::at(&error.origin, error.to_string())),
                // There is no such upstream, or it could not be built, which was said already.
                (Ok(_), None) => {}
            }
        }
        errors.dedup();
        ConfigErrors::check(errors)?;
        Ok(Snapshot {
            generation,
            table,
            routes,
            no_route: "".into(),
            trusted_proxies: config.server.trusted_proxies.clone(),
            limits: config.server.limits.clone(),
            upstreams,
            unrouted,
            config,
        })
    }

    /// Compile what the plugins need, in parallel.
    async fn components(
        &self,
        config: &Config,
        errors: &mut Vec<ConfigError>,
    ) -> HashMap<Component, LoadedComponent> {
        // By component: several plugins may be the same one.
        let mut users: BTreeMap<&Component, Vec<&String>> = BTreeMap::new();
        for (name, plugin) in &config.plugins {
            users.entry(&plugin.component).or_default().push(name);
        }
        let mut loading = Vec::new();
        for (component, names) in users {
            let runtime = Arc::clone(&self.runtime);
            let bytes = self.bytes(component);
            let task = tokio::spawn(async move { runtime.component(bytes?).await });
            loading.push((component, names, task));
        }
        let mut loaded = HashMap::new();
        for (component, names, task) in loading {
            let done = task
                .await
                .unwrap_or_else(|panic| Err(LoadError::Runtime(panic.to_string())));
            match done {
                Ok(done) => {
                    loaded.insert(component.clone(), done);
                }
                Err(error) => errors.extend(
                    names
                        .iter()
                        .map(|name| ConfigError::at(&place(config, name), error.to_string())),
                ),
            }
        }
        loaded
    }

    fn bytes(&self, component: &Component) -> Result<Arc<[u8]>, LoadError> {
        match component {
            Component::Stock(name) => {
                let found = (self.stock)(name).map(Arc::from);
                found.ok_or_else(|| LoadError::Component(format!("stock:{name} does not exist")))
            }
            Component::File(path) => read_component(path),
        }
    }

    async fn chain(
        &self,
        config: &Config,
        components: &HashMap<Component, LoadedComponent>,
        entries: &[ChainEntry],
        errors: &mut Vec<ConfigError>,
    ) -> Chain {
        let mut pools = Vec::new();
        for entry in entries {
            // What is not there has been reported already.
            let Some(plugin) = config.plugins.get(&entry.plugin) else {
                continue;
            };
            let Some(component) = components.get(&plugin.component) else {
                continue;
            };
            let fetch = match fetch_of(plugin, &self.never_called) {
                Ok(fetch) => fetch,
                Err(error) => {
                    errors.push(ConfigError::at(&place(config, &entry.plugin), error));
                    continue;
                }
            };
            let spec = PoolSpec {
                name: entry.plugin.clone(),
                config: entry.config.json(),
                grants: plugin.grants.clone(),
                limits: plugin.limits.clone(),
                on_fault: plugin.on_fault,
                isolation: plugin.isolation,
            };
            match self.runtime.pool(component, spec, fetch).await {
                Ok(pool) => pools.push(pool),
                Err(error @ LoadError::Component(_)) => {
                    errors.push(ConfigError::at(
                        &place(config, &entry.plugin),
                        error.to_string(),
                    ));
                }
                Err(error) => errors.push(ConfigError::at(&entry.origin, error.to_string())),
            }
        }
        Chain::new(pools)
    }
}

fn fetch_of(
    plugin: &config::Plugin,
    denied: &[SocketAddr],
) -> Result<Option<Arc<dyn Fetch>>, String> {
    if plugin.grants.http_client.is_none() {
        return Ok(None);
    }
    match GrantedFetch::new(&plugin.grants, denied) {
        Ok(fetch) => Ok(Some(Arc::new(fetch))),
        Err(error) => Err(error.to_string()),
    }
}

fn upstreams(
    config: &Config,
    before: Option<&Snapshot>,
    errors: &mut Vec<ConfigError>,
) -> BTreeMap<String, Arc<Upstream>> {
    let mut upstreams = BTreeMap::new();
    for (name, definition) in &config.upstreams {
        let known = before.and_then(|before| before.upstreams.get(name));
        if let Some(known) = known.filter(|known| known.definition() == definition) {
            upstreams.insert(name.clone(), Arc::clone(known));
            continue;
        }
        match Upstream::new(definition) {
            Ok(upstream) => {
                upstreams.insert(name.clone(), Arc::new(upstream));
            }
            Err(error) => {
                let file = config.files.first().cloned().unwrap_or_default();
                let at = Place {
                    file,
                    line: 0,
                    key: format!("upstreams.{name}"),
                };
                errors.push(ConfigError::at(&at, error.to_string()));
            }
        }
    }
    upstreams
}

fn place(config: &Config, plugin: &str) -> Place {
    let mut place = config
        .plugin_places
        .get(plugin)
        .cloned()
        .unwrap_or_default();
    place.key = format!("plugins.{plugin}");
    place
}

fn read_component(path: &Path) -> Result<Arc<[u8]>, LoadError> {
    let failed = |error: std::io::Error| {
        LoadError::Component(format!("{} can't be read: {error}", path.display()))
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    let read = file
        .take(MAX_COMPONENT_BYTES as u64 + 1)
        .read_to_end(&mut bytes);
    if read.map_err(failed)? > MAX_COMPONENT_BYTES {
        let text = format!(
            "{} is too long; the limit is {MAX_COMPONENT_BYTES} bytes",
            path.display()
        );
        return Err(LoadError::Component(text));
    }
    Ok(bytes.into())
}
