//! Plugins that break the ABI itself, in WebAssembly text: none of it reaches the wire, and the next request is served
//! (THREATS 20, 21).

use gateway_tests::guests::{RESULT, Raw};
use gateway_tests::{Running, Setup, Upstream, get};

use crate::expect;

/// A string of bytes that are no UTF-8, with a name before and behind it, at address 2048.
const NO_UTF8: &str = "(data (i32.const 2048) \"\\ff\\fe\\c0\\80value\")";

/// The raw plugin on `/bad` and nothing on `/good`.
fn raw(component: &[u8], keys: &str) -> (Upstream, Running) {
    let up = Upstream::echo();
    let gateway = Setup::new()
        .upstream("up", &up)
        .plugin("raw", component, keys)
        .route("/good", "")
        .route("/bad", "plugins = [\"raw\"]")
        .start();
    (up, gateway)
}

/// That it faults, each time, with this kind.
#[track_caller]
fn faults(plugin: &Raw, kind: &str, keys: &str) {
    let (up, gateway) = raw(&plugin.component(), keys);
    for number in 1..=3 {
        expect::failure(&gateway.get("/bad"), 503, "plugin-fault");
        assert_eq!(
            gateway.faults("raw", kind),
            f64::from(number),
            "{}",
            faults_of(&gateway)
        );
    }
    assert_eq!(up.heads(), 0);
    expect::ok(&gateway.get("/good"));
}

