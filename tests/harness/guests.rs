//! Plugins to run: one that does what its configuration says, and raw ones, written as WebAssembly text so that they
//! can break the ABI itself.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// `guests/misbehaving`.
pub const MISBEHAVING: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/guest_misbehaving.wasm"));

/// Everything that [`MISBEHAVING`] imports, so that it loads; nobody listens at that origin.
pub const EVERY_GRANT: &str =
    "grants = { kv = true, limiter = true, http-client = [\"http://127.0.0.1:1\"] }";

/// The world of most raw plugins: it hooks into the request head and can ask for the request's id.
const WORLD: &str = "
    import gateway:plugin/types@0.1.0;
    export gateway:plugin/lifecycle@0.1.0;
    export gateway:plugin/on-request@0.1.0;
";

/// A plugin in WebAssembly text. Without changes it lets every request pass.
#[derive(Debug, Clone)]
pub struct Raw {
    world: String,
    packages: String,
    imports: String,
    memory_pages: u32,
    realloc: String,
    init: String,
    handle: String,
    more: String,
    without: Option<&'static str>,
    init_params: &'static str,
    has_contract: bool,
}

/// Where raw plugins build their results; what they do not write stays zero.
pub const RESULT: u32 = 4096;

impl Default for Raw {
    fn default() -> Self {
        Self::new()
    }
}

impl Raw {
    /// One that lets every request pass.
    #[must_use]
    pub fn new() -> Self {
        Self {
            world: WORLD.to_owned(),
            packages: String::new(),
            imports: "(import \"gateway:plugin/types@0.1.0\" \"[resource-drop]request\" (func $drop (param i32)))"
                .to_owned(),
            memory_pages: 2,
            realloc: "(i32.const 1024)".to_owned(),
            // Ok with the flag for on-request.
            init: format!("(i32.store8 (i32.const {}) (i32.const 1)) (i32.const {RESULT})", RESULT + 4),
            // Next.
            handle: format!("(call $drop (local.get 0)) (i32.const {RESULT})"),
            more: String::new(),
            without: None,
            init_params: "(param i32 i32)",
            has_contract: true,
        }
    }

    /// With this in its world, such as another import.
    #[must_use]
    pub fn world(mut self, item: &str) -> Self {
        self.world.push_str(item);
        self
    }

    /// By what its own packages say in place of the contract.
    #[must_use]
    pub fn without_the_contract(mut self) -> Self {
        self.world = self.world.replace("import gateway:plugin/types@0.1.0;", "");
        self.imports = "(func $drop (param i32))".to_owned();
        // Numbers, not pointers to results: `handle` and `init` have the core types of the changed contract.
        self.init_params = "(param i32)";
        self.has_contract = false;
        self
    }

    /// With these WIT packages to take imports from.
    #[must_use]
    pub fn packages(mut self, packages: &str) -> Self {
        packages.clone_into(&mut self.packages);
        self
    }

    /// With this import of the core module.
    #[must_use]
    pub fn import(mut self, import: &str) -> Self {
        self.imports.push_str(import);
        self
    }

    /// With a memory of so many pages of 64 KiB to begin with.
    #[must_use]
    pub fn memory_pages(mut self, pages: u32) -> Self {
        self.memory_pages = pages;
        self
    }

    /// With this as the body of `cabi_realloc`.
    #[must_use]
    pub fn realloc(mut self, body: &str) -> Self {
        body.clone_into(&mut self.realloc);
        self
    }

    /// With this as the body of `on-request.handle`, whose request is local 0. It has to drop that by `$drop`.
    #[must_use]
    pub fn handle(mut self, body: &str) -> Self {
        body.clone_into(&mut self.handle);
        self
    }

    /// With these further items of the core module.
    #[must_use]
    pub fn more(mut self, items: &str) -> Self {
        self.more.push_str(items);
        self
    }

    /// Without `lifecycle` or without `on-request`.
    #[must_use]
    pub fn without(mut self, interface: &'static str) -> Self {
        self.world = self
            .world
            .replace(&format!("export gateway:plugin/{interface}@0.1.0;"), "");
        self.without = Some(interface);
        self
    }

    /// Answering the request with this status, and body and header lists at these addresses with these lengths.
    #[must_use]
    pub fn responding(self, status: u32, headers: (u32, u32), body: (u32, u32)) -> Self {
        let numbers = [status, headers.0, headers.1, body.0, body.1, RESULT + 64];
        let numbers = numbers.map(|number| format!("(i32.const {})", number.cast_signed()));
        self.import(
            "(import \"gateway:plugin/types@0.1.0\" \"[method]request.respond\"
                (func $respond (param i32 i32 i32 i32 i32 i32 i32)))",
        )
        // The last case of a decision.
        .handle(&format!(
            "(call $respond (local.get 0) {}) (call $drop (local.get 0))
             (i32.store8 (i32.const {RESULT}) (i32.const 3)) (i32.const {RESULT})",
            numbers.concat()
        ))
    }

    /// The core module, with what the contract says about it.
    ///
    /// # Panics
    /// If the text is wrong.
    #[must_use]
    pub fn module(&self) -> Vec<u8> {
        let mut module = wat::parse_str(self.text()).expect("the test writes WebAssembly text");
        let mut resolve = Resolve::default();
        if self.has_contract {
            let contract = concat!(env!("CARGO_MANIFEST_DIR"), "/../wit");
            resolve.push_dir(contract).expect("the contract is in wit/");
        }
        let source = format!(
            "package test:raw; world raw {{ {} }}\n{}",
            self.world, self.packages
        );
        let package = resolve
            .push_source("raw.wit", &source)
            .expect("the test writes WIT");
        let world = resolve
            .select_world(&[package], Some("raw"))
            .expect("the world is there");
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
            .expect("a module takes sections");
        module
    }

    /// The component.
    ///
    /// # Panics
    /// If module and world do not fit.
    #[must_use]
    pub fn component(&self) -> Vec<u8> {
        let encoder = ComponentEncoder::default()
            .validate(true)
            .module(&self.module());
        encoder
            .and_then(|mut encoder| encoder.encode())
            .expect("module and world fit")
    }

    fn text(&self) -> String {
        let Self {
            imports,
            memory_pages,
            realloc,
            init,
            init_params,
            handle,
            more,
            ..
        } = self;
        let export = |interface: &'static str, function: &str| {
            if self.without == Some(interface) {
                return String::new();
            }
            format!("(export \"gateway:plugin/{interface}@0.1.0#{function}\")")
        };
        let (init_export, handle_export) =
            (export("lifecycle", "init"), export("on-request", "handle"));
        format!(
            "(module
                {imports}
                (memory (export \"memory\") {memory_pages})
                {more}
                (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) {realloc})
                (func {init_export} {init_params} (result i32) {init})
                (func {handle_export} (param i32) (result i32) {handle}))"
        )
    }
}
