//! What a plugin hands over is checked before it is used (THREATS 9, 10, 20): edits are refused one by one, and what is
//! no response is a fault.

use gateway_tests::{Reply, Response, Setup, Upstream, get, post};

use crate::expect;

/// Fields that are the gateway's to compute.
const FORBIDDEN: [&str; 11] = [
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "upgrade",
    "te",
    "trailer",
    "host",
    "Host",
    "expect",
];

/// A TOML string; TOML escapes what tests like to put into names.
fn toml(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|letter| {
            if letter.is_control() || "\"\\".contains(letter) {
                format!("\\u{:04x}", u32::from(letter))
            } else {
                letter.into()
            }
        })
        .collect();
    format!("\"{escaped}\"")
}

fn pair(verb: &str, name: &str, value: &str) -> String {
    format!(
        "{{ {verb} = {{ name = {}, value = {} }} }}",
        toml(name),
        toml(value)
    )
}

/// Run edits in a hook; the answer, and what was refused.
pub(crate) fn edited(hook: &str, edits: &[String]) -> (Response, String) {
    let up = Upstream::answering(|seen| Reply::json(&seen.as_json()).header("x-kept", "up"));
    let acts: Vec<String> = edits
        .iter()
        .map(|edit| format!("{{ hook = \"{hook}\", act = {edit} }}"))
        .collect();
    let reveal = "{ hook = \"response\", act = { reveal-attribute = \"refused\" } }";
    let gateway = Setup::to(&up, "plugins = [\"reveal\", \"edit\"]")
        .acts("edit", &acts.join(", "))
        .acts("reveal", reveal)
        .start();
    let answer = gateway.send(&post("/", "hello").header("x-kept", "client"));
    let refused = answer.headers("x-attribute");
    (answer, refused)
}

#[test]
fn a_bad_name_or_value_is_refused_and_changes_nothing() {
    let edits = [
        pair("set", "x-kept", "a\r\nx-injected: 1"),
        pair("set", "x-kept", "a\nb"),
        pair("append", "x-kept", "a\rb"),
        pair("set", "x-kept", "a\0b"),
        pair("append", "x-kept", "\u{7f}"),
        pair("set", "x-kept", " admin"),
        pair("append", "x-kept", "admin\t"),
        pair("set", "", "v"),
        pair("set", "x kept", "v"),
        pair("append", "x-kept:", "v"),
        pair("set", "x\nkept", "v"),
        pair("set", ":path", "/admin"),
        pair("append", "x-k\u{e9}pt", "v"),
    ];
    for hook in ["request", "request-whole", "response", "response-whole"] {
        let (answer, refused) = edited(hook, &edits);
        expect::ok(&answer);
        assert_eq!(
            refused.matches("=invalid-value").count(),
            7,
            "{hook}: {refused}"
        );
        assert_eq!(
            refused.matches("=invalid-name").count(),
            6,
            "{hook}: {refused}"
        );
        assert_eq!(
            (answer.echoed("x-kept").as_deref(), answer.header("x-kept")),
            (Some("client"), Some("up")),
            "{hook}"
        );
        assert!(answer.echoed("x-injected").is_none() && answer.header("x-injected").is_none());
    }
}

#[test]
fn framing_and_connection_fields_are_the_gateways_own() {
    let edits = |verb: &str| FORBIDDEN.map(|name| pair(verb, name, "5"));
    for hook in ["request", "request-whole", "response", "response-whole"] {
        for verb in ["set", "append"] {
            let (answer, refused) = edited(hook, &edits(verb));
            expect::ok(&answer);
            assert_eq!(
                refused.matches("=forbidden").count(),
                FORBIDDEN.len(),
                "{hook} {verb}: {refused}"
            );
            assert_eq!(answer.echoed("host").as_deref(), Some("gateway.test"));
        }
        let removals = FORBIDDEN.map(|name| format!("{{ remove = {} }}", toml(name)));
        let (answer, refused) = edited(hook, &removals);
        assert_eq!(answer.json()["body"], "hello");
        assert_eq!(
            refused.matches("=forbidden").count(),
            FORBIDDEN.len(),
            "{hook}: {refused}"
        );
    }
}

