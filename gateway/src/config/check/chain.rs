//! Chains: `plugins = ["NAME", { use = "NAME", config = { ... } }]`.
//!
//! Each entry gets the configuration of its plugin with its own on top. The plugin has to exist; what it says to the
//! configuration is asked later. One plugin may stand in a chain twice.

use super::super::read::{Item, Section};
use super::super::substitute::plugin_config;
use super::super::{ChainEntry, Invalid, suggest};
use super::plugins::Plugins;

/// What an entry looks like.
const ENTRY: &str = "a plugin's name or a table such as { use = \"name\", config = {} }";

/// The chain under the key `plugins`, if written.
pub(super) fn read(section: &mut Section<'_>, plugins: &Plugins) -> Vec<ChainEntry> {
    let entries = section.list("plugins", "a list of plugins such as [\"name\"]");
    entries
        .iter()
        .filter_map(|item| entry(item, plugins))
        .collect()
}

fn entry(item: &Item<'_>, plugins: &Plugins) -> Option<ChainEntry> {
    let value = item.value.get_ref();
    if !value.is_table() {
        return named(item, None, item, plugins);
    }
    let before = item.reader.problems();
    let mut section = item.section()?;
    let name = section.required("use");
    let own = section.take("config");
    section.finish();
    let passed = item.reader.problems() == before;
    named(&name?, own.as_ref(), item, plugins).filter(|_| passed)
}

fn named(
    name: &Item<'_>,
    own: Option<&Item<'_>>,
    whole: &Item<'_>,
    plugins: &Plugins,
) -> Option<ChainEntry> {
    let own_config = own.map(plugin_config);
    let name_text = name.string(ENTRY)?;
    let Some(found) = plugins.get(name_text) else {
        let hint = suggest::hint(name_text, plugins.keys().map(String::as_str));
        let message = format!("there is no plugin {name_text:?}");
        name.absent(Invalid { message, hint });
        return None;
    };
    let config = match own_config {
        Some(config) => config?.over(&found.config),
        None => found.config.clone(),
    };
    let origin = own
        .map(Item::place)
        .or_else(|| found.config_place.clone())
        .unwrap_or_else(|| whole.place());
    Some(ChainEntry {
        plugin: name_text.to_owned(),
        config,
        origin,
    })
}
