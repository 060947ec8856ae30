//! Bodies and plugins: by chunks with back-pressure, whole within a limit, in both directions.

use std::sync::{Mutex, mpsc};

use gateway_tests::{Reply, Request, Running, Setup, Upstream, get, post};

use crate::expect;

/// A gateway to the echo whose one plugin does this.
fn with(acts: &str, keys: &str) -> (Upstream, Running) {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "plugins = [\"body\"]")
        .acts_with("body", acts, keys)
        .start();
    (up, gateway)
}

fn act(hook: &str, act: &str) -> String {
    format!("{{ hook = \"{hook}\", act = {act} }}")
}

#[test]
fn each_body_hook_can_replace_what_it_sees() {
    for (hook, change, body) in [
        ("request-chunk", "\"upper\"", "HELLO"),
        ("request-whole", "\"upper\"", "HELLO"),
        (
            "request-whole",
            "{ replace = \"longer than before\" }",
            "longer than before",
        ),
        ("request-chunk", "\"drop\"", ""),
    ] {
        let (_up, gateway) = with(&act(hook, change), "");
        let answer = gateway.send(&post("/", "hello"));
        expect::ok(&answer);
        assert_eq!(answer.json()["body"], body, "{hook} {change}");
    }
    for (hook, change) in [
        ("response-chunk", "\"upper\""),
        ("response-whole", "\"upper\""),
    ] {
        let (_up, gateway) = with(&act(hook, change), "");
        let answer = gateway.get("/");
        assert!(
            answer.is_whole && answer.text().contains("\"TARGET\":\"/\""),
            "{hook}: {}",
            answer.text()
        );
    }
    let (_up, gateway) = with(&act("response-whole", "{ replace = \"short\" }"), "");
    let answer = gateway.get("/");
    assert_eq!(
        (answer.text().as_str(), answer.header("content-length")),
        ("short", Some("5"))
    );
}

#[test]
fn a_whole_body_hook_can_change_the_head_and_answer_instead() {
    let acts = [
        act("request-whole", "{ set = { name = \"x-checked\", value = \"yes\" } }"),
        "{ hook = \"request-whole\", when = \"x-bad\", act = { respond = { status = 422, body = \"no\" } } }".to_owned(),
        act("response-whole", "{ status = 202 }"),
    ];
    let (up, gateway) = with(&acts.join(", "), "");
    let good = gateway.send(&post("/", "hello"));
    assert_eq!(
        (good.status, good.echoed("x-checked").as_deref()),
        (202, Some("yes"))
    );
    let bad = gateway.send(&post("/", "hello").header("x-bad", "1"));
    assert_eq!((bad.status, bad.text().as_str()), (422, "no"));
    assert_eq!(up.heads(), 1, "the head waited for the body");
}

#[test]
fn a_whole_body_hook_also_runs_for_no_body() {
    let (_up, gateway) = with(
        &act(
            "request-whole",
            "{ set = { name = \"x-checked\", value = \"yes\" } }",
        ),
        "",
    );
    assert_eq!(gateway.get("/").echoed("x-checked").as_deref(), Some("yes"));
}

#[test]
fn whole_bodies_up_to_the_limit_pass_and_longer_ones_are_413_and_502() {
    let limit = "limits = { buffered-body = \"4KiB\" }";
    let (up, gateway) = with(&act("request-whole", "\"upper\""), limit);
    expect::ok(&gateway.send(&post("/", vec![b'a'; 4096])));
    expect::failure(
        &gateway.send(&post("/", vec![b'a'; 4097])),
        413,
        "body-too-large",
    );
    let mut client = gateway.client();
    client.send(format!(
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1001\r\n{}\r\n0\r\n\r\n",
        "a".repeat(4097)
    ));
    expect::failure(&client.response(), 413, "body-too-large");
    assert_eq!(up.heads(), 1);

    let up = Upstream::answering(|seen| {
        Reply::new(200, vec![b'a'; seen.target()[1..].parse().unwrap_or(0)])
    });
    let setup = Setup::to(&up, "plugins = [\"body\"]");
    let gateway = setup
        .acts_with("body", &act("response-whole", "\"upper\""), limit)
        .start();
    assert_eq!(gateway.get("/4096").body, vec![b'A'; 4096]);
    expect::failure(&gateway.get("/4097"), 502, "response-too-large");
}

