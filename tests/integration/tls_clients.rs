//! Certificates of clients: who is let in, what plugins are told, and who we are to an upstream that asks.

use std::time::{Duration, SystemTime};

use gateway_tests::h2::block_on;
use gateway_tests::tls::{Authority, Issued, TlsClient};
use gateway_tests::{Running, Setup, Upstream, eventually, get};
use rcgen::{DnType, ExtendedKeyUsagePurpose, SanType};
use serde_json::{Value, json};

use crate::expect;
use crate::tls::{handshakes, listen, pair};

/// A gateway whose plugin answers with what it knows of the request; whoever comes needs a certificate, or not.
fn describing(need: &str) -> (Running, Authority) {
    let up = Upstream::echo();
    let authority = Authority::new("authority");
    let tls = format!(
        "{}, client-ca = \"./ca.pem\", client-certificate = {need:?}",
        pair("a")
    );
    let setup = Setup::to(&up, "plugins = [\"m\"]")
        .acts("m", "{ hook = \"request\", act = \"describe\" }")
        .server(&listen(&tls));
    authority.issue(&["gateway.test"]).write(&setup, "a");
    setup.write_file("ca.pem", authority.pem().as_bytes());
    (setup.start(), authority)
}

/// What the plugin knows, or nothing if the client was not let in.
async fn described(gateway: &Running, client: &TlsClient) -> Option<Value> {
    let connected = client.connect(gateway.address(), "gateway.test").await;
    let (parts, body) = connected.ok()?.get("gateway.test", "/").await.ok()?;
    assert_eq!(parts.status, 200);
    serde_json::from_slice(&body).ok()
}

fn alice(authority: &Authority) -> Issued {
    authority.issue_with(&["alice.test"], |params| {
        params.serial_number = Some(0x4711_u64.into());
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Example, Inc.");
        let uri = "spiffe://example/alice".try_into().expect("ASCII");
        params.subject_alt_names.push(SanType::URI(uri));
        params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ClientAuth);
    })
}

#[test]
fn a_plugin_is_told_who_the_client_is() {
    let (gateway, authority) = describing("required");
    let client = TlsClient::trusting(&authority).showing(&alice(&authority));
    block_on(async {
        for offer in [&["h2"][..], &["http/1.1"]] {
            let client = client.offering(offer);
            let told = described(&gateway, &client).await.expect("let in");
            assert_eq!(told["scheme"], "https");
            let mut shown = told["client-certificate"].clone();
            let fingerprint = shown["fingerprint"].take();
            assert_eq!(fingerprint.as_str().map(str::len), Some(64));
            shown["not-before"].take();
            assert!(shown["not-after"].take().as_i64() > Some(1_700_000_000));
            let expected = json!({
                "subject": "O=Example\\, Inc.,CN=alice.test",
                "issuer": "CN=authority",
                "serial": "4711",
                "fingerprint": null,
                "dns-names": ["alice.test"],
                "emails": [],
                "uris": ["spiffe://example/alice"],
                "ip-addresses": [],
                "not-before": null,
                "not-after": null,
            });
            assert_eq!(shown, expected);
        }
    });
}

#[test]
fn a_resumed_session_is_the_same_client() {
    let (gateway, authority) = describing("optional");
    let shown = alice(&authority);
    block_on(async {
        for offer in ["h2", "http/1.1"] {
            let client = TlsClient::trusting(&authority).showing(&shown);
            let client = client.offering(&[offer]);
            for time in 0..4 {
                let connected = client.connect(gateway.address(), "gateway.test").await;
                let mut connection = connected.expect("let in");
                assert_eq!(connection.is_resumed, time > 0);
                let (_, body) = connection
                    .get("gateway.test", "/")
                    .await
                    .expect("an answer");
                let told: Value = serde_json::from_slice(&body).expect("JSON");
                assert_eq!(
                    told["client-certificate"]["dns-names"],
                    json!(["alice.test"])
                );
            }
        }
    });
}

#[test]
fn who_has_no_good_certificate_is_not_let_in() {
    let (gateway, authority) = describing("required");
    let plain = TlsClient::trusting(&authority);
    let day = Duration::from_secs(86_400);
    let expired = authority.issue_with(&["alice.test"], |params| {
        params.not_after = (SystemTime::now() - day).into();
    });
    let early = authority.issue_with(&["alice.test"], |params| {
        params.not_before = (SystemTime::now() + day).into();
    });
    let for_servers = authority.issue_with(&["alice.test"], |params| {
        params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ServerAuth);
    });
    let foreign = alice(&Authority::new("authority"));
    block_on(async {
        let refused = [
            plain.clone(),
            plain.tls12(),
            plain.showing(&expired),
            plain.showing(&early),
            plain.showing(&for_servers),
            plain.showing(&foreign),
        ];
        for client in &refused {
            assert_eq!(described(&gateway, client).await, None);
        }
        let good = plain.showing(&alice(&authority));
        assert!(described(&gateway, &good).await.is_some());
    });
    eventually("all are counted", || {
        handshakes(&gateway, "client-certificate") == 6.0 && handshakes(&gateway, "ok") == 1.0
    });
}

#[test]
fn where_it_is_optional_none_is_served_and_a_bad_one_is_not() {
    let (gateway, authority) = describing("optional");
    let plain = TlsClient::trusting(&authority);
    block_on(async {
        let told = described(&gateway, &plain).await.expect("served");
        assert_eq!(told["client-certificate"], Value::Null);
        let good = plain.showing(&alice(&authority));
        let told = described(&gateway, &good).await.expect("served");
        assert_eq!(told["client-certificate"]["serial"], "4711");
        let foreign = alice(&Authority::new("authority"));
        assert_eq!(described(&gateway, &plain.showing(&foreign)).await, None);
    });
}

