//! A second implementation of the rule, as plain as can be: filter all routes, then take the greatest. The table must
//! agree with it on random tables and requests.

use std::cmp::Reverse;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::{Dice, header, route};
use crate::config::Route;
use crate::route::{NoMatch, Table};

const HOSTS: [&str; 5] = ["a.com", "b.a.com", "*.com", "*.a.com", "*.b.a.com"];
const METHODS: [Method; 3] = [Method::GET, Method::HEAD, Method::POST];
const HEADERS: [&str; 4] = ["x-a", "x-a=1", "x-a=2", "x-b=1"];

fn random_route(dice: &mut Dice) -> Route {
    let mut path: String = (0..dice.below(4))
        .map(|at| match dice.below(5) {
            0 | 1 => "/a".to_owned(),
            2 => "/b".to_owned(),
            _ => format!("/{{p{at}}}"),
        })
        .collect();
    path += match dice.below(4) {
        0 => "/",
        1 => "/*",
        _ if path.is_empty() => "/",
        _ => "",
    };
    let mut built = route(&path);
    let count = dice.below(3);
    built.hosts = (0..count).map(|_| dice.pick(&HOSTS).to_owned()).collect();
    built.methods = METHODS
        .iter()
        .filter(|_| dice.below(3) == 0)
        .cloned()
        .collect();
    if dice.below(3) == 0 {
        built.headers.push(header(dice.pick(&HEADERS)));
        if built.headers[0].name == "x-a" && dice.below(2) == 0 {
            built.headers.push(header("x-b=1"));
        }
    }
    built
}

struct Request {
    host: &'static str,
    path: String,
    method: Method,
    headers: HeaderMap,
}

