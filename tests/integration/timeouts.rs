//! An upstream that is down, slow or hostile, and clients that stall: the status and reason of each (THREATS 8, 15, 30).

use std::time::{Duration, Instant};

use gateway_tests::{Setup, Upstream, get};

use crate::expect;

/// An upstream that answers with these bytes and closes.
fn says(bytes: &'static str) -> Upstream {
    Upstream::script(move |connection| {
        connection.request()?;
        connection.write(bytes)
    })
}

#[test]
fn an_upstream_that_is_down_is_502() {
    let setup = Setup::new()
        .upstream_at("up", &format!("http://{}", Upstream::nobody()), "")
        .route("/*", "");
    expect::failure(&setup.start().get("/"), 502, "upstream-connect");
}

#[test]
fn a_host_that_does_not_resolve_is_502_or_504_where_nobody_answers_that_question() {
    let origin = "http://no-such-host.invalid:80";
    let setup = Setup::new()
        .upstream_at("up", origin, "connect-timeout = \"2s\"")
        .route("/*", "");
    let answer = setup.start().get("/");
    assert!([502, 504].contains(&answer.status), "{answer:?}");
    assert!(
        answer.reason().starts_with("upstream-connect"),
        "{answer:?}"
    );
}

#[test]
fn an_upstream_that_does_not_answer_is_504_in_time_and_its_connection_ends() {
    let up = Upstream::script(|connection| {
        connection.request()?;
        connection.closed();
        Ok(())
    });
    let gateway = Setup::new()
        .upstream_with("up", &up, "response-timeout = \"80ms\"")
        .route("/*", "")
        .start();
    let begun = Instant::now();
    expect::failure(&gateway.get("/"), 504, "upstream-timeout");
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    gateway_tests::eventually("the upstream connection is closed", || up.open() == 0);
    assert_eq!(up.count(), 1, "a request that was sent is not sent again");
}

#[test]
fn the_time_of_a_route_bounds_everything_up_to_the_response_head() {
    let up = Upstream::script(|connection| {
        connection.request()?;
        connection.closed();
        Ok(())
    });
    let gateway = Setup::to(&up, "timeout = \"80ms\"").start();
    expect::failure(&gateway.get("/"), 504, "timeout");
}

#[test]
fn a_response_body_that_stalls_is_visibly_cut() {
    let up = Upstream::script(|connection| {
        connection.request()?;
        connection.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")?;
        connection.closed();
        Ok(())
    });
    let gateway = Setup::new()
        .upstream_with("up", &up, "body-timeout = \"80ms\"")
        .route("/*", "")
        .start();
    let answer = gateway.get("/");
    assert_eq!(
        (answer.status, answer.body.as_slice(), answer.is_whole),
        (200, b"hello".as_slice(), false)
    );
}

#[test]
fn a_truncated_response_is_visibly_cut_however_it_was_framed() {
    for bytes in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n10\r\nsh",
    ] {
        let up = says(bytes);
        let answer = Setup::to(&up, "").start().get("/");
        assert!(
            !answer.is_whole || answer.status == 502,
            "{bytes:?} became a whole response: {answer:?}"
        );
    }
}

#[test]
fn a_response_that_is_none_is_502() {
    let huge = format!(
        "HTTP/1.1 200 OK\r\nx-huge: {}\r\ncontent-length: 0\r\n\r\n",
        "a".repeat(1 << 20)
    );
    let many = format!(
        "HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n",
        "x: y\r\n".repeat(5000)
    );
    let bad = [
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nbad name: x\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 99 Odd\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n",
        huge.leak(),
        many.leak(),
    ];
    for bytes in bad {
        let up = says(bytes);
        let answer = Setup::to(&up, "").start().get("/");
        assert_eq!(
            answer.status,
            502,
            "{:?}: {answer:?}",
            bytes.chars().take(80).collect::<String>()
        );
        assert!(answer.reason().starts_with("upstream-"), "{answer:?}");
    }
}

