//! Listeners behind a balancer that speaks the PROXY protocol: whose word counts, and where the address goes. The forms of
//! a header, right and wrong, have their tests beside the parser.

use gateway_tests::h2::block_on;
use gateway_tests::tls::{Authority, TlsClient};
use gateway_tests::{Client, Running, Setup, Upstream, eventually, get};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::expect;
use crate::tls::pair;

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
const V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x08\xc6\x33\x64\x01\xdc\x04\x01\xbb";
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

/// A listener that takes headers from these, in front of a plugin that says who the client is.
fn behind(trusted: &str, limits: &str) -> Running {
    let up = Upstream::echo();
    Setup::to(&up, "plugins = [\"m\"]")
        .acts("m", "{ hook = \"request\", act = \"describe\" }")
        .server(&format!(
            "listen = [{{ address = \"127.0.0.1:0\", proxy-protocol = true }}]\n\
             trusted-proxies = [{trusted:?}]"
        ))
        .limits(limits)
        .start()
}

fn client_ip(client: &mut Client) -> String {
    let told = client.request(&get("/"));
    expect::ok(&told);
    told.json()["client-ip"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn refused(gateway: &Running, reason: &str) -> f64 {
    gateway
        .metrics()
        .get("gateway_proxy_headers_refused_total", &[("reason", reason)])
}

#[test]
fn the_client_is_whom_the_header_names() {
    let gateway = behind("127.0.0.0/8", "");
    for (header, expected) in [
        (V1, "192.0.2.7"),
        (V2, "192.0.2.8"),
        (V2_LOCAL, "127.0.0.1"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", "2001:db8::1"),
    ] {
        let mut client = gateway.client();
        client.send(header);
        // One header for the connection, however many requests there are.
        for _ in 0..2 {
            assert_eq!(client_ip(&mut client), expected);
        }
    }
}

#[test]
fn each_client_that_a_balancer_names_has_its_own_places() {
    let gateway = behind("127.0.0.0/8", "connections-per-address = 1");
    let from = |header: &[u8]| {
        let mut client = gateway.client();
        client.send(header);
        client
    };
    let mut first = from(V1);
    assert_eq!(client_ip(&mut first), "192.0.2.7");
    let told = from(V1).response();
    assert_eq!(
        (told.status, &*told.reason()),
        (503, "too-many-connections")
    );
    let labels = [("limit", "connections-per-address")];
    let refused = || {
        let refused = "gateway_client_connections_refused_total";
        gateway.metrics().get(refused, &labels)
    };
    assert_eq!(refused(), 1.0);
    assert_eq!(client_ip(&mut from(V2)), "192.0.2.8", "it is another one");
    drop(first);
    eventually("the place is given back", || {
        let mut again = from(V1);
        again.try_send(get("/").bytes()).is_ok() && again.try_response_to("GET").is_some()
    });
}

#[test]
fn the_upstream_and_the_log_hear_of_the_client_and_its_own_words_do_not_count() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "plugins = [\"log\"]")
        .plugin_from(
            "log",
            "stock:access-log",
            "config = { fields = [\"client\"] }",
        )
        .server(
            "access-log = \"./access.log\"\n\
             listen = [{ address = \"127.0.0.1:0\", proxy-protocol = true }]\n\
             trusted-proxies = [\"127.0.0.1\"]",
        )
        .start();
    let mut client = gateway.client();
    client.send(V1);
    let asked = get("/").header("x-forwarded-for", "203.0.113.9");
    expect::ok(&client.request(&asked));
    assert_eq!(up.last().header("x-forwarded-for"), Some("192.0.2.7"));
    assert_eq!(up.last().header("x-real-ip"), Some("192.0.2.7"));
    let log = gateway.setup().folder().join("access.log");
    eventually("the log has the client", || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains("192.0.2.7"))
    });
}

#[test]
fn who_is_not_trusted_is_not_heard() {
    let gateway = behind("10.0.0.0/8", "");
    for (count, sent) in [V1, V2, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"]
        .iter()
        .enumerate()
    {
        let mut client = gateway.client();
        // It may be closed before we have said anything.
        let _ = client.try_send(sent);
        assert_eq!(client.rest(), b"");
        eventually("it is counted", || {
            refused(&gateway, "untrusted") == count as f64 + 1.0
        });
    }
}

#[test]
fn a_balancer_that_forgets_the_header_or_garbles_it_is_refused() {
    let gateway = behind("127.0.0.1", "");
    for (count, sent) in [
        &b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..],
        b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 99999\r\n",
    ]
    .iter()
    .enumerate()
    {
        let mut client = gateway.client();
        client.send(sent);
        assert_eq!(client.rest(), b"");
        eventually("it is counted", || {
            refused(&gateway, "malformed") == count as f64 + 1.0
        });
    }
    let client = gateway.client();
    client.end();
    eventually("a silent end is counted", || {
        refused(&gateway, "closed") == 1.0
    });
}

#[test]
fn a_header_that_does_not_come_is_not_waited_for() {
    let gateway = behind("127.0.0.1", "handshake-timeout = \"150ms\"");
    for (count, sent) in [&b""[..], b"PROXY TC", &V2[..20]].iter().enumerate() {
        let mut client = gateway.client();
        client.send(sent);
        assert_eq!(client.rest(), b"");
        eventually("it is counted", || {
            refused(&gateway, "timeout") == count as f64 + 1.0
        });
    }
    let mut client = gateway.client();
    client.send(V1);
    assert_eq!(client_ip(&mut client), "192.0.2.7");
}

#[test]
fn tls_follows_the_header() {
    let up = Upstream::echo();
    let authority = Authority::new("authority");
    let setup = Setup::to(&up, "").server(&format!(
        "listen = [{{ address = \"127.0.0.1:0\", proxy-protocol = true, tls = {{ {} }} }}]\n\
         trusted-proxies = [\"127.0.0.1\"]",
        pair("a")
    ));
    authority.issue(&["gateway.test"]).write(&setup, "a");
    let gateway = setup.start();
    block_on(async {
        for header in [V1, V2] {
            let mut stream = TcpStream::connect(gateway.address())
                .await
                .expect("it listens");
            stream.write_all(header).await.expect("it reads");
            let client = TlsClient::trusting(&authority);
            let connected = client.connect_over(stream, "gateway.test").await;
            let answer = connected
                .expect("a handshake")
                .get("gateway.test", "/")
                .await;
            assert_eq!(answer.expect("a response").0.status, 200);
        }
    });
    let seen = up.last();
    assert_eq!(seen.header("x-real-ip"), Some("192.0.2.8"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert_eq!(
        gateway
            .metrics()
            .get("gateway_tls_handshakes_total", &[("result", "ok")]),
        2.0
    );
}
