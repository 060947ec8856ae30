//! One request with its bookkeeping. However it ends, dropping the exchange counts it and queues its log entry.
//!
//! The exchange travels with the request, then with the response's body: it is dropped when the body has ended, or
//! earlier when the client has left.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use http::header::{CONNECTION, HeaderMap, HeaderValue};
use http::{StatusCode, Version};
use parking_lot::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::activity::Busy;
use super::body::Counters;
use super::failure::Failure;
use crate::body::{Body, BodyError};
use crate::observe::Metrics;
use crate::observe::escape::escape;
use crate::observe::metrics::{InFlight, Raised, raise_counting};
use crate::plugin::{Facts, Hurry, LogEntry, Response, Run};
use crate::snapshot::{Route, Snapshot};
use crate::upstream::SendTrace;

/// Log entries of one worker that wait for `on-log` hooks; what comes on top is dropped and counted.
const MAX_QUEUED_ENTRIES: usize = 8 * 1024;

/// How often the log says that load is shed.
const SAY_SHED_EVERY: Duration = Duration::from_secs(10);

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
    /// Requests in flight when this one came.
    others: u64,
    /// Held where the route has a limit of its own.
    place: Option<InFlight>,
    _in_flight: Raised,
    busy: Busy,
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
        let (in_flight, others) = raise_counting(&metrics.requests_in_flight);
        let record = Record {
            snapshot,
            facts: Arc::new(facts),
            counters: Arc::default(),
            trace: SendTrace::default(),
            route: None,
            others,
            place: None,
            _in_flight: in_flight,
            busy,
            metrics: Arc::clone(metrics),
            queue,
            outcome: Mutex::default(),
        };
        Self { run, record }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.record.counters
    }

    /// Whether the client may have other exchanges on the same connection at the same time.
    pub(super) fn is_multiplexed(&self) -> bool {
        self.record.facts.protocol == Version::HTTP_2
    }

    /// The client is sent this head now.
    pub(super) fn sent(&mut self, status: StatusCode, headers: &mut HeaderMap) {
        self.counters().is_answered.store(true, Ordering::Relaxed);
        let is_h2 = self.is_multiplexed();
        let outcome = self.record.outcome.get_mut();
        outcome.status = Some(status);
        // A stream of h2 ends by itself.
        if outcome.closes && !is_h2 {
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
    /// Whether the gateway takes on another request, this one. From half of the limit on, it takes on only the first of a
    /// connection: who sends a hundred at once must not keep out who sends one.
    pub(super) fn check_room(&self) -> Result<(), Failure> {
        let limit = u64::from(self.snapshot.limits.requests_in_flight);
        if self.others < limit / 2 || (self.others < limit && self.busy.is_alone()) {
            return Ok(());
        }
        Err(shed("server.limits.requests-in-flight"))
    }

    /// Whether its route does; then it counts there until its end.
    pub(super) fn take_place(&mut self, route: &Route) -> Result<(), Failure> {
        if let Some(limit) = route.requests_in_flight {
            self.place = route.place(limit);
            if self.place.is_none() {
                return Err(shed("requests-in-flight of the route"));
            }
        }
        Ok(())
    }

    /// Take note of a failure and make the response for it. The cause is logged here, once.
    pub(super) fn fail(&self, failure: &Failure) -> Response {
        let (status, reason) = (failure.status(), failure.reason());
        let request_id = self.facts.id.as_str();
        let route = &*self.facts.route;
        let cause = failure.to_string();
        let cause = escape(&cause);
        // The client's doing is not worth an operator's attention each time; what is ours, a plugin's or the upstream's
        // is.
        // Nor is each request that is shed: that there are some is told by whoever sheds them.
        let is_worth_it = status.is_server_error()
            && !matches!(failure, Failure::MethodRefused | Failure::Overloaded(_));
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
        let mut response = failure.response(&self.facts.id);
        if matches!(failure, Failure::Overloaded(_)) && self.facts.protocol == Version::HTTP_2 {
            // A head needs no window (RFC 9113 6.9.1), so this stream ends here, whatever the client does.
            response.body = Body::empty();
        }
        response
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
        if outcome.is_complete && record.facts.protocol == Version::HTTP_2 {
            record.busy.completed();
        }
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

/// Turn a request away. The log hears of it now and then: a line for each would cost more than the request.
fn shed(limit: &'static str) -> Failure {
    static SAID_AT: AtomicU64 = AtomicU64::new(0);
    let now = UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    let before = SAID_AT.load(Ordering::Relaxed);
    let is_due = now >= before + SAY_SHED_EVERY.as_secs();
    let (said, unsaid) = (Ordering::Relaxed, Ordering::Relaxed);
    if is_due && SAID_AT.compare_exchange(before, now, said, unsaid).is_ok() {
        tracing::warn!(
            limit,
            "too many requests in flight: turning some away with 503 overloaded"
        );
    }
    Failure::Overloaded(limit)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
