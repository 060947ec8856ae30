//! Which route a request takes, and the path and host that its upstream sees.

use gateway_tests::{Reply, Request, Setup, Upstream, get};

use crate::expect;

/// Answers with its own name.
fn named(name: &'static str) -> Upstream {
    Upstream::answering(move |_| Reply::new(200, name))
}

#[test]
fn the_most_specific_route_wins_whatever_the_order() {
    let (any, users, one, me, host) = (
        named("any"),
        named("users"),
        named("one"),
        named("me"),
        named("host"),
    );
    let gateway = Setup::new()
        .upstream("any", &any)
        .upstream("users", &users)
        .upstream("one", &one)
        .upstream("me", &me)
        .upstream("host", &host)
        .route("/*", "upstream = \"any\"")
        .route("/users/*", "upstream = \"users\"")
        .route("/users/{id}", "upstream = \"one\"")
        .route("/users/me", "upstream = \"me\"")
        .route("/users/*", "upstream = \"host\"\nhost = \"*.example.com\"")
        .start();
    for (path, expected) in [
        ("/", "any"),
        ("/other/users/me", "any"),
        ("/users", "users"),
        ("/users/7", "one"),
        ("/users/7/posts", "users"),
        ("/users/me", "me"),
        ("/users/me/", "users"),
        ("/usersandmore", "any"),
    ] {
        assert_eq!(gateway.get(path).text(), expected, "{path}");
    }
    let of_host = |host| gateway.send(&get("/users/me").header("host", host)).text();
    assert_eq!(of_host("a.example.com"), "host");
    assert_eq!(of_host("A.B.EXAMPLE.COM:8080"), "host");
    assert_eq!(of_host("example.com"), "me");
}

#[test]
fn methods_and_header_fields_choose_among_routes() {
    let (read, write, second) = (named("read"), named("write"), named("second"));
    let gateway = Setup::new()
        .upstream("read", &read)
        .upstream("write", &write)
        .upstream("second", &second)
        .route("/x", "upstream = \"read\"\nmethods = [\"GET\"]")
        .route("/x", "upstream = \"write\"\nmethods = [\"POST\", \"PUT\"]")
        .route("/x", "name = \"v2\"\nupstream = \"second\"\nmethods = [\"GET\"]\nheaders = { x-version = \"2\" }")
        .start();
    assert_eq!(gateway.get("/x").text(), "read");
    assert_eq!(
        gateway.send(&Request::new("PUT", "/x").body("")).text(),
        "write"
    );
    assert_eq!(
        gateway.send(&get("/x").header("X-Version", "2")).text(),
        "second"
    );
    assert_eq!(
        gateway.send(&get("/x").header("x-version", "3")).text(),
        "read"
    );
    assert_eq!(
        gateway.send(&Request::new("HEAD", "/x")).status,
        200,
        "HEAD goes where GET goes"
    );
}

#[test]
fn a_path_that_no_route_has_is_404_and_a_method_that_none_takes_is_405_with_allow() {
    let up = named("up");
    let gateway = Setup::new()
        .upstream("up", &up)
        .route("/only/here", "methods = [\"GET\"]")
        .route("/only/{param}", "methods = [\"DELETE\"]")
        .start();
    let mut client = gateway.client();
    for _ in 0..2 {
        // Nothing is wrong with such a request, so the connection stays.
        expect::failure(&client.request(&get("/elsewhere")), 404, "no-route");
    }
    let refused = gateway.send(&Request::new("POST", "/only/here").body("x"));
    expect::failure(&refused, 405, "method-not-allowed");
    let allow = refused.headers("allow");
    assert!(
        allow.contains("GET") && allow.contains("DELETE"),
        "every method that would do: {allow}"
    );
    assert_eq!(up.heads(), 0);
}

#[test]
fn the_upstream_sees_the_path_as_the_route_rewrites_it_with_the_query_untouched() {
    let up = Upstream::echo();
    let gateway = Setup::new()
        .upstream("up", &up)
        .route("/users/*", "strip-prefix = \"/users\"")
        .route("/old/{id}/{part}", "rewrite-path = \"/new/{part}/{id}\"")
        .route("/files/*", "rewrite-path = \"/static/{*}\"")
        .route("/plain/*", "")
        .start();
    for (asked, expected) in [
        ("/users/7/posts?a=b", "/7/posts?a=b"),
        ("/users", "/"),
        ("/users/?x", "/?x"),
        ("/old/1/two?q=%2F..%2f", "/new/two/1?q=%2F..%2f"),
        ("/files/a/b.txt", "/static/a/b.txt"),
        ("/plain/x?y=//z", "/plain/x?y=//z"),
    ] {
        assert_eq!(gateway.get(asked).json()["target"], expected, "{asked}");
    }
}

