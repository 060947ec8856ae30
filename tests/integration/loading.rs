//! What becomes a plugin and what does not: everything else is refused at load, with the plugin's name and a reason
//! (THREATS 19, 20, 26).

use std::fs;

use gateway_tests::guests::{MISBEHAVING, Raw};
use gateway_tests::{Running, Setup, Upstream, get};

use crate::expect;

fn try_load(component: &[u8], keys: &str) -> Result<Running, String> {
    let up = Upstream::echo();
    Setup::to(&up, "plugins = [\"p\"]")
        .plugin("p", component, keys)
        .try_start()
}

#[track_caller]
fn refused(component: &[u8], reason: &str) {
    let error = try_load(component, "").err().expect("it must not load");
    assert!(
        error.contains("plugins.p") && error.contains(reason),
        "{reason:?} is not in: {error}"
    );
}

#[test]
fn what_is_no_component_is_refused() {
    refused(b"", "no WebAssembly");
    refused(b"not a component at all", "no WebAssembly");
    refused(&MISBEHAVING[..MISBEHAVING.len() / 2], "does not compile");
    refused(b"\x7fELF\x02\x01\x01precompiled for you", "no WebAssembly");
    refused(b"\0asm\x01\0\0\0", "lifecycle");
    refused(b"\0asm\x01\0\0\0\x01", "core module");
    let mut huge = MISBEHAVING.to_vec();
    huge.resize(17 << 20, 0);
    refused(&huge, "the limit is");
}

#[test]
fn a_component_without_lifecycle_or_without_any_hook_is_refused() {
    refused(&Raw::new().without("lifecycle").component(), "lifecycle");
    refused(&Raw::new().without("on-request").component(), "hook");
}

#[test]
fn a_component_whose_functions_have_other_types_is_refused() {
    let raw = Raw::new()
        .packages(
            "package gateway:plugin@0.1.0 {
                interface lifecycle { init: func(config: u32) -> u32; }
                interface on-request { handle: func(request: u32) -> u32; }
            }",
        )
        .without_the_contract();
    let error = try_load(&raw.component(), "")
        .err()
        .expect("it must not load");
    assert!(error.contains("plugins.p"), "{error}");
}

#[test]
fn a_core_module_made_for_the_contract_becomes_a_component() {
    let gateway = try_load(&Raw::new().module(), "").expect("a core module loads");
    assert_eq!(
        gateway.admin("/plugins").json()["plugins"][0]["exports"][0],
        "request"
    );
}

#[test]
fn a_start_that_goes_wrong_is_refused_in_time() {
    let init = |act: &str, keys: &str| {
        let keys = format!(
            "config = {{ init = {act} }}\n{}\n{keys}",
            gateway_tests::guests::EVERY_GRANT
        );
        try_load(MISBEHAVING, &keys)
            .err()
            .expect("it must not load")
    };
    let limits = "limits = { init-time = \"50ms\", wall-time = \"200ms\", memory = \"4MiB\" }";
    assert!(
        init("\"loop\"", limits).contains("time"),
        "{}",
        init("\"loop\"", limits)
    );
    assert!(init("\"sleep\"", limits).contains("wall-time"));
    assert!(init("\"trap\"", "").contains("trap"));
    let hungry = init("\"allocate\"", "limits = { memory = \"4MiB\" }");
    assert!(hungry.contains("memory"), "{hungry}");
    let refused = init("{ refuse = \"the colour is wrong\" }", "");
    assert!(
        refused.contains("the colour is wrong") && refused.contains("gateway.toml:"),
        "{refused}"
    );
}

#[test]
fn a_start_function_that_loops_and_a_memory_beyond_the_limit_are_refused() {
    let looping = Raw::new()
        .more("(func $spin (loop $again (br $again))) (start $spin)")
        .component();
    let error = try_load(&looping, "limits = { init-time = \"50ms\" }")
        .err()
        .expect("it must not load");
    assert!(error.contains("time"), "{error}");
    let large = Raw::new().memory_pages(1024).component();
    let error = try_load(&large, "limits = { memory = \"16MiB\" }")
        .err()
        .expect("it must not load");
    assert!(error.contains("memory"), "{error}");
}

#[test]
fn a_configuration_that_a_plugin_refuses_is_an_error_at_its_line_and_shows_no_secret() {
    let up = Upstream::echo();
    let keys = "config = { acts = [{ hook = \"request\", act = \"no-such-act\" }] }";
    let setup = Setup::to(&up, "plugins = [\"p\"]");
    let keys = format!("{keys}\n{}", gateway_tests::guests::EVERY_GRANT);
    let error = setup
        .plugin("p", MISBEHAVING, &keys)
        .try_start()
        .err()
        .expect("there is no such act");
    assert!(
        error.contains("no-such-act") && error.contains("plugins.p.config"),
        "{error}"
    );
}

#[test]
fn every_problem_is_reported_at_once() {
    let up = Upstream::echo();
    let error = Setup::to(&up, "plugins = [\"one\", \"two\", \"three\"]")
        .plugin("one", b"garbage", "")
        .plugin("two", &Raw::new().without("lifecycle").component(), "")
        .plugin(
            "three",
            MISBEHAVING,
            "config = { init = { refuse = \"no\" } }",
        )
        .try_start()
        .err()
        .expect("none of these loads");
    for plugin in ["plugins.one", "plugins.two", "plugins.three"] {
        assert!(error.contains(plugin), "{plugin} is not in: {error}");
    }
}

#[test]
fn compiled_components_are_kept_and_a_poisoned_cache_is_not_believed() {
    let up = Upstream::echo();
    let setup = Setup::new();
    let cache = setup.folder().join("cache");
    let setup = setup
        .server(&format!("cache-dir = {cache:?}"))
        .upstream("up", &up)
        .route("/*", "plugins = [\"p\"]")
        .acts(
            "p",
            "{ hook = \"request\", act = { set = { name = \"x-p\", value = \"1\" } } }",
        );
    let works = |setup: &Setup| {
        let answer = setup.clone().start().get("/");
        expect::ok(&answer);
        assert_eq!(answer.echoed("x-p").as_deref(), Some("1"));
    };
    works(&setup);
    let files = files_below(&cache);
    assert!(!files.is_empty(), "something is kept");
    works(&setup);
    for garbage in [
        &b"garbage"[..],
        b"",
        b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0",
    ] {
        for file in &files {
            fs::write(file, garbage).expect("the cache is ours");
        }
        works(&setup);
    }
    let swapped = files_below(&cache);
    for file in &swapped {
        let mut bytes = fs::read(file).expect("the cache is ours");
        if let Some(middle) = bytes
            .len()
            .checked_div(2)
            .and_then(|middle| bytes.get_mut(middle))
        {
            *middle ^= 0xff;
        }
        fs::write(file, bytes).expect("the cache is ours");
    }
    works(&setup);
}

#[test]
fn a_plugin_may_have_no_cache() {
    let up = Upstream::echo();
    let setup = Setup::to(&up, "plugins = [\"p\"]").server("cache-dir = false");
    let gateway = setup.plugin("p", &Raw::new().component(), "").start();
    expect::ok(&gateway.send(&get("/")));
}

fn files_below(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.flatten().map(|entry| entry.path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}
