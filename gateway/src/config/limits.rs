//! What a client may use, as the operator meant it: the values of `[server.limits]`.

use std::time::Duration;

use super::Network;

/// `[server.limits]`: what a client may use. Every value is per connection unless its name says otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientLimits {
    /// Open client connections in all. Key `connections`, default 10,000. One more is told 503 and closed at once, as
    /// with the next two.
    pub connections: usize,
    /// Open connections on one of several listeners, so that a public one can't take all places. Key
    /// `connections-per-listener`, default none beyond `connections`.
    pub connections_per_listener: Option<usize>,
    /// Open connections of one client address; of IPv6 the first 64 bits count, since whoever has one address there has
    /// them all. Key `connections-per-address`, default 256.
    pub connections_per_address: usize,
    /// Addresses (CIDR) that `connections-per-address` is not for. Key `exempt-addresses`, default this machine's own
    /// (`127.0.0.0/8`, `::1`): a proxy or a load generator beside the gateway is many clients. `trusted-proxies` are
    /// always exempt, for the same reason.
    pub exempt_addresses: Vec<Network>,
    /// Requests on one connection; then it is closed (h1) or told to go (h2). Key `requests-per-connection`, default
    /// none.
    pub requests_per_connection: Option<u32>,
    /// Requests in flight in all, from their head to the end of the response. One more is 503 `overloaded` before any
    /// plugin runs. From half of it on, that is for requests whose connection has no other one in flight. Key
    /// `requests-in-flight`, default 20,000: one for each connection, and as many more for those of h2.
    pub requests_in_flight: u32,
    /// Time from the connection to the end of its TLS handshake, a header of the PROXY protocol included. Key
    /// `handshake-timeout`, default 10 s.
    pub handshake_timeout: Duration,
    /// Time to send a request head, from its first byte. Key `header-timeout`, default 10 s.
    pub header_timeout: Duration,
    /// Time that a connection may be idle between requests, whatever frames come that are none. Key `idle-timeout`,
    /// default 60 s.
    pub idle_timeout: Duration,
    /// Time that a client may keep a body waiting, in either direction, beyond what `min_rate` gives back. Key
    /// `body-timeout`, default 30 s.
    pub body_timeout: Duration,
    /// Bytes per second of a body, in either direction, below which `body_timeout` runs: so many bytes give back a
    /// second. Key `min-rate`, default 240; 0 lets every byte give back the whole time.
    pub min_rate: u64,
    /// Header fields in a request. Key `headers`, default 100, at most 1,000; one more is 431.
    pub headers: usize,
    /// Bytes of a request head; of an h2 one as RFC 9113 6.5.2 counts them. Key `header-bytes`, default 64 KiB; more is
    /// 431.
    pub header_bytes: usize,
    /// Bytes of a request target. Key `uri-bytes`, default 8 KiB; more is 414.
    pub uri_bytes: usize,
    /// Concurrent streams on an h2 connection. Key `streams`, default 100; one more is refused.
    pub streams: u32,
    /// Streams of an h2 connection that may be reset, by the client or for its errors, beyond those that end well: one
    /// more closes the connection (CVE-2023-44487, CVE-2025-8671). A tenth is forgiven each second. Key `resets`,
    /// default 100.
    pub resets: u32,
    /// Frames of an h2 connection that carry neither request nor body (SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty
    /// DATA, CONTINUATION, unknown ones): one more closes the connection. A tenth is forgiven each second, 2 for each
    /// request, and one for every 32 bytes that we send. Key `control-frames`, default 1,000.
    pub control_frames: u32,
    /// Time for open exchanges to end when the gateway stops. Key `drain-timeout`, default 30 s.
    pub drain_timeout: Duration,
}
