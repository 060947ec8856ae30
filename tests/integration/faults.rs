//! Plugins that go wrong: every act in every hook, by either policy (THREATS 19 to 22).
//!
//! A fault costs the exchange that it happened in and nothing else: by `deny` a 503 and an upstream that saw no whole
//! request, by `skip` the exchange as if the plugin were not there. What it was is counted by kind.

use gateway_tests::{Response, Running, Setup, Upstream, eventually, post};

use crate::expect;

/// The hooks on the way to the upstream, on the way back, and after the end.
const BEFORE: [&str; 3] = ["request", "request-chunk", "request-whole"];
const AFTER: [&str; 2] = ["response", "response-whole"];
const FLOWING: &str = "response-chunk";
const LOG: &str = "log";

/// Limits that let only this kind of fault happen, whatever else the machine is doing, and soon.
fn limits(kind: &str) -> &'static str {
    match kind {
        "time" => "limits = { time = \"20ms\" }",
        "wall-time" => "limits = { wall-time = \"150ms\" }",
        _ => {
            "limits = { time = \"5s\", wall-time = \"20s\", memory = \"4MiB\", host-calls = 1000 }"
        }
    }
}

/// A gateway with a route `/HOOK` for each hook, whose plugin `HOOK` does the act there, and `/good` without plugins.
fn faulty(act: &str, kind: &str, policy: &str) -> (Upstream, Running) {
    let up = Upstream::echo();
    let mut setup = Setup::new().upstream("up", &up).route("/good", "");
    for hook in BEFORE.iter().chain(&AFTER).chain(&[FLOWING, LOG]) {
        let acts = format!("{{ hook = \"{hook}\", act = {act} }}");
        setup = setup.acts_with(
            hook,
            &acts,
            &format!("on-fault = \"{policy}\"\n{}", limits(kind)),
        );
        setup = setup.route(&format!("/{hook}"), &format!("plugins = [\"{hook}\"]"));
    }
    (up, setup.start())
}

fn ask(gateway: &Running, hook: &str) -> Option<Response> {
    let request = post(&format!("/{hook}"), "hello");
    let mut client = gateway.client();
    client.send(request.bytes());
    client.try_response_to("POST")
}

/// Faults of that kind, and of no other, are counted for a hook's plugin.
#[track_caller]
fn counted(gateway: &Running, hook: &str, kind: &str) {
    let all = || {
        gateway
            .metrics()
            .get("gateway_plugin_faults_total", &[("plugin", hook)])
    };
    eventually(&format!("a fault in {hook} is counted"), || all() >= 1.0);
    let text = gateway.metrics().text;
    let told: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("faults_total") && !line.ends_with(" 0"))
        .collect();
    assert_eq!(
        all(),
        gateway.faults(hook, kind),
        "of another kind than {kind}: {told:#?}"
    );
}

/// What `deny` means in each hook.
fn denies(act: &str, kind: &str) {
    let (up, gateway) = faulty(act, kind, "deny");
    for hook in BEFORE {
        let answer = ask(&gateway, hook).expect("a response");
        assert_eq!(answer.status, 503, "{act} in {hook}: {}", answer.text());
        expect::failure(&answer, 503, "plugin-fault");
        counted(&gateway, hook, kind);
    }
    assert_eq!(up.count(), 0, "nothing came through whole");
    for hook in AFTER {
        expect::failure(
            &ask(&gateway, hook).expect("a response"),
            503,
            "plugin-fault",
        );
        counted(&gateway, hook, kind);
    }
    let cut = ask(&gateway, FLOWING);
    assert!(
        cut.is_none_or(|answer| !answer.is_whole || answer.status == 503),
        "a short success"
    );
    counted(&gateway, FLOWING, kind);
    expect::ok(&ask(&gateway, LOG).expect("a response"));
    counted(&gateway, LOG, kind);
    expect::ok(&gateway.get("/good"));
}

/// What `skip` means in each hook.
fn skips(act: &str, kind: &str) {
    let (up, gateway) = faulty(act, kind, "skip");
    for hook in BEFORE.iter().chain(&AFTER).chain(&[FLOWING, LOG]) {
        let answer = ask(&gateway, hook).expect("a response");
        expect::ok(&answer);
        assert_eq!(answer.json()["body"], "hello", "{act} in {hook}");
        counted(&gateway, hook, kind);
        let skips = gateway
            .metrics()
            .get("gateway_plugin_skips_total", &[("plugin", hook)]);
        assert!(skips >= 1.0, "{hook}");
    }
    assert_eq!(up.count(), 7);
}

#[test]
fn a_trap_is_denied_in_every_hook() {
    denies("\"trap\"", "trap");
}

#[test]
fn a_trap_is_skipped_in_every_hook() {
    skips("\"trap\"", "trap");
}

#[test]
fn a_panic_is_denied_in_every_hook() {
    denies("\"panic\"", "trap");
}

