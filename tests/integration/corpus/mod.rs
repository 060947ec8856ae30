//! A corpus of messages that are malformed, ambiguous or just odd, and what becomes of each.
//!
//! The property (THREATS 1 to 5): a request is refused, its connection ends, and nothing behind it is taken for another
//! request; or it is forwarded in exactly one normal form, which a strict reader reads as the same request. `lines`,
//! `framing` and `targets` are requests of HTTP/1.1, `streams` those of HTTP/2; `responses` come from hostile upstreams,
//! `paths` try to get around an auth route.

mod framing;
mod lines;
mod paths;
mod responses;
mod streams;
mod targets;

use gateway_tests::strict::{Recorder, Strict};
use gateway_tests::{Client, Running, Setup};

/// What a refusal may look like.
const REFUSALS: [u16; 7] = [400, 413, 414, 417, 431, 501, 505];

/// What must become of a request.
#[derive(Debug, Clone)]
pub(crate) enum Fate {
    Refused,
    /// Method, target, host and body as the upstream must see them.
    Forwarded(Form),
    /// One or the other.
    Either(Form),
}

/// What a request says, however it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) host: String,
    pub(crate) body: String,
}

/// A gateway in front of a strict upstream.
pub(crate) struct Corpus {
    recorder: Recorder,
    gateway: Running,
    tried: usize,
}

/// A form whose host is `a`.
pub(crate) fn form(method: &str, target: &str, body: &str) -> Form {
    hosted(method, target, "a", body)
}

pub(crate) fn hosted(method: &str, target: &str, host: &str, body: &str) -> Form {
    let [method, target, host, body] = [method, target, host, body].map(str::to_owned);
    Form {
        method,
        target,
        host,
        body,
    }
}

impl Form {
    fn of(seen: &Strict) -> Self {
        let host = seen.get("host").unwrap_or_default();
        let body = String::from_utf8_lossy(&seen.body);
        hosted(&seen.method, &seen.target, &host, &body)
    }
}

impl Corpus {
    pub(crate) fn start() -> Self {
        let recorder = Recorder::start();
        let gateway = Setup::new()
            .server("workers = 1")
            .upstream_at("up", &recorder.origin(), "")
            .route("/*", "")
            .start();
        Self {
            recorder,
            gateway,
            tried: 0,
        }
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    pub(crate) fn gateway(&self) -> &Running {
        &self.gateway
    }

    /// Send a request with another right behind it, and see what becomes of the two.
    #[track_caller]
    pub(crate) fn try_one(&mut self, request: &[u8], fate: &Fate) {
        self.tried += 1;
        let shown = request[..request.len().min(300)].escape_ascii().to_string();
        let probe = format!("/behind-{}", self.tried);
        let mut client = self.gateway.client();
        let behind = format!("GET {probe} HTTP/1.1\r\nhost: probe\r\n\r\n");
        // It may be closed before it has read everything.
        let _ = client.try_send([request, behind.as_bytes()].concat());
        let status = answer(&mut client, request);
        if status == Some(200) {
            // In step, or closed; the form says which of the bytes belonged to the first.
            let second = client.try_response_to("GET").map(|answer| answer.status);
            assert!(
                matches!(second, Some(200) | None),
                "{second:?} behind {shown}"
            );
            let seen: Vec<Form> = self.recorder.take().iter().map(Form::of).collect();
            let (Fate::Forwarded(form) | Fate::Either(form)) = fate else {
                panic!("forwarded: {shown}\nas {seen:?}");
            };
            let behind = hosted("GET", &probe, "probe", "");
            let expected = [form.clone(), behind];
            let count = if second.is_some() { 2 } else { 1 };
            assert_eq!(seen, expected[..count], "{shown}");
        } else {
            let is_refusal = status.is_none_or(|status| REFUSALS.contains(&status));
            assert!(is_refusal, "{status:?}: {shown}");
            let is_fine = !matches!(fate, Fate::Forwarded(_));
            assert!(is_fine, "refused with {status:?}: {shown}");
            assert_eq!(client.rest(), b"", "after {status:?}: {shown}");
            assert_eq!(self.recorder.take(), [], "{shown}");
        }
    }

    #[track_caller]
    pub(crate) fn refuse(&mut self, request: impl AsRef<[u8]>) {
        self.try_one(request.as_ref(), &Fate::Refused);
    }

    #[track_caller]
    pub(crate) fn forward(&mut self, request: impl AsRef<[u8]>, form: Form) {
        self.try_one(request.as_ref(), &Fate::Forwarded(form));
    }

    /// The gateway still works, and nothing that was not in normal form has reached the upstream; `least` is how many
    /// requests this corpus has.
    #[track_caller]
    pub(crate) fn finish(mut self, least: usize) {
        self.forward(
            "GET /last HTTP/1.1\r\nhost: a\r\n\r\n",
            form("GET", "/last", ""),
        );
        assert_eq!(self.recorder.problems(), [""; 0]);
        assert!(self.tried > least, "only {} requests", self.tried);
    }
}

/// The status of the first response; `None` if the connection ended without one.
#[track_caller]
fn answer(client: &mut Client, request: &[u8]) -> Option<u16> {
    let is_head = request.starts_with(b"HEAD ");
    let response = client.try_response_to(if is_head { "HEAD" } else { "GET" })?;
    assert!(response.is_whole, "{response:?}");
    Some(response.status)
}
