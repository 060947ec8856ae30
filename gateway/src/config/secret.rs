//! A plugin's own configuration, which may hold secrets.
//!
//! It has no way to be shown by accident: `Debug` prints dots, there is no `Display`, and whoever wants the text
//! says so. What is in it is the plugin's business.

use std::fmt;

use serde_json::{Map, Value};

/// A plugin's own configuration: a JSON object, secrets included.
#[derive(Clone, PartialEq)]
pub struct PluginConfig(Map<String, Value>);

impl PluginConfig {
    /// From the members of the object.
    pub(super) fn new(mut members: Map<String, Value>) -> Self {
        // Some crate of the build may switch on insertion order for all; then equal objects could differ in text.
        members.sort_keys();
        members.values_mut().for_each(Value::sort_all_objects);
        Self(members)
    }

    /// Nothing configured: `{}`.
    pub fn empty() -> Self {
        Self::new(Map::new())
    }

    /// The JSON text that the plugin's `init` gets. Equal configurations have equal texts. It holds secrets: not for
    /// logs.
    pub fn json(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }

    /// This configuration with the members of `base` that it does not set itself. Members are taken whole.
    pub(super) fn over(self, base: &Self) -> Self {
        let mut members = self.0;
        for (key, value) in &base.0 {
            members.entry(key).or_insert_with(|| value.clone());
        }
        Self::new(members)
    }
}

impl fmt::Debug for PluginConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PluginConfig(..)")
    }
}
