//! `[[routes]]` and `[upstreams]`.

use std::time::Duration;

use http::Method;

use super::super::{Upstream, UpstreamTls};
use super::*;

#[test]
fn every_key_is_read() {
    let config = good(EXAMPLE);
    let [first, second] = &config.routes[..] else {
        panic!("two routes were written");
    };
    assert_eq!(first.name, "/users/*");
    assert_eq!(
        (first.origin.line, first.origin.key.as_str()),
        (27, "routes[0]")
    );
    assert_eq!(first.strip_prefix.as_deref(), Some("/users"));
    assert!(first.hosts.is_empty() && first.methods.is_empty() && first.headers.is_empty());
    assert_eq!((first.timeout, first.max_body_bytes), (None, None));

    assert_eq!(second.name, "one user");
    assert_eq!(second.hosts, ["users.example.com", "*.users.example.com"]);
    assert_eq!(second.path, "/{id}");
    assert_eq!(second.methods, [Method::GET, Method::HEAD]);
    let headers: Vec<_> = second
        .headers
        .iter()
        .map(|h| (h.name.as_str(), h.value.as_ref()))
        .collect();
    assert_eq!(headers.len(), 2);
    assert!(headers.contains(&("x-version", Some(&"2".parse().unwrap()))));
    assert!(headers.contains(&("x-debug", None)));
    assert_eq!(second.rewrite_path.as_deref(), Some("/users/{id}"));
    assert_eq!(second.rewrite_host, "users.internal:8080".parse().ok());
    assert_eq!(second.timeout, Some(Duration::from_millis(1_500)));
    assert_eq!(second.max_body_bytes, Some(1 << 20));
    assert_eq!(second.requests_in_flight, Some(20));
}

#[test]
fn upstreams_have_defaults_and_every_key_is_read() {
    let mut upstreams = good(
        r#"
        [upstreams.a]
        endpoints = ["http://a", "https://[::1]:8443"]
        [upstreams.b]
        endpoints = ["http://b"]
        connect-timeout = "1s"
        response-timeout = "2s"
        body-timeout = "3s"
        idle-timeout = "4s"
        idle-connections = 0
        "#,
    )
    .upstreams;
    let second = Duration::from_secs(1);
    assert_eq!(
        upstreams.remove("a"),
        Some(Upstream {
            endpoints: vec![
                "http://a:80".parse().unwrap(),
                "https://[::1]:8443".parse().unwrap()
            ],
            connect_timeout: 3 * second,
            response_timeout: 60 * second,
            body_timeout: 30 * second,
            idle_connections: 64,
            idle_timeout: 30 * second,
            tls: UpstreamTls::default(),
        })
    );
    assert_eq!(
        upstreams.remove("b"),
        Some(Upstream {
            endpoints: vec!["http://b:80".parse().unwrap()],
            connect_timeout: second,
            response_timeout: 2 * second,
            body_timeout: 3 * second,
            idle_connections: 0,
            idle_timeout: 4 * second,
            tls: UpstreamTls::default(),
        })
    );
}

#[test]
fn wrong_upstreams_are_refused() {
    for (lines, problem) in [
        ("", "upstreams.u: 'endpoints' is missing"),
        (
            "endpoints = []",
            "endpoints: the list is empty; an upstream needs at least one endpoint",
        ),
        ("endpoints = \"http://a\"", "found a string"),
        (
            "endpoints = [\"http://a/b\"]",
            "endpoints[0]: only scheme, host and port can stand here, without path or query; write \"http://a\"",
        ),
        (
            "endpoints = [\"http://u:p@a\"]",
            "endpoints[0]: a user or password can't stand in the URL",
        ),
        (
            "endpoints = [\"a:80\"]",
            "it begins with http:// or https://",
        ),
        (
            "endpoints = [\"http://a\"]\nconnect-timeout = \"0s\"",
            "must be at least 1ms",
        ),
        (
            "endpoints = [\"http://a\"]\nidle-connections = -1",
            "must be at least 0",
        ),
        (
            "endpoints = [\"http://a\"]\nconect-timeout = \"1s\"",
            "did you mean 'connect-timeout'?",
        ),
    ] {
        assert_problem(&format!("[upstreams.u]\n{lines}\n"), problem);
    }
}

#[test]
fn a_route_without_a_name_is_called_by_what_it_matches() {
    assert_eq!(route("path = \"/a\"").name, "/a");
    assert_eq!(route("path = \"/a\"\nhost = \"H\"").name, "h /a");
    assert_eq!(
        route("path = \"/a\"\nhosts = [\"h\", \"i\"]\nmethods = [\"GET\", \"PUT\"]").name,
        "GET,PUT h,i /a"
    );
}

