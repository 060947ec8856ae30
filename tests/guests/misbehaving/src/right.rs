//! Acts within the contract, and edits that the gateway has to refuse.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use crate::bindings::gateway::plugin::http_client::{self, HttpRequest};
use crate::bindings::gateway::plugin::types::{Edit, EditError, Header, LocalResponse};
use crate::bindings::gateway::plugin::{kv, limiter, log, presets};
use crate::script::{Act, Answer, Call, Pair, Preset, Take, interest};
use crate::{Outcome, Stage};

static CALLS: AtomicU32 = AtomicU32::new(0);

/// Count a call of this instance.
pub(crate) fn count_call() {
    CALLS.fetch_add(1, Ordering::Relaxed);
}

impl Stage<'_> {
    /// Add a field to the message that the hook is about.
    pub(crate) fn append(&self, name: &str, value: &[u8]) -> Result<(), EditError> {
        match self.response {
            Some(response) => response.append_header(name, value),
            None => self.request.append_header(name, value),
        }
    }

    /// Tell what came out of an act, by a field that is expected to be accepted.
    pub(crate) fn tell(&self, name: &str, value: &str) {
        self.note(name, self.append(name, value.trim().as_bytes()));
    }

    /// Note a refusal where a later hook can reveal it.
    pub(crate) fn note(&self, what: &str, result: Result<(), EditError>) {
        let Err(error) = result else { return };
        let before = self.request.attribute("refused").unwrap_or_default();
        // The attribute is bounded; what no longer fits is of no interest to any test.
        let _ = self.request.set_attribute(
            "refused",
            &format!("{before}{}={};", what.escape_default(), error.name()),
        );
    }

    fn edit(&self, act: &Act) -> Option<()> {
        let (what, result) = match act {
            Act::Set(Pair { name, value }) => {
                let value = value.as_bytes();
                (
                    name.as_str(),
                    match self.response {
                        Some(response) => response.set_header(name, value),
                        None => self.request.set_header(name, value),
                    },
                )
            }
            Act::Append(Pair { name, value }) => {
                (name.as_str(), self.append(name, value.as_bytes()))
            }
            Act::Remove(name) => (
                name.as_str(),
                match self.response {
                    Some(response) => response.remove_header(name),
                    None => self.request.remove_header(name),
                },
            ),
            Act::Batch(pairs) => {
                let edits: Vec<Edit> = headers(pairs).into_iter().map(Edit::Append).collect();
                (
                    "batch",
                    match self.response {
                        Some(response) => response.edit_headers(&edits),
                        None => self.request.edit_headers(&edits),
                    },
                )
            }
            Act::Later(pairs) => {
                let edits: Vec<Edit> = headers(pairs).into_iter().map(Edit::Set).collect();
                ("later", self.request.edit_response_headers(&edits))
            }
            Act::SetOnRequest(Pair { name, value }) => (
                name.as_str(),
                self.request.set_header(name, value.as_bytes()),
            ),
            Act::Method(method) => ("method", self.request.set_method(method)),
            Act::Path(path) => ("path", self.request.set_path(path)),
            Act::Query(query) => ("query", self.request.set_query(Some(query))),
            Act::NoQuery => ("query", self.request.set_query(None)),
            Act::Status(status) => ("status", self.response?.set_status(*status)),
            Act::State(state) => ("state", self.request.set_state(state.as_bytes())),
            Act::Attribute(Pair { name, value }) => {
                (name.as_str(), self.request.set_attribute(name, value))
            }
            _ => return None,
        };
        self.note(what, result);
        Some(())
    }

    /// Each value is set.
    fn prepare(&self, preset: &Preset) -> Outcome {
        let edits = |pairs: &[Pair]| headers(pairs).into_iter().map(Edit::Set).collect();
        let attributes = preset.attributes.iter().map(|pair| presets::Attribute {
            name: pair.name.clone(),
            value: pair.value.clone(),
        });
        let prepared = presets::prepare(&presets::Preset {
            request_edits: edits(&preset.request),
            response_edits: edits(&preset.response),
            attributes: attributes.collect(),
        });
        match prepared {
            Ok(number) => Outcome::Preset(number),
            Err(error) => {
                self.note("preset", Err(error));
                Outcome::GoOn
            }
        }
    }

    fn describe(&self) -> Outcome {
        if let Some(response) = self.response {
            let told = json!({
                "status": response.status(),
                "from-upstream": response.from_upstream(),
                "headers": listed(response.headers()),
            });
            self.tell("x-described", &told.to_string());
            return Outcome::GoOn;
        }
        let request = self.request;
        let told = json!({
            "id": request.id(),
            "method": request.method(),
            "scheme": request.scheme(),
            "authority": request.authority(),
            "path": request.path(),
            "original-path": request.original_path(),
            "query": request.query(),
            "client-ip": request.client_ip(),
            "client-certificate": request.client_certificate().map(|certificate| json!({
                "subject": certificate.subject,
                "issuer": certificate.issuer,
                "serial": certificate.serial,
                "fingerprint": certificate.fingerprint,
                "dns-names": certificate.dns_names,
                "emails": certificate.emails,
                "uris": certificate.uris,
                "ip-addresses": certificate.ip_addresses,
                "not-before": certificate.not_before,
                "not-after": certificate.not_after,
            })),
            "route": request.route(),
            "id-param": request.param("id"),
            "headers": listed(request.headers()),
        });
        Outcome::Respond(LocalResponse {
            status: 200,
            headers: Vec::new(),
            body: told.to_string().into_bytes(),
        })
    }

    fn measure(&self) {
        let size = self.data.map_or(0, <[u8]>::len);
        let before = self
            .request
            .attribute("largest")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        self.note(
            "largest",
            self.request
                .set_attribute("largest", &size.max(before).to_string()),
        );
    }

    fn calls(&self) {
        let calls = CALLS.load(Ordering::Relaxed);
        self.tell("x-calls", &calls.to_string());
        let before = self.request.attribute("calls").unwrap_or_default();
        let all = format!("{before}{calls} ");
        self.note("calls", self.request.set_attribute("calls", &all));
    }

    fn fetch(&self, call: &Call) {
        for _ in 0..call.count {
            let answer = http_client::fetch(&HttpRequest {
                method: "GET".to_owned(),
                url: call.url.clone(),
                headers: headers(&call.headers),
                body: None,
                timeout: call.timeout,
            });
            let told = match answer {
                Ok(answer) => format!(
                    "{} {}",
                    answer.status,
                    String::from_utf8_lossy(&answer.body)
                ),
                Err(error) => format!("{error:?}"),
            };
            self.tell("x-fetched", &told);
        }
    }

    fn take(&self, take: &Take) {
        let bucket = limiter::Bucket {
            rate: take.rate,
            period: take.period,
            burst: take.burst,
        };
        let told = match limiter::take(&take.key, bucket, take.cost) {
            Ok(verdict) if verdict.allowed => format!("allowed {}", verdict.remaining),
            Ok(verdict) => format!("denied {}", verdict.retry_after),
            Err(error) => format!("{error:?}"),
        };
        self.tell("x-taken", &told);
    }

    fn entry(&self) {
        let Some(entry) = self.entry else { return };
        let plugins: Vec<&str> = entry
            .plugins
            .iter()
            .map(|time| time.name.as_str())
            .collect();
        let line = json!({
            "id": entry.id, "method": entry.method, "path": entry.path, "query": entry.query, "route": entry.route,
            "status": entry.status, "failure": entry.failure, "protocol": entry.protocol,
            "client-ip": entry.client_ip, "endpoint": entry.endpoint, "authority": entry.authority,
            "request-bytes": entry.request_bytes, "response-bytes": entry.response_bytes,
            "duration": entry.duration, "started": entry.started, "upstream-duration": entry.upstream_duration,
            "plugins": plugins, "token": self.request.header("x-token").map(text),
        });
        log::access(&line.to_string());
    }
}

