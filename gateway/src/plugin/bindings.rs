//! The wire types of `wit/`, as wasmtime lifts and lowers them. Only what crosses the border; everything is turned
//! into the gateway's own types at once.

use wasmtime::component::{ComponentType, Lift, Lower, WasmList, WasmStr, flags};

use super::certificate::ClientCertificate;

/// Marker of the `request` and `response` resources. Which of the two is meant follows from the function that is
/// called; the object itself lies in the store for the time of the call.
pub(super) struct Head;

/// The interfaces of the package, by name.
pub(super) mod names {
    /// The package and its version, as they stand in a component's imports and exports.
    pub(in crate::plugin) const PACKAGE: &str = "gateway:plugin/";
    pub(in crate::plugin) const TYPES: &str = "gateway:plugin/types@0.1.0";
    pub(in crate::plugin) const LOG: &str = "gateway:plugin/log@0.1.0";
    pub(in crate::plugin) const PRESETS: &str = "gateway:plugin/presets@0.1.0";
    pub(in crate::plugin) const KV: &str = "gateway:plugin/kv@0.1.0";
    pub(in crate::plugin) const LIMITER: &str = "gateway:plugin/limiter@0.1.0";
    pub(in crate::plugin) const HTTP_CLIENT: &str = "gateway:plugin/http-client@0.1.0";
    pub(in crate::plugin) const LIFECYCLE: &str = "gateway:plugin/lifecycle@0.1.0";
    pub(in crate::plugin) const ON_REQUEST: &str = "gateway:plugin/on-request@0.1.0";
    pub(in crate::plugin) const ON_REQUEST_BODY: &str = "gateway:plugin/on-request-body@0.1.0";
    pub(in crate::plugin) const ON_RESPONSE: &str = "gateway:plugin/on-response@0.1.0";
    pub(in crate::plugin) const ON_RESPONSE_BODY: &str = "gateway:plugin/on-response-body@0.1.0";
    pub(in crate::plugin) const ON_LOG: &str = "gateway:plugin/on-log@0.1.0";
}

flags! {
    WireInterest {
        #[component(name = "request")]
        const REQUEST;
        #[component(name = "request-body-chunks")]
        const REQUEST_BODY_CHUNKS;
        #[component(name = "request-body-whole")]
        const REQUEST_BODY_WHOLE;
        #[component(name = "response")]
        const RESPONSE;
        #[component(name = "response-body-chunks")]
        const RESPONSE_BODY_CHUNKS;
        #[component(name = "response-body-whole")]
        const RESPONSE_BODY_WHOLE;
        #[component(name = "log")]
        const LOG;
    }
}

#[derive(ComponentType, Lift, Lower, Debug, Clone)]
#[component(record)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) value: Vec<u8>,
}

#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(super) struct WireCertificate {
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) serial: String,
    pub(super) fingerprint: String,
    #[component(name = "dns-names")]
    pub(super) dns_names: Vec<String>,
    pub(super) emails: Vec<String>,
    pub(super) uris: Vec<String>,
    #[component(name = "ip-addresses")]
    pub(super) ip_addresses: Vec<String>,
    #[component(name = "not-before")]
    pub(super) not_before: i64,
    #[component(name = "not-after")]
    pub(super) not_after: i64,
}

impl From<&ClientCertificate> for WireCertificate {
    fn from(certificate: &ClientCertificate) -> Self {
        let ClientCertificate {
            subject,
            issuer,
            serial,
            fingerprint,
            dns_names,
            emails,
            uris,
            addresses,
            not_before,
            not_after,
        } = certificate.clone();
        Self {
            subject,
            issuer,
            serial,
            fingerprint,
            dns_names,
            emails,
            uris,
            ip_addresses: addresses,
            not_before,
            not_after,
        }
    }
}

#[derive(ComponentType, Lift, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(super) enum EditError {
    #[component(name = "invalid-name")]
    InvalidName,
    #[component(name = "invalid-value")]
    InvalidValue,
    #[component(name = "forbidden")]
    Forbidden,
    #[component(name = "too-large")]
    TooLarge,
    #[component(name = "read-only")]
    ReadOnly,
}

/// A header whose name and value still lie in the guest's memory.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct GuestHeader {
    pub(super) name: WasmStr,
    pub(super) value: WasmList<u8>,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(super) enum Edit {
    #[component(name = "set")]
    Set(GuestHeader),
    #[component(name = "append")]
    Append(GuestHeader),
    #[component(name = "remove")]
    Remove(WasmStr),
}

