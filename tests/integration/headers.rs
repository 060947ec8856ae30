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

/// Who a client could claim to be.
const CLAIMS: [&str; 12] = [
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-path",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-user",
    "x-forwarded-",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
];

#[test]
fn no_other_claim_about_a_client_passes_but_from_a_trusted_proxy() {
    let up = Upstream::echo();
    let request = CLAIMS.iter().fold(get("/"), |request, name| {
        request.header(name, "1.2.3.4").header(name, "5.6.7.8")
    });
    for (server, expected) in [
        ("", None),
        ("trusted-proxies = [\"10.0.0.0/8\", \"::1\"]", None),
        (
            "trusted-proxies = [\"127.0.0.1\"]",
            Some("1.2.3.4, 5.6.7.8"),
        ),
    ] {
        let gateway = Setup::to(&up, "").server(server).start();
        let answer = gateway.send(&request);
        for name in CLAIMS {
            assert_eq!(
                answer.echoed(name).as_deref(),
                expected,
                "{name} with {server:?}"
            );
        }
    }
}

#[test]
fn a_trusted_proxy_is_believed_in_every_field_and_an_untrusted_one_in_none() {
    let up = Upstream::echo();
    let request = get("/")
        .header("host", "inner.example")
        .header("x-forwarded-for", "198.51.100.7")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "shop.example")
        .header("x-real-ip", "198.51.100.7")
        .header("forwarded", "for=198.51.100.7;proto=https")
        .header("via", "1.1 edge");
    let fields = [
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-real-ip",
        "forwarded",
        "via",
    ];
    let ours = "for=127.0.0.1;host=\"inner.example\";proto=http";
    let both = format!("for=198.51.100.7;proto=https, {ours}");
    let via = "1.1 edge, 1.1 gateway";
    let untrusted = ["127.0.0.1", "http", "inner.example", "127.0.0.1", ours, via];
    let trusted = [
        "198.51.100.7, 127.0.0.1",
        "https",
        "shop.example",
        "198.51.100.7",
        &both,
        via,
    ];
    for (server, expected) in [
        ("", untrusted),
        ("trusted-proxies = [\"127.0.0.0/8\"]", trusted),
    ] {
        let gateway = Setup::to(&up, "").server(server).start();
        let answer = gateway.send(&request);
        for (name, expected) in fields.into_iter().zip(expected) {
            assert_eq!(
                answer.echoed(name).as_deref(),
                Some(expected),
                "{name} with {server:?}"
            );
        }
    }
}

#[test]
fn fields_that_would_override_path_or_method_do_not_pass_whoever_sends_them() {
    let up = Upstream::echo();
    for server in [
        "",
        "trusted-proxies = [\"127.0.0.0/8\"]",
        "field-names = \"any\"",
    ] {
        let gateway = Setup::to(&up, "").server(server).start();
        let names = [
            "x-original-url",
            "x-rewrite-url",
            "x-http-method-override",
            "x-http-method",
            "x-method-override",
            "X-Original-URL",
            "X-HTTP-Method-OVERRIDE",
        ];
        let request = names
            .iter()
            .fold(get("/"), |request, name| request.header(name, "/admin"));
        let answer = gateway.send(&request);
        for gone in names {
            assert_eq!(answer.echoed(gone), None, "{gone} with {server:?}");
        }
    }
}

#[test]
fn a_field_whose_name_some_take_for_another_passes_only_where_that_is_wanted() {
    let up = Upstream::echo();
    let acts =
        "{ hook = \"request\", act = { set = { name = \"x-consumer\", value = \"alice\" } } }";
    let odd = [
        "x_consumer",
        "X_Consumer",
        "x.consumer",
        "x~consumer",
        "x_forwarded_for",
        "x_original_url",
    ];
    let request = odd
        .iter()
        .fold(get("/"), |request, name| request.header(name, "mallory"));
    let answered = |server: &str| {
        let setup = Setup::to(&up, "plugins = [\"auth\"]").server(server);
        setup.acts("auth", acts).start().send(&request)
    };
    let plain = answered("");
    assert_eq!(plain.echoed("x-consumer").as_deref(), Some("alice"));
    for name in odd {
        assert_eq!(plain.echoed(name), None, "{name}");
    }
    let any = answered("field-names = \"any\"");
    for name in [
        "x.consumer",
        "x~consumer",
        "x_forwarded_for",
        "x_original_url",
    ] {
        assert_eq!(any.echoed(name).as_deref(), Some("mallory"), "{name}");
    }
}

#[test]
fn a_plugin_may_set_a_field_with_any_name() {
    let up = Upstream::echo();
    let acts = "{ hook = \"request\", act = { set = { name = \"x_user\", value = \"alice\" } } }";
    let gateway = Setup::to(&up, "plugins = [\"auth\"]")
        .acts("auth", acts)
        .start();
    let answer = gateway.send(&get("/").header("x_user", "mallory"));
    assert_eq!(answer.echoed("x_user").as_deref(), Some("alice"));
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
