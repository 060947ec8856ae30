//! Certificates that change while the gateway serves: new connections get the new one, none is lost, and a broken pair
//! changes nothing.

use gateway_tests::h2::block_on;
use gateway_tests::process::run;
use gateway_tests::tls::{Authority, Issued, TlsClient, TlsConnection};
use gateway_tests::{Running, Setup, Upstream, eventually};
use rcgen::CertificateParams;

use crate::tls::{listen, pair};

const PROGRAM: &str = env!("CARGO_BIN_EXE_gateway-under-test");

async fn connect(gateway: &Running, client: &TlsClient) -> TlsConnection {
    let connected = client.connect(gateway.address(), "gateway.test").await;
    connected.expect("a handshake")
}

async fn asks(connection: &mut TlsConnection) -> u16 {
    let answer = connection.get("gateway.test", "/").await;
    answer.expect("a response").0.status.as_u16()
}

/// The certificate that new clients are served.
/// A watched listener with a first certificate.
fn begun(up: &Upstream, authority: &Authority) -> (Running, Issued) {
    let setup = Setup::to(up, "").server(&listen(&pair("a"))).watch();
    let first = authority.issue(&["gateway.test"]);
    first.write(&setup, "a");
    (setup.start(), first)
}

fn served(gateway: &Running, authority: &Authority) -> Vec<u8> {
    // A client of its own: with a session, no certificate would be sent.
    let client = TlsClient::trusting(authority);
    block_on(async { connect(gateway, &client).await.served })
}

fn failed_reloads(gateway: &Running) -> f64 {
    gateway
        .metrics()
        .get("gateway_reloads_total", &[("result", "error")])
}

#[test]
fn a_renewed_certificate_is_served_and_no_connection_is_lost() {
    let up = Upstream::echo();
    let authority = Authority::new("authority");
    let (gateway, first) = begun(&up, &authority);
    let client = TlsClient::trusting(&authority);
    let mut old: Vec<TlsConnection> = block_on(async {
        let mut old = Vec::new();
        for offer in ["h2", "http/1.1"] {
            let mut connection = connect(&gateway, &client.offering(&[offer])).await;
            assert_eq!(asks(&mut connection).await, 200);
            assert!(connection.served == first.der());
            old.push(connection);
        }
        old
    });
    let second = authority.issue(&["gateway.test"]);
    second.write(gateway.setup(), "a");
    eventually("the new one is served", || {
        served(&gateway, &authority) == second.der()
    });
    block_on(async {
        for connection in &mut old {
            assert_eq!(asks(connection).await, 200);
            assert!(connection.is_open().await);
        }
        let resumed = connect(&gateway, &client.offering(&["h2"])).await;
        assert!(resumed.is_resumed, "a session outlives the certificate");
    });
}

#[test]
fn a_broken_pair_changes_nothing_until_it_is_whole() {
    let up = Upstream::echo();
    let authority = Authority::new("authority");
    let (gateway, first) = begun(&up, &authority);
    let second = authority.issue(&["gateway.test"]);
    gateway.setup().write_file("a.pem", second.pem.as_bytes());
    eventually("the pair is refused", || failed_reloads(&gateway) >= 1.0);
    let said = gateway.reload().expect_err("the key does not fit");
    assert!(
        said.contains("key: is not the key of the certificate in \"./a.pem\""),
        "{said}"
    );
    assert!(served(&gateway, &authority) == first.der());
    gateway
        .setup()
        .write_file("a.key", second.key_pem.as_bytes());
    eventually("the whole pair is served", || {
        served(&gateway, &authority) == second.der()
    });
    let refused = failed_reloads(&gateway);
    std::fs::remove_file(gateway.setup().folder().join("a.pem")).expect("it is there");
    eventually("a missing file is refused", || {
        failed_reloads(&gateway) > refused
    });
    assert!(served(&gateway, &authority) == second.der());
}

#[test]
fn who_asks_for_other_clients_forgets_their_sessions() {
    let up = Upstream::echo();
    let authority = Authority::new("authority");
    let setup = Setup::to(&up, "").server(&listen(&pair("a")));
    authority.issue(&["gateway.test"]).write(&setup, "a");
    setup.write_file("ca.pem", authority.pem().as_bytes());
    let next = setup.again().upstream("up", &up).route("/*", "");
    let gateway = setup.start();
    let client = TlsClient::trusting(&authority);
    block_on(async {
        let mut connection = connect(&gateway, &client).await;
        assert_eq!(asks(&mut connection).await, 200);
        assert!(connect(&gateway, &client).await.is_resumed);
    });
    let tls = format!("{}, client-ca = \"./ca.pem\"", pair("a"));
    // On the same socket: port 0 is the same as before.
    gateway
        .reload_to(&next.server(&listen(&tls)))
        .expect("a good configuration");
    block_on(async {
        let connected = client.connect(gateway.address(), "gateway.test").await;
        let answer = match connected {
            Ok(mut connection) => connection.get("gateway.test", "/").await.map_err(|_| ()),
            Err(_) => Err(()),
        };
        assert!(answer.is_err(), "its ticket is no certificate");
    });
}

#[test]
fn a_listener_learns_tls_without_being_bound_again() {
    let up = Upstream::echo();
    let authority = Authority::new("authority");
    let setup = Setup::to(&up, "");
    authority.issue(&["gateway.test"]).write(&setup, "a");
    let next = setup.again().upstream("up", &up).route("/*", "");
    let gateway = setup.start();
    let mut plain = gateway.client();
    assert_eq!(plain.request(&gateway_tests::get("/")).status, 200);
    gateway
        .reload_to(&next.server(&listen(&pair("a"))))
        .expect("a good configuration");
    assert_eq!(plain.request(&gateway_tests::get("/")).status, 200);
    block_on(async {
        let mut secure = connect(&gateway, &TlsClient::trusting(&authority)).await;
        assert_eq!(asks(&mut secure).await, 200);
    });
    assert_eq!(gateway.get("/").reason(), "tls-required");
}

#[test]
fn check_judges_certificates() {
    let up = Upstream::echo();
    let authority = Authority::new("authority");
    let setup = Setup::to(&up, "").server(&listen(&pair("a")));
    let old = |params: &mut CertificateParams| {
        let ago = std::time::Duration::from_secs(10 * 86_400 + 60);
        params.not_after = (std::time::SystemTime::now() - ago).into();
    };
    authority
        .issue_with(&["gateway.test"], old)
        .write(&setup, "a");
    setup.write();
    let file = setup.file().display().to_string();
    let checked = run(PROGRAM, &["check", &file]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(
        checked.stderr.contains(
            "gateway.toml:6: server.listen[0].tls.certificate: the certificate expired 10 days ago"
        ),
        "{checked:?}"
    );
    let other = authority.issue(&["gateway.test"]);
    setup.write_file("a.key", other.key_pem.as_bytes());
    let checked = run(PROGRAM, &["check", &file]);
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert!(
        checked
            .stderr
            .contains("gateway.toml:6: server.listen[0].tls.key: is not the key"),
        "{checked:?}"
    );
}
