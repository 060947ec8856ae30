//! Tests of the table: the documented rule by example, ambiguity, 405. `reference` compares it with a plain reading of
//! the rule on random tables. Also the seeded dice and the route builder that the tests beside the other files use.

mod reference;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::{Match, NoMatch, RouteError, Table};
use crate::config::{HeaderMatch, Place, Route};

/// Random numbers that are the same in every run (splitmix64).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % u64::try_from(bound).unwrap()).unwrap()
    }

    pub(super) fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }
}

/// A route for any host and method, named after its path.
pub(super) fn route(path: &str) -> Route {
    Route {
        name: path.to_owned(),
        origin: Place {
            file: "gateway.toml".into(),
            line: 1,
            key: "routes[0]".to_owned(),
        },
        hosts: Vec::new(),
        path: path.to_owned(),
        methods: Vec::new(),
        headers: Vec::new(),
        upstream: "up".to_owned(),
        strip_prefix: None,
        rewrite_path: None,
        rewrite_host: None,
        timeout: None,
        max_body_bytes: None,
        requests_in_flight: None,
        plugins: Vec::new(),
    }
}

/// A route written as in the module's documentation: `HOST,.. PATH [METHOD,..] [NAME[=VALUE],..]`, `-` for any.
fn routes(lines: &[&str]) -> Vec<Route> {
    let line = |(index, line): (usize, &&str)| {
        let mut words = line.split_whitespace();
        let mut list = || {
            words
                .next()
                .filter(|word| *word != "-")
                .map(|word| word.split(','))
        };
        let hosts = list().into_iter().flatten().map(str::to_owned).collect();
        let mut built = route(&list().unwrap().collect::<String>());
        built.hosts = hosts;
        built.methods = list()
            .into_iter()
            .flatten()
            .map(|name| name.parse().unwrap())
            .collect();
        built.headers = list().into_iter().flatten().map(header).collect();
        built.name = format!("r{index}");
        built.origin.line = index + 1;
        built
    };
    lines.iter().enumerate().map(line).collect()
}

fn header(written: &str) -> HeaderMatch {
    let (name, value) = match written.split_once('=') {
        Some((name, value)) => (name, Some(HeaderValue::from_str(value).unwrap())),
        None => (written, None),
    };
    HeaderMatch {
        name: HeaderName::try_from(name).unwrap(),
        value,
    }
}

fn table(lines: &[&str]) -> Table {
    Table::build(&routes(lines)).unwrap()
}

fn errors(lines: &[&str]) -> Vec<RouteError> {
    Table::build(&routes(lines)).unwrap_err()
}