#[test]
fn interim_responses_do_not_confuse_the_final_one() {
    let up = says(
        "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    );
    let answer = Setup::to(&up, "").start().get("/");
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
}

#[test]
fn a_request_head_that_does_not_come_ends_the_connection_in_time() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "")
        .limits("header-timeout = \"100ms\"\nidle-timeout = \"100ms\"")
        .start();
    for beginning in ["", "GET / HT", "GET / HTTP/1.1\r\nhost: a\r\nx: "] {
        let mut client = gateway.client();
        client.send(beginning);
        let said = String::from_utf8_lossy(&client.rest()).into_owned();
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 408"),
            "{beginning:?}: {said}"
        );
    }
    assert_eq!(up.heads(), 0);
}

#[test]
fn a_connection_that_idles_too_long_ends_and_one_in_use_does_not() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "")
        .limits("idle-timeout = \"100ms\"")
        .start();
    let mut client = gateway.client();
    expect::ok(&client.request(&get("/")));
    assert!(client.rest().is_empty(), "it ends without another word");
}

#[test]
fn a_request_body_that_stalls_is_408_and_no_whole_request_upstream() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "")
        .limits("body-timeout = \"100ms\"")
        .start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello");
    expect::failure(&client.response(), 408, "body-timeout");
    assert!(client.rest().is_empty(), "the connection ends");
    assert_eq!(up.count(), 0);
}

#[test]
fn a_slow_upload_does_not_count_as_a_slow_upstream() {
    let up = Upstream::echo();
    let gateway = Setup::new()
        .upstream_with("up", &up, "response-timeout = \"300ms\"")
        .route("/*", "")
        .start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n");
    // Ten pieces over more than the response timeout in all. What is tested is time itself, so this has to pass some.
    for _ in 0..10 {
        std::thread::park_timeout(Duration::from_millis(60));
        client.send("x");
    }
    expect::ok(&client.response());
}

#[test]
fn an_upstream_that_does_not_accept_is_504_in_time() {
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket
        .bind(
            &"127.0.0.1:0"
                .parse::<std::net::SocketAddr>()
                .expect("an address")
                .into(),
        )
        .expect("a port");
    socket.listen(0).expect("it listens");
    let address = socket
        .local_addr()
        .ok()
        .and_then(|address| address.as_socket())
        .expect("an address");
    // The queue has room for one; what comes after it waits for an answer that the kernel does not give.
    let _queued: Vec<_> = (0..2)
        .filter_map(|_| {
            std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok()
        })
        .collect();
    let keys = "connect-timeout = \"100ms\"";
    let gateway = Setup::new()
        .upstream_at("up", &format!("http://{address}"), keys)
        .route("/*", "")
        .start();
    expect::failure(&gateway.get("/"), 504, "upstream-connect-timeout");
}

#[test]
fn a_head_that_trickles_in_is_cut_off_in_time() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "")
        .limits("header-timeout = \"150ms\"")
        .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n");
    let begun = Instant::now();
    // Each byte comes soon after the one before, and the end never. What is tested is time itself.
    while client.try_send("x").is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(10), "still reading");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert_eq!(up.heads(), 0);
}

#[test]
fn a_client_that_does_not_take_its_response_is_cut_off_in_time() {
    let up = Upstream::script(|connection| {
        connection.request()?;
        connection.write("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")?;
        let piece = vec![b'x'; 64 << 10];
        loop {
            connection.write(&piece)?;
        }
    });
    let gateway = Setup::to(&up, "")
        .limits("body-timeout = \"150ms\"")
        .start();
    let mut client = gateway.client();
    client.send(get("/").bytes());
    gateway_tests::eventually("the upstream is asked", || up.count() == 1);
    gateway_tests::eventually("nobody reads, so nobody sends", || up.open() == 0);
}
