//! `[[routes]]`: which requests go where.
//!
//! Each route is checked alone, and against what it names. Whether two routes would match the same request is found
//! by the route table.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, Method};
use toml::de::DeValue;

use super::super::read::{Item, Reader, Section};
use super::super::{ChainEntry, HeaderMatch, Invalid, Place, Route, host, suggest};
use super::pattern::Pattern;
use super::plugins::Plugins;
use super::upstreams::Upstreams;
use super::{LONGEST, SHORTEST, chain, limits};

/// Bytes of a route's name; it becomes a label of metrics.
const NAME_BYTES_MAX: usize = 200;
/// Bytes of a body that can be allowed: more than any disk.
const BODY_BYTES_MAX: u64 = 1 << 60;

/// The routes, as far as they could be read.
#[derive(Default)]
pub(super) struct Routes {
    /// Routes in the order of the file, with the chain in front of each put there. All of them know what they match;
    /// the upstream of one may not exist.
    pub(super) routes: Vec<Route>,
    /// What stands in the chains of routes that are left out.
    pub(super) left_over: Vec<ChainEntry>,
}

/// All routes.
pub(super) fn read(
    root: &mut Section<'_>,
    plugins: &Plugins,
    upstreams: &Upstreams,
    front: &[ChainEntry],
) -> Routes {
    let mut found = Routes::default();
    let mut names: BTreeMap<String, Place> = BTreeMap::new();
    for item in root.list(
        "routes",
        "a list of tables: each route begins with [[routes]]",
    ) {
        let Some(mut section) = item.section() else {
            continue;
        };
        let name = section.take("name");
        let written = name
            .as_ref()
            .and_then(|item| item.parsed("a name", route_name));
        let mut route = match route(item.reader, section, plugins, upstreams) {
            Ok(route) => route,
            Err(chain) => {
                found.left_over.extend(chain);
                continue;
            }
        };
        route.plugins.splice(..0, front.iter().cloned());
        let at = name.as_ref().unwrap_or(&item);
        route.name = written.unwrap_or(route.name);
        if let Some(other) = names.get(&route.name) {
            let problem = format!(
                "the route in line {} has the name {:?} too",
                other.line, route.name
            );
            at.invalid(Invalid::new(problem).hint("give one of them another 'name'"));
        }
        names.insert(route.name.clone(), at.place());
        found.routes.push(route);
    }
    found
}

fn route_name(text: &str) -> Result<String, Invalid> {
    if text.trim().is_empty() || text.len() > NAME_BYTES_MAX || text.contains(char::is_control) {
        let message = format!("a name has 1 to {NAME_BYTES_MAX} bytes and no control characters");
        return Err(Invalid::new(message));
    }
    Ok(text.to_owned())
}

/// `strip-prefix` and `rewrite-path`, of which a route has one at most.
fn path_changes(
    section: &mut Section<'_>,
    pattern: Option<&Pattern>,
) -> (Option<String>, Option<String>) {
    let strip_prefix = section.take("strip-prefix");
    let rewrite_path = section.take("rewrite-path");
    if let (Some(item), Some(_)) = (&rewrite_path, &strip_prefix) {
        item.problem("'strip-prefix' and 'rewrite-path' can't stand together");
    }
    let strip_prefix = strip_prefix
        .and_then(|item| path_change(&item, |text| pattern?.check_strip_prefix(text).err()));
    let rewrite_path = rewrite_path
        .and_then(|item| path_change(&item, |text| pattern?.check_rewrite_path(text).err()));
    (strip_prefix, rewrite_path)
}

/// A route under its default name, or just its chain if it is not sure what the route is to match.
fn route(
    reader: &Reader<'_>,
    mut section: Section<'_>,
    plugins: &Plugins,
    upstreams: &Upstreams,
) -> Result<Route, Vec<ChainEntry>> {
    let origin = section.place();
    let before = reader.problems();
    let hosts = hosts(&mut section);
    let path_text = "a path such as \"/users/*\"";
    let path_item = section.required("path");
    let path = path_item
        .as_ref()
        .and_then(|item| item.string(path_text))
        .unwrap_or_default();
    let pattern = path_item.and_then(|item| item.parsed(path_text, Pattern::parse));
    let methods = section
        .take("methods")
        .map(|item| methods(&item))
        .unwrap_or_default();
    let headers = section.section("headers").map(headers).unwrap_or_default();
    let matches = reader.problems() == before;
    let upstream = section
        .required("upstream")
        .and_then(|item| upstream(&item, upstreams))
        .unwrap_or_default();
    let (strip_prefix, rewrite_path) = path_changes(&mut section, pattern.as_ref());
    let rewrite_host = section
        .take("rewrite-host")
        .and_then(|item| item.parsed("a host such as \"users.example.com\"", header_host));
    let timeout = section
        .take("timeout")
        .and_then(|item| item.duration(SHORTEST..=LONGEST));
    let max_body_bytes = section
        .take("max-body")
        .and_then(|item| item.size(1..=BODY_BYTES_MAX));
    let requests_in_flight = section
        .take("requests-in-flight")
        .and_then(|item| item.count(1..=limits::IN_FLIGHT_MAX));
    let plugins = chain::read(&mut section, plugins);
    let before = reader.problems();
    section.finish();

    // An unknown key may be a mistyped condition.
    if !matches || reader.problems() > before {
        return Err(plugins);
    }
    Ok(Route {
        name: default_name(&hosts, path, &methods),
        origin,
        hosts,
        path: path.to_owned(),
        methods,
        headers,
        upstream,
        strip_prefix,
        rewrite_path,
        rewrite_host,
        timeout,
        max_body_bytes,
        requests_in_flight,
        plugins,
    })
}