fn faults_of(gateway: &Running) -> String {
    let text = gateway.metrics().text;
    text.lines()
        .filter(|line| line.contains("faults_total"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// One header, whose name and value lie at these addresses with these lengths.
fn one_header(name: (u32, u32), value: (u32, u32)) -> Raw {
    let words = [name.0, name.1, value.0, value.1]
        .map(u32::to_le_bytes)
        .concat();
    let text: String = words.iter().map(|byte| format!("\\{byte:02x}")).collect();
    Raw::new()
        .more(&format!("(data (i32.const 3072) \"{text}\")"))
        .more(NO_UTF8)
        .responding(200, (3072, 1), (0, 0))
}

#[test]
fn one_that_keeps_to_the_abi_works() {
    let (_up, gateway) = raw(&Raw::new().component(), "");
    for _ in 0..3 {
        expect::ok(&gateway.get("/bad"));
    }
    let (_up, gateway) = raw(&one_header((2052, 5), (2052, 5)).component(), "");
    assert_eq!(gateway.get("/bad").header("value"), Some("value"));
}

#[test]
fn a_string_that_is_no_utf8_is_a_fault() {
    faults(&one_header((2048, 4), (2052, 5)), "output", "");
}

#[test]
fn lists_beyond_the_memory_are_a_fault() {
    for (headers, body) in [
        ((0, 0), (1024, u32::MAX)),
        ((0, 0), (u32::MAX, 1)),
        ((0, 0), (0xffff_fff0, 0x20)),
        ((1024, u32::MAX), (0, 0)),
        ((1024, 0x1000_0000), (0, 0)),
        ((3, 1), (0, 0)),
    ] {
        faults(&Raw::new().responding(200, headers, body), "output", "");
    }
    faults(&one_header((2052, u32::MAX), (0, 0)), "output", "");
    faults(&one_header((2052, 5), (2052, 0x8000_0000)), "output", "");
}

#[test]
fn a_list_of_many_small_things_costs_no_more_than_its_output_may() {
    // 65,536 headers in one memory page, each an empty name: 1 MiB in the guest, much more in the host if it took them.
    let plugin = Raw::new()
        .memory_pages(32)
        .responding(200, (65_536, 65_536), (0, 0));
    faults(&plugin, "output", "limits = { output = \"256KiB\" }");
}

#[test]
fn a_case_that_does_not_exist_is_a_fault() {
    let handle = format!(
        "(call $drop (local.get 0)) (i32.store8 (i32.const {RESULT}) (i32.const 9)) (i32.const {RESULT})"
    );
    faults(&Raw::new().handle(&handle), "output", "");
}

#[test]
fn a_result_at_no_place_is_a_fault() {
    faults(
        &Raw::new().handle("(call $drop (local.get 0)) (i32.const -4)"),
        "output",
        "",
    );
    faults(
        &Raw::new().handle("(call $drop (local.get 0)) (i32.const 4097)"),
        "output",
        "",
    );
}

#[test]
fn a_handle_that_is_kept_or_given_back_twice_or_made_up_is_a_fault() {
    let next = format!("(i32.const {RESULT})");
    let (_up, gateway) = raw(&Raw::new().handle(&next).component(), "");
    expect::failure(&gateway.get("/bad"), 503, "plugin-fault");
    let twice = format!("(call $drop (local.get 0)) (call $drop (local.get 0)) {next}");
    let (_up, gateway) = raw(&Raw::new().handle(&twice).component(), "");
    expect::failure(&gateway.get("/bad"), 503, "plugin-fault");
    let id =
        "(import \"gateway:plugin/types@0.1.0\" \"[method]request.id\" (func $id (param i32 i32)))";
    let made_up =
        format!("(call $id (i32.const 77) (i32.const 512)) (call $drop (local.get 0)) {next}");
    let (_up, gateway) = raw(&Raw::new().import(id).handle(&made_up).component(), "");
    expect::failure(&gateway.get("/bad"), 503, "plugin-fault");
    expect::ok(&gateway.get("/good"));
}

#[test]
fn an_allocator_that_loops_or_lies_is_a_fault() {
    let id =
        "(import \"gateway:plugin/types@0.1.0\" \"[method]request.id\" (func $id (param i32 i32)))";
    let calls = format!(
        "(call $id (local.get 0) (i32.const 512)) (call $drop (local.get 0)) (i32.const {RESULT})"
    );
    // Well-behaved while `init` gets its configuration, which is two bytes long; the id is longer.
    let then = |bad: &str| {
        format!(
            "(if (result i32) (i32.gt_u (local.get 3) (i32.const 8)) (then {bad}) (else (i32.const 1024)))"
        )
    };
    let plugin = Raw::new().import(id).handle(&calls);
    faults(
        &plugin
            .clone()
            .realloc(&then("(loop $again (br $again)) (unreachable)")),
        "time",
        "limits = { time = \"20ms\" }",
    );
    faults(&plugin.clone().realloc(&then("(unreachable)")), "trap", "");
    let (_up, gateway) = raw(&plugin.realloc(&then("(i32.const -16)")).component(), "");
    expect::failure(&gateway.get("/bad"), 503, "plugin-fault");
}

#[test]
fn a_table_that_grows_without_end_is_refused() {
    let grow = format!(
        "(local $i i32) (call $drop (local.get 0))
         (loop $again (br_if $again (i32.ne (table.grow $t (ref.null func) (i32.const 50000)) (i32.const -1))))
         (unreachable) (i32.const {RESULT})"
    );
    faults(
        &Raw::new().more("(table $t 1 funcref)").handle(&grow),
        "memory",
        "",
    );
}

#[test]
fn memory_that_grows_without_end_is_refused() {
    let grow = format!(
        "(call $drop (local.get 0))
         (loop $again (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
         (unreachable) (i32.const {RESULT})"
    );
    faults(
        &Raw::new().handle(&grow),
        "memory",
        "limits = { time = \"2s\" }",
    );
}

#[test]
fn a_refused_growth_that_the_plugin_can_live_with_is_no_fault() {
    let grow = format!(
        "(call $drop (local.get 0)) (drop (memory.grow (i32.const 60000))) (i32.const {RESULT})"
    );
    let (_up, gateway) = raw(&Raw::new().handle(&grow).component(), "");
    expect::ok(&gateway.get("/bad"));
}

#[test]
fn timers_that_are_never_given_back_run_out() {
    let packages = "
        package wasi:io@0.2.6 { interface poll { resource pollable; } }
        package wasi:clocks@0.2.6 {
            interface monotonic-clock {
                use wasi:io/poll@0.2.6.{pollable};
                subscribe-duration: func(when: u64) -> pollable;
            }
        }";
    let subscribe = "(import \"wasi:clocks/monotonic-clock@0.2.6\" \"subscribe-duration\" (func $timer (param i64) (result i32)))";
    let handle = format!(
        "(local $i i32)
         (loop $again
            (drop (call $timer (i64.const 1000000)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (i32.const 10000))))
         (call $drop (local.get 0)) (i32.const {RESULT})"
    );
    let plugin = Raw::new()
        .packages(packages)
        .world("import wasi:clocks/monotonic-clock@0.2.6;")
        .import(subscribe)
        .handle(&handle);
    let (_up, gateway) = raw(&plugin.component(), "");
    expect::failure(&gateway.send(&get("/bad")), 503, "plugin-fault");
    expect::ok(&gateway.get("/good"));
}
