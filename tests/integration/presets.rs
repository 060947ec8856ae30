//! Presets: what a plugin prepared once and then names by number; and responses, which it gives before it answers.

use gateway_tests::{Reply, Setup, Upstream, eventually, get, post};

use crate::expect;

fn preset(hook: &str, parts: &str) -> String {
    format!("{{ hook = \"{hook}\", act = {{ preset = {{ {parts} }} }} }}")
}

fn one(name: &str, value: &str) -> String {
    format!("[{{ name = \"{name}\", value = \"{value}\" }}]")
}

#[test]
fn a_preset_does_what_the_calls_would_that_it_stands_for() {
    let up = Upstream::echo();
    let parts = format!(
        "request = {}, response = {}, attributes = {}",
        one("x-kept", "preset"),
        one("x-seen", "yes"),
        one("stage", "canary")
    );
    let reveal = "{ hook = \"request\", act = { reveal-attribute = \"stage\" } }";
    for isolation in ["reuse", "per-request"] {
        let gateway = Setup::to(&up, "plugins = [\"preset\", \"reveal\"]")
            .acts_with(
                "preset",
                &preset("request", &parts),
                &format!("isolation = \"{isolation}\""),
            )
            .acts("reveal", reveal)
            .start();
        for _ in 0..3 {
            let answer = gateway.send(&get("/").header("x-kept", "client"));
            assert_eq!(answer.echoed("x-kept").as_deref(), Some("preset"));
            assert_eq!(answer.echoed("x-attribute").as_deref(), Some("canary"));
            assert_eq!(answer.headers("x-seen"), "yes");
        }
    }
}

#[test]
fn a_preset_for_the_response_waits_for_whoever_makes_it() {
    let origin = format!("http://{}", Upstream::nobody());
    let parts = format!("response = {}", one("x-seen", "yes"));
    let gateway = Setup::new()
        .upstream_at("up", &origin, "")
        .route("/*", "plugins = [\"preset\"]")
        .acts("preset", &preset("request", &parts))
        .start();
    let answer = gateway.get("/");
    assert_eq!((answer.status, answer.header("x-seen")), (502, Some("yes")));
}

#[test]
fn in_a_response_hook_it_edits_the_response_at_once_and_nothing_else() {
    let up = Upstream::echo();
    let response = format!("response = {}", one("x-seen", "yes"));
    let both = format!("{response}, request = {}", one("x-late", "1"));
    let gateway = Setup::new()
        .upstream("up", &up)
        .acts("response", &preset("response", &response))
        .acts("both", &preset("response", &both))
        .route("/response", "plugins = [\"response\"]")
        .route("/both", "plugins = [\"both\"]")
        .start();
    assert_eq!(gateway.get("/response").headers("x-seen"), "yes");
    expect::failure(&gateway.get("/both"), 503, "plugin-fault");
    assert_eq!(gateway.faults("both", "output"), 1.0);
}

#[test]
fn a_number_that_was_not_prepared_is_a_fault() {
    let up = Upstream::echo();
    let act = "{ hook = \"request\", act = { preset-number = 0 } }";
    let gateway = Setup::to(&up, "plugins = [\"p\"]").acts("p", act).start();
    expect::failure(&gateway.get("/"), 503, "plugin-fault");
    assert_eq!(gateway.faults("p", "output"), 1.0);
    assert_eq!(up.heads(), 0);
}

#[test]
fn what_can_not_be_done_is_refused_when_it_is_prepared() {
    let up = Upstream::echo();
    let reveal = "{ hook = \"response\", act = { reveal-attribute = \"refused\" } }";
    let long = "v".repeat(70_000);
    for (parts, refusal) in [
        (format!("request = {}", one("host", "h")), "forbidden"),
        (format!("response = {}", one("x y", "v")), "invalid-name"),
        (
            format!("response = {}", one("x", "a\\u0000")),
            "invalid-value",
        ),
        (format!("request = {}", one("x", &long)), "too-large"),
        (
            format!("attributes = {}", one("a", &long[..4_096])),
            "too-large",
        ),
        (format!("attributes = {}", one("", "v")), "invalid-name"),
    ] {
        let acts = format!("{}, {reveal}", preset("request", &parts));
        let gateway = Setup::to(&up, "plugins = [\"p\"]").acts("p", &acts).start();
        let answer = gateway.get("/");
        expect::ok(&answer);
        assert_eq!(
            answer.headers("x-attribute"),
            format!("preset={refusal};"),
            "{parts:.60}"
        );
    }
}