#[test]
fn a_batch_stops_at_the_first_that_is_refused() {
    let batch = "{ batch = [{ name = \"x-1\", value = \"1\" }, { name = \"host\", value = \"2\" }, { name = \"x-3\", value = \"3\" }] }";
    let (answer, refused) = edited("request", &[batch.to_owned()]);
    assert_eq!(refused, "batch=forbidden;");
    assert_eq!(
        (answer.echoed("x-1").as_deref(), answer.echoed("x-3")),
        (Some("1"), None)
    );
}

#[test]
fn methods_paths_queries_and_statuses_that_are_none_are_refused() {
    let edits = [
        "{ method = \"CONNECT\" }",
        "{ method = \"TRACE\" }",
        "{ method = \"\" }",
        "{ method = \"GET /x\" }",
        "{ method = \"A\\nB\" }",
        "{ path = \"relative\" }",
        "{ path = \"/a b\" }",
        "{ path = \"/../up\" }",
        "{ path = \"/a%2fb\" }",
        "{ path = \"/a?b\" }",
        "{ path = \"/a\\r\\nb\" }",
        "{ query = \"a b\" }",
        "{ query = \"a#b\" }",
        "{ query = \"a\\r\\nb\" }",
    ];
    let (answer, refused) = edited("request", &edits.map(str::to_owned));
    expect::ok(&answer);
    assert_eq!(refused.matches('=').count(), edits.len(), "{refused}");
    assert_eq!(
        (
            answer.json()["method"].as_str(),
            answer.json()["target"].as_str()
        ),
        (Some("POST"), Some("/"))
    );
    let statuses = [
        "0", "99", "100", "101", "199", "600", "999", "1000", "65535",
    ]
    .map(|code| format!("{{ status = {code} }}"));
    let (answer, refused) = edited("response", &statuses);
    assert_eq!(
        (answer.status, refused.matches("=invalid-value").count()),
        (200, statuses.len()),
        "{refused}"
    );
}

#[test]
fn the_request_is_read_only_once_it_has_left() {
    for hook in [
        "response",
        "response-whole",
        "response-chunk",
        "request-chunk",
    ] {
        let (answer, refused) = edited(hook, &[pair("set-on-request", "x-late", "1")]);
        assert_eq!(answer.echoed("x-late"), None);
        if hook == "response" || hook == "request-chunk" {
            assert!(refused.contains("=read-only"), "{hook}: {refused}");
        }
    }
}

#[test]
fn too_many_or_too_large_fields_are_refused_and_the_rest_stays() {
    for (count, bytes) in [(40_000, 1), (2000, 10_000), (1, 200_000)] {
        for hook in ["request", "response"] {
            let flood = format!("{{ header-flood = {{ count = {count}, bytes = {bytes} }} }}");
            let limits = "limits = { host-calls = 100000, time = \"2s\" }";
            let up = Upstream::echo();
            let acts = format!("{{ hook = \"{hook}\", act = {flood} }}");
            let gateway = Setup::to(&up, "plugins = [\"reveal\", \"edit\"]")
                .acts_with("edit", &acts, limits)
                .acts(
                    "reveal",
                    "{ hook = \"response\", act = { reveal-attribute = \"refused\" } }",
                )
                .start();
            let answer = gateway.get("/");
            expect::ok(&answer);
            let sent = answer.header("x-attribute").unwrap_or("none").to_owned();
            assert!(
                sent.contains("=too-large") || hook == "response",
                "{hook} {count}: {sent}"
            );
            assert!(
                answer.head.fields.len() <= 1_100,
                "{}",
                answer.head.fields.len()
            );
        }
    }
}

