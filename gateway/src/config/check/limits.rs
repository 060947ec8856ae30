//! `[server.limits]`: defaults, and what can be written instead. What each limit is for stands with its value.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::super::read::Section;
use super::super::{ClientLimits, Network};
use super::{LONGEST, SHORTEST};

/// Open connections that can be allowed; Linux has no more file descriptors for one process.
const CONNECTIONS_MAX: u32 = 1_000_000;
/// Requests in flight that can be allowed.
pub(super) const IN_FLIGHT_MAX: u32 = 10_000_000;
/// Requests on one connection that can be allowed; more need no limit.
const REQUESTS_MAX: u32 = 1_000_000_000;
/// Header fields that can be allowed: so many still fit into what a message may have after plugins' edits, and the
/// parser sets aside room for as many with each head.
const HEADERS_MAX: u32 = 1_000;
/// hyper's read buffer is not smaller.
const HEADER_BYTES_MIN: usize = 8 << 10;
/// Bytes of a request head that can be allowed.
const HEADER_BYTES_MAX: usize = 16 << 20;
/// `http::Uri` takes no more.
const URI_BYTES_MAX: usize = 65_534;
/// Streams of an h2 connection that can be allowed.
const STREAMS_MAX: u32 = 10_000;
/// Resets and control frames that can be allowed; more is no limit.
const FRAMES_MAX: u32 = 1_000_000;
/// Bytes per second that can be asked for; more would cut off clients that have a good connection.
const MIN_RATE_MAX: usize = 1 << 20;

/// What holds if nothing is written.
pub(super) fn defaults() -> ClientLimits {
    let loopback = |address, prefix| Network { address, prefix };
    ClientLimits {
        connections: 10_000,
        connections_per_listener: None,
        connections_per_address: 256,
        exempt_addresses: vec![
            loopback(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
            loopback(IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
        ],
        requests_per_connection: None,
        requests_in_flight: 20_000,
        handshake_timeout: Duration::from_secs(10),
        header_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(60),
        body_timeout: Duration::from_secs(30),
        min_rate: 240,
        headers: 100,
        header_bytes: 64 << 10,
        uri_bytes: 8 << 10,
        streams: 100,
        resets: 100,
        control_frames: 1_000,
        drain_timeout: Duration::from_secs(30),
    }
}

/// The table.
pub(super) fn read(mut section: Section<'_>, default: ClientLimits) -> ClientLimits {
    let times = SHORTEST..=LONGEST;
    let connections = 1..=CONNECTIONS_MAX;
    let frames = 1..=FRAMES_MAX;
    let head_bytes = HEADER_BYTES_MIN..=HEADER_BYTES_MAX;
    let limits = ClientLimits {
        connections: section.count("connections", default.connections, connections.clone()),
        connections_per_listener: section
            .take("connections-per-listener")
            .and_then(|item| item.count(connections.clone()))
            .map(|count| count as usize),
        connections_per_address: section.count(
            "connections-per-address",
            default.connections_per_address,
            connections,
        ),
        exempt_addresses: exempt(&mut section).unwrap_or(default.exempt_addresses),
        requests_per_connection: section
            .take("requests-per-connection")
            .and_then(|item| item.count(1..=REQUESTS_MAX)),
        requests_in_flight: section.count(
            "requests-in-flight",
            default.requests_in_flight,
            1..=IN_FLIGHT_MAX,
        ),
        handshake_timeout: section.duration(
            "handshake-timeout",
            default.handshake_timeout,
            times.clone(),
        ),
        header_timeout: section.duration("header-timeout", default.header_timeout, times.clone()),
        idle_timeout: section.duration("idle-timeout", default.idle_timeout, times.clone()),
        body_timeout: section.duration("body-timeout", default.body_timeout, times.clone()),
        min_rate: section.size("min-rate", default.min_rate as usize, 0..=MIN_RATE_MAX) as u64,
        headers: section.count("headers", default.headers, 1..=HEADERS_MAX),
        header_bytes: section.size("header-bytes", default.header_bytes, head_bytes),
        uri_bytes: section.size("uri-bytes", default.uri_bytes, 1..=URI_BYTES_MAX),
        streams: section.count("streams", default.streams, 1..=STREAMS_MAX),
        resets: section.count("resets", default.resets, frames.clone()),
        control_frames: section.count("control-frames", default.control_frames, frames),
        drain_timeout: section.duration("drain-timeout", default.drain_timeout, times),
    };
    section.finish();
    limits
}

fn exempt(section: &mut Section<'_>) -> Option<Vec<Network>> {
    let network = "a range such as \"10.0.0.0/8\"";
    let items = section
        .take("exempt-addresses")?
        .list(&format!("a list with {network}"))?;
    let read = items.iter();
    Some(
        read.filter_map(|item| item.parsed(network, str::parse))
            .collect(),
    )
}
