//! What a review has found once and nobody shall find again: one test for each, by the property that was broken.
//!
//! Here is what concerns a message on its way. `plugins` has what a plugin may do to others, `reload` what happens
//! between generations. Leaves out: what the other files promise already.

mod plugins;
mod reload;

use std::fs;
use std::time::{Duration, Instant};

use gateway_tests::h2::{H2, block_on};
use gateway_tests::{Client, Reply, Request, Response, Setup, Upstream, eventually, get, post};

use crate::expect;
use crate::plugins::mark;

#[test]
fn a_body_that_is_refused_has_its_log_entry_and_so_has_what_comes_after() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "max-body = \"4B\"\nplugins = [\"own\", \"other\"]")
        .server("access-log = \"./access.log\"")
        .server("plugins = [\"log\"]")
        .plugin_from("log", "stock:access-log", "")
        .acts("own", &mark("own"))
        .acts("other", &mark("other"))
        .start();
    let file = gateway.setup().folder().join("access.log");
    let statuses = || -> Vec<u64> {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let entries = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        entries
            .map(|line| {
                let entry: serde_json::Value = serde_json::from_str(line).expect("JSON");
                entry["status"].as_u64().expect("a status")
            })
            .collect()
    };
    let mut expected = Vec::new();
    for _ in 0..3 {
        expect::failure(&gateway.send(&post("/", "five!")), 413, "body-too-large");
        expected.push(413);
        eventually("the refused one is logged", || statuses() == expected);
        let mut client = gateway.client();
        client.send(
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfive!\r\n0\r\n\r\n",
        );
        expect::failure(&client.response_to("POST"), 413, "body-too-large");
        expected.push(413);
        eventually("so is one by chunks", || statuses() == expected);
        expect::ok(&gateway.send(&post("/", "four")));
        expected.push(200);
        eventually("and a good one after", || statuses() == expected);
    }
    let dropped = gateway
        .metrics()
        .get("gateway_log_entries_dropped_total", &[]);
    assert_eq!(dropped, 0.0);
}

#[test]
fn requests_that_are_answered_at_once_do_not_use_up_the_time_for_a_header() {
    let up = Upstream::echo();
    let deny = "{ hook = \"request\", act = { respond = { status = 401 } } }";
    let gateway = Setup::new()
        .limits("header-timeout = \"300ms\"")
        .upstream("up", &up)
        .route("/good", "")
        .route("/denied", "plugins = [\"auth\"]")
        .acts("auth", deny)
        .start();
    let mut client = gateway.client();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(900) {
        assert_eq!(client.request(&get("/denied")).status, 401);
        assert_eq!(client.request(&get("/nowhere")).status, 404);
    }
    expect::ok(&client.request(&get("/good")));
}

/// Two routes for one path, of which one wants a header field; where the request went.
#[track_caller]
fn route_of(server: &str, wanted: &str, request: &Request) -> String {
    let up = Upstream::echo();
    let keys = format!("headers = {{ {wanted} }}\nrewrite-path = \"/matched\"");
    let gateway = Setup::new()
        .server(server)
        .upstream("up", &up)
        .route("/a", &keys)
        .route("/a", "name = \"any\"\nrewrite-path = \"/any\"")
        .start();
    let answer = gateway.send(request);
    expect::ok(&answer);
    answer.json()["target"]
        .as_str()
        .expect("a target")
        .to_owned()
}

#[test]
fn a_route_does_not_believe_what_a_client_says_of_its_own_scheme() {
    let wanted = "\"x-forwarded-proto\" = \"https\"";
    let request = get("/a").header("x-forwarded-proto", "https");
    assert_eq!(route_of("", wanted, &request), "/any");
    let trusting = "trusted-proxies = [\"127.0.0.0/8\"]";
    assert_eq!(route_of(trusting, wanted, &request), "/matched");
}

