//! Connections to the upstream and to the client: kept, replaced, given up.

use std::io::Write;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use gateway_tests::{Client, Reply, Request, Running, Setup, Upstream, eventually, get, post};

use crate::expect;

/// One worker, so that it is known whose pool a connection is in.
fn alone(upstream: &Upstream, keys: &str) -> Running {
    let setup = Setup::new()
        .server("workers = 1")
        .upstream_with("up", upstream, keys);
    setup.route("/*", "").start()
}

/// How often the gateway sent a request again.
fn retries(gateway: &Running) -> f64 {
    gateway
        .metrics()
        .get("gateway_upstream_retries_total", &[("upstream", "up")])
}

/// Answers the first request of each connection after one that was good, and hangs up at the second.
fn goes_stale() -> Upstream {
    Upstream::script(|connection| {
        if let Some(seen) = connection.request()? {
            connection.reply(&Reply::json(&seen.as_json()), false)?;
        }
        // Reads the second request and leaves without a word.
        connection.head()?;
        Ok(())
    })
}

#[test]
fn one_upstream_connection_serves_one_request_after_another() {
    let up = Upstream::echo();
    let gateway = alone(&up, "");
    let mut client = gateway.client();
    for _ in 0..20 {
        expect::ok(&client.request(&get("/")));
        expect::ok(&gateway.get("/from-another-client"));
    }
    assert_eq!((up.count(), up.connections()), (40, 1));
}

#[test]
fn without_idle_connections_each_request_has_its_own() {
    let up = Upstream::echo();
    let gateway = alone(&up, "idle-connections = 0");
    for _ in 0..3 {
        expect::ok(&gateway.get("/"));
    }
    assert_eq!(up.connections(), 3);
}

#[test]
fn a_connection_that_the_upstream_closes_is_not_used_again() {
    let up = Upstream::answering(|_| Reply::new(200, "x").header("connection", "close"));
    let gateway = alone(&up, "");
    for _ in 0..3 {
        expect::ok(&gateway.get("/"));
    }
    assert_eq!(up.connections(), 3);
    assert!(
        gateway.get("/").header("connection").is_none(),
        "that was between the two of them"
    );
}

#[test]
fn an_idempotent_request_that_met_a_stale_connection_is_sent_once_more_on_a_fresh_one() {
    let up = goes_stale();
    let gateway = alone(&up, "");
    for number in 0..4 {
        expect::ok(&gateway.send(&get(&format!("/{number}"))));
    }
    assert_eq!(up.count(), 4, "every request was answered once");
    assert!(retries(&gateway) >= 1.0, "and some of them were sent twice");
}

#[test]
fn a_post_is_never_sent_twice() {
    let up = goes_stale();
    let gateway = alone(&up, "");
    expect::ok(&gateway.get("/"));
    let heads = up.heads();
    let answer = gateway.send(&post("/pay", "money"));
    // Either it went to a fresh connection and was answered, or it was lost with the stale one: never both.
    assert_eq!(up.heads(), heads + 1, "{}", answer.text());
    if answer.status != 200 {
        expect::failure(&answer, 502, "upstream-closed");
    }
}

#[test]
fn an_upstream_that_always_hangs_up_is_502_after_one_more_try_at_most() {
    let up = Upstream::script(|connection| connection.head().map(drop));
    let gateway = alone(&up, "");
    expect::failure(&gateway.get("/"), 502, "upstream-closed");
    assert!(up.heads() <= 2, "{}", up.heads());
}

#[test]
fn an_early_answer_with_an_unread_body_ends_the_upstream_connection() {
    let up = Upstream::script(|connection| {
        while let Some(head) = connection.head()? {
            if head.start.starts_with("POST") {
                connection.reply(&Reply::new(403, "no"), false)?;
                connection.closed();
                return Ok(());
            }
            connection.reply(&Reply::new(200, "yes"), false)?;
        }
        Ok(())
    });
    let gateway = alone(&up, "");
    let mut client = gateway.client();
    client.send("POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 100000000\r\n\r\nbegin");
    let early = client.response();
    assert_eq!((early.status, early.text().as_str()), (403, "no"));
    expect::ok(&gateway.get("/"));
    assert_eq!(
        up.connections(),
        2,
        "the first one was in the middle of a body"
    );
}