fn random_request(dice: &mut Dice) -> Request {
    let path: String = (0..dice.below(5))
        .map(|_| dice.pick(&["/a", "/b", "/c", "/%61b"]))
        .collect();
    let mut headers = HeaderMap::new();
    for (name, value) in [("x-a", "1"), ("x-a", "2"), ("x-b", "1")] {
        if dice.below(3) == 0 {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
    }
    Request {
        host: dice.pick(&[
            "a.com",
            "b.a.com",
            "c.b.a.com",
            "com",
            "x.org",
            "B.A.com.:80",
        ]),
        path: if path.is_empty() || dice.below(4) == 0 {
            path + "/"
        } else {
            path
        },
        method: METHODS[dice.below(3)].clone(),
        headers,
    }
}

/// How specific the best of a route's hosts is.
fn host_rank(route: &Route, host: &str) -> Option<(u8, usize)> {
    let host = host.to_ascii_lowercase();
    let host = host.trim_end_matches(":80").trim_end_matches('.');
    if route.hosts.is_empty() {
        return Some((0, 0));
    }
    let rank = |pattern: &String| match pattern.strip_prefix('*') {
        Some(suffix) => host.ends_with(suffix).then_some((1, suffix.len())),
        None => (host == pattern).then_some((2, 0)),
    };
    route.hosts.iter().filter_map(rank).max()
}

/// One number for each segment, greater is more specific; where the path ends before `*` stands the greatest.
fn path_rank(route: &Route, path: &str) -> Option<Vec<u8>> {
    let mut wanted = route.path[1..].split('/').peekable();
    let mut rank = Vec::new();
    for given in path[1..].split('/') {
        match wanted.next()? {
            "*" => {
                rank.push(1);
                return Some(rank);
            }
            name if name.starts_with('{') && !given.is_empty() => rank.push(2),
            literal if literal == given => rank.push(3),
            _ => return None,
        }
    }
    match wanted.next() {
        None => rank.push(4),
        Some("*") => rank.push(1),
        Some(_) => return None,
    }
    Some(rank)
}

fn headers_hold(route: &Route, headers: &HeaderMap) -> bool {
    route
        .headers
        .iter()
        .all(|wanted| match (headers.get(&wanted.name), &wanted.value) {
            (Some(given), Some(value)) => given == value,
            (given, None) => given.is_some(),
            (None, Some(_)) => false,
        })
}

fn method_rank(route: &Route, method: &Method) -> Option<u8> {
    match method {
        _ if route.methods.is_empty() => Some(0),
        named if route.methods.contains(named) => Some(2),
        &Method::HEAD if route.methods.contains(&Method::GET) => Some(1),
        _ => None,
    }
}

fn reference(routes: &[Route], request: &Request) -> Result<usize, NoMatch> {
    let mut best = None;
    let mut allowed = Vec::new();
    for (index, route) in routes.iter().enumerate() {
        let Some(host) = host_rank(route, request.host) else {
            continue;
        };
        let Some(path) = path_rank(route, &request.path) else {
            continue;
        };
        if !headers_hold(route, &request.headers) {
            continue;
        }
        match method_rank(route, &request.method) {
            Some(method) => {
                let rank = (host, path, route.headers.len(), method, Reverse(index));
                best = best.max(Some((rank, index)));
            }
            None => {
                allowed.extend(route.methods.iter().map(Method::as_str));
                allowed.extend(route.methods.contains(&Method::GET).then_some("HEAD"));
            }
        }
    }
    allowed.sort_unstable();
    allowed.dedup();
    match best {
        Some((_, index)) => Ok(index),
        None if allowed.is_empty() => Err(NoMatch::NotFound),
        None => Err(NoMatch::Method {
            allow: HeaderValue::from_str(&allowed.join(", ")).unwrap(),
        }),
    }
}

/// Adds random routes one at a time and keeps those that leave the table unambiguous.
fn random_table(dice: &mut Dice) -> (Vec<Route>, Table) {
    let mut routes: Vec<Route> = Vec::new();
    for _ in 0..2 + dice.below(14) {
        routes.push(random_route(dice));
        if Table::build(&routes).is_err() {
            routes.pop();
        }
    }
    let table = Table::build(&routes).unwrap();
    (routes, table)
}

#[test]
fn the_table_agrees_with_the_plain_reading_of_the_rule() {
    let mut dice = Dice::new(2);
    let mut outcomes = [0; 3];
    for _ in 0..1_500 {
        let (routes, table) = random_table(&mut dice);
        for _ in 0..40 {
            let request = random_request(&mut dice);
            let Request {
                host,
                path,
                method,
                headers,
            } = &request;
            let found = table
                .find(host, path, method, headers)
                .map(|found| found.index);
            outcomes[match found {
                Ok(_) => 0,
                Err(NoMatch::NotFound) => 1,
                Err(NoMatch::Method { .. }) => 2,
            }] += 1;
            let expected = reference(&routes, &request);
            assert_eq!(
                found, expected,
                "{method} {host}{path} {headers:?} among {routes:#?}"
            );
        }
    }
    assert!(
        outcomes.iter().all(|&count| count > 1_000),
        "the generator is lopsided: {outcomes:?}"
    );
}

#[test]
fn two_routes_that_the_table_accepts_never_tie() {
    let mut dice = Dice::new(3);
    let mut compared = 0;
    for _ in 0..150_000 {
        let routes = [random_route(&mut dice), random_route(&mut dice)];
        let request = random_request(&mut dice);
        let rank = |route: &Route| {
            let (host, path) = (
                host_rank(route, request.host)?,
                path_rank(route, &request.path)?,
            );
            let method = method_rank(route, &request.method)?;
            headers_hold(route, &request.headers).then_some((
                host,
                path,
                route.headers.len(),
                method,
            ))
        };
        if let (Some(first), Some(second)) = (rank(&routes[0]), rank(&routes[1])) {
            compared += 1;
            assert!(
                first != second || Table::build(&routes).is_err(),
                "{routes:#?} tie but were accepted"
            );
        }
    }
    assert!(
        compared > 300,
        "the generator makes too few pairs: {compared}"
    );
}
