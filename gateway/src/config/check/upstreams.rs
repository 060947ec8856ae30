//! `[upstreams.NAME]`: endpoints and how they are talked to.
//!
//! Endpoints are origins; their names are resolved when a connection is made, not here.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::read::Section;
use super::super::tls::UpstreamTls;
use super::super::{Invalid, Origin, Place, Upstream};
use super::{LONGEST, SHORTEST, check_name, tls};

/// Idle connections per worker and endpoint that can be kept; each costs a file descriptor on both sides.
const IDLE_CONNECTIONS_MAX: u32 = 10_000;

/// The upstreams that are written, also those with mistakes in them.
pub(super) type Upstreams = BTreeMap<String, Found>;

/// An upstream that is written.
pub(super) struct Found {
    /// What was meant, unless it has no endpoints.
    pub(super) upstream: Option<Upstream>,
    /// Where it was written.
    pub(super) place: Place,
}

/// All upstreams.
pub(super) fn read(root: &mut Section<'_>) -> Upstreams {
    let mut upstreams = Upstreams::new();
    for member in root
        .section("upstreams")
        .map(|s| s.members())
        .unwrap_or_default()
    {
        check_name(&member);
        if let Some(section) = member.item.section() {
            upstreams.insert(member.name.to_owned(), upstream(section));
        }
    }
    upstreams
}

fn upstream(mut section: Section<'_>) -> Found {
    let place = section.place();
    let endpoint = "an endpoint such as \"http://127.0.0.1:9001\"";
    let written = section.required("endpoints");
    let items = written.and_then(|item| {
        item.filled_list(
            &format!("a list with {endpoint}"),
            "an upstream needs at least one endpoint",
        )
    });
    let endpoints: Option<Vec<_>> = items.map(|items| {
        items
            .iter()
            .filter_map(|item| item.parsed(endpoint, str::parse))
            .collect()
    });

    let bounds = SHORTEST..=LONGEST;
    let mut time =
        |name, seconds| section.duration(name, Duration::from_secs(seconds), bounds.clone());
    let connect_timeout = time("connect-timeout", 3);
    let response_timeout = time("response-timeout", 60);
    let body_timeout = time("body-timeout", 30);
    let idle_timeout = time("idle-timeout", 30);
    let idle_connections = section.count("idle-connections", 64, 0..=IDLE_CONNECTIONS_MAX);
    let tls = tls(&mut section, endpoints.as_deref());
    section.finish();
    Found {
        upstream: endpoints.zip(tls).map(|(endpoints, tls)| Upstream {
            endpoints,
            connect_timeout,
            response_timeout,
            body_timeout,
            idle_connections,
            idle_timeout,
            tls,
        }),
        place,
    }
}

/// `None` if there is a mistake in the table.
fn tls(section: &mut Section<'_>, endpoints: Option<&[Origin]>) -> Option<UpstreamTls> {
    let Some(item) = section.take("tls") else {
        return Some(UpstreamTls::default());
    };
    if endpoints.is_some_and(|endpoints| endpoints.iter().all(|endpoint| !endpoint.tls)) {
        let problem = Invalid::new("no endpoint speaks TLS");
        item.invalid(problem.hint("write https:// in the endpoints that do"));
    }
    tls::of_upstream(item.section()?)
}