#[test]
fn what_an_upstream_sends_unasked_never_reaches_another_client() {
    let up = Upstream::script(|connection| {
        while connection.request()?.is_some() {
            connection.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")?;
        }
        Ok(())
    });
    let gateway = alone(&up, "");
    for _ in 0..10 {
        let answer = gateway.get("/");
        assert!(answer.text() == "ok" || answer.status == 502, "{answer:?}");
    }
}

#[test]
fn the_requests_of_a_route_go_round_the_endpoints_and_around_a_dead_one() {
    let ups = [Upstream::echo(), Upstream::echo()];
    let dead = Upstream::nobody();
    let endpoints = format!(
        "{}\", \"{}\", \"http://{dead}",
        ups[0].origin(),
        ups[1].origin()
    );
    let setup = Setup::new()
        .server("workers = 1")
        .upstream_at("up", "REPLACED", "")
        .route("/*", "");
    let text = setup.toml().replace("REPLACED", &endpoints);
    let gateway = setup
        .try_start_from(&text)
        .unwrap_or_else(|error| panic!("{error}"));
    for _ in 0..12 {
        expect::ok(&gateway.get("/"));
    }
    for up in &ups {
        assert!(
            (4..=8).contains(&up.count()),
            "{} and {}",
            ups[0].count(),
            ups[1].count()
        );
    }
}

#[test]
fn a_client_that_leaves_before_the_response_takes_its_upstream_request_along() {
    let (arrived, arrivals) = channel();
    let arrived = Mutex::new(arrived);
    let up = Upstream::script(move |connection| {
        connection.request()?;
        let _ = arrived.lock().expect("nobody panics").send("request");
        connection.closed();
        let _ = arrived.lock().expect("nobody panics").send("closed");
        Ok(())
    });
    let gateway = alone(&up, "");
    let mut client = gateway.client();
    client.send(get("/slow").bytes());
    wait(&arrivals, "request");
    drop(client);
    wait(&arrivals, "closed");
    eventually("it is counted", || {
        gateway
            .metrics()
            .get("gateway_failures_total", &[("reason", "client-closed")])
            == 1.0
    });
}

#[test]
fn a_client_that_leaves_in_the_middle_of_an_upload_leaves_no_whole_request_behind() {
    let (arrived, arrivals) = channel();
    let arrived = Mutex::new(arrived);
    let up = Upstream::script(move |connection| {
        connection.head()?;
        connection.reader().exactly(5)?;
        let _ = arrived.lock().expect("nobody panics").send("begun");
        connection.closed();
        let _ = arrived.lock().expect("nobody panics").send("closed");
        Ok(())
    });
    let gateway = alone(&up, "");
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello");
    wait(&arrivals, "begun");
    drop(client);
    wait(&arrivals, "closed");
    assert_eq!(up.count(), 0);
}

#[test]
fn connections_beyond_the_limit_are_turned_away_and_the_others_served() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "").limits("connections = 3").start();
    let mut kept: Vec<Client> = (0..3).map(|_| gateway.client()).collect();
    for client in &mut kept {
        expect::ok(&client.request(&get("/")));
    }
    let mut refused = gateway.client();
    // The write may meet a connection that is closed already.
    let _ = refused.stream().write_all(&get("/").bytes());
    if let Some(answer) = refused.try_response_to("GET") {
        assert_eq!(answer.status, 503);
    }
    for client in &mut kept {
        expect::ok(&client.request(&get("/")));
    }
    drop(kept);
    eventually("there is room again", || {
        let mut client = gateway.client();
        client.try_send(get("/").bytes()).is_ok()
            && client
                .try_response_to("GET")
                .is_some_and(|answer| answer.status == 200)
    });
}

#[test]
fn a_client_that_asks_for_close_gets_it() {
    let up = Upstream::echo();
    let gateway = alone(&up, "");
    let mut client = gateway.client();
    expect::ok(&client.request(&Request::new("GET", "/").header("connection", "close")));
    assert!(client.rest().is_empty());
}

#[track_caller]
fn wait(events: &Receiver<&'static str>, expected: &str) {
    assert_eq!(events.recv_timeout(gateway_tests::PATIENCE), Ok(expected));
}
