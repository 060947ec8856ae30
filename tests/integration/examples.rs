//! The examples do what their READMEs say. Each runs from its own `gateway.toml`, with other addresses in it.

use std::fs;
use std::path::PathBuf;

use gateway_tests::h2::block_on;
use gateway_tests::tls::{Authority, TlsClient};
use gateway_tests::{Reply, Running, Setup, Upstream, eventually, get};

use crate::expect;

/// The example's gateway, with these upstreams in place of the ports that it names.
fn example(name: &str, upstreams: &[(&str, &Upstream)]) -> Running {
    example_in(Setup::new(), name, upstreams)
}

/// The same, in a folder that holds what the example asks for.
fn example_in(setup: Setup, name: &str, upstreams: &[(&str, &Upstream)]) -> Running {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples")).join(name);
    let mut text = fs::read_to_string(folder.join("gateway.toml")).expect("every example has one");
    for (port, upstream) in upstreams {
        text = text.replace(
            &format!("127.0.0.1:{port}"),
            &upstream.address().to_string(),
        );
    }
    text = text
        .replace("127.0.0.1:8080", "127.0.0.1:0")
        .replace("127.0.0.1:8443", "127.0.0.1:0")
        .replace("127.0.0.1:9901", "127.0.0.1:0");
    // The README has them built by hand; here the build script has.
    text = text.replace(
        "../../target/wasm32-wasip2/release/",
        &format!("{}/", env!("OUT_DIR")),
    );
    let text = text.replacen("[server]\n", "[server]\naccess-log = \"./access.log\"\n", 1);
    setup
        .try_start_from(&text)
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn access_log(gateway: &Running) -> String {
    fs::read_to_string(gateway.setup().folder().join("access.log")).unwrap_or_default()
}

#[test]
fn every_example_is_tested_here() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    for entry in fs::read_dir(examples)
        .expect("there are examples")
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_tested = include_str!("examples.rs").contains(&format!("\"{name}\", &["));
        assert!(
            is_tested && entry.path().join("README.md").is_file(),
            "{name}"
        );
    }
}

#[test]
fn quickstart() {
    let up = Upstream::echo();
    let gateway = example("quickstart", &[("9001", &up)]);
    let refused = gateway.get("/files/hello.txt");
    assert_eq!(
        (refused.status, refused.reason().as_str()),
        (401, "api-key-missing")
    );
    assert_eq!(
        refused.header("www-authenticate"),
        Some("ApiKey realm=\"gateway\"")
    );
    let ask = |key: &str| gateway.send(&get("/files/hello.txt").header("x-api-key", key));
    let good = ask("secret-1");
    expect::ok(&good);
    assert_eq!(
        (good.header("x-served-to"), good.json()["target"].as_str()),
        (Some("alice"), Some("/hello.txt"))
    );
    assert!(
        good.header("ratelimit")
            .is_some_and(|told| told.starts_with("\"default\";r=2;t=")),
        "{good:?}"
    );
    assert_eq!(
        (
            good.echoed("x-consumer").as_deref(),
            good.echoed("x-api-key")
        ),
        (Some("alice"), None)
    );
    assert_eq!([0; 4].map(|_| ask("secret-2").status), [200, 200, 200, 429]);
    assert!(ask("secret-2").header("retry-after").is_some());
    expect::failure(&gateway.get("/nowhere"), 404, "no-route");
    eventually("a line for each but the last", || {
        access_log(&gateway).lines().count() == 7
    });
    assert_eq!(gateway.admin("/ready").status, 200);
}

#[test]
fn a_header_only_plugin_has_at_most_100_kb() {
    let component = fs::read(concat!(env!("OUT_DIR"), "/own_plugin.wasm"));
    let bytes = component.expect("the build script makes it").len();
    assert!(bytes <= 100_000, "{bytes} bytes");
}

#[test]
fn own_plugin() {
    let up = Upstream::echo();
    let gateway = example("own-plugin", &[("9001", &up)]);
    let good = gateway.get("/");
    expect::ok(&good);
    let timing = good.header("server-timing").unwrap_or_default();
    let milliseconds: f64 = timing
        .strip_prefix("upstream;dur=")
        .and_then(|text| text.parse().ok())
        .unwrap_or(-1.0);
    assert!((0.0..10_000.0).contains(&milliseconds), "{timing}");
    let refused = gateway.send(&get("/").header("user-agent", "BadBot/1.0"));
    assert_eq!(refused.status, 403);
    assert!(
        refused.text().contains("not with this client"),
        "{}",
        refused.text()
    );
    assert_eq!(up.count(), 1);
    eventually("both are logged", || {
        access_log(&gateway).lines().count() == 2
    });
}

#[test]
fn body_rewrite() {
    let page = "<a href=\"http://internal.example/\">home</a> ".repeat(5000);
    let expected = page.replace("http://internal.example", "https://www.example.com");
    let binary: Vec<u8> = page.bytes().collect();
    let (text, bytes) = (page.clone(), binary.clone());
    let up = Upstream::answering(move |seen| match seen.target() {
        "/" => Reply::new(200, &text).header("content-type", "text/html"),
        _ => Reply::new(200, &bytes).header("content-type", "application/octet-stream"),
    });
    let gateway = example("body-rewrite", &[("9001", &up)]);
    let answer = gateway.get("/");
    assert!(
        answer.is_whole && answer.text() == expected,
        "{} bytes of {}",
        answer.body.len(),
        expected.len()
    );
    assert_eq!(
        (
            answer.header("transfer-encoding"),
            answer.header("content-length")
        ),
        (Some("chunked"), None)
    );
    let answer = gateway.get("/data.bin");
    assert_eq!(answer.body, binary, "what is no text is not looked into");
}

