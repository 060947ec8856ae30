//! One request with its bookkeeping. However it ends, dropping the exchange counts it and queues its log entry.
//!
//! The exchange travels with the request, then with the response's body: it is dropped when the body has ended, or
//! earlier when the client has left.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use http::header::{CONNECTION, HeaderMap, HeaderValue};
use http::{StatusCode, Version};
use parking_lot::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::activity::Busy;
use super::body::Counters;
use super::failure::Failure;
use crate::body::BodyError;
use crate::observe::Metrics;
use crate::observe::escape::escape;
use crate::observe::metrics::{Raised, raise};
use crate::plugin::{Facts, Hurry, LogEntry, Response, Run};
use crate::snapshot::Snapshot;
use crate::upstream::SendTrace;

/// Log entries of one worker that wait for `on-log` hooks; what comes on top is dropped and counted.
const MAX_QUEUED_ENTRIES: usize = 8 * 1024;

/// The status in the log of a client that left before there was a response.
const CLIENT_CLOSED_STATUS: u16 = 499;

/// One worker's ended exchanges, on their way to the `on-log` hooks.
#[derive(Debug, Clone)]
pub struct LogQueue(Sender<Box<Ended>>);

impl LogQueue {
    /// An empty queue and its other end.
    #[must_use]
    pub fn new() -> (Self, Receiver<Box<Ended>>) {
        let (sender, receiver) = channel(MAX_QUEUED_ENTRIES);
        (Self(sender), receiver)
    }
}

/// An exchange that is over, with whom to tell.
#[derive(Debug)]
pub struct Ended {
    snapshot: Arc<Snapshot>,
    route: Option<usize>,
    run: Run,
    facts: Arc<Facts>,
    entry: Arc<LogEntry>,
}

impl Ended {
    /// Run the `on-log` hooks.
    pub async fn log(mut self: Box<Self>) {
        let chain = self.snapshot.chain(self.route);
        let entry = Arc::get_mut(&mut self.entry).expect("nobody has it before the first hook");
        entry.plugins = chain.times(&self.facts);
        chain.on_log(&self.run, &self.facts, &self.entry).await;
    }
}

/// One request with its bookkeeping.
pub(super) struct Exchange {
    pub(super) run: Run,
    pub(super) record: Record,
}

/// What will be said of an exchange.
pub(super) struct Record {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) facts: Arc<Facts>,
    pub(super) counters: Arc<Counters>,
    pub(super) trace: SendTrace,
    /// Index into the snapshot's routes.
    pub(super) route: Option<usize>,
    metrics: Arc<Metrics>,
    queue: LogQueue,
    outcome: Mutex<Outcome>,
    _in_flight: Raised,
    _busy: Busy,
}

/// How it went so far.
#[derive(Debug, Default)]
struct Outcome {
    /// The status that the client was sent.
    status: Option<StatusCode>,
    failure: Option<&'static str>,
    /// Whether the client's connection ends with the response.
    closes: bool,
    /// Whether the response body has ended well.
    is_complete: bool,
}

impl Exchange {
    /// Begin. The route is not known yet; entries of requests that match none go to the server's own plugins.
    pub(super) fn begin(
        snapshot: Arc<Snapshot>,
        facts: Facts,
        busy: Busy,
        metrics: &Arc<Metrics>,
        queue: LogQueue,
    ) -> Self {
        let run = snapshot.chain(None).begin(Hurry::None);
        let record = Record {
            snapshot,
            facts: Arc::new(facts),
            counters: Arc::default(),
            trace: SendTrace::default(),
            route: None,
            _in_flight: raise(&metrics.requests_in_flight),
            _busy: busy,
            metrics: Arc::clone(metrics),
            queue,
            outcome: Mutex::default(),
        };
        Self { run, record }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.record.counters
    }