#[test]
fn a_field_that_ends_with_the_connection_matches_no_route() {
    let wanted = "\"x-inner\" = \"1\"";
    let request = get("/a").header("x-inner", "1");
    assert_eq!(route_of("", wanted, &request), "/matched");
    let nominated = request.header("connection", "x-inner");
    assert_eq!(route_of("", wanted, &nominated), "/any");
}

#[test]
fn request_trailers_pass_only_where_no_plugin_could_have_wanted_to_see_them() {
    let up = Upstream::echo();
    let set =
        "{ hook = \"request\", act = { set = { name = \"x-consumer\", value = \"alice\" } } }";
    let chunks = "{ hook = \"request-chunk\", act = \"upper\" }";
    let whole = "{ hook = \"request-whole\", act = \"upper\" }";
    let gateway = Setup::new()
        .upstream("up", &up)
        .route("/plain", "")
        .route("/head", "plugins = [\"head\"]")
        .route("/chunks", "plugins = [\"chunks\"]")
        .route("/whole", "plugins = [\"whole\"]")
        .acts("head", set)
        .acts("chunks", chunks)
        .acts("whole", whole)
        .start();
    let trailers = |path: &str| {
        let mut client = gateway.client();
        client.send(format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntrailer: x-consumer\r\n\r\n\
             5\r\nhello\r\n0\r\nx-consumer: admin\r\n\r\n"
        ));
        expect::ok(&client.response_to("POST"));
        let seen = up.last();
        assert!(seen.body.data.eq_ignore_ascii_case(b"hello"), "{path}");
        seen.body.trailers
    };
    let sent = [("x-consumer".to_owned(), "admin".to_owned())];
    assert_eq!(trailers("/plain"), sent);
    for path in ["/head", "/chunks", "/whole"] {
        assert_eq!(trailers(path), [], "{path}");
    }
}

#[test]
fn a_304_that_a_plugin_makes_a_200_is_empty_and_clean() {
    let up = Upstream::answering(|_| Reply::new(304, "").header("content-length", "100"));
    let gateway = Setup::to(&up, "plugins = [\"p\"]")
        .acts("p", "{ hook = \"response\", act = { status = 200 } }")
        .start();
    block_on(async {
        let mut h2 = H2::connect(gateway.address()).await;
        for _ in 0..2 {
            let (parts, body) = h2.get("http://a.example/").await;
            assert_eq!((parts.status.as_u16(), body.len()), (200, 0));
            let length = parts.headers.get("content-length");
            assert!(length.is_none_or(|length| length == "0"), "{length:?}");
        }
    });
    let mut client = gateway.client();
    for _ in 0..2 {
        let answer = client.request(&get("/"));
        expect::ok(&answer);
        assert_eq!(answer.body, b"");
    }
}

/// Ask for a response with trailers.
fn get_with_trailers(mut client: Client) -> Response {
    let request = get("/").header("te", "trailers");
    client.request(&request.header("connection", "te"))
}

#[test]
fn a_response_body_that_was_collected_keeps_its_trailers() {
    let up = Upstream::script(|connection| {
        while connection.request()?.is_some() {
            connection.write(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
                 5\r\nhello\r\n7\r\n there!\r\n0\r\nx-sum: 42\r\n\r\n",
            )?;
        }
        Ok(())
    });
    let sum = [("x-sum".to_owned(), "42".to_owned())];
    for (act, body) in [
        ("{ status = 200 }", "hello there!"),
        ("\"upper\"", "HELLO THERE!"),
        ("{ replace = \"other\" }", "other"),
        ("\"drop\"", ""),
    ] {
        let acts = format!("{{ hook = \"response-whole\", act = {act} }}");
        let setup = Setup::to(&up, "plugins = [\"p\"]").acts("p", &acts);
        let gateway = setup.start();
        let answer = get_with_trailers(gateway.client());
        expect::ok(&answer);
        assert_eq!(answer.text(), body, "{act}");
        assert_eq!(answer.trailers, sum, "{act}");
    }
}
