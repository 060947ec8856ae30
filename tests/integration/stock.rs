//! The stock plugins as an operator uses them: by name, through the whole gateway. What each does in detail is tested
//! beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gateway_tests::{Reply, Request, Running, Setup, Upstream, eventually, get};

use crate::expect;

/// `{"sub":"alice","role":"admin"}`, signed by HS256 with [`SECRET`].
const ALICE: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSIsInJvbGUiOiJhZG1pbiJ9.BQjTsszE5D_tPXJ89NJKssuyjz6MUU1lxjmdU-jhjXw";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// `{"sub":"mallory"}`, signed with another secret.
const MALLORY: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJtYWxsb3J5In0.aXViOOHjVsavyCuzYisEPSQGVPEXRUm__3WUVPxJJRs";
/// `{"sub":"mallory"}`, not signed.
const UNSIGNED: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJtYWxsb3J5In0.";
/// Public Ed25519 keys of a test issuer, and a token signed with each.
const ONE: (&str, &str) = (
    "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w",
    "eyJhbGciOiJFZERTQSIsImtpZCI6Im9uZSJ9.eyJzdWIiOiJvbmUifQ.MtgKRpRMvh0PTqvf_LTLJrWYmrCf_woaN8Fb99pKY2IxlclcLOYHKl4K7UlzLi2uezXCoooLGD41UffUY7jcBQ",
);
const TWO: (&str, &str) = (
    "gTl3Dqh9F19Wo1Rmw0x-zMuNipG07jeiXfYPW4_Js5Q",
    "eyJhbGciOiJFZERTQSIsImtpZCI6InR3byJ9.eyJzdWIiOiJ0d28ifQ.TcBumLPs3vo2Tb783EdpoauMa5UOiy8CICOV18MXFdKCPy0b0PPLU1pphXKBm6FOr1KiB0EkMvJd7yi-IndlDA",
);

fn with(chain: &str, setup: impl FnOnce(Setup) -> Setup) -> (Upstream, Running) {
    let up = Upstream::echo();
    let gateway = setup(Setup::to(&up, &format!("plugins = {chain}"))).start();
    (up, gateway)
}

fn bearer(token: &str) -> Request {
    get("/").header("authorization", &format!("Bearer {token}"))
}

#[test]
fn api_key_lets_known_keys_pass_and_says_whose_they_are() {
    let (up, gateway) = with("[\"key\"]", |setup| {
        setup.plugin_from(
            "key",
            "stock:api-key",
            "config.keys = { \"secret-1\" = \"alice\" }",
        )
    });
    for request in [
        get("/"),
        get("/").header("x-api-key", "wrong"),
        get("/").header("x-consumer", "alice"),
    ] {
        let refused = gateway.send(&request);
        assert!(
            refused.status == 401 && refused.header("www-authenticate").is_some(),
            "{refused:?}"
        );
    }
    assert_eq!(up.heads(), 0);
    let good = gateway.send(
        &get("/")
            .header("x-api-key", "secret-1")
            .header("x-consumer", "mallory"),
    );
    assert_eq!(
        (
            good.echoed("x-consumer").as_deref(),
            good.echoed("x-api-key")
        ),
        (Some("alice"), None)
    );
    let nominated = get("/")
        .header("x-api-key", "secret-1")
        .header("connection", "x-consumer");
    assert_eq!(
        gateway.send(&nominated).echoed("x-consumer").as_deref(),
        Some("alice")
    );
}

#[test]
fn rate_limit_counts_each_consumer_on_its_own_and_says_when_to_come_back() {
    let (up, gateway) = with("[\"key\", \"limit\"]", |setup| {
        setup
            .plugin_from("key", "stock:api-key", "config.keys = { a = \"alice\", b = \"bob\" }")
            .plugin_from("limit", "stock:rate-limit", "grants = { limiter = true }\nconfig = { rate = 3, per = \"1h\", by = \"consumer\" }")
    });
    for key in ["a", "b"] {
        for left in (0..3).rev() {
            let good = gateway.send(&get("/").header("x-api-key", key));
            expect::ok(&good);
            let told = good.header("ratelimit").expect("a field").to_owned();
            assert!(told.contains(&format!("r={left}")), "{told}");
        }
        let refused = gateway.send(&get("/").header("x-api-key", key));
        assert_eq!(refused.status, 429);
        let seconds: u64 = refused
            .header("retry-after")
            .and_then(|text| text.parse().ok())
            .expect("seconds");
        assert!((1..=1200).contains(&seconds), "{seconds}");
    }
    assert_eq!(up.count(), 6);
}

