//! TLS with clients: protocols, certificates by name, sessions, versions, and what is no TLS (THREATS 33).

use std::io::Read;
use std::sync::{Mutex, mpsc};

use gateway_tests::h2::block_on;
use gateway_tests::tls::{Authority, Issued, TlsClient};
use gateway_tests::{Client, Reply, Running, Setup, Upstream, eventually, get};
use serde_json::Value;

use crate::expect;

/// The key `listen` for one listener with this table `tls`.
pub(crate) fn listen(tls: &str) -> String {
    format!("listen = [{{ address = \"127.0.0.1:0\", tls = {{ {tls} }} }}]")
}

/// A certificate and its key, written as `NAME.pem` and `NAME.key`.
pub(crate) fn pair(name: &str) -> String {
    format!("certificate = \"./{name}.pem\", key = \"./{name}.key\"")
}

/// A gateway in front of that upstream, with a certificate for `gateway.test`.
fn serving(upstream: &Upstream, route_keys: &str) -> (Running, Authority) {
    let authority = Authority::new("authority");
    let setup = Setup::to(upstream, route_keys).server(&listen(&pair("a")));
    authority.issue(&["gateway.test"]).write(&setup, "a");
    (setup.start(), authority)
}

pub(crate) fn handshakes(gateway: &Running, result: &str) -> f64 {
    gateway
        .metrics()
        .get("gateway_tls_handshakes_total", &[("result", result)])
}

#[test]
fn http_2_and_http_1_1_are_agreed_on_and_the_upstream_hears_of_https() {
    let up = Upstream::echo();
    let (gateway, authority) = serving(&up, "");
    let client = TlsClient::trusting(&authority);
    block_on(async {
        for (offer, agreed, version) in [
            (&["h2", "http/1.1"][..], Some("h2"), http::Version::HTTP_2),
            (&["http/1.1"], Some("http/1.1"), http::Version::HTTP_11),
            (&[], None, http::Version::HTTP_11),
        ] {
            let client = client.offering(offer);
            let connected = client.connect(gateway.address(), "gateway.test").await;
            let mut connection = connected.expect("a handshake");
            assert_eq!(connection.protocol.as_deref(), agreed);
            for path in ["/one", "/two"] {
                let (parts, body) = connection
                    .get("gateway.test", path)
                    .await
                    .expect("a response");
                assert_eq!((parts.status.as_u16(), parts.version), (200, version));
                let seen: Value = serde_json::from_slice(&body).expect("the echo is JSON");
                assert_eq!(seen["target"], path);
            }
            let seen = up.last();
            assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
            assert_eq!(
                seen.header("forwarded"),
                Some("for=127.0.0.1;host=\"gateway.test\";proto=https")
            );
        }
        let other = client.offering(&["acme-tls/1"]);
        let refused = other.connect(gateway.address(), "gateway.test").await;
        assert!(refused.is_err());
    });
    assert_eq!(
        (handshakes(&gateway, "ok"), handshakes(&gateway, "protocol")),
        (3.0, 1.0)
    );
}

#[test]
fn long_bodies_pass_both_ways() {
    let body = b"0123456789abcdef".repeat(200_000);
    let expected = body.clone();
    let up = Upstream::answering(move |seen| Reply::new(200, &seen.body.data));
    let (gateway, authority) = serving(&up, "");
    block_on(async {
        for offer in ["h2", "http/1.1"] {
            let client = TlsClient::trusting(&authority).offering(&[offer]);
            let mut connection = client
                .connect(gateway.address(), "gateway.test")
                .await
                .expect("a handshake");
            let request = http::Request::post("https://gateway.test/")
                .header("host", "gateway.test")
                .body(gateway_tests::h2::full(body.clone()));
            let (parts, answer) = connection
                .send(request.expect("a request"))
                .await
                .expect("a response");
            assert_eq!(parts.status, 200);
            assert!(answer == expected, "{offer}: {} bytes", answer.len());
        }
    });
}

/// A default certificate, one with a wildcard, one for a name below it.
fn several(setup: Setup) -> (Running, Authority, [Issued; 3]) {
    let authority = Authority::new("authority");
    let issued = [
        authority.issue(&["default.test", "127.0.0.1"]),
        authority.issue(&["a.test", "*.a.test"]),
        authority.issue(&["special.a.test"]),
    ];
    let mut list = Vec::new();
    for (index, issued) in issued.iter().enumerate() {
        issued.write(&setup, &format!("{index}"));
        list.push(format!("{{ {} }}", pair(&format!("{index}"))));
    }
    let setup = setup.server(&listen(&format!("certificates = [{}]", list.join(", "))));
    (setup.start(), authority, issued)
}