#[test]
fn a_response_that_is_none_is_a_fault() {
    let answer = |status: u32, fields: &str| {
        format!("{{ respond = {{ status = {status}, headers = [{fields}] }} }}")
    };
    let field =
        |name: &str, value: &str| format!("{{ name = {}, value = {} }}", toml(name), toml(value));
    let mut bad: Vec<String> = [0, 99, 100, 101, 199, 600, 1000, 65535]
        .map(|status| answer(status, ""))
        .into();
    for (name, value) in [
        ("x", "a\r\nb: c"),
        ("x", "a\0"),
        ("", "v"),
        ("a b", "v"),
        ("content-length", "99"),
        ("host", "h"),
    ] {
        bad.push(answer(200, &field(name, value)));
    }
    bad.push("{ respond-with-flood = { count = 40000, bytes = 1 } }".to_owned());
    bad.push("{ respond-with-flood = { count = 10, bytes = 100000 } }".to_owned());
    let up = Upstream::echo();
    let mut setup = Setup::new().upstream("up", &up);
    for (number, act) in bad.iter().enumerate() {
        // By `skip`, too: a plugin that answers means to stop the exchange here.
        let keys = format!(
            "limits = {{ output = \"16MiB\", time = \"2s\" }}\non-fault = \"{}\"",
            ["deny", "skip"][number % 2]
        );
        setup = setup
            .acts_with(
                &format!("p{number}"),
                &format!("{{ hook = \"request\", act = {act} }}"),
                &keys,
            )
            .route(&format!("/{number}"), &format!("plugins = [\"p{number}\"]"));
    }
    let gateway = setup.start();
    for (number, act) in bad.iter().enumerate() {
        let answer = gateway.get(&format!("/{number}"));
        assert_eq!(answer.status, 503, "{act}: {answer:?}");
        expect::failure(&answer, 503, "plugin-fault");
        assert_eq!(
            gateway.faults(&format!("p{number}"), "output"),
            1.0,
            "{act}"
        );
    }
    assert_eq!(up.heads(), 0);
}

#[test]
fn output_up_to_the_limit_passes_and_more_is_a_fault() {
    let up = Upstream::echo();
    let limits = "limits = { output = \"1MiB\", memory = \"64MiB\", time = \"2s\" }";
    let output =
        |hook: &str, bytes: u32| format!("{{ hook = \"{hook}\", act = {{ output = {bytes} }} }}");
    let gateway = Setup::new()
        .upstream("up", &up)
        .acts_with("fits", &output("request", 1_000_000), limits)
        .acts_with("head", &output("request", 2_000_000), limits)
        .acts_with("whole", &output("request-whole", 2_000_000), limits)
        .acts_with("chunk", &output("request-chunk", 2_000_000), limits)
        .acts_with("back", &output("response-whole", 30_000_000), limits)
        .route("/fits", "plugins = [\"fits\"]")
        .route("/head", "plugins = [\"head\"]")
        .route("/whole", "plugins = [\"whole\"]")
        .route("/chunk", "plugins = [\"chunk\"]")
        .route("/back", "plugins = [\"back\"]")
        .start();
    assert_eq!(gateway.get("/fits").body.len(), 1_000_000);
    for plugin in ["head", "whole", "chunk", "back"] {
        let answer = gateway.send(&post(&format!("/{plugin}"), "hello"));
        expect::failure(&answer, 503, "plugin-fault");
        assert!(
            gateway.faults(plugin, "output") >= 1.0,
            "{plugin}: {}",
            gateway.metrics().text
        );
    }
}

#[test]
fn state_and_attributes_have_their_limits() {
    let up = Upstream::echo();
    let acts = [
        "{ hook = \"request\", act = { state-flood = 65536 } }",
        "{ hook = \"request\", act = { state-flood = 65537 } }",
        "{ hook = \"request\", act = { attribute-flood = { count = 1, bytes = 5000 } } }",
        "{ hook = \"request\", act = { attribute-flood = { count = 80, bytes = 10 } } }",
        "{ hook = \"response\", act = { reveal-attribute = \"refused\" } }",
    ];
    let gateway = Setup::to(&up, "plugins = [\"p\"]")
        .acts("p", &acts.join(", "))
        .start();
    let refused = gateway.send(&get("/")).headers("x-attribute");
    assert_eq!(refused.matches("state=").count(), 1, "{refused}");
    // One for its size, then those from the 65th on: the notes of refusals are an attribute themselves.
    let attributes = refused.matches("attribute=").count();
    assert!((17..=19).contains(&attributes), "{attributes}: {refused}");
}
