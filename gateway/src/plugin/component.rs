//! From bytes to a loaded component: turn a core module into one, check what it imports against what was granted, find
//! out which hooks it exports, compile it.

use thiserror::Error;
use wasmtime::Engine;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};

use super::bindings::names;
use super::cache::{Cache, Digest, digest};
use super::engine::{MAX_COMPONENT_BYTES, instances_of};
use super::host::Host;
use super::interest::Interest;
use super::reexport::reexport;
use crate::config::Grants;

/// Why bytes can't be a plugin.
#[derive(Debug, Error)]
pub(super) enum ComponentError {
    #[error("is {bytes} bytes long; the limit is {MAX_COMPONENT_BYTES}")]
    TooLarge { bytes: usize },
    #[error("is no WebAssembly: it does not start with '\\0asm'")]
    NotWasm,
    #[error(
        "is a core module that can't be made a component: {0} (build for wasm32-wasip2, or for wasm32-unknown-unknown with the plugin SDK)"
    )]
    NotComponentizable(String),
    #[error("does not compile: {0}")]
    Compile(String),
    #[error("imports {imports}, which the plugin was not granted: add {grants} to its entry")]
    NotGranted { imports: String, grants: String },
    #[error("imports '{import}', which no plugin gets: {reason}")]
    Refused {
        import: String,
        reason: &'static str,
    },
    #[error(
        "has {memories} memories, and {instances} instances of it would take more than a quarter of what all plugins share: set `limits.instances` of its entry to {most} or less"
    )]
    TooManyInstances {
        memories: u32,
        instances: usize,
        most: usize,
    },
    #[error("exports no '{}' interface", names::LIFECYCLE)]
    NoLifecycle,
    #[error(
        "exports none of the hook interfaces (such as '{}')",
        names::ON_REQUEST
    )]
    NoHook,
    #[error("does not fit the contract: {0}")]
    Contract(String),
}

/// Where a component's hook functions are.
#[derive(Debug, Clone, Default)]
pub(super) struct HookExports {
    pub(super) on_request: Option<ComponentExportIndex>,
    pub(super) on_request_chunk: Option<ComponentExportIndex>,
    pub(super) on_request_whole: Option<ComponentExportIndex>,
    pub(super) on_response: Option<ComponentExportIndex>,
    pub(super) on_response_chunk: Option<ComponentExportIndex>,
    pub(super) on_response_whole: Option<ComponentExportIndex>,
    pub(super) on_log: Option<ComponentExportIndex>,
}

/// A component, compiled and linked.
pub(super) struct Loaded {
    pub(super) digest: Digest,
    pub(super) imports: Vec<String>,
    pub(super) hooks: Interest,
    pub(super) exports: HookExports,
    pub(super) init: ComponentExportIndex,
    pub(super) pre: InstancePre<Host>,
}

impl Loaded {
    /// Compile and link. What it imports is checked by [`Loaded::check_grants`], since one component may serve entries
    /// with different grants.
    pub(super) fn new(
        engine: &Engine,
        linker: &Linker<Host>,
        cache: &Cache,
        bytes: &[u8],
    ) -> Result<Self, ComponentError> {
        if bytes.len() > MAX_COMPONENT_BYTES {
            return Err(ComponentError::TooLarge { bytes: bytes.len() });
        }
        let digest = digest(bytes);
        let load = |wasm: &[u8]| {
            cache
                .load(engine, &digest, || compile(engine, wasm))
                .map_err(|error| ComponentError::Compile(format!("{error:#}")))
        };
        let component = match kind(bytes)? {
            Kind::Component => load(bytes)?,
            Kind::Module => load(&componentize(bytes)?)?,
        };
        let imports = import_names(engine, &component);
        refuse_unknown(&imports)?;
        let exports = HookExports::of(&component);
        let init = find(&component, names::LIFECYCLE, "init").ok_or(ComponentError::NoLifecycle)?;
        let hooks = exports.hooks();
        if hooks == Interest::NONE {
            return Err(ComponentError::NoHook);
        }
        let pre = linker
            .instantiate_pre(&component)
            .map_err(|error| ComponentError::Contract(format!("{error:#}")))?;
        Ok(Self {
            digest,
            imports,
            hooks,
            exports,
            init,
            pre,
        })
    }

    /// Whether the address space that is shared has room for so many instances of it.
    pub(super) fn check_instances(&self, instances: usize) -> Result<(), ComponentError> {
        let required = self.pre.component().resources_required();
        // None only for components that import core modules, and nothing that is linked is one.
        let memories = required.map_or(1, |required| required.num_memories);
        let most = instances_of(memories);
        if instances <= most {
            return Ok(());
        }
        Err(ComponentError::TooManyInstances {
            memories,
            instances,
            most,
        })
    }

