//! Where a message ends (RFC 9112 6; THREATS 1 to 3): one clean framing goes on, or nothing does.

use gateway_tests::wire::Framing;
use gateway_tests::{Reply, Request, Setup, Upstream, get, post};

use crate::expect;

#[test]
fn a_length_and_chunks_arrive_as_the_same_body() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "").start();
    let by_length = gateway.send(&post("/", "hello"));
    assert_eq!(
        (
            by_length.json()["body"].as_str(),
            by_length.echoed("content-length").as_deref()
        ),
        (Some("hello"), Some("5"))
    );
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\n\r\n");
    let chunked = client.response();
    assert_eq!(chunked.json()["body"], "hello");
    assert_eq!(
        chunked.echoed("transfer-encoding").as_deref(),
        Some("chunked")
    );
    assert_eq!(chunked.echoed("content-length"), None);
    let none = gateway.get("/");
    assert_eq!(
        (
            none.echoed("content-length"),
            none.echoed("transfer-encoding")
        ),
        (None, None)
    );
}

#[test]
fn trailers_pass_both_ways_for_a_client_that_takes_them() {
    let up = Upstream::script(|connection| {
        while connection.request()?.is_some() {
            connection.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n4\r\nbody\r\n0\r\nx-sum: 42\r\n\r\n")?;
        }
        Ok(())
    });
    let gateway = Setup::to(&up, "").start();
    let mut client = gateway.client();
    client.send(
        "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\ntrailer: x-check\r\n\
         transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-check: 7\r\n\r\n",
    );
    let answer = client.response();
    assert_eq!(answer.body, b"body");
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "42".to_owned())]);
    let seen = up.last();
    assert_eq!(seen.body.trailers, [("x-check".to_owned(), "7".to_owned())]);
    assert_eq!(seen.header("te"), Some("trailers"));
}

#[test]
fn framing_with_two_meanings_is_refused_or_made_one() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "").start();
    let heads = [
        "content-length: 5\r\ncontent-length: 6",
        "content-length: 5, 6",
        "content-length: +5",
        "content-length: 5x",
        "content-length: -1",
        "content-length: 99999999999999999999999",
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding: \u{b}chunked",
        "transfer-encoding: gzip",
        "transfer-encoding : chunked",
        "x-a: b\r\n c: d\r\ncontent-length : 5",
        "bad name: x",
        "x-nul: a\0b",
        "x-bare: a\rb",
    ];
    for head in heads {
        let mut client = gateway.client();
        client.send(format!("POST / HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\nhello"));
        let answer = client.response();
        assert!(
            (400..=501).contains(&answer.status) && answer.status != 500,
            "{head:?}: {}",
            answer.status
        );
        client.end();
        client.rest();
    }
    assert_eq!(up.count(), 0, "none of these is a request");
}

#[test]
fn a_length_beside_a_coding_never_reaches_the_upstream() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "").start();
    let mut client = gateway.client();
    let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    client.send(format!(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\ntransfer-encoding: chunked\r\n\r\n{smuggled}",
        smuggled.len()
    ));
    let first = client.response();
    if first.status == 200 {
        assert_eq!(
            (
                first.echoed("content-length"),
                first.echoed("transfer-encoding").as_deref()
            ),
            (None, Some("chunked"))
        );
    } else {
        assert_eq!(first.status, 400);
        assert_eq!(up.count(), 0);
    }
    for seen in up.requests() {
        assert!(
            seen.head.all("content-length").is_empty()
                || seen.head.all("transfer-encoding").is_empty()
        );
    }
}

#[test]
fn a_chunked_body_that_breaks_is_400_and_never_a_whole_request_upstream() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "").start();
    let bodies = [
        "zz\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "ffffffffffffffff1\r\nx\r\n",
        "-1\r\nx\r\n",
        "\r\n",
        "5\nhello\r\n0\r\n\r\n",
    ];
    for body in bodies {
        let mut client = gateway.client();
        client.send(format!(
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}"
        ));
        client.end();
        let answer = client.response();
        assert_eq!(answer.status, 400, "{body:?}: {}", answer.text());
        assert!(client.rest().is_empty(), "{body:?}: the connection ends");
    }
    assert_eq!(up.count(), 0);
}