    /// The client is sent this head now.
    pub(super) fn sent(&mut self, status: StatusCode, headers: &mut HeaderMap) {
        let outcome = self.record.outcome.get_mut();
        outcome.status = Some(status);
        // A stream of h2 ends by itself.
        if outcome.closes && self.record.facts.protocol != Version::HTTP_2 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// The response body has ended as it should.
    pub(super) fn complete(&mut self) {
        self.record.outcome.get_mut().is_complete = true;
    }

    /// The response body broke off: the client sees a cut connection, never a short success.
    pub(super) fn response_broke(&mut self, error: &BodyError) {
        let reason = match error {
            BodyError::Aborted(_) => "plugin-abort",
            BodyError::Fault(_) => "plugin-fault",
            BodyError::Sender(_) | BodyError::Idle(_) | BodyError::TooLarge(_) => "upstream-body",
        };
        let request_id = self.record.facts.id.as_str();
        tracing::warn!(
            request_id,
            route = &*self.record.facts.route,
            reason,
            "response cut off: {}",
            escape(&error.to_string())
        );
        let outcome = self.record.outcome.get_mut();
        outcome.failure = Some(reason);
        outcome.is_complete = true;
    }
}

impl Record {
    /// Take note of a failure and make the response for it. The cause is logged here, once.
    pub(super) fn fail(&self, failure: &Failure) -> Response {
        let (status, reason) = (failure.status(), failure.reason());
        let request_id = self.facts.id.as_str();
        let route = &*self.facts.route;
        let cause = failure.to_string();
        let cause = escape(&cause);
        // The client's doing is not worth an operator's attention each time; what is ours, a plugin's or the upstream's
        // is.
        let is_worth_it = status.is_server_error() && !matches!(failure, Failure::MethodRefused);
        if is_worth_it {
            tracing::warn!(
                request_id,
                route,
                reason,
                status = status.as_u16(),
                "{cause}"
            );
        } else {
            tracing::debug!(
                request_id,
                route,
                reason,
                status = status.as_u16(),
                "{cause}"
            );
        }
        let mut outcome = self.outcome.lock();
        outcome.failure = Some(reason);
        outcome.closes |= failure.closes();
        drop(outcome);
        failure.response(&self.facts.id)
    }

    fn entry(&self, status: u16, failure: Option<&'static str>, duration: Duration) -> LogEntry {
        let facts = &self.facts;
        let since_epoch = facts.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        LogEntry {
            id: facts.id.clone(),
            started: nanoseconds(since_epoch),
            client_ip: facts.client_ip.to_string(),
            protocol: match facts.protocol {
                Version::HTTP_2 => "HTTP/2".into(),
                other => format!("{other:?}"),
            },
            method: facts.method.to_string(),
            scheme: facts.scheme.into(),
            authority: facts.authority.clone(),
            path: facts.target.path().to_owned(),
            query: facts.target.query().map(str::to_owned),
            route: self.route.map(|_| facts.route.to_string()),
            endpoint: self.trace.endpoint.as_deref().map(str::to_owned),
            status,
            failure: failure.map(str::to_owned),
            request_bytes: self.counters.request_bytes.load(Ordering::Relaxed),
            response_bytes: self.counters.response_bytes.load(Ordering::Relaxed),
            duration: nanoseconds(duration),
            upstream_duration: self.trace.head.map(nanoseconds),
            plugins: Vec::new(),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let record = &mut self.record;
        let outcome = std::mem::take(record.outcome.get_mut());
        let is_panic = std::thread::panicking();
        let failure = match (outcome.failure, outcome.is_complete) {
            _ if is_panic => Some("internal"),
            (None, false) => Some("client-closed"),
            (failure, _) => failure,
        };
        if is_panic && outcome.status.is_some() {
            // In the response's body, where nobody else counts it: the connection's task ends with it.
            record.metrics.panics.inc();
        }
        let unsent = if is_panic { 500 } else { CLIENT_CLOSED_STATUS };
        let status = outcome.status.map_or(unsent, |status| status.as_u16());
        let duration = record.facts.clock.elapsed();
        record
            .snapshot
            .route_metrics(record.route, &record.metrics)
            .count(status, duration);
        if let Some(reason) = failure {
            record.metrics.failures.count(reason);
        }
        if !record.snapshot.chain(record.route).wants_log(&self.run) {
            return;
        }
        // It passes through a queue and into a task, so it is moved as a pointer.
        let ended = Box::new(Ended {
            snapshot: Arc::clone(&record.snapshot),
            route: record.route,
            run: std::mem::take(&mut self.run),
            facts: Arc::clone(&record.facts),
            entry: Arc::new(record.entry(status, failure, duration)),
        });
        if record.queue.0.try_send(ended).is_err() {
            record.metrics.log_entries_dropped.inc();
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