    /// Whether everything it imports is granted.
    pub(super) fn check_grants(&self, grants: &Grants) -> Result<(), ComponentError> {
        let needed = [
            (names::KV, grants.kv, "kv = true"),
            (names::LIMITER, grants.limiter, "limiter = true"),
            (
                names::HTTP_CLIENT,
                grants.http_client.is_some(),
                "http-client = [\"https://HOST\"]",
            ),
        ];
        let missing: Vec<_> = needed
            .iter()
            .filter(|(name, granted, _)| !granted && self.imports.iter().any(|i| i == name))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let imports: Vec<_> = missing
            .iter()
            .map(|(name, ..)| format!("'{name}'"))
            .collect();
        let grants: Vec<_> = missing
            .iter()
            .map(|(.., key)| format!("`grants.{key}`"))
            .collect();
        Err(ComponentError::NotGranted {
            imports: imports.join(" and "),
            grants: grants.join(" and "),
        })
    }
}

impl HookExports {
    fn of(component: &Component) -> Self {
        let find = |interface, function| find(component, interface, function);
        Self {
            on_request: find(names::ON_REQUEST, "handle"),
            on_request_chunk: find(names::ON_REQUEST_BODY, "chunk"),
            on_request_whole: find(names::ON_REQUEST_BODY, "whole"),
            on_response: find(names::ON_RESPONSE, "handle"),
            on_response_chunk: find(names::ON_RESPONSE_BODY, "chunk"),
            on_response_whole: find(names::ON_RESPONSE_BODY, "whole"),
            on_log: find(names::ON_LOG, "handle"),
        }
    }

    fn hooks(&self) -> Interest {
        [
            (&self.on_request, Interest::REQUEST),
            (&self.on_request_chunk, Interest::REQUEST_CHUNKS),
            (&self.on_request_whole, Interest::REQUEST_WHOLE),
            (&self.on_response, Interest::RESPONSE),
            (&self.on_response_chunk, Interest::RESPONSE_CHUNKS),
            (&self.on_response_whole, Interest::RESPONSE_WHOLE),
            (&self.on_log, Interest::LOG),
        ]
        .into_iter()
        .filter(|(export, _)| export.is_some())
        .fold(Interest::NONE, |set, (_, hook)| set.or(hook))
    }
}

fn find(component: &Component, interface: &str, function: &str) -> Option<ComponentExportIndex> {
    let (_, instance) = component.get_export(None, interface)?;
    component.get_export_index(Some(&instance), function)
}

enum Kind {
    Component,
    Module,
}

fn kind(bytes: &[u8]) -> Result<Kind, ComponentError> {
    // The preamble's second half tells the two apart: version 1, layer 0 is a module.
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => Ok(Kind::Module),
        Some([0, b'a', b's', b'm', ..]) => Ok(Kind::Component),
        _ => Err(ComponentError::NotWasm),
    }
}

fn componentize(module: &[u8]) -> Result<Vec<u8>, ComponentError> {
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| ComponentError::NotComponentizable(format!("{error:#}")))
}

/// Compile it with its hooks exported again, or else as it is: that error is about what somebody wrote.
fn compile(engine: &Engine, component: &[u8]) -> wasmtime::Result<Component> {
    if let Some(changed) = reexport(component)
        && let Ok(compiled) = Component::new(engine, changed)
    {
        return Ok(compiled);
    }
    Component::new(engine, component)
}

fn import_names(engine: &Engine, component: &Component) -> Vec<String> {
    component
        .component_type()
        .imports(engine)
        .map(|(name, _)| name.to_owned())
        .collect()
}

fn refuse_unknown(imports: &[String]) -> Result<(), ComponentError> {
    for import in imports {
        let known = [
            names::TYPES,
            names::LOG,
            names::PRESETS,
            names::KV,
            names::LIMITER,
            names::HTTP_CLIENT,
        ];
        let reason = if known.contains(&import.as_str()) || is_empty_wasi(import) {
            continue;
        } else if import.starts_with("wasi:sockets/") || import.starts_with("wasi:http/") {
            "network access goes through 'gateway:plugin/http-client' and a grant"
        } else if import.starts_with(names::PACKAGE) {
            "this gateway speaks gateway:plugin@0.1.0"
        } else {
            "only gateway:plugin and the WASI 0.2 clocks, random, io, cli and (empty) filesystem are there"
        };
        return Err(ComponentError::Refused {
            import: import.clone(),
            reason,
        });
    }
    Ok(())
}

/// The parts of WASI that every language's standard library imports. Linked, and with nothing behind them but clocks
/// and randomness.
fn is_empty_wasi(import: &str) -> bool {
    [
        "wasi:clocks/",
        "wasi:random/",
        "wasi:io/",
        "wasi:cli/",
        "wasi:filesystem/",
    ]
    .iter()
    .any(|interface| import.starts_with(interface))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compiled_is_the_component_with_its_hooks_exported_again() {
        let engine = super::super::engine::new_engine().unwrap();
        let component = stock_plugins::stock("headers").unwrap();
        let changed = reexport(component).unwrap();
        let code = |compiled: wasmtime::Result<Component>| compiled.unwrap().serialize().unwrap();
        let compiled = code(compile(&engine, component));
        assert!(compiled == code(Component::new(&engine, changed)));
        assert!(compiled != code(Component::new(&engine, component)));
        let broken = compile(&engine, b"\0asm\x0d\0\x01\0?").err().unwrap();
        let error = Component::new(&engine, b"\0asm\x0d\0\x01\0?")
            .err()
            .unwrap();
        assert_eq!(format!("{broken:#}"), format!("{error:#}"));
    }
}