#[test]
fn a_message_without_room_for_a_preset_is_a_fault() {
    let up = Upstream::answering(|_| Reply::new(200, "x").header("x-big", &"v".repeat(30_000)));
    let parts = format!("response = {}", one("x-1", &"v".repeat(40_000)));
    for (policy, status) in [("deny", 503), ("skip", 200)] {
        let keys = format!("on-fault = \"{policy}\"");
        let gateway = Setup::to(&up, "plugins = [\"p\"]")
            .acts_with("p", &preset("request", &parts), &keys)
            .start();
        let answer = gateway.get("/");
        assert_eq!(
            (answer.status, answer.header("x-1")),
            (status, None),
            "{policy}"
        );
    }
}

#[test]
fn a_plugin_with_more_presets_than_an_instance_may_have_works_all_the_same() {
    let up = Upstream::echo();
    let keys: Vec<String> = (0..1_100)
        .map(|number| format!("key-{number} = \"consumer-{number}\""))
        .collect();
    // One worker, so that one instance meets them all.
    let gateway = Setup::to(&up, "plugins = [\"key\"]")
        .server("workers = 1")
        .plugin_from(
            "key",
            "stock:api-key",
            &format!("config.keys = {{ {} }}", keys.join(", ")),
        )
        .start();
    for number in (0..1_100).chain(0..3) {
        let answer = gateway.send(&get("/").header("x-api-key", &format!("key-{number}")));
        assert_eq!(
            answer.echoed("x-consumer"),
            Some(format!("consumer-{number}"))
        );
        assert_eq!(answer.echoed("x-api-key"), None);
    }
}

#[test]
fn a_plugin_that_wants_to_answer_is_not_got_around_by_what_is_wrong_with_its_answer() {
    let up = Upstream::echo();
    for act in [
        "\"respond-nothing\"",
        "{ respond-or-trap = 999 }",
        "{ respond-then-trap = 403 }",
        // More than it may hand over.
        "{ respond-with-flood = { count = 20, bytes = 60_000 } }",
    ] {
        for hook in ["request", "request-whole", "response", "response-whole"] {
            for policy in ["deny", "skip"] {
                let acts = format!("{{ hook = \"{hook}\", act = {act} }}");
                let gateway = Setup::to(&up, "plugins = [\"p\"]")
                    .acts_with(
                        "p",
                        &acts,
                        &format!("on-fault = \"{policy}\"\nlimits.output = \"1MiB\""),
                    )
                    .start();
                let before = up.heads();
                let answer = gateway.send(&post("/", "hello"));
                expect::failure(&answer, 503, "plugin-fault");
                let has_left = up.heads() > before;
                assert_eq!(has_left, hook.starts_with("response"), "{act} {hook}");
            }
        }
    }
}

#[test]
fn a_response_can_be_given_where_a_hook_can_answer_and_nowhere_else() {
    let up = Upstream::echo();
    for hook in ["request", "request-whole", "response", "response-whole"] {
        let acts = format!("{{ hook = \"{hook}\", act = {{ respond-or-trap = 418 }} }}");
        let gateway = Setup::to(&up, "plugins = [\"p\"]").acts("p", &acts).start();
        assert_eq!(gateway.send(&post("/", "hello")).status, 418, "{hook}");
    }
    for hook in ["request-chunk", "response-chunk", "log"] {
        let acts = format!("{{ hook = \"{hook}\", act = {{ respond-or-trap = 418 }} }}");
        let gateway = Setup::to(&up, "plugins = [\"p\"]").acts("p", &acts).start();
        let answer = gateway.send(&post("/", "hello"));
        assert_ne!(answer.status, 418, "{hook}");
        eventually("the hook to have trapped", || {
            gateway.faults("p", "trap") == 1.0
        });
    }
}