#[test]
fn what_is_matched_is_what_is_forwarded() {
    let (open, secret) = (Upstream::echo(), Upstream::echo());
    let gateway = Setup::new()
        .upstream("open", &open)
        .upstream("secret", &secret)
        .route("/*", "upstream = \"open\"")
        .route("/admin/*", "upstream = \"secret\"")
        .start();
    for disguised in [
        "/%61dmin/x",
        "/admin//x",
        "/admin/./x",
        "/admin/y/../x",
        "/admin/%2e/x",
        "/%61dmin/y/%2e%2E//x",
    ] {
        let answer = gateway.get(disguised);
        assert_eq!(answer.json()["target"], "/admin/x", "{disguised}");
    }
    assert_eq!((open.heads(), secret.heads()), (0, 6));
    for other_route in [
        "//admin/x",
        "/./admin/x",
        "/a/../admin/x",
        "/a/%2e%2E/admin/x",
        "/%2e/admin//x",
        "/admin/../x",
        "/%2561dmin/x",
    ] {
        expect::failure(&gateway.get(other_route), 400, "bad-path");
    }
    for ambiguous in [
        "/admin%2fx",
        "/admin%2Fx",
        "/admin%5cx",
        "/admin\\x",
        "/admin;x",
        "/x%00",
        "/../admin",
        "/%2e%2e/admin",
        "/%252e%252e/admin",
        "/%25%32%66",
        "/%zz",
        "/%",
        "/\u{e9}",
    ] {
        let answer = gateway.get(ambiguous);
        assert_eq!(answer.status, 400, "{ambiguous}");
    }
    assert_eq!(
        (open.heads(), secret.heads()),
        (0, 6),
        "nothing of that went anywhere"
    );
}

#[test]
fn the_host_that_is_routed_is_the_host_that_is_forwarded() {
    let (a, b) = (Upstream::echo(), Upstream::echo());
    let gateway = Setup::new()
        .upstream("a", &a)
        .upstream("b", &b)
        .route("/*", "upstream = \"a\"\nhost = \"a.example\"")
        .route(
            "/*",
            "upstream = \"b\"\nhost = \"b.example\"\nrewrite-host = \"inner.example:81\"",
        )
        .start();
    let asked = gateway.send(&get("/x").header("host", "A.example:8080"));
    assert_eq!(asked.echoed("host").as_deref(), Some("A.example:8080"));
    let absolute = gateway.send(&get("http://a.example/x?y").header("host", "b.example"));
    assert_eq!(
        absolute.echoed("host").as_deref(),
        Some("a.example"),
        "RFC 9112 3.2.2: the target replaces Host"
    );
    assert_eq!(absolute.json()["target"], "/x?y");
    let rewritten = gateway.send(&get("/x").header("host", "b.example"));
    assert_eq!(
        rewritten.echoed("host").as_deref(),
        Some("inner.example:81")
    );
    assert_eq!(
        rewritten.echoed("x-forwarded-host").as_deref(),
        Some("b.example")
    );
}

#[test]
fn a_host_that_is_none_is_400_and_never_forwarded() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "").start();
    let heads = [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a, b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: user@a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a:port\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a:99999\r\n\r\n",
        "GET / HTTP/1.1\r\nhost:\r\n\r\n",
        "GET foo HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET http://user@a/ HTTP/1.1\r\nhost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
    ];
    for head in heads {
        let mut client = gateway.client();
        client.send(head);
        assert_eq!(client.response().status, 400, "{head:?}");
    }
    assert_eq!(up.heads(), 0);
}

#[test]
fn connect_and_trace_are_refused() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "").start();
    for head in [
        "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n",
        "TRACE / HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        let mut client = gateway.client();
        client.send(head);
        expect::failure(&client.response(), 501, "method-refused");
    }
    assert_eq!(up.heads(), 0);
}

#[test]
fn ambiguous_routes_do_not_start_and_the_error_names_both() {
    let up = named("up");
    let setup = Setup::new()
        .upstream("up", &up)
        .route("/users/{id}", "name = \"first\"")
        .route("/users/{name}", "name = \"second\"");
    let error = setup
        .try_start()
        .err()
        .expect("two routes with one meaning");
    assert!(
        error.contains("first") && error.contains("second") && error.contains("gateway.toml:"),
        "{error}"
    );
}
