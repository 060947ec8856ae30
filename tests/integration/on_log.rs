//! The end of an exchange: one entry for each, however it ended (DESIGN 2).

use std::fs;
use std::sync::Mutex;

use gateway_tests::{Reply, Running, Setup, Upstream, eventually, get, post};
use serde_json::Value;

const ENTRY: &str = "{ hook = \"log\", act = \"entry\" }";

/// With a plugin in front of everything that writes each entry down.
fn logged(setup: Setup) -> Running {
    let setup = setup
        .server("access-log = \"./access.log\"")
        .server("plugins = [\"entries\"]");
    setup.acts("entries", ENTRY).start()
}

/// So many entries, once they are there.
#[track_caller]
fn entries(gateway: &Running, count: usize) -> Vec<Value> {
    let file = gateway.setup().folder().join("access.log");
    let read = || fs::read_to_string(&file).unwrap_or_default();
    eventually(&format!("there are {count} entries"), || {
        read().lines().count() >= count
    });
    assert_eq!(read().lines().count(), count, "{}", read());
    read()
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect()
}

#[test]
fn an_entry_tells_what_happened() {
    let up = Upstream::echo();
    let gateway = logged(Setup::to(&up, "name = \"all\""));
    let answer = gateway.send(
        &post("/a//b?q=1", "hello")
            .header("x-token", "t")
            .header("host", "shop.example"),
    );
    let entry = &entries(&gateway, 1)[0];
    assert_eq!(entry["id"].as_str(), answer.header("x-request-id"));
    for (key, value) in [
        ("method", "POST"),
        ("path", "/a/b"),
        ("query", "q=1"),
        ("route", "all"),
        ("protocol", "HTTP/1.1"),
        ("client-ip", "127.0.0.1"),
        ("authority", "shop.example"),
        ("token", "t"),
        ("endpoint", up.address().to_string().leak()),
    ] {
        assert_eq!(entry[key], value, "{key} in {entry}");
    }
    assert_eq!(
        (entry["status"].as_u64(), entry["failure"].is_null()),
        (Some(200), true)
    );
    assert_eq!(
        (
            entry["request-bytes"].as_u64(),
            entry["response-bytes"].as_u64()
        ),
        (Some(5), Some(answer.body.len() as u64))
    );
    let (duration, upstream) = (
        entry["duration"].as_u64(),
        entry["upstream-duration"].as_u64(),
    );
    assert!(
        upstream.is_some() && duration >= upstream && duration > Some(0),
        "{entry}"
    );
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos();
    let started = u128::from(entry["started"].as_u64().expect("a time"));
    assert!(started <= now && now - started < 60_000_000_000, "{entry}");
}

#[test]
fn a_request_that_no_route_has_is_logged_too() {
    let up = Upstream::echo();
    let gateway = logged(Setup::new().upstream("up", &up).route("/here", ""));
    gateway.get("/elsewhere?x");
    let entry = &entries(&gateway, 1)[0];
    assert_eq!(
        (
            entry["status"].as_u64(),
            entry["failure"].as_str(),
            entry["route"].is_null()
        ),
        (Some(404), Some("no-route"), true)
    );
    assert_eq!(
        (entry["path"].as_str(), entry["query"].as_str()),
        (Some("/elsewhere"), Some("x"))
    );
}

#[test]
fn a_failure_is_logged_with_its_reason() {
    let gateway = logged(
        Setup::new()
            .upstream_at("up", &format!("http://{}", Upstream::nobody()), "")
            .route("/*", ""),
    );
    gateway.get("/");
    let entry = &entries(&gateway, 1)[0];
    assert_eq!(
        (entry["status"].as_u64(), entry["failure"].as_str()),
        (Some(502), Some("upstream-connect"))
    );
}

#[test]
fn a_client_that_left_before_the_response_is_499() {
    let up = Upstream::script(|connection| {
        connection.request()?;
        connection.closed();
        Ok(())
    });
    let gateway = logged(Setup::to(&up, ""));
    let mut client = gateway.client();
    client.send(get("/slow").bytes());
    eventually("it is under way", || up.count() == 1);
    drop(client);
    let entry = &entries(&gateway, 1)[0];
    assert_eq!(
        (entry["status"].as_u64(), entry["failure"].as_str()),
        (Some(499), Some("client-closed"))
    );
}

#[test]
fn a_client_that_left_in_the_middle_of_the_body_keeps_its_status_and_gets_a_reason() {
    let up = Upstream::script(|connection| {
        connection.request()?;
        connection.write("HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\nbegin")?;
        connection.closed();
        Ok(())
    });
    let gateway = logged(Setup::to(&up, ""));
    let mut client = gateway.client();
    client.send(get("/").bytes());
    assert_eq!(client.head().map(|head| head.status()), Some(200));
    drop(client);
    let entry = &entries(&gateway, 1)[0];
    assert_eq!(
        (entry["status"].as_u64(), entry["failure"].as_str()),
        (Some(200), Some("client-closed"))
    );
}

#[test]
fn the_entry_comes_when_the_body_has_ended_and_counts_its_bytes() {
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let up = Upstream::script(move |connection| {
        connection.request()?;
        connection.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")?;
        let _ = wait.lock().expect("nobody panics").recv();
        connection.write("world")
    });
    // One worker writes its entries in the order in which exchanges end.
    let gateway = logged(Setup::to(&up, "").server("workers = 1"));
    let mut client = gateway.client();
    client.send(get("/").bytes());
    client.head().expect("a head");
    client.reader().exactly(5).expect("half a body");
    assert_eq!(gateway.get("/..").status, 400);
    go_on.send(()).expect("the upstream waits");
    client.reader().exactly(5).expect("the other half");
    let entries = entries(&gateway, 2);
    assert_eq!(
        (
            entries[0]["status"].as_u64(),
            entries[1]["response-bytes"].as_u64()
        ),
        (Some(400), Some(10))
    );
}

#[test]
fn a_request_that_was_answered_inside_is_logged_by_every_plugin_that_asked() {
    let up = Upstream::echo();
    let deny = "{ hook = \"request\", act = { respond = { status = 401 } } }";
    let gateway = Setup::to(&up, "plugins = [\"outer\", \"auth\", \"inner\"]")
        .server("access-log = \"./access.log\"")
        .acts("outer", "{ hook = \"log\", act = { access = \"outer\" } }")
        .acts("auth", deny)
        .acts("inner", "{ hook = \"log\", act = { access = \"inner\" } }")
        .start();
    gateway.get("/");
    let read =
        || fs::read_to_string(gateway.setup().folder().join("access.log")).unwrap_or_default();
    eventually("both have written", || read().lines().count() == 2);
    assert!(read().contains("outer") && read().contains("inner"));
}

#[test]
fn an_entry_tells_which_plugins_took_time() {
    let up = Upstream::answering(|_| Reply::new(200, ""));
    let acts = crate::plugins::mark("a");
    let gateway = logged(Setup::to(&up, "plugins = [\"a\"]").acts("a", &acts));
    gateway.get("/");
    let entry = &entries(&gateway, 1)[0];
    assert!(
        entry["plugins"]
            .as_array()
            .expect("a list")
            .contains(&"a".into()),
        "{entry}"
    );
}