#[test]
fn clients_get_the_certificate_for_the_name_that_they_ask_for() {
    let up = Upstream::echo();
    let (gateway, authority, issued) = several(Setup::to(&up, ""));
    let client = TlsClient::trusting(&authority);
    block_on(async {
        for (name, index) in [
            ("default.test", 0),
            ("127.0.0.1", 0),
            ("a.test", 1),
            ("A.TEST", 1),
            ("x.a.test", 1),
            ("special.a.test", 2),
        ] {
            let connected = client.connect(gateway.address(), name).await;
            let served = connected.expect("a certificate for the name").served;
            assert!(served == issued[index].der(), "{name}");
        }
        for name in ["other.test", "x.y.a.test"] {
            let connected = client.connect(gateway.address(), name).await;
            assert!(connected.is_err(), "the first is not for {name}");
        }
        let silent = client.without_sni();
        let connected = silent.connect(gateway.address(), "default.test").await;
        assert!(connected.expect("the first").served == issued[0].der());
    });
}

#[test]
fn a_request_for_a_host_of_another_certificate_is_misdirected() {
    let up = Upstream::echo();
    let (gateway, authority, _) = several(Setup::to(&up, ""));
    let client = TlsClient::trusting(&authority);
    block_on(async {
        for offer in ["h2", "http/1.1"] {
            let client = client.offering(&[offer]);
            let connected = client.connect(gateway.address(), "x.a.test").await;
            let mut connection = connected.expect("a handshake");
            for (host, status) in [
                ("x.a.test", 200),
                ("default.test", 421),
                ("y.a.test:8443", 200),
                ("other.test", 421),
                ("127.0.0.1", 421),
                ("A.test", 200),
                ("x.y.a.test", 421),
            ] {
                let (parts, body) = connection.get(host, "/").await.expect("a response");
                assert_eq!(parts.status, status, "{offer} {host}");
                let reason = String::from_utf8_lossy(&body).contains("\"misdirected\"");
                assert_eq!(reason, status == 421, "{offer} {host}");
            }
        }
        let connected = client.connect(gateway.address(), "127.0.0.1").await;
        let mut connection = connected.expect("a handshake");
        for (host, status) in [("127.0.0.1", 200), ("nobody.test", 200), ("a.test", 421)] {
            let (parts, _) = connection.get(host, "/").await.expect("a response");
            assert_eq!(parts.status, status, "{host}");
        }
    });
    assert_eq!(up.count(), 8, "nothing misdirected reaches the upstream");
}

#[test]
fn sessions_are_resumed_by_every_worker() {
    let up = Upstream::echo();
    let (gateway, authority) = serving(&up, "");
    let client = TlsClient::trusting(&authority);
    block_on(async {
        for client in [client.clone(), client.tls12()] {
            for time in 0..8 {
                let connected = client.connect(gateway.address(), "gateway.test").await;
                let mut connection = connected.expect("a handshake");
                assert_eq!(connection.is_resumed, time > 0, "{:?}", connection.version);
                // Tickets come behind the handshake.
                let answer = connection.get("gateway.test", "/").await;
                assert_eq!(answer.expect("a response").0.status, 200);
            }
        }
    });
}

/// A ClientHello for that version, with a suite of old and nothing more.
fn hello(version: [u8; 2]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([7; 32]);
    body.extend([0, 0, 4, 0xc0, 0x13, 0x00, 0x2f, 1, 0]);
    let length = u8::try_from(body.len()).expect("short");
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(body);
    record
}

#[test]
fn versions_before_1_2_are_refused() {
    let up = Upstream::echo();
    let (gateway, _) = serving(&up, "");
    for version in [[3, 0], [3, 1], [3, 2]] {
        let mut client = gateway.client();
        client.send(hello(version));
        // An alert (21), fatal (2): protocol_version (70) or, for want of a good suite, handshake_failure (40).
        let answer = client.rest();
        assert!(
            matches!(*answer, [21, 3, _, 0, 2, 2, 70 | 40]),
            "{version:?} {answer:?}"
        );
    }
    eventually("they are counted", || {
        handshakes(&gateway, "protocol") == 3.0
    });
}

#[test]
fn version_1_2_can_be_refused_too() {
    let up = Upstream::echo();
    let authority = Authority::new("authority");
    let tls = format!("{}, min-version = \"1.3\"", pair("a"));
    let setup = Setup::to(&up, "").server(&listen(&tls));
    authority.issue(&["gateway.test"]).write(&setup, "a");
    let gateway = setup.start();
    let client = TlsClient::trusting(&authority);
    block_on(async {
        let new = client.connect(gateway.address(), "gateway.test").await;
        assert!(new.is_ok());
        let old = client
            .tls12()
            .connect(gateway.address(), "gateway.test")
            .await;
        assert!(old.is_err());
    });
}

#[test]
fn plain_http_on_a_tls_listener_is_told_so() {
    let up = Upstream::echo();
    let (gateway, _) = serving(&up, "");
    let refused = gateway.send(&gateway_tests::post("/", vec![b'x'; 20_000]));
    assert_eq!(
        (refused.status, refused.reason().as_str()),
        (400, "tls-required")
    );
    assert_eq!(refused.header("connection"), Some("close"));
    eventually("it is counted", || {
        handshakes(&gateway, "plain-http") == 1.0
    });
    assert_eq!(up.connections(), 0);
}