/// Do an act that is within the contract.
pub(crate) fn act(stage: &Stage<'_>, act: &Act) -> Option<Outcome> {
    if stage.edit(act).is_some() {
        return Some(Outcome::GoOn);
    }
    match act {
        Act::Respond(Answer {
            status,
            headers: fields,
            body,
        }) => {
            let body = body.clone().into_bytes();
            return Some(Outcome::Respond(LocalResponse {
                status: *status,
                headers: headers(fields),
                body,
            }));
        }
        Act::Preset(preset) => return Some(stage.prepare(preset)),
        Act::Describe => return Some(stage.describe()),
        Act::Interest(hooks) => return Some(Outcome::Interest(interest(hooks))),
        Act::Replace(body) => return Some(Outcome::Replace(body.clone().into_bytes())),
        Act::Upper => return Some(Outcome::Replace(stage.data?.to_ascii_uppercase())),
        Act::Drop => return Some(Outcome::Replace(Vec::new())),
        Act::Abort(why) => return Some(Outcome::Abort(why.clone())),
        Act::RevealState => stage.tell(
            "x-state",
            &stage.request.state().map_or("none".to_owned(), text),
        ),
        Act::RevealAttribute(name) => {
            stage.tell(
                "x-attribute",
                &stage.request.attribute(name).unwrap_or("none".to_owned()),
            );
        }
        Act::Calls => stage.calls(),
        Act::Measure => stage.measure(),
        Act::Entry => stage.entry(),
        Act::Log(message) => log::write(
            log::Level::Warn,
            message,
            &[("field".to_owned(), message.clone())],
        ),
        Act::Access(line) => log::access(line),
        Act::Print(line) => println!("{line}"),
        Act::KvSet(Pair { name, value }) => {
            let result = kv::set(name, value.as_bytes(), None);
            stage.tell("x-kv-set", &format!("{result:?}"));
        }
        Act::KvGet(key) => stage.tell(
            "x-kv",
            &match kv::get(key) {
                Ok(value) => value.map_or("none".to_owned(), text),
                Err(error) => format!("{error:?}"),
            },
        ),
        Act::Take(take) => stage.take(take),
        Act::Fetch(call) => stage.fetch(call),
        _ => return None,
    }
    Some(Outcome::GoOn)
}

fn headers(pairs: &[Pair]) -> Vec<Header> {
    let header = |pair: &Pair| Header {
        name: pair.name.clone(),
        value: pair.value.clone().into_bytes(),
    };
    pairs.iter().map(header).collect()
}

fn listed(headers: Vec<Header>) -> Vec<(String, String)> {
    headers
        .into_iter()
        .map(|header| (header.name, text(header.value)))
        .collect()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}