#[test]
fn names_are_unique_given_or_not() {
    let two = |first: &str, second: &str| {
        let route = "[[routes]]\nupstream = \"u\"\n";
        format!("upstreams.u.endpoints = [\"http://u\"]\n{route}{first}\n{route}{second}\n")
    };
    good(&two("path = \"/a\"", "path = \"/a\"\nhost = \"h\""));
    let problem = "line 2 has the name \"/a\" too; give one of them another 'name'";
    assert_problem(
        &two("path = \"/a\"", "path = \"/a\"\nheaders = { x = true }"),
        problem,
    );
    let problem = "7: routes[1].name: the route in line 2 has the name \"/a\" too";
    assert_problem(
        &two("path = \"/a\"", "name = \"/a\"\npath = \"/b\""),
        problem,
    );
}

/// Lines of a route with the problem that each is.
const WRONG: &[(&str, &str)] = &[
    (
        "host = \"a\"\nhosts = [\"b\"]",
        "routes[0].host: 'host' and 'hosts' can't stand together",
    ),
    (
        "hosts = []",
        "hosts: the list is empty; leave the key out for any host",
    ),
    (
        "hosts = [\"a\", \"A\"]",
        "hosts[1]: this host stands there twice",
    ),
    (
        "host = \"a:80\"",
        "host: routes match hosts without a port; write \"a\"",
    ),
    ("host = \"*\"", "leave the key out for any host"),
    ("methods = []", "leave the key out for any method"),
    (
        "methods = [\"get\"]",
        "methods[0]: methods are in upper case; write \"GET\"",
    ),
    (
        "methods = [\"GET\", \"GET\"]",
        "methods[1]: this method stands there twice",
    ),
    ("methods = [\"A B\"]", "\"A B\" is not a method"),
    (
        "methods = [\"CONNECT\"]",
        "CONNECT is refused before routing",
    ),
    (
        "methods = [\"GET\", \"trace\"]",
        "methods[1]: TRACE is refused before routing",
    ),
    (
        "methods = \"GET\"",
        "expected a list of methods such as [\"GET\"], found a string",
    ),
    (
        "headers = { \"a b\" = true }",
        "routes[0].headers.\"a b\": is not the name of a header field",
    ),
    (
        "headers = { x = false }",
        "expected a value, or true for any value, found the boolean false",
    ),
    (
        "headers = { x = \"a\\nb\" }",
        "can't be the value of a header field",
    ),
    (
        "headers = { x = \" a\" }",
        "can't be the value of a header field",
    ),
    ("headers = { x = \"1\", X = \"2\" }", "stands there twice"),
    ("headers = [\"x\"]", "expected a table, found a list"),
    (
        "strip-prefix = \"/b\"",
        "strip-prefix: \"/b\" is not how the path of the route begins; whole segments of \"/a\" can be cut",
    ),
    (
        "strip-prefix = \"/a\"\nrewrite-path = \"/b\"",
        "rewrite-path: 'strip-prefix' and 'rewrite-path' can't stand together",
    ),
    (
        "rewrite-path = \"/{y}\"",
        "rewrite-path: the path of the route has no '{y}'; known: *, x",
    ),
    (
        "rewrite-host = \"a/b\"",
        "rewrite-host: \"a/b\" is not a host name",
    ),
    ("timeout = \"0ms\"", "timeout: must be at least 1ms"),
    ("max-body = \"0B\"", "max-body: must be at least 1B"),
    ("max-body = 1", "found the integer 1"),
    ("requests-in-flight = 0", "must be at least 1"),
    ("name = \"\"", "name: a name has 1 to 200 bytes"),
    ("name = \"a\\nb\"", "no control characters"),
    (
        "plugin = [\"p\"]",
        "routes[0].plugin: unknown key; did you mean 'plugins'?",
    ),
];

#[test]
fn wrong_routes_are_refused() {
    for (line, problem) in WRONG {
        assert_problem(
            &with_route(&format!("path = \"/a/{{x}}/*\"\n{line}")),
            problem,
        );
    }
    assert_problem(&with_route(""), "2: routes[0]: 'path' is missing");
    assert_problem(
        &with_route("path = 1"),
        "routes[0].path: expected a path such as \"/users/*\", found the integer 1",
    );
    assert_problem(
        &with_route("path = \"/a?b\""),
        "query and fragment are no part of the path",
    );
    assert_problem(
        "[[routes]]\npath = \"/\"",
        "routes[0]: 'upstream' is missing",
    );
    assert_problem(
        "[[routes]]\npath = \"/\"\nupstream = \"u\"",
        "routes[0].upstream: there is no upstream \"u\"",
    );
}

#[test]
fn a_mistake_in_an_upstream_or_plugin_is_no_second_mistake_where_it_is_named() {
    let source = with_plugin("component = \"no.wasm\"").replace("http://u", "u");
    assert_eq!(problems(&source).len(), 2);
}