#[test]
fn a_handshake_has_its_time_and_no_more() {
    let up = Upstream::echo();
    let authority = Authority::new("authority");
    let setup = Setup::to(&up, "")
        .server(&listen(&pair("a")))
        .limits("handshake-timeout = \"150ms\"");
    authority.issue(&["gateway.test"]).write(&setup, "a");
    let gateway = setup.start();
    let begun = hello([3, 3]);
    for (sent, bytes) in [0, 1, 20].into_iter().enumerate() {
        let mut client = gateway.client();
        client.send(&begun[..bytes]);
        assert_eq!(client.rest(), b"", "closed without a word");
        eventually("it is counted", || {
            handshakes(&gateway, "timeout") == sent as f64 + 1.0
        });
    }
    // It ends with the handshake: what follows has the time of requests.
    block_on(async {
        let client = TlsClient::trusting(&authority);
        let connected = client.connect(gateway.address(), "gateway.test").await;
        let mut connection = connected.expect("a handshake");
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let answer = connection.get("gateway.test", "/").await;
        assert_eq!(answer.expect("a response").0.status, 200);
    });
}

#[test]
fn what_is_no_tls_at_all_is_closed_and_counted() {
    let up = Upstream::echo();
    let (gateway, _) = serving(&up, "");
    let mut client = gateway.client();
    client.send([0x80, 0x2e, 1, 0, 2]);
    assert_eq!(client.rest(), b"");
    let client = gateway.client();
    client.end();
    let mut rest = Vec::new();
    let ended = client
        .stream()
        .try_clone()
        .expect("a socket")
        .read_to_end(&mut rest);
    assert_eq!((ended.ok(), rest.len()), (Some(0), 0));
    eventually("both are counted", || {
        handshakes(&gateway, "protocol") == 1.0 && handshakes(&gateway, "closed") == 1.0
    });
}

#[test]
fn a_stop_ends_connections_by_tls_once_what_is_open_on_them_has_ended() {
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let up = Upstream::answering(move |seen| {
        if seen.target() == "/slow" {
            let _ = wait.lock().expect("nobody panics").recv();
        }
        Reply::new(200, "done")
    });
    let (gateway, authority) = serving(&up, "");
    let client = TlsClient::trusting(&authority);
    block_on(async {
        let mut slow = Vec::new();
        for offer in ["h2", "http/1.1"] {
            let client = client.offering(&[offer]);
            let connect = || client.connect(gateway.address(), "gateway.test");
            let mut idle = connect().await.expect("a handshake");
            let answer = idle.get("gateway.test", "/").await;
            assert_eq!(answer.expect("a response").0.status, 200);
            let mut busy = connect().await.expect("a handshake");
            let asked = tokio::spawn(async move { busy.get("gateway.test", "/slow").await });
            slow.push((idle, asked));
        }
        while up.count() < 4 {
            tokio::task::yield_now().await;
        }
        let stopping = tokio::task::spawn_blocking(move || gateway.stop());
        for (idle, _) in &mut slow {
            while idle.is_open().await {
                tokio::task::yield_now().await;
            }
        }
        // All at once: which of them waits first is not known.
        for _ in &slow {
            go_on.send(()).expect("the upstream waits");
        }
        for (_, asked) in slow {
            let answer = asked.await.expect("no panic");
            assert_eq!(answer.expect("a response").1, "done");
        }
        stopping.await.expect("it has stopped");
    });
}

#[test]
fn a_redirect_listener_sends_every_request_to_https() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "")
        .server(
            "listen = [\"127.0.0.1:0\", { address = \"127.0.0.1:0\", redirect = \"https\" }, \
             { address = \"127.0.0.1:0\", redirect = \"https\", redirect-port = 8443 }]",
        )
        .start();
    let ask = |listener: usize, target: &str, host: &str| {
        Client::connect(gateway.listener(listener)).request(&get(target).header("host", host))
    };
    for (listener, target, host, location) in [
        (1, "/", "a.test", "https://a.test/"),
        (1, "/a/b?c=d&e", "a.test:8080", "https://a.test/a/b?c=d&e"),
        (1, "/a/./b//%63", "a.test", "https://a.test/a/b/c"),
        (1, "/x", "[::1]:80", "https://[::1]/x"),
        (2, "/x?y", "a.test", "https://a.test:8443/x?y"),
        (1, "http://b.test/x", "a.test", "https://b.test/x"),
    ] {
        let moved = ask(listener, target, host);
        assert_eq!(
            (moved.status, moved.header("location"), moved.body.len()),
            (308, Some(location), 0)
        );
    }
    let posted = Client::connect(gateway.listener(1)).request(&gateway_tests::post("/form", "a=b"));
    assert_eq!(posted.header("location"), Some("https://gateway.test/form"));
    expect::failure(&ask(1, "/", "a.test/evil"), 400, "bad-host");
    expect::failure(&ask(1, "/", "user@a.test"), 400, "bad-host");
    expect::failure(&ask(1, "/..%2f", "a.test"), 400, "bad-path");
    assert_eq!(up.count(), 0);
    expect::ok(&ask(0, "/", "a.test"));
}