#[test]
fn headers_changes_both_heads_with_what_the_exchange_knows() {
    let config = "[plugins.headers.config]
        request = { set = { x-who = \"${consumer}@${client.ip}\", x-where = \"${route} ${param.id} ${request.path}\" }, remove = [\"x-debug\"] }
        response = { set = { x-id = \"${request.id}\", server = \"ours\" }, append = { vary = [\"origin\"] } }";
    let up = Upstream::answering(|seen| {
        Reply::json(&seen.as_json())
            .header("server", "theirs")
            .header("vary", "accept")
    });
    let gateway = Setup::new()
        .upstream("up", &up)
        .route("/things/{id}", "name = \"things\"\nplugins = [\"headers\"]")
        .plugin_from("headers", "stock:headers", config)
        .start();
    let answer = gateway.send(
        &get("/things/7")
            .header("x-debug", "1")
            .header("x-who", "me"),
    );
    assert_eq!(answer.echoed("x-who").as_deref(), Some("@127.0.0.1"));
    assert_eq!(
        answer.echoed("x-where").as_deref(),
        Some("things 7 /things/7")
    );
    assert_eq!(answer.echoed("x-debug"), None);
    assert_eq!(
        (answer.header("x-id"), answer.header("server")),
        (answer.header("x-request-id"), Some("ours"))
    );
    assert_eq!(answer.headers("vary"), "accept, origin");
}

#[test]
fn access_log_writes_one_line_of_json_for_each_exchange() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "name = \"all\"\nplugins = [\"log\", \"key\"]")
        .server("access-log = \"./access.log\"")
        .plugin_from("log", "stock:access-log", "config.fields = [\"id\", \"method\", \"path\", \"route\", \"status\", \"consumer\", \"request.header.user-agent\"]")
        .plugin_from("key", "stock:api-key", "config.keys = { a = \"alice\" }")
        .start();
    let evil = "agent\u{e9}\"\\ }";
    let good = gateway.send(
        &get("/x?secret")
            .header("x-api-key", "a")
            .header("user-agent", evil),
    );
    gateway.send(&get("/y"));
    let read =
        || std::fs::read_to_string(gateway.setup().folder().join("access.log")).unwrap_or_default();
    eventually("two lines are there", || read().lines().count() == 2);
    let lines: Vec<serde_json::Value> = read()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let line = |status: u16| {
        lines
            .iter()
            .find(|line| line["status"] == status)
            .expect("a line")
    };
    assert_eq!(
        (line(200)["id"].as_str(), line(200)["consumer"].as_str()),
        (good.header("x-request-id"), Some("alice"))
    );
    assert_eq!(
        (line(200)["path"].as_str(), line(200)["route"].as_str()),
        (Some("/x"), Some("all"))
    );
    assert!(line(401)["consumer"].is_null() && line(401)["path"] == "/y");
}

#[test]
fn jwt_believes_good_tokens_and_nothing_else() {
    let config = format!(
        "grants = {{ kv = true, http-client = [] }}
        [plugins.jwt.config]
        keys = [{{ alg = \"HS256\", secret = \"{SECRET}\" }}]
        require-exp = false
        required-claims = {{ role = \"admin\" }}
        claims-to-headers = {{ sub = \"x-user\" }}"
    );
    let (up, gateway) = with("[\"jwt\"]", |setup| {
        setup.plugin_from("jwt", "stock:jwt", &config)
    });
    let tampered = ALICE.replacen("eyJzdWIiOiJhbGljZSIs", "eyJzdWIiOiJyb290Iiwi", 1);
    for request in [
        get("/"),
        bearer(MALLORY),
        bearer(UNSIGNED),
        bearer(&tampered),
        bearer("x.y.z"),
        bearer(""),
    ] {
        let refused = gateway.send(&request.header("x-user", "alice"));
        assert!(
            refused.status == 401 && refused.header("www-authenticate").is_some(),
            "{refused:?}"
        );
    }
    assert_eq!(up.heads(), 0);
    for _ in 0..3 {
        let good = gateway.send(&bearer(ALICE).header("x-user", "mallory"));
        assert_eq!(
            (
                good.echoed("x-user").as_deref(),
                good.echoed("authorization")
            ),
            (Some("alice"), None)
        );
    }
}

#[test]
fn jwt_fetches_the_issuers_keys_once_and_follows_their_rotation() {
    let is_rotated = Arc::new(AtomicBool::new(false));
    let rotated = Arc::clone(&is_rotated);
    let issuer = Upstream::answering(move |_| {
        let key = |kid: &str, x: &str| serde_json::json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "alg": "EdDSA", "x": x });
        let mut keys = vec![key("one", ONE.0)];
        if rotated.load(Ordering::SeqCst) {
            keys.push(key("two", TWO.0));
        }
        Reply::json(&serde_json::json!({ "keys": keys }))
    });
    let config = format!(
        "grants = {{ kv = true, http-client = [\"{0}\"] }}\nlimits = {{ time = \"2s\" }}
        [plugins.jwt.config]
        jwks = {{ url = \"{0}/keys\", cooldown = \"1s\" }}
        require-exp = false
        claims-to-headers = {{ sub = \"x-user\" }}",
        issuer.origin()
    );
    let (_up, gateway) = with("[\"jwt\"]", |setup| {
        setup.plugin_from("jwt", "stock:jwt", &config)
    });
    for _ in 0..10 {
        assert_eq!(
            gateway.send(&bearer(ONE.1)).echoed("x-user").as_deref(),
            Some("one")
        );
    }
    assert_eq!(issuer.count(), 1, "all instances share one copy");
    assert_eq!(
        gateway.send(&bearer(TWO.1)).status,
        401,
        "a key that the issuer does not have"
    );
    is_rotated.store(true, Ordering::SeqCst);
    eventually("the new key is known", || {
        gateway.send(&bearer(TWO.1)).status == 200
    });
    assert!(
        issuer.count() <= 25,
        "{} fetches: the rate is bounded",
        issuer.count()
    );
}

#[test]
fn a_chain_of_all_of_them_works_together() {
    let (_up, gateway) = with("[\"log\", \"key\", \"limit\", \"headers\"]", |setup| {
        setup
            .plugin_from("log", "stock:access-log", "")
            .plugin_from("key", "stock:api-key", "config.keys = { a = \"alice\" }")
            .plugin_from(
                "limit",
                "stock:rate-limit",
                "grants = { limiter = true }\nconfig = { rate = 1000, per = \"1s\" }",
            )
            .plugin_from(
                "headers",
                "stock:headers",
                "config.request.set = { x-from = \"${consumer}\" }",
            )
    });
    for _ in 0..20 {
        let answer = gateway.send(&get("/").header("x-api-key", "a"));
        assert_eq!(answer.echoed("x-from").as_deref(), Some("alice"));
    }
}