/// Looks up `METHOD HOST/PATH [NAME=VALUE]`.
fn find(table: &Table, request: &str) -> Result<Match, NoMatch> {
    let mut words = request.split(' ');
    let method: Method = words.next().unwrap().parse().unwrap();
    let target = words.next().unwrap();
    let (host, path) = target.split_at(target.find('/').unwrap());
    let mut headers = HeaderMap::new();
    for (name, value) in words.filter_map(|word| word.split_once('=')) {
        headers.append(
            HeaderName::try_from(name).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    table.find(host, path, &method, &headers)
}

fn index(table: &Table, request: &str) -> Option<usize> {
    find(table, request).ok().map(|found| found.index)
}

fn allow(table: &Table, request: &str) -> Option<String> {
    match find(table, request) {
        Err(NoMatch::Method { allow }) => Some(allow.to_str().unwrap().to_owned()),
        _ => None,
    }
}

#[test]
fn the_example_in_the_documentation_holds() {
    let table = table(&[
        "- /users/*",
        "- /users/{id}",
        "- /users/me GET",
        "- /users/me - x-version=2",
        "*.example.com /{section}/*",
    ]);
    let (a, b, c, d, e) = (Some(0), Some(1), Some(2), Some(3), Some(4));
    for (request, expected) in [
        ("GET other.org/users/7", b),
        ("GET other.org/users/me", c),
        ("HEAD other.org/users/me", c),
        ("PUT other.org/users/me", b),
        ("PUT other.org/users/me x-version=2", d),
        ("GET other.org/users/me x-version=2", d),
        ("GET other.org/users/7/", a),
        ("GET other.org/users", a),
        ("GET api.example.com/users/me", e),
        ("GET api.example.com/", None),
    ] {
        assert_eq!(index(&table, request), expected, "{request}");
    }
}

#[test]
fn hosts_go_from_exact_to_any_and_fall_back() {
    let table = table(&["a.b.com /x", "*.b.com /y", "*.com /z", "- /*", "[::1] /v6"]);
    for (request, expected) in [
        ("GET a.b.com/x", 0),
        ("GET A.B.COM.:8080/x", 0),
        ("GET a.b.com/y", 1),
        ("GET q.a.b.com/y", 1),
        ("GET a.b.com/z", 2),
        ("GET b.com/z", 2),
        ("GET b.com/y", 3),
        ("GET com/z", 3),
        ("GET a.b.com/w", 3),
        ("GET /x", 3),
        ("GET [::1]:80/v6", 4),
    ] {
        assert_eq!(index(&table, request), Some(expected), "{request}");
    }
}

#[test]
fn a_star_matches_its_prefix_and_all_below() {
    let table = table(&["- /a/*", "- /b"]);
    for (request, rest) in [
        ("GET /a", ""),
        ("GET /a/", ""),
        ("GET /a/b", "b"),
        ("GET /a/b/c/", "b/c/"),
    ] {
        let path = &request[4..];
        let found = find(&table, request).unwrap();
        assert_eq!(found.params.rest(path), Some(rest));
        assert_eq!(found.params.get("*", path), Some(rest));
    }
    for request in ["GET /ab", "GET /", "GET /b/", "GET /b/c", "GET /A"] {
        assert_eq!(find(&table, request), Err(NoMatch::NotFound), "{request}");
    }
}

#[test]
fn params_are_what_the_chosen_pattern_names() {
    let table = table(&["- /{a}/x/{b}/fixed", "- /{first}/{second}/*", "- /plain"]);
    let path = "/1/x/%C3%A9/other";
    let params = find(&table, &format!("GET {path}")).unwrap().params;
    let pairs: Vec<_> = params.iter(path).collect();
    assert_eq!(
        pairs,
        [("first", "1"), ("second", "x")],
        "values of the branch that failed must be gone"
    );
    assert_eq!(params.rest(path), Some("%C3%A9/other"));
    let path = "/1/x/%C3%A9/fixed";
    let params = find(&table, &format!("GET {path}")).unwrap().params;
    assert_eq!(
        (params.get("a", path), params.get("b", path)),
        (Some("1"), Some("%C3%A9"))
    );
    assert_eq!(
        (
            params.get("first", path),
            params.rest(path),
            params.get("*", path)
        ),
        (None, None, None)
    );
    assert_eq!(
        find(&table, "GET /plain")
            .unwrap()
            .params
            .iter("/plain")
            .count(),
        0
    );
}

#[test]
fn an_escaped_literal_takes_the_literals_route() {
    let table = table(&["- /@admin", "- /caf%C3%A9", "- /*"]);
    for (request, expected) in [
        ("GET /@admin", 0),
        ("GET /%40admin", 0),
        ("GET /caf%C3%A9", 1),
        ("GET /%2540admin", 2),
    ] {
        assert_eq!(index(&table, request), Some(expected), "{request}");
    }
}

#[test]
fn only_a_failed_method_is_405_and_allow_names_all_that_would_hold() {
    let table = table(&[
        "- /a POST",
        "- /{x} GET,PUT",
        "- /a DELETE x-key",
        "h.com /a PATCH",
        "- /b GET x-key=1",
        "- /c/* PUT",
    ]);
    for (request, expected) in [
        ("OPTIONS /a", Some("GET, HEAD, POST, PUT")),
        ("OPTIONS /a x-key=1", Some("DELETE, GET, HEAD, POST, PUT")),
        ("OPTIONS h.com/a", Some("GET, HEAD, PATCH, POST, PUT")),
        ("POST /b", Some("GET, HEAD, PUT")),
        ("GET /c", None),
        ("GET /c/d", Some("PUT")),
        ("GET /d/e", None),
    ] {
        assert_eq!(allow(&table, request).as_deref(), expected, "{request}");
    }
    assert_eq!(find(&table, "GET /d/e"), Err(NoMatch::NotFound));
    assert_eq!(
        index(&table, "GET /a"),
        Some(1),
        "a method that fails hides nothing"
    );
}

#[test]
fn a_named_method_wins_before_an_implied_and_any() {
    let table = table(&["- /a", "- /a GET", "- /a HEAD", "- /b", "- /b GET"]);
    for (request, expected) in [
        ("PUT /a", 0),
        ("GET /a", 1),
        ("HEAD /a", 2),
        ("HEAD /b", 4),
        ("PUT /b", 3),
    ] {
        assert_eq!(index(&table, request), Some(expected), "{request}");
    }
}

#[test]
fn header_matches_need_the_field_or_its_exact_value() {
    let table = table(&["- /a", "- /a - x-v=1", "- /a - x-v=2", "- /a - x-v=2,x-w"]);
    for (request, expected) in [
        ("GET /a", 0),
        ("GET /a x-v=3", 0),
        ("GET /a x-v=1", 1),
        ("GET /a x-v=2", 2),
        ("GET /a x-v=2 x-w=", 3),
        ("GET /a x-v=2 x-v=1", 1),
    ] {
        assert_eq!(index(&table, request), Some(expected), "{request}");
    }
}

#[test]
fn ambiguous_routes_are_refused_and_both_are_named() {
    let found = errors(&["- /x/{a} GET", "- /x/{b} POST,GET"]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].origin.line, 2);
    assert_eq!(
        found[0].to_string(),
        "route `r1` is ambiguous with route `r0` at gateway.toml:1: same host, path, number of headers, and a method \
         in common"
    );
}

#[test]
fn a_pair_is_ambiguous_only_if_the_rule_prefers_neither() {
    for (first, second) in [
        ("- /a", "- /a"),
        ("- /%7Ea", "- /~a"),
        ("- /a/*", "- /a/*"),
        ("a.com,b.com /a", "b.com,a.com,c.com /a"),
        ("A.com. /a", "a.com /a"),
        ("- /a - x-a", "- /a - x-b"),
        ("- /a - x-a=1", "- /a - x-a"),
        ("- /a - x-a=1,x-b=1", "- /a - x-a=1,x-c=1"),
        ("- /a - x-a=1,x-a=1", "- /a - x-b"),
    ] {
        assert_eq!(errors(&[first, second]).len(), 1, "{first} | {second}");
    }
    for (first, second) in [
        ("- /a", "- /a/"),
        ("- /a", "- /a/*"),
        ("- /{a}", "- /a"),
        ("a.com /a", "*.com /a"),
        ("- /a GET", "- /a"),
        ("- /a GET", "- /a HEAD"),
        ("- /a GET", "- /a POST"),
        ("- /a - x-a", "- /a"),
        ("- /a - x-a=1", "- /a - x-a=2"),
        ("- /a - x-a=1,x-b=1", "- /a - x-a=2,x-c=1"),
    ] {
        assert!(
            Table::build(&routes(&[first, second])).is_ok(),
            "{first} | {second}"
        );
    }
}

#[test]
fn all_errors_are_reported_at_once() {
    let lines: Vec<usize> = errors(&["- /a", "- /b//c", "- /a", "- /a*", "- /a"])
        .iter()
        .map(|e| e.origin.line)
        .collect();
    assert_eq!(lines, [2, 4, 3, 5, 5]);
}

#[test]
fn a_path_that_is_no_path_finds_nothing() {
    let table = table(&["- /*"]);
    let headers = HeaderMap::new();
    for path in ["*", "", "a"] {
        let found = table.find("", path, &Method::OPTIONS, &headers);
        assert_eq!(found, Err(NoMatch::NotFound), "{path}");
    }
}