#[test]
fn leaving_the_process_is_no_way_out() {
    let (_up, gateway) = faulty("\"exit\"", "output", "deny");
    for hook in BEFORE {
        expect::failure(
            &ask(&gateway, hook).expect("a response"),
            503,
            "plugin-fault",
        );
    }
    expect::ok(&gateway.get("/good"));
}

#[test]
fn a_loop_is_denied_in_every_hook() {
    denies("\"loop\"", "time");
}

#[test]
fn a_loop_is_skipped_in_every_hook() {
    skips("\"loop\"", "time");
}

#[test]
fn waiting_for_ever_is_denied_in_every_hook() {
    denies("\"sleep\"", "wall-time");
}

#[test]
fn waiting_for_ever_is_skipped_in_every_hook() {
    skips("\"sleep\"", "wall-time");
}

#[test]
fn allocating_without_end_is_denied_in_every_hook() {
    denies("\"allocate\"", "memory");
}

#[test]
fn recursing_without_end_is_denied_in_every_hook() {
    denies("\"recurse\"", "stack");
}

#[test]
fn a_million_host_calls_are_denied_in_every_hook() {
    denies("{ host-calls = 1000000 }", "host-calls");
}

#[test]
fn as_many_host_calls_as_allowed_are_fine() {
    let (_up, gateway) = faulty("{ host-calls = 1000 }", "host-calls", "deny");
    for hook in BEFORE {
        expect::ok(&ask(&gateway, hook).expect("a response"));
    }
}

#[test]
fn a_plugin_that_keeps_looping_is_left_alone_and_comes_back_when_it_is_good() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "plugins = [\"moody\"]")
        .acts_with(
            "moody",
            "{ hook = \"request\", act = \"loop\", when = \"x-loop\" }",
            limits("time"),
        )
        .start();
    let bad = gateway_tests::get("/").header("x-loop", "1");
    eventually("it is suspended", || {
        expect::failure(&gateway.send(&bad), 503, "plugin-fault");
        gateway.faults("moody", "suspended") >= 1.0
    });
    eventually("a good call ends that", || gateway.get("/").status == 200);
    expect::ok(&gateway.get("/"));
}

#[test]
fn a_security_plugin_cannot_be_skipped() {
    let up = Upstream::echo();
    let keys = "security = true\non-fault = \"skip\"";
    let error = Setup::to(&up, "plugins = [\"auth\"]")
        .acts_with("auth", "", keys)
        .try_start()
        .err();
    let error = error.expect("that is no choice to have");
    assert!(
        error.contains("plugins.auth.on-fault") && error.contains("security"),
        "{error}"
    );
}

#[test]
fn a_trap_in_an_auth_plugin_fails_closed_without_a_word_in_the_configuration() {
    let up = Upstream::echo();
    let acts = "{ hook = \"request\", act = \"trap\" }";
    let gateway = Setup::to(&up, "plugins = [\"auth\"]")
        .acts("auth", acts)
        .start();
    for _ in 0..20 {
        expect::failure(&gateway.get("/"), 503, "plugin-fault");
    }
    assert_eq!(up.heads(), 0);
}

#[test]
fn when_every_instance_is_busy_a_request_waits_its_time_and_no_longer() {
    let up = Upstream::echo();
    let keys = "limits = { instances = 1, instance-wait = \"30ms\", wall-time = \"2s\" }";
    let gateway = Setup::to(&up, "plugins = [\"one\"]")
        .acts_with(
            "one",
            "{ hook = \"request\", act = \"sleep\", when = \"x-sleep\" }",
            keys,
        )
        .start();
    let mut sleeper = gateway.client();
    sleeper.send(gateway_tests::get("/").header("x-sleep", "1").bytes());
    eventually("it is busy", || {
        gateway
            .metrics()
            .get("gateway_plugin_instances", &[("state", "busy")])
            >= 1.0
    });
    expect::failure(&gateway.get("/"), 503, "plugin-fault");
    counted(&gateway, "one", "busy");
    drop(sleeper);
    eventually("a client that leaves gives its instance back", || {
        gateway.get("/").status == 200
    });
}

#[test]
fn what_a_skipped_call_has_noted_is_undone() {
    let up = Upstream::echo();
    let attribute =
        "{ hook = \"request\", act = { attribute = { name = \"consumer\", value = \"admin\" } } }";
    let state = "{ hook = \"request\", act = { state = \"kept\" } }";
    let trap = "{ hook = \"request\", act = \"trap\" }";
    let tell = "{ hook = \"request\", act = { reveal-attribute = \"consumer\" } }";
    let gateway = Setup::to(&up, "plugins = [\"bad\", \"tell\"]")
        .acts_with(
            "bad",
            &format!("{attribute}, {state}, {trap}"),
            "on-fault = \"skip\"",
        )
        .acts("tell", tell)
        .start();
    let answer = gateway.get("/");
    expect::ok(&answer);
    assert_eq!(answer.echoed("x-attribute").as_deref(), Some("none"));
}