#[test]
fn an_upstream_hears_of_a_client_what_a_plugin_says_and_nothing_else() {
    let up = Upstream::echo();
    let authority = Authority::new("authority");
    let tls = format!(
        "{}, client-ca = \"./ca.pem\", client-certificate = \"optional\"",
        pair("a")
    );
    let setup = Setup::new()
        .upstream("up", &up)
        .route("/told/*", "plugins = [\"who\"]")
        .route("/*", "")
        .plugin_from(
            "who",
            "stock:headers",
            "config.request.set = { x-client = \"${client.certificate.subject}\", \
             x-client-uri = \"${client.certificate.uri}\" }",
        )
        .server(&listen(&tls));
    authority.issue(&["gateway.test"]).write(&setup, "a");
    setup.write_file("ca.pem", authority.pem().as_bytes());
    let gateway = setup.start();
    let plain = TlsClient::trusting(&authority).offering(&["http/1.1"]);
    let ask = |client: TlsClient, path: &'static str| {
        block_on(async {
            let connected = client.connect(gateway.address(), "gateway.test").await;
            let request = http::Request::get(path)
                .header("host", "gateway.test")
                .header("x-client", "CN=mallory")
                .body(gateway_tests::h2::empty());
            let mut connection = connected.expect("let in");
            let sent = connection.send(request.expect("a request")).await;
            assert_eq!(sent.expect("a response").0.status, 200);
        });
        let seen = up.last();
        let field = |name: &str| seen.header(name).map(str::to_owned);
        (field("x-client"), field("x-client-uri"))
    };
    let known = plain.showing(&alice(&authority));
    let subject = "O=Example\\, Inc.,CN=alice.test".to_owned();
    let uri = "spiffe://example/alice".to_owned();
    assert_eq!(ask(known.clone(), "/told/x"), (Some(subject), Some(uri)));
    assert_eq!(ask(plain.offering(&["http/1.1"]), "/told/x"), (None, None));
    let own_words = Some("CN=mallory".to_owned());
    assert_eq!(ask(known, "/x"), (own_words, None));
    let text = format!("{:?}", up.last().head);
    assert!(!text.contains("alice"), "{text}");
}

#[test]
fn two_gateways_know_each_other_by_their_certificates() {
    let (inner, authority) = describing("required");
    let setup = Setup::new();
    authority.issue(&["outer.test"]).write(&setup, "outer");
    setup.write_file("ca.pem", authority.pem().as_bytes());
    let origin = format!("https://{}", inner.address());
    let keys =
        |more: &str| format!("tls = {{ ca = \"./ca.pem\", server-name = \"gateway.test\"{more} }}");
    let shown = format!(", {}", pair("outer"));
    let outer = setup
        .upstream_at("up", &origin, &keys(&shown))
        .upstream_at("nobody", &origin, &keys(""))
        .upstream_at(
            "stranger",
            &origin,
            &format!("tls = {{ ca = \"./ca.pem\", {} }}", pair("outer")),
        )
        .route("/*", "rewrite-host = \"gateway.test\"")
        .route(
            "/nobody",
            "upstream = \"nobody\"\nrewrite-host = \"gateway.test\"",
        )
        .route(
            "/stranger",
            "upstream = \"stranger\"\nrewrite-host = \"gateway.test\"",
        )
        .start();
    let good = outer.get("/");
    expect::ok(&good);
    let told = good.json();
    assert_eq!(told["client-certificate"]["subject"], "CN=outer.test");
    // Ours is not for the address that the third upstream is called by.
    assert_eq!(outer.get("/stranger").reason(), "upstream-connect");
    let refused = outer.send(&get("/nobody"));
    assert_eq!(refused.status, 502, "{}", refused.text());
}

#[test]
fn a_session_of_one_listener_is_none_of_another() {
    let up = Upstream::echo();
    let authority = Authority::new("authority");
    let (open, closed) = (
        pair("a"),
        format!("{}, client-ca = \"./ca.pem\"", pair("a")),
    );
    let setup = Setup::to(&up, "").server(&format!(
        "listen = [{{ address = \"127.0.0.1:0\", tls = {{ {open} }} }}, \
         {{ address = \"127.0.0.1:0\", tls = {{ {closed} }} }}, \
         {{ address = \"127.0.0.1:0\", tls = {{ {open} }} }}]"
    ));
    authority.issue(&["gateway.test"]).write(&setup, "a");
    setup.write_file("ca.pem", authority.pem().as_bytes());
    let gateway = setup.start();
    let known = TlsClient::trusting(&authority);
    block_on(async {
        for client in [known.clone(), known.tls12()] {
            let connected = client.connect(gateway.listener(0), "gateway.test").await;
            let mut connection = connected.expect("let in");
            let answer = connection.get("gateway.test", "/").await;
            assert_eq!(answer.expect("a response").0.status, 200);
            let again = client.connect(gateway.listener(0), "gateway.test").await;
            assert!(again.expect("let in").is_resumed);
            let other = client.connect(gateway.listener(2), "gateway.test").await;
            assert!(!other.expect("let in").is_resumed);
            let refused = match client.connect(gateway.listener(1), "gateway.test").await {
                Ok(mut connection) => connection.get("gateway.test", "/").await.is_err(),
                Err(_) => true,
            };
            assert!(refused, "a ticket is no certificate");
        }
    });
}