#[test]
fn chunks_reach_a_plugin_in_pieces_that_it_has_room_for() {
    let acts = [
        act("request-chunk", "\"measure\""),
        act("response", "{ reveal-attribute = \"largest\" }"),
    ];
    let (_up, gateway) = with(&acts.join(", "), "");
    let answer = gateway.send(&post("/", vec![b'a'; 3 << 20]));
    assert_eq!(answer.json()["length"], 3 << 20);
    let largest: usize = answer.headers("x-attribute").parse().expect("a size");
    assert!((1..=64 << 10).contains(&largest), "{largest}");
}

#[test]
fn a_chunk_passes_a_plugin_before_the_next_is_sent() {
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let up = Upstream::script(move |connection| {
        connection.request()?;
        connection
            .write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-trailer\r\n\r\n")?;
        for _ in 0..5 {
            connection.write("5\r\nhello\r\n")?;
            let _ = wait.lock().expect("nobody panics").recv();
        }
        connection.write("0\r\nx-trailer: kept\r\n\r\n")
    });
    let setup = Setup::to(&up, "plugins = [\"body\"]");
    let gateway = setup
        .acts("body", &act("response-chunk", "\"upper\""))
        .start();
    let mut client = gateway.client();
    client.send(
        get("/")
            .header("te", "trailers")
            .header("connection", "te")
            .bytes(),
    );
    let head = client.head().expect("a head");
    for _ in 0..5 {
        assert_eq!(
            client.reader().chunk().expect("a chunk"),
            Some(b"HELLO".to_vec())
        );
        go_on.send(()).expect("the upstream waits");
    }
    let rest = client
        .reader()
        .body(head.response_framing("GET"))
        .expect("the end");
    assert_eq!(rest.trailers, [("x-trailer".to_owned(), "kept".to_owned())]);
}

#[test]
fn a_plugin_that_aborts_the_request_body_leaves_no_whole_request() {
    let (up, gateway) = with(&act("request-chunk", "{ abort = \"virus\" }"), "");
    let answer = gateway.send(&post("/", "hello"));
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (502, "plugin-abort")
    );
    assert!(!answer.text().contains("virus"), "the text is for the log");
    assert_eq!(up.count(), 0);
}

#[test]
fn a_plugin_that_aborts_the_response_body_is_a_visible_cut() {
    let (_up, gateway) = with(&act("response-chunk", "{ abort = \"leak\" }"), "");
    let mut client = gateway.client();
    client.send(get("/").bytes());
    if let Some(answer) = client.try_response_to("GET") {
        assert!(!answer.is_whole && answer.body.is_empty(), "{answer:?}");
    }
}

#[test]
fn body_hooks_leave_responses_without_a_body_alone() {
    let acts = [
        act("response-whole", "{ replace = \"made up\" }"),
        act("response-chunk", "\"upper\""),
    ];
    let up = Upstream::answering(|seen| {
        Reply::new(if seen.target() == "/204" { 204 } else { 200 }, "text")
    });
    let setup = Setup::to(&up, "plugins = [\"whole\", \"chunks\"]");
    let gateway = setup
        .acts("whole", &acts[0])
        .acts("chunks", &acts[1])
        .start();
    let mut client = gateway.client();
    assert_eq!(client.request(&get("/204")).status, 204);
    let head = client.request(&Request::new("HEAD", "/"));
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(
        client.request(&get("/")).text(),
        "made up",
        "and the connection is in step"
    );
}

#[test]
fn several_body_plugins_work_on_one_body_one_after_another() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "plugins = [\"upper\", \"whole\", \"measure\"]")
        .acts("upper", &act("request-chunk", "\"upper\""))
        .acts(
            "whole",
            &act(
                "request-whole",
                "{ set = { name = \"x-whole\", value = \"1\" } }",
            ),
        )
        .acts("measure", &act("request-chunk", "\"measure\""))
        .start();
    let answer = gateway.send(&post("/", "hello"));
    assert_eq!(
        (
            answer.json()["body"].as_str(),
            answer.echoed("x-whole").as_deref()
        ),
        (Some("HELLO"), Some("1"))
    );
}
