//! What is counted for one plugin entry.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;

use super::histogram::{HOOK_BOUNDS_US, Histogram};
use super::words::Words;

/// Calls by hook, faults by kind, and how often the plugin was skipped.
#[derive(Debug)]
pub struct PluginMetrics {
    /// Faults by kind.
    pub faults: Words,
    /// Faults after which the exchange went on as if the plugin were not there.
    pub skips: Counter,
    hooks: Mutex<BTreeMap<&'static str, Arc<HookMetrics>>>,
}

impl PluginMetrics {
    /// The numbers of a hook, such as `on-request`, to be kept by whoever calls it.
    #[must_use]
    pub fn hook(&self, name: &'static str) -> Arc<HookMetrics> {
        Arc::clone(self.hooks.lock().entry(name).or_default())
    }

    pub(super) fn hooks(&self) -> Vec<(&'static str, Arc<HookMetrics>)> {
        self.hooks
            .lock()
            .iter()
            .map(|(name, hook)| (*name, Arc::clone(hook)))
            .collect()
    }
}

impl Default for PluginMetrics {
    fn default() -> Self {
        Self {
            faults: Words::new("kind", &[]),
            skips: Counter::default(),
            hooks: Mutex::default(),
        }
    }
}

/// Calls of one hook of one plugin, and how long they took.
#[derive(Debug)]
pub struct HookMetrics {
    durations: Histogram,
}

impl HookMetrics {
    /// Count one call, whatever came of it.
    pub fn count(&self, duration: Duration) {
        self.durations.observe(duration);
    }

    /// How long calls took.
    pub(super) fn durations(&self) -> &Histogram {
        &self.durations
    }
}

impl Default for HookMetrics {
    fn default() -> Self {
        Self {
            durations: Histogram::new(HOOK_BOUNDS_US),
        }
    }
}