/// `GET,POST a.example,b.example /path`, without what is not written.
fn default_name(hosts: &[String], path: &str, methods: &[Method]) -> String {
    let methods: Vec<&str> = methods.iter().map(Method::as_str).collect();
    let parts = [methods.join(","), hosts.join(","), path.to_owned()];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

fn hosts(section: &mut Section<'_>) -> Vec<String> {
    let what = "a host such as \"example.com\" or \"*.example.com\"";
    let one = section.take("host");
    let many = section.take("hosts");
    if let (Some(item), Some(_)) = (&one, &many) {
        item.problem("'host' and 'hosts' can't stand together");
    }
    let items = match many {
        Some(item) => item.filled_list(
            &format!("a list with {what}"),
            "leave the key out for any host",
        ),
        None => one.map(|item| vec![item]),
    };
    let mut hosts = Vec::new();
    for item in items.unwrap_or_default() {
        match item.parsed(what, host::pattern) {
            Some(host) if hosts.contains(&host) => item.problem("this host stands there twice"),
            Some(host) => hosts.push(host),
            None => {}
        }
    }
    hosts
}

fn methods(item: &Item<'_>) -> Vec<Method> {
    let items = item.filled_list(
        "a list of methods such as [\"GET\"]",
        "leave the key out for any method",
    );
    let mut methods = Vec::new();
    for item in items.unwrap_or_default() {
        match item.parsed("a method such as \"GET\"", method) {
            Some(method) if methods.contains(&method) => {
                item.problem("this method stands there twice")
            }
            Some(method) => methods.push(method),
            None => {}
        }
    }
    methods
}

fn method(text: &str) -> Result<Method, Invalid> {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let upper = text.to_ascii_uppercase();
    if upper == "CONNECT" || upper == "TRACE" {
        return Err(Invalid::new(format!("{upper} is refused before routing")));
    }
    if KNOWN.contains(&upper.as_str()) && upper != text {
        let problem = Invalid::new("methods are in upper case");
        return Err(problem.hint(format!("write {upper:?}")));
    }
    Method::from_bytes(text.as_bytes())
        .map_err(|_| Invalid::new(format!("{text:?} is not a method")))
}

fn headers(section: Section<'_>) -> Vec<HeaderMatch> {
    let mut headers: Vec<HeaderMatch> = Vec::new();
    for member in section.members() {
        let Ok(name) = HeaderName::from_bytes(member.name.as_bytes()) else {
            member.name_problem(Invalid::new("is not the name of a header field"));
            continue;
        };
        if headers.iter().any(|header| header.name == name) {
            let message = "this header field stands there twice: case does not matter";
            member.name_problem(Invalid::new(message));
        }
        let what = "a value, or true for any value";
        let value = match member.item.value.get_ref() {
            DeValue::Boolean(true) => None,
            DeValue::String(_) => match member.item.parsed(what, header_value) {
                Some(value) => Some(value),
                None => continue,
            },
            _ => {
                member.item.expected(what);
                continue;
            }
        };
        headers.push(HeaderMatch { name, value });
    }
    headers
}

/// RFC 9110 5.5: white space around a value is no part of it.
fn header_value(text: &str) -> Result<HeaderValue, Invalid> {
    match HeaderValue::from_str(text) {
        Ok(value) if text.trim() == text => Ok(value),
        _ => Err(Invalid::new(format!(
            "{text:?} can't be the value of a header field"
        ))),
    }
}

fn header_host(text: &str) -> Result<HeaderValue, Invalid> {
    let text = match host::authority(text)? {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host,
    };
    header_value(&text)
}

fn upstream(item: &Item<'_>, upstreams: &Upstreams) -> Option<String> {
    let name = item.string("an upstream's name")?;
    if !upstreams.contains_key(name) {
        let hint = suggest::hint(name, upstreams.keys().map(String::as_str));
        let message = format!("there is no upstream {name:?}");
        item.absent(Invalid { message, hint });
        return None;
    }
    Some(name.to_owned())
}

fn path_change(item: &Item<'_>, check: impl Fn(&str) -> Option<Invalid>) -> Option<String> {
    item.parsed("a path such as \"/users\"", |text| match check(text) {
        Some(problem) => Err(problem),
        None => Ok(text.to_owned()),
    })
}