#[test]
fn head_has_the_fields_of_get_and_no_body() {
    let up = Upstream::answering(|_| Reply::new(200, "twelve bytes"));
    let gateway = Setup::to(&up, "").start();
    let mut client = gateway.client();
    for _ in 0..2 {
        let head = client.request(&Request::new("HEAD", "/"));
        assert_eq!(
            (head.status, head.header("content-length"), head.body.len()),
            (200, Some("12"), 0)
        );
    }
    assert_eq!(
        client.request(&get("/")).body,
        b"twelve bytes",
        "the connection is still in step"
    );
}

#[test]
fn statuses_without_a_body_have_none() {
    let up = Upstream::answering(|seen| {
        let status = seen.target().trim_start_matches('/').parse().unwrap_or(200);
        Reply::new(status, "").header("etag", "\"x\"")
    });
    let gateway = Setup::to(&up, "").start();
    let mut client = gateway.client();
    for status in [204, 304, 200, 204] {
        let answer = client.request(&get(&format!("/{status}")));
        assert_eq!(
            (answer.status, answer.body.len(), answer.header("etag")),
            (status, 0, Some("\"x\""))
        );
        assert_eq!(answer.header("transfer-encoding"), None, "{status}");
        if status == 204 {
            assert_eq!(answer.header("content-length"), None, "RFC 9110 8.6");
        }
    }
}

#[test]
fn expect_100_continue_is_answered_here_and_goes_no_further() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "").start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n");
    assert_eq!(client.head().expect("an interim response").status(), 100);
    client.send("hello");
    let answer = client.response();
    assert_eq!(
        (answer.json()["body"].as_str(), answer.echoed("expect")),
        (Some("hello"), None)
    );
}

#[test]
fn a_refused_body_is_not_asked_for() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "max-body = \"4B\"").start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n");
    let first = client.head().expect("a response");
    assert_eq!(first.status(), 413, "no 100 before it");
    let framing = first.response_framing("POST");
    assert!(matches!(framing, Framing::Length(_)), "{first:?}");
    assert_eq!(up.heads(), 0);
}

#[test]
fn http_1_0_gets_an_answer_it_understands() {
    let up = Upstream::script(|connection| {
        while connection.request()?.is_some() {
            connection.write(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
            )?;
        }
        Ok(())
    });
    let gateway = Setup::to(&up, "").start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.0\r\nhost: a\r\n\r\n");
    let text = String::from_utf8(client.rest()).expect("text");
    assert!(
        text.ends_with("\r\n\r\nbody") && !text.to_lowercase().contains("chunked"),
        "{text}"
    );
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "").start();
    let mut client = gateway.client();
    let requests: Vec<u8> = (0..10)
        .flat_map(|number| get(&format!("/{number}")).bytes())
        .collect();
    client.send(requests);
    for number in 0..10 {
        let answer = client.response();
        expect::ok(&answer);
        assert_eq!(answer.json()["target"], format!("/{number}"));
    }
}

#[test]
fn a_plugin_that_answers_spares_the_body_and_the_connection_stays_in_step() {
    let up = Upstream::echo();
    let deny = "{ hook = \"request\", when = \"x-deny\", act = { respond = { status = 401, body = \"no\" } } }";
    let gateway = Setup::to(&up, "plugins = [\"auth\"]")
        .acts("auth", deny)
        .start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\nx-deny: 1\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n");
    assert_eq!(
        client.head().map(|head| head.status()),
        Some(401),
        "no 100 before it"
    );
    // A body that was sent regardless is read over, or the connection ends: it never becomes the next request.
    let mut client = gateway.client();
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    client.send(post("/", smuggled).header("x-deny", "1").bytes());
    assert_eq!(client.response_to("POST").status, 401);
    if client.try_send(get("/next").bytes()).is_ok()
        && let Some(answer) = client.try_response_to("GET")
    {
        assert_eq!(answer.json()["target"], "/next");
    }
    assert!(
        up.requests().iter().all(|seen| seen.target() == "/next"),
        "{:?}",
        up.requests()
    );
}
