//! `server.listen`: addresses, and tables for listeners that do more than plain HTTP.
//!
//! `[[server.listen]]` is the same list. Whether an address can be bound is found out by binding it, not here.

use std::net::SocketAddr;

use toml::de::DeValue;

use super::super::read::{Item, Section};
use super::super::{Invalid, Listener};
use super::tls;

/// Listeners that can be had; each has a socket for every worker.
const LISTENERS_MAX: usize = 256;

/// What the list holds.
pub(super) fn read(item: &Item<'_>) -> Vec<Listener> {
    let what = "a list of addresses such as [\"127.0.0.1:8080\"]";
    let items = item
        .filled_list(what, "leave the key out for 127.0.0.1:8080")
        .unwrap_or_default();
    if items.len() > LISTENERS_MAX {
        item.problem(format!("has more than {LISTENERS_MAX} listeners"));
    }
    let mut listeners: Vec<Listener> = Vec::new();
    for item in items {
        let Some((written, listener)) = listener(&item) else {
            continue;
        };
        let known = listeners.iter().map(|other| other.address);
        if let Some(other) = known
            .clone()
            .find(|other| overlap(*other, listener.address))
        {
            written.problem(format!("is the same as, or part of, the listener {other}"));
        }
        listeners.push(listener);
    }
    listeners
}

/// A listener, and where its address was written.
fn listener<'a>(item: &Item<'a>) -> Option<(Item<'a>, Listener)> {
    match item.value.get_ref() {
        DeValue::Table(_) => table(item.section()?),
        DeValue::String(_) => {
            let listener = Listener::plain(address(item)?);
            Some((item.clone(), listener))
        }
        _ => {
            item.expected("an address such as \"127.0.0.1:8080\" or a table with 'address'");
            None
        }
    }
}

fn table<'a>(mut section: Section<'a>) -> Option<(Item<'a>, Listener)> {
    let written = section.required("address");
    let address = written.as_ref().and_then(address);
    let tls = section.take("tls");
    let redirect = redirect(&mut section, tls.is_some());
    let proxy_protocol = section.boolean("proxy-protocol", false);
    let tls = tls.map(|item| item.section().and_then(tls::of_listener));
    section.finish();
    let listener = Listener {
        address: address?,
        // A mistake in the table is no plain listener.
        tls: tls.map_or(Some(None), |found| found.map(Some))?,
        redirect,
        proxy_protocol,
    };
    Some((written?, listener))
}

/// The port to send clients to.
fn redirect(section: &mut Section<'_>, is_tls: bool) -> Option<u16> {
    let redirect = section.take("redirect");
    let port = section.take("redirect-port");
    let Some(redirect) = redirect else {
        if let Some(port) = port {
            let problem = Invalid::new("says nothing without 'redirect'");
            port.invalid(problem.hint("write redirect = \"https\" beside it"));
        }
        return None;
    };
    let what = "\"https\"";
    if redirect.string(what).is_some_and(|word| word != "https") {
        redirect.expected(what);
    }
    if is_tls {
        let problem = Invalid::new("clients of a TLS listener are there already");
        redirect.invalid(problem.hint("redirect from a listener without 'tls'"));
    }
    let port = port.and_then(|port| port.count(1..=u32::from(u16::MAX)));
    Some(
        port.and_then(|port| u16::try_from(port).ok())
            .unwrap_or(443),
    )
}

/// An address with a port.
pub(super) fn address(item: &Item<'_>) -> Option<SocketAddr> {
    item.parsed("an address such as \"127.0.0.1:8080\"", parse)
}

/// Whether two listeners would get the same connections. Port 0 is a new port each time.
pub(super) fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let same_family = a.is_ipv4() == b.is_ipv4();
    let any = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || (same_family && any))
}

/// An address with a port, or what would be one.
pub(super) fn parse(text: &str) -> Result<SocketAddr, Invalid> {
    text.parse().map_err(|_| {
        let problem = Invalid::new(format!("{text:?} is not an address with a port"));
        match text.strip_prefix(':').or(text.strip_prefix("localhost:")) {
            Some(port) => problem.hint(format!("did you mean \"127.0.0.1:{port}\"?")),
            None => problem.hint("such as \"127.0.0.1:8080\", \"0.0.0.0:80\" or \"[::1]:8080\""),
        }
    })
}
