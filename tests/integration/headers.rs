//! Which header fields pass, and which the gateway adds (RFC 9110 7.6; THREATS 11, 12, 14).

use gateway_tests::{Reply, Setup, Upstream, get};

#[test]
fn fields_of_one_connection_do_not_pass_in_either_direction() {
    let up = Upstream::answering(|seen| {
        Reply::json(&seen.as_json())
            .header("connection", "x-inner, keep-alive")
            .header("keep-alive", "timeout=5")
            .header("x-inner", "1")
            .header("proxy-authenticate", "Basic")
            .header("upgrade", "h2c")
            .header("x-outer", "2")
    });
    let gateway = Setup::to(&up, "").start();
    let answer = gateway.send(
        &get("/")
            .header("connection", "X-Private, keep-alive")
            .header("connection", "x-other")
            .header("x-private", "1")
            .header("x-other", "1")
            .header("keep-alive", "timeout=5")
            .header("proxy-connection", "keep-alive")
            .header("proxy-authorization", "Basic eA==")
            .header("te", "gzip")
            .header("upgrade", "h2c")
            .header("http2-settings", "AAMAAABkAAQAAP__")
            .header("x-stays", "here"),
    );
    for gone in [
        "x-private",
        "x-other",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "upgrade",
        "http2-settings",
    ] {
        assert_eq!(answer.echoed(gone), None, "{gone} reached the upstream");
    }
    assert_eq!(answer.echoed("x-stays").as_deref(), Some("here"));
    for gone in ["x-inner", "keep-alive", "proxy-authenticate", "upgrade"] {
        assert_eq!(answer.header(gone), None, "{gone} reached the client");
    }
    assert_eq!(answer.header("x-outer"), Some("2"));
}

#[test]
fn no_client_can_nominate_away_what_the_gateway_or_a_plugin_adds() {
    let up = Upstream::echo();
    let acts =
        "{ hook = \"request\", act = { set = { name = \"x-auth-user\", value = \"alice\" } } }";
    let gateway = Setup::to(&up, "plugins = [\"auth\"]")
        .acts("auth", acts)
        .start();
    let nominated =
        "x-auth-user, x-forwarded-for, x-request-id, via, forwarded, host, content-length";
    let answer = gateway.send(
        &get("/")
            .header("connection", nominated)
            .header("x-auth-user", "mallory")
            .body("four"),
    );
    assert_eq!(answer.echoed("x-auth-user").as_deref(), Some("alice"));
    for kept in [
        "x-forwarded-for",
        "x-request-id",
        "via",
        "forwarded",
        "host",
    ] {
        assert!(answer.echoed(kept).is_some(), "{kept}");
    }
    assert_eq!(answer.json()["body"], "four");
}

#[test]
fn who_the_client_is_cannot_be_spoofed() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "").start();
    let answer = gateway.send(
        &get("/")
            .header("host", "shop.example")
            .header("x-forwarded-for", "1.2.3.4")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", "evil.example")
            .header("x-forwarded-port", "1")
            .header("x-real-ip", "1.2.3.4")
            .header("forwarded", "for=1.2.3.4"),
    );
    assert_eq!(
        answer.echoed("x-forwarded-for").as_deref(),
        Some("127.0.0.1")
    );
    assert_eq!(answer.echoed("x-real-ip").as_deref(), Some("127.0.0.1"));
    assert_eq!(answer.echoed("x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(
        answer.echoed("x-forwarded-host").as_deref(),
        Some("shop.example")
    );
    assert_eq!(answer.echoed("x-forwarded-port"), None);
    let forwarded = answer.echoed("forwarded").unwrap_or_default();
    assert!(
        forwarded.contains("for=127.0.0.1") && !forwarded.contains("1.2.3.4"),
        "{forwarded}"
    );
}

#[test]
fn a_trusted_proxy_is_believed_and_appended_to() {
    let up = Upstream::echo();
    let acts = "{ hook = \"request\", act = \"describe\", when = \"x-describe\" }";
    let gateway = Setup::to(&up, "plugins = [\"look\"]")
        .server("trusted-proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]")
        .acts("look", acts)
        .start();
    let request = get("/")
        .header("x-forwarded-for", "6.6.6.6, 198.51.100.7")
        .header("x-forwarded-for", "10.0.0.2")
        .header("x-forwarded-proto", "https");
    let answer = gateway.send(&request);
    let chain = answer.echoed("x-forwarded-for").unwrap_or_default();
    assert_eq!(chain, "6.6.6.6, 198.51.100.7, 10.0.0.2, 127.0.0.1");
    assert_eq!(answer.echoed("x-forwarded-proto").as_deref(), Some("https"));
    let described = gateway.send(&request.header("x-describe", "1")).json();
    assert_eq!(
        described["client-ip"], "198.51.100.7",
        "the last that no trusted proxy is"
    );
}

#[test]
fn the_request_id_is_the_gateways_own_and_the_same_everywhere() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "").start();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..50 {
        let answer = gateway.send(&get("/").header("x-request-id", "mine"));
        let id = answer
            .echoed("x-request-id")
            .expect("the upstream gets an id");
        assert_eq!(answer.header("x-request-id"), Some(id.as_str()));
        assert_eq!(answer.head.all("x-request-id").len(), 1);
        assert!(seen.insert(id.clone()), "{id} twice");
    }
}

#[test]
fn via_names_the_gateway_behind_those_before_it() {
    let up = Upstream::answering(|seen| Reply::json(&seen.as_json()).header("via", "1.1 inner"));
    let gateway = Setup::to(&up, "").start();
    let answer = gateway.send(&get("/").header("via", "1.0 outer"));
    assert_eq!(
        answer.echoed("via").as_deref(),
        Some("1.0 outer, 1.1 gateway")
    );
    assert_eq!(answer.headers("via"), "1.1 inner, 1.1 gateway");
}

#[test]
fn fields_that_would_override_path_or_method_do_not_pass() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "").start();
    let answer = gateway.send(
        &get("/")
            .header("x-original-url", "/admin")
            .header("x-rewrite-url", "/admin")
            .header("x-http-method-override", "DELETE"),
    );
    for gone in ["x-original-url", "x-rewrite-url", "x-http-method-override"] {
        assert_eq!(answer.echoed(gone), None, "{gone}");
    }
}

#[test]
fn values_pass_byte_by_byte_and_fields_of_one_name_keep_their_order() {
    let up = Upstream::answering(|seen| {
        Reply::json(&seen.as_json())
            .header("set-cookie", "a=1")
            .header("x", "y")
            .header("set-cookie", "b=2")
    });
    let gateway = Setup::to(&up, "").start();
    let mut client = gateway.client();
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\nx-one: 1\r\nx-bytes: \xff\xe9 end\r\nx-one: 2\r\nx-empty:\r\n\r\n");
    let answer = client.response();
    assert_eq!(answer.echoed("x-one").as_deref(), Some("1, 2"));
    assert_eq!(
        answer.echoed("x-bytes").as_deref(),
        Some("\u{ff}\u{e9} end"),
        "as Latin-1"
    );
    assert_eq!(answer.echoed("x-empty").as_deref(), Some(""));
    assert_eq!(answer.head.all("set-cookie"), ["a=1", "b=2"]);
}