/// A name and a value that still lie in the guest's memory.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct GuestAttribute {
    pub(super) name: WasmStr,
    pub(super) value: WasmStr,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct GuestPreset {
    #[component(name = "request-edits")]
    pub(super) request_edits: Vec<Edit>,
    #[component(name = "response-edits")]
    pub(super) response_edits: Vec<Edit>,
    pub(super) attributes: Vec<GuestAttribute>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct LocalResponse {
    pub(super) status: u16,
    pub(super) headers: WasmList<GuestHeader>,
    pub(super) body: WasmList<u8>,
}

#[derive(ComponentType, Lift, Debug, Clone, Copy)]
#[component(variant)]
pub(super) enum WireDecision {
    #[component(name = "next")]
    Next,
    #[component(name = "next-with")]
    NextWith(WireInterest),
    #[component(name = "next-preset")]
    NextPreset(u32),
    #[component(name = "respond")]
    Respond,
}

#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
pub(super) enum ChunkDecision {
    #[component(name = "pass")]
    Pass,
    #[component(name = "replace")]
    Replace(Vec<u8>),
    #[component(name = "abort")]
    Abort(String),
}

#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
pub(super) enum BodyDecision {
    #[component(name = "pass")]
    Pass,
    #[component(name = "replace")]
    Replace(Vec<u8>),
    #[component(name = "respond")]
    Respond,
}

/// Time that one plugin of a chain took.
#[derive(ComponentType, Lift, Lower, Debug, Clone, PartialEq, Eq)]
#[component(record)]
pub struct PluginTime {
    /// The plugin's name in the configuration.
    pub name: String,
    /// Nanoseconds.
    pub nanoseconds: u64,
}

/// What is known of an exchange when it has ended; see `log-entry` in `wit/types.wit`.
#[derive(ComponentType, Lift, Lower, Debug, Clone, PartialEq, Eq)]
#[component(record)]
#[expect(missing_docs, reason = "each field is documented in wit/types.wit")]
pub struct LogEntry {
    pub id: String,
    pub started: u64,
    #[component(name = "client-ip")]
    pub client_ip: String,
    pub protocol: String,
    pub method: String,
    pub scheme: String,
    pub authority: String,
    pub path: String,
    pub query: Option<String>,
    pub route: Option<String>,
    pub endpoint: Option<String>,
    pub status: u16,
    pub failure: Option<String>,
    #[component(name = "request-bytes")]
    pub request_bytes: u64,
    #[component(name = "response-bytes")]
    pub response_bytes: u64,
    pub duration: u64,
    #[component(name = "upstream-duration")]
    pub upstream_duration: Option<u64>,
    pub plugins: Vec<PluginTime>,
}

#[derive(ComponentType, Lift, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "lifting makes the variants from their numbers")]
pub(super) enum Level {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

#[derive(ComponentType, Lower, Debug)]
#[component(variant)]
pub(super) enum KvError {
    #[component(name = "too-large")]
    TooLarge,
    #[component(name = "full")]
    Full,
    #[component(name = "unavailable")]
    Unavailable(String),
}

#[derive(ComponentType, Lift, Debug, Clone, Copy)]
#[component(record)]
pub(super) struct Bucket {
    pub(super) rate: u64,
    pub(super) period: u64,
    pub(super) burst: u64,
}

#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(super) struct Verdict {
    pub(super) allowed: bool,
    pub(super) remaining: u64,
    #[component(name = "retry-after")]
    pub(super) retry_after: u64,
    pub(super) reset: u64,
}

#[derive(ComponentType, Lower, Debug)]
#[component(variant)]
pub(super) enum LimiterError {
    #[component(name = "invalid")]
    Invalid(String),
    #[component(name = "unavailable")]
    Unavailable(String),
}

#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(super) struct HttpRequest {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: Vec<Header>,
    pub(super) body: Option<Vec<u8>>,
    pub(super) timeout: Option<u64>,
}

#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(super) struct HttpResponse {
    pub(super) status: u16,
    pub(super) headers: Vec<Header>,
    pub(super) body: Vec<u8>,
}

#[derive(ComponentType, Lower, Debug)]
#[component(variant)]
pub(super) enum HttpError {
    #[component(name = "denied")]
    Denied(String),
    #[component(name = "invalid")]
    Invalid(String),
    #[component(name = "connect")]
    Connect(String),
    #[component(name = "timeout")]
    Timeout,
    #[component(name = "protocol")]
    Protocol(String),
    #[component(name = "too-large")]
    TooLarge,
}
