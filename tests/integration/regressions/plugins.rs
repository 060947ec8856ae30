//! What a plugin may do to messages, to its neighbours and to the machine when it goes wrong.

use std::fs;
use std::ops::Range;
use std::time::{Duration, Instant};

use gateway_tests::guests::{RESULT, Raw};
use gateway_tests::{Setup, Upstream, eventually, get, post};

use crate::expect;

#[test]
fn what_a_skipped_hook_on_a_whole_body_has_done_to_the_head_is_undone() {
    let up = Upstream::answering(|seen| {
        let reply = gateway_tests::Reply::json(&seen.as_json());
        reply.header("x-kept", "theirs").header("x-gone", "theirs")
    });
    let acts = |hook: &str| {
        [
            "{ set = { name = \"x-kept\", value = \"edited\" } }",
            "{ remove = \"x-gone\" }",
            "{ append = { name = \"x-new\", value = \"edited\" } }",
            "{ path = \"/edited\" }",
            "{ status = 202 }",
            "\"trap\"",
        ]
        .map(|act| format!("{{ hook = \"{hook}\", act = {act} }}"))
        .join(", ")
    };
    let gateway = Setup::new()
        .upstream("up", &up)
        .route("/request", "plugins = [\"on-request\"]")
        .route("/response", "plugins = [\"on-response\"]")
        .acts_with("on-request", &acts("request-whole"), "on-fault = \"skip\"")
        .acts_with(
            "on-response",
            &acts("response-whole"),
            "on-fault = \"skip\"",
        )
        .start();
    let request = |path: &str| {
        let request = post(path, "hello").header("x-kept", "mine");
        request.header("x-gone", "mine")
    };
    for path in ["/request", "/response"] {
        let answer = gateway.send(&request(path));
        expect::ok(&answer);
        let seen = answer.json();
        assert_eq!(
            (&seen["target"], &seen["body"]),
            (&path.into(), &"hello".into())
        );
        for name in ["x-kept", "x-gone"] {
            assert_eq!(answer.echoed(name).as_deref(), Some("mine"), "{path}");
            assert_eq!(answer.headers(name), "theirs", "{path}");
        }
        assert_eq!(
            (answer.echoed("x-new"), answer.header("x-new")),
            (None, None)
        );
        let plugin = format!("on-{}", &path[1..]);
        assert_eq!(gateway.faults(&plugin, "trap"), 1.0, "{path}");
    }
}

#[test]
fn a_client_that_knows_how_to_make_a_plugin_loop_does_not_take_it_from_the_others() {
    let up = Upstream::echo();
    let acts = "{ hook = \"request\", act = \"loop\", when = \"x-loop\" }";
    let gateway = Setup::to(&up, "plugins = [\"moody\"]")
        .acts_with("moody", acts, "limits = { time = \"50ms\" }")
        .start();
    expect::ok(&gateway.get("/"));
    let bad = get("/").header("x-loop", "1");
    for _ in 0..3 {
        for _ in 0..7 {
            expect::failure(&gateway.send(&bad), 503, "plugin-fault");
        }
        expect::ok(&gateway.get("/"));
    }
    assert_eq!(gateway.faults("moody", "suspended"), 0.0);
    assert_eq!(gateway.faults("moody", "time"), 21.0);
}

#[test]
fn an_on_log_hook_that_waits_keeps_no_other_from_running() {
    let up = Upstream::echo();
    let sleeps = "{ hook = \"log\", act = \"sleep\" }";
    let gateway = Setup::new()
        .server("workers = 1")
        .server("access-log = \"./access.log\"")
        .upstream("up", &up)
        .route("/slow", "plugins = [\"slow\"]")
        .route("/quick", "plugins = [\"quick\"]")
        .acts_with("slow", sleeps, "limits = { wall-time = \"60s\" }")
        .acts("quick", "{ hook = \"log\", act = { access = \"quick\" } }")
        .start();
    expect::ok(&gateway.get("/slow"));
    let told = || gateway.metrics();
    eventually("the slow one is at it", || {
        let labels = [("plugin", "slow"), ("state", "busy")];
        told().get("gateway_plugin_instances", &labels) >= 1.0
    });
    let file = gateway.setup().folder().join("access.log");
    for number in 1..=3 {
        expect::ok(&gateway.get("/quick"));
        eventually("the quick one has written", || {
            fs::read_to_string(&file).is_ok_and(|text| text.lines().count() == number)
        });
    }
    assert_eq!(gateway.faults("slow", "wall-time"), 0.0, "it still waits");
}

/// A plugin that asks for so many random bytes at once, with room for all of them.
fn random(bytes: u32) -> Raw {
    let packages = "
        package wasi:random@0.2.6 {
            interface random { get-random-bytes: func(len: u64) -> list<u8>; }
        }";
    let import =
        "(import \"wasi:random/random@0.2.6\" \"get-random-bytes\" (func $random (param i64 i32)))";
    let handle = format!(
        "(call $random (i64.const {bytes}) (i32.const 512))
         (call $drop (local.get 0)) (i32.const {RESULT})"
    );
    // A list of that length lies behind everything else; whatever is shorter where it always does.
    let realloc = "(if (result i32) (i32.gt_u (local.get 3) (i32.const 1024))
        (then (i32.const 65536)) (else (i32.const 1024)))";
    Raw::new()
        .packages(packages)
        .world("import wasi:random/random@0.2.6;")
        .import(import)
        .memory_pages(bytes.div_ceil(64 << 10) + 1)
        .realloc(realloc)
        .handle(&handle)
}

