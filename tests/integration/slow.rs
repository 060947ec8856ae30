//! Clients that are slow on purpose: each is cut off in its time, and not before (THREATS 15, 16). What is tested is time
//! itself, so these tests have to let some pass.

use std::time::{Duration, Instant};

use gateway_tests::raw_h2::{
    self, DATA, END_HEADERS, GOAWAY, HEADERS, PING, RST_STREAM, Raw, WINDOW_UPDATE, frame, number,
};
use gateway_tests::{Running, Setup, Upstream, eventually, get};

use crate::expect;

/// An upstream whose answer has no end.
fn endless() -> Upstream {
    Upstream::script(|connection| {
        connection.request()?;
        connection.write("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")?;
        let piece = vec![b'x'; 64 << 10];
        loop {
            connection.write(&piece)?;
        }
    })
}

/// A connection whose streams take nothing until they say so.
fn without_window(gateway: &Running) -> Raw {
    /// SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113 6.5.2).
    const INITIAL_WINDOW: u16 = 4;
    Raw::with_settings(gateway.address(), &[(INITIAL_WINDOW, 0)])
}

fn pass(time: u64) {
    std::thread::park_timeout(Duration::from_millis(time));
}

/// Send a body of that many bytes one by one, and hear what becomes of it.
fn trickle(gateway: &Running, bytes: usize, every: u64) -> u16 {
    let mut client = gateway.client();
    client.send(format!(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {bytes}\r\n\r\n"
    ));
    for _ in 0..bytes {
        pass(every);
        if client.try_send("x").is_err() {
            break;
        }
    }
    client
        .try_response_to("POST")
        .map_or(0, |answer| answer.status)
}

#[test]
fn a_body_below_the_rate_ends_when_the_time_is_up_however_steadily_it_comes() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "")
        .limits("body-timeout = \"300ms\"\nmin-rate = \"1KiB\"")
        .start();
    assert!([0, 408].contains(&trickle(&gateway, 200, 20)));
    assert_eq!(up.count(), 0);
    let failures = gateway.metrics();
    assert_eq!(
        failures.get("gateway_failures_total", &[("reason", "body-timeout")]),
        1.0
    );
}

#[test]
fn a_body_above_the_rate_or_without_one_may_take_longer_than_that_time() {
    let up = Upstream::echo();
    for rate in ["10B", "0B"] {
        let gateway = Setup::to(&up, "")
            .limits(&format!("body-timeout = \"300ms\"\nmin-rate = \"{rate}\""))
            .start();
        assert_eq!(trickle(&gateway, 40, 20), 200, "at least {rate} a second");
    }
}

#[test]
fn a_client_that_was_answered_may_pause_its_body_for_as_long_as_the_answer_flows() {
    let up = Upstream::script(|connection| {
        connection.head()?;
        connection.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        let first = connection.reader().chunk()?;
        let second = connection.reader().chunk()?;
        assert_eq!((first.is_some(), second.is_some()), (true, true));
        connection.write("2\r\nok\r\n0\r\n\r\n")
    });
    let gateway = Setup::to(&up, "")
        .limits("body-timeout = \"200ms\"")
        .start();
    let mut raw = Raw::connect(gateway.address());
    raw.send(frame(
        HEADERS,
        END_HEADERS,
        1,
        &raw_h2::request("POST", "/"),
    ));
    raw.send(frame(DATA, 0, 1, b"one"));
    raw.expect(HEADERS, 1);
    pass(600);
    raw.send(frame(DATA, 0, 1, b"two"));
    assert_eq!(raw.expect(DATA, 1).payload, b"ok");
}

#[test]
fn a_stream_without_a_window_is_given_up_and_the_connection_is_not() {
    let up = endless();
    let gateway = Setup::to(&up, "")
        .limits("body-timeout = \"300ms\"")
        .start();
    let mut raw = without_window(&gateway);
    raw.send(raw_h2::get(1, "/"));
    raw.expect(HEADERS, 1);
    assert_eq!(raw.expect(RST_STREAM, 1).code(), raw_h2::CANCEL);
    eventually("its upstream request ends with it", || up.open() == 0);
    raw.send(raw_h2::get(3, "/%2e%2e"));
    raw.expect(HEADERS, 3);
    raw.send(number(WINDOW_UPDATE, 3, 1000));
    assert!(!raw.expect(DATA, 3).payload.is_empty());
}