#[test]
fn external_auth() {
    let up = Upstream::echo();
    let auth = Upstream::answering(|seen| match seen.header("authorization") {
        Some("Bearer opensesame") => Reply::new(200, "").header("x-auth-user", "alice"),
        _ => Reply::new(401, "who?").header("www-authenticate", "Bearer"),
    });
    let gateway = example("external-auth", &[("9001", &up), ("9003", &auth)]);
    let refused = gateway.get("/");
    assert_eq!(
        (refused.status, refused.header("www-authenticate")),
        (401, Some("Bearer"))
    );
    assert_eq!(up.heads(), 0);
    let good = get("/")
        .header("authorization", "Bearer opensesame")
        .header("x-user", "mallory");
    assert_eq!(
        gateway.send(&good).echoed("x-user").as_deref(),
        Some("alice")
    );
    drop(auth);
    let unknown = gateway.send(&good);
    assert_eq!((unknown.status, up.count()), (503, 1));
    assert!(
        unknown.text().contains("try again later"),
        "{}",
        unknown.text()
    );
}

/// The certificates of the example, as its script makes them.
fn example_certificates() -> (Setup, Authority, TlsClient) {
    let (setup, authority) = (Setup::new(), Authority::new("Example authority"));
    let certs = setup.folder().join("certs");
    fs::create_dir(&certs).expect("the folder can be written");
    fs::write(certs.join("ca.pem"), authority.pem()).expect("the folder can be written");
    let names = [
        ("default", &["localhost", "127.0.0.1"][..]),
        ("shop", &["shop.test", "*.shop.test"]),
    ];
    for (name, of_this) in names {
        authority
            .issue(of_this)
            .write(&setup, &format!("certs/{name}"));
    }
    let client = TlsClient::trusting(&authority);
    (setup, authority, client)
}

#[test]
fn tls() {
    let up = Upstream::echo();
    let (setup, authority, client) = example_certificates();
    let gateway = example_in(setup, "tls", &[("9001", &up)]);
    let moved = gateway.send(&get("/hello.txt").header("host", "localhost:8080"));
    assert_eq!(
        (moved.status, moved.header("location")),
        (308, Some("https://localhost:8443/hello.txt"))
    );
    let ask = |client: TlsClient, name: &'static str, host: &'static str| {
        block_on(async {
            let connected = client.connect(gateway.listener(1), name).await;
            let mut connection = connected.expect("a handshake");
            assert_eq!(connection.protocol.as_deref(), Some("h2"));
            connection
                .get(host, "/hello.txt")
                .await
                .expect("a response")
                .0
        })
    };
    let plain = ask(client.clone(), "localhost", "localhost:8443");
    let told = plain.headers.get("strict-transport-security");
    assert_eq!(
        (plain.status.as_u16(), told.map(|it| it.as_bytes())),
        (200, Some(&b"max-age=31536000"[..]))
    );
    assert_eq!(up.last().header("x-client"), None);
    let shop = ask(client.clone(), "www.shop.test", "www.shop.test:8443");
    assert_eq!(shop.status, 200);
    let wrong = ask(client.clone(), "localhost", "www.shop.test");
    assert_eq!(wrong.status, 421);
    let alice = authority.issue_with(&["alice"], |params| {
        let email = "alice@example.com".try_into().expect("ASCII");
        params.subject_alt_names = vec![rcgen::SanType::Rfc822Name(email)];
    });
    ask(client.showing(&alice), "localhost", "localhost:8443");
    let seen = up.last();
    assert_eq!(
        (seen.header("x-client"), seen.header("x-client-email")),
        (Some("CN=alice"), Some("alice@example.com"))
    );
    let plain = gateway_tests::Client::connect(gateway.listener(1)).request(&get("/"));
    assert_eq!(
        (plain.status, plain.reason().as_str()),
        (400, "tls-required")
    );
    eventually("each that had a route is logged", || {
        access_log(&gateway).lines().count() == 3
    });
}

#[test]
fn the_script_of_tls_makes_what_its_configuration_names() {
    let openssl = std::process::Command::new("openssl")
        .arg("version")
        .output();
    if !openssl.is_ok_and(|output| output.status.success()) {
        println!("not tested: there is no openssl here");
        return;
    }
    let setup = Setup::new();
    let script = setup.folder().join("certificates.sh");
    let original = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../examples/tls/certificates.sh"
    );
    fs::copy(original, &script).expect("it is there");
    for _ in 0..2 {
        let made = std::process::Command::new("sh").arg(&script).output();
        let made = made.expect("there is a shell");
        assert!(made.status.success(), "{made:?}");
    }
    let up = Upstream::echo();
    let gateway = example_in(setup, "tls", &[("9001", &up)]);
    assert_eq!(gateway.get("/").status, 308);
}