#[test]
fn a_plugin_cannot_keep_the_gateway_busy_with_random_bytes() {
    let up = Upstream::echo();
    let limits = "limits = { memory = \"128MiB\", output = \"128MiB\", time = \"10s\" }";
    let gateway = Setup::new()
        .upstream("up", &up)
        .route("/some", "plugins = [\"some\"]")
        .route("/many", "plugins = [\"many\"]")
        .plugin("some", &random(4 << 10).component(), limits)
        .plugin("many", &random(64 << 20).component(), limits)
        .start();
    expect::ok(&gateway.get("/some"));
    let begun = Instant::now();
    expect::failure(&gateway.get("/many"), 503, "plugin-fault");
    assert!(begun.elapsed() < Duration::from_secs(2));
    expect::ok(&gateway.get("/some"));
}

/// A number as WebAssembly writes it.
fn leb128(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// A component's sections: what each is, where it begins, where its content lies.
fn sections(component: &[u8]) -> Vec<(u8, usize, Range<usize>)> {
    let (mut sections, mut at) = (Vec::new(), 8);
    while at < component.len() {
        let (begin, mut size, mut shift) = (at, 0, 0);
        loop {
            at += 1;
            size |= usize::from(component[at] & 0x7f) << shift;
            shift += 7;
            if component[at] & 0x80 == 0 {
                break;
            }
        }
        let content = at + 1..at + 1 + size;
        at = content.end;
        sections.push((component[begin], begin, content));
    }
    sections
}

/// A good plugin with one more core module, of which there are so many instances. They stand in front of what is lifted,
/// where a toolchain puts them.
fn crowded(module: &str, instances: usize) -> Vec<u8> {
    const CORE_MODULE: u8 = 1;
    const CORE_INSTANCES: u8 = 2;
    const CANONICAL: u8 = 8;
    let mut component = Raw::new().component();
    let sections = sections(&component);
    let lifts = |content: &[u8]| content[1..].starts_with(&[0, 0]);
    let lift = sections
        .iter()
        .position(|(id, _, content)| *id == CANONICAL && lifts(&component[content.clone()]))
        .expect("its hooks are lifted");
    let modules = sections[..lift].iter().filter(|s| s.0 == CORE_MODULE);
    let one = [vec![0], leb128(modules.count()), vec![0]].concat();
    let all = [leb128(instances), one.repeat(instances)].concat();
    let module = wat::parse_str(module).expect("the test writes WebAssembly text");
    let mut crowd = Vec::new();
    for (section, content) in [(CORE_MODULE, module), (CORE_INSTANCES, all)] {
        crowd.push(section);
        crowd.extend(leb128(content.len()));
        crowd.extend(content);
    }
    let begin = sections[lift].1;
    component.splice(begin..begin, crowd);
    component
}

#[test]
fn the_memories_of_one_plugin_are_limited_together() {
    let up = Upstream::echo();
    // 6 MiB each.
    let module = "(module (memory 96))";
    let start = |instances: usize, limits: &str| {
        let setup = Setup::to(&up, "plugins = [\"crowd\"]");
        let setup = setup.plugin(
            "crowd",
            &crowded(module, instances),
            &format!("limits = {{ {limits} }}"),
        );
        setup.try_start()
    };
    // Instances of a component with several memories are fewer.
    let gateway = start(2, "instances = 300").expect("12 MiB are fine");
    expect::ok(&gateway.get("/"));
    let error = start(3, "instances = 300")
        .err()
        .expect("18 MiB are too many");
    assert!(error.contains("limits.memory"), "{error}");
    let gateway = start(3, "instances = 300, memory = \"32MiB\"").expect("but for that limit");
    expect::ok(&gateway.get("/"));
}

#[test]
fn the_more_memories_a_component_has_the_fewer_instances() {
    let up = Upstream::echo();
    let start = |memories: usize, limits: &str| {
        let setup = Setup::to(&up, "plugins = [\"crowd\"]");
        let component = crowded("(module (memory 1))", memories - 1);
        let limits = format!("limits = {{ {limits} }}");
        setup.plugin("crowd", &component, &limits).try_start()
    };
    for (memories, most) in [(2, 625), (3, 416), (4, 312)] {
        let limit = |instances: usize| format!("instances = {instances}");
        start(memories, &limit(most)).expect("there is room");
        let error = start(memories, &limit(most + 1)).err().expect("no room");
        assert!(
            error.contains("plugins.crowd")
                && error.contains(&format!("{memories} memories"))
                && error.contains(&format!("to {most} or less")),
            "{error}"
        );
    }
    start(2, "").expect("the default is fine for two");
    start(3, "").err().expect("and for no more");
    // One memory: the quarter of all that any plugin may have.
    start(1, "instances = 1250").expect("there is room");
    let error = start(1, "instances = 1251").err().expect("no room");
    assert!(error.contains("plugins.crowd.limits.instances"), "{error}");
}

#[test]
fn the_core_instances_of_one_plugin_are_limited() {
    /// The limit, without what a raw plugin has without a crowd.
    const ROOM: usize = 64 - 1;
    let up = Upstream::echo();
    let start = |instances: usize| {
        let setup = Setup::to(&up, "plugins = [\"crowd\"]");
        let setup = setup.plugin("crowd", &crowded("(module)", instances), "");
        setup.try_start()
    };
    // Interpreters need about twenty. The gateway adds one of its own, but not where that were one too many.
    for instances in [20, ROOM - 1, ROOM] {
        let gateway = start(instances).expect("there is room");
        expect::ok(&gateway.get("/"));
    }
    for instances in [ROOM + 1, 200] {
        let error = start(instances).err().expect("nobody needs that many");
        assert!(error.contains("plugins.crowd"), "{error}");
    }
}