#[test]
fn a_window_that_opens_by_a_byte_now_and_then_does_not_keep_a_stream() {
    let up = endless();
    let gateway = Setup::to(&up, "")
        .limits("body-timeout = \"300ms\"")
        .start();
    let mut raw = without_window(&gateway);
    raw.send(raw_h2::get(1, "/"));
    let begun = Instant::now();
    while up.open() > 0 || up.count() == 0 {
        // The connection stays; updates for a stream that is gone are ignored.
        raw.send(number(WINDOW_UPDATE, 1, 1));
        pass(20);
        assert!(begun.elapsed() < Duration::from_secs(10), "still open");
    }
    raw.expect(RST_STREAM, 1);
}

#[test]
fn a_stream_that_takes_its_time_but_takes_is_served_to_its_end() {
    let up = Upstream::answering(|_| gateway_tests::Reply::new(200, "x".repeat(100_000)));
    let gateway = Setup::to(&up, "")
        .limits("body-timeout = \"500ms\"")
        .start();
    let mut raw = without_window(&gateway);
    raw.send(raw_h2::get(1, "/"));
    raw.expect(HEADERS, 1);
    let mut got = 0;
    while got < 100_000 {
        pass(100);
        raw.send(number(WINDOW_UPDATE, 1, 10_000));
        raw.send(number(WINDOW_UPDATE, 0, 10_000));
        got += raw.expect(DATA, 1).payload.len();
    }
}

#[test]
fn a_stream_that_is_given_up_gives_its_plugins_instances_back() {
    let up = endless();
    let act = "{ hook = \"response-chunk\", act = \"upper\" }";
    let gateway = Setup::to(&up, "plugins = [\"p\"]")
        .limits("body-timeout = \"300ms\"")
        .acts("p", act)
        .start();
    let mut raw = without_window(&gateway);
    for stream in [1, 3, 5] {
        raw.send(raw_h2::get(stream, "/"));
    }
    let busy = || {
        let labels = [("plugin", "p"), ("state", "busy")];
        gateway.metrics().get("gateway_plugin_instances", &labels)
    };
    let mut open = vec![1, 3, 5];
    while !open.is_empty() {
        let frame = raw.next_frame().expect("the connection stays");
        open.retain(|stream| frame.kind != RST_STREAM || frame.stream != *stream);
    }
    eventually("they are free", || busy() == 0.0 && up.open() == 0);
}

#[test]
fn a_header_block_that_trickles_in_on_http_2_is_cut_off_in_time() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "")
        .limits("header-timeout = \"150ms\"")
        .start();
    for beginning in [
        &frame(HEADERS, 1, 1, &raw_h2::request("GET", "/"))[..],
        b"\0\0",
    ] {
        let mut raw = Raw::connect(gateway.address());
        raw.send(beginning);
        raw.rest();
    }
    let labels = [("reason", "header-timeout")];
    eventually("both are counted", || {
        let cut = gateway.metrics();
        cut.get("gateway_client_connections_cut_total", &labels) == 2.0
    });
    assert_eq!(up.heads(), 0);
}

#[test]
fn an_http_2_connection_without_requests_is_idle_whatever_else_it_sends() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "")
        .limits("idle-timeout = \"300ms\"\nheader-timeout = \"10s\"")
        .start();
    let mut raw = Raw::connect(gateway.address());
    let begun = Instant::now();
    let goaway = loop {
        raw.send(frame(PING, 0, 0, b"01234567"));
        pass(20);
        match raw.next_frame() {
            Some(frame) if frame.kind == GOAWAY => break frame,
            Some(_) => assert!(begun.elapsed() < Duration::from_secs(10), "still open"),
            None => panic!("it ended without a word"),
        }
    };
    assert_eq!(goaway.code(), 0, "nobody did anything wrong");
}

#[test]
fn an_http_2_connection_may_wait_with_its_first_request() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "")
        .limits("header-timeout = \"100ms\"")
        .start();
    let mut raw = Raw::connect(gateway.address());
    pass(400);
    raw.send(raw_h2::get(1, "/"));
    raw.expect(DATA, 1);
}

#[test]
fn a_connection_that_was_quiet_is_served_as_before() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "")
        .limits("idle-timeout = \"3s\"\nheader-timeout = \"300ms\"")
        .start();
    let mut client = gateway.client();
    for round in 0..3 {
        expect::ok(&client.request(&get(&format!("/{round}"))));
        // Longer than it takes a connection to be put to rest.
        pass(1300);
    }
    // Half a head in the packet of another one: the rest has its time, also when the first is over.
    let two = [
        get("/whole").bytes(),
        b"GET /half HTTP/1.1\r\nhost: a\r\n".to_vec(),
    ]
    .concat();
    client.send(two);
    expect::ok(&client.response());
    client.send("\r\n");
    expect::ok(&client.response());
    assert_eq!(up.last().target(), "/half");
    assert!(
        client.rest().is_empty(),
        "and it ends when it idles too long"
    );
}
