//! Native tests: run a plugin's hooks under `cargo test`, without Wasm and without a gateway.
//!
//! A [`Harness`] holds one instance and what the gateway would offer it: an in-memory `kv`, a `limiter` and a clock
//! that the test moves, scripted HTTP answers, and a log to look into. An [`Exchange`] is one request with its
//! response. Promises: edits and responses that the gateway would refuse are refused here with the same error.
//! Leaves out: chains, deadlines and memory limits, which only the gateway has.
//!
//! ```
//! # use plugin_sdk::{Decision, Fault, NoConfig, OnRequest, Plugin, Request};
//! # struct Hello;
//! # impl Plugin for Hello {
//! #     type Config = NoConfig;
//! #     fn new(_: NoConfig) -> Result<Self, String> { Ok(Self) }
//! # }
//! # impl OnRequest for Hello {
//! #     fn on_request(&self, request: &mut Request) -> Result<Decision, Fault> {
//! #         request.set_header("x-hello", format!("world, {}", request.client_ip()))?;
//! #         Ok(Decision::Next)
//! #     }
//! # }
//! use plugin_sdk::testing::{Exchange, Harness};
//!
//! let harness = Harness::<Hello>::new("")?;
//! let exchange = Exchange::get("/users?page=2").header("accept", "*/*").client_ip("192.0.2.7");
//! assert_eq!(harness.on_request(&exchange)?, Decision::Next);
//! assert_eq!(exchange.request().header_str("x-hello").as_deref(), Some("world, 192.0.2.7"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod exchange;
mod fields;
pub(crate) mod host;
pub(crate) mod message;
pub(crate) mod presets;

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use crate::http_client::{Error as FetchError, HttpRequest, HttpResponse};
use crate::log::Level;
use crate::{
    BodyDecision, ChunkDecision, Decision, Fault, Interest, LocalResponse, OnLog, OnRequest,
    OnRequestBody, OnResponse, OnResponseBody, Plugin, config,
};
pub use exchange::Exchange;
use host::Host;

/// The time at which every harness starts, in seconds since 1970.
const START_SECONDS: u64 = 1_700_000_000;

/// An instance of a plugin, with a gateway around it that exists only for the test.
pub struct Harness<P> {
    plugin: P,
    host: Rc<Host>,
}

/// A message in the gateway's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// How important it is.
    pub level: Level,
    /// The text.
    pub message: String,
    /// The fields.
    pub fields: Vec<(String, String)>,
}

impl<P: Plugin> Harness<P> {
    /// Make an instance from the lines that would stand in its `config` table, in TOML. An error is the text that
    /// the operator would read.
    pub fn new(config: &str) -> Result<Self, String> {
        let config: serde_json::Value =
            toml::from_str(config).map_err(|error| error.to_string())?;
        let host = Rc::new(Host::new(Duration::from_secs(START_SECONDS)));
        // By way of JSON text, since that is what the plugin gets from the gateway.
        let plugin = host.run(|| P::new(config::parse(&config.to_string())?))?;
        Ok(Self { plugin, host })
    }

    /// What the plugin answers to `lifecycle.init`. The gateway ignores flags of hooks that are not exported.
    pub fn interest(&self) -> Interest {
        self.plugin.interest()
    }

    /// The instance.
    pub fn plugin(&self) -> &P {
        &self.plugin
    }

    /// Run something of the plugin that is not a hook but calls the gateway.
    pub fn run<R>(&self, call: impl FnOnce(&P) -> R) -> R {
        self.host.run(|| call(&self.plugin))
    }

    /// Let time pass, for the clock, for what expires in `kv` and for the limiter's buckets.
    pub fn advance(&self, time: Duration) {
        self.host.now.set(self.host.now.get() + time);
    }

    /// What time it is for the plugin.
    pub fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.host.now.get()
    }

    /// Answer the plugin's HTTP calls. Without this they are denied.
    pub fn on_fetch(
        &self,
        answer: impl Fn(&HttpRequest) -> Result<HttpResponse, FetchError> + 'static,
    ) {
        *self.host.fetch.borrow_mut() = Box::new(answer);
    }

    /// The HTTP calls that the plugin has made.
    pub fn fetches(&self) -> Vec<HttpRequest> {
        self.host.fetches.borrow().clone()
    }

    /// From now on `kv` and `limiter` can't be reached.
    pub fn lose_stores(&self) {
        self.host.are_stores_lost.set(true);
    }

    /// What the plugin has logged.
    pub fn log(&self) -> Vec<LogRecord> {
        self.host.log.borrow().clone()
    }

    /// The lines that the plugin has written to the access log.
    pub fn access_lines(&self) -> Vec<String> {
        self.host.access.borrow().clone()
    }
}

impl<P: OnRequest> Harness<P> {
    /// Run the request hook. What it wants done to the response is done to the exchange's response at once, and so is
    /// all that a preset says, which makes [`Decision::Next`] of it.
    pub fn on_request(&self, exchange: &Exchange) -> Result<Decision, Fault> {
        let decision = self.run(|plugin| plugin.on_request(&mut exchange.request()));
        let decision = decision.and_then(|it| self.host.apply_to_request(it, exchange));
        exchange.edit_response(matches!(
            decision,
            Ok(Decision::Next | Decision::NextWith(_))
        ))?;
        checked_head(decision?)
    }
}

impl<P: OnRequestBody> Harness<P> {
    /// Run the request-body hook on chunks, the last of which ends the body; what passes, joined. An abort is an
    /// error.
    pub fn request_chunks(&self, exchange: &Exchange, chunks: &[&[u8]]) -> Result<Vec<u8>, Fault> {
        pass(chunks, |data, end| {
            self.run(|plugin| plugin.request_chunk(&exchange.request(), data, end))
        })
    }

    /// Run the request-body hook on a whole body. What it wants done to the response is done at once.
    pub fn request_whole(
        &self,
        exchange: &Exchange,
        body: impl Into<Vec<u8>>,
    ) -> Result<BodyDecision, Fault> {
        let decision =
            self.run(|plugin| plugin.request_whole(&mut exchange.request(), body.into()));
        let passes = matches!(decision, Ok(BodyDecision::Pass | BodyDecision::Replace(_)));
        exchange.edit_response(passes)?;
        checked_body(decision?)
    }
}

impl<P: OnResponse> Harness<P> {
    /// Run the response hook. What a preset says of the response is done.
    pub fn on_response(&self, exchange: &Exchange) -> Result<Decision, Fault> {
        self.run(|plugin| plugin.on_response(&exchange.request(), &mut exchange.response()))
            .and_then(|decision| self.host.apply_to_response(decision, exchange))
            .and_then(checked_head)
    }
}

impl<P: OnResponseBody> Harness<P> {
    /// Run the response-body hook on chunks, the last of which ends the body; what passes, joined. An abort is an
    /// error.
    pub fn response_chunks(&self, exchange: &Exchange, chunks: &[&[u8]]) -> Result<Vec<u8>, Fault> {
        pass(chunks, |data, end| {
            self.run(|plugin| {
                plugin.response_chunk(&exchange.request(), &exchange.response(), data, end)
            })
        })
    }

    /// Run the response-body hook on a whole body.
    pub fn response_whole(
        &self,
        exchange: &Exchange,
        body: impl Into<Vec<u8>>,
    ) -> Result<BodyDecision, Fault> {
        self.run(|plugin| {
            plugin.response_whole(&exchange.request(), &mut exchange.response(), body.into())
        })
        .and_then(checked_body)
    }
}

impl<P: OnLog> Harness<P> {
    /// Run the log hook with [`Exchange::log_entry`].
    pub fn on_log(&self, exchange: &Exchange) -> Result<(), Fault> {
        self.run(|plugin| plugin.on_log(&exchange.request(), &exchange.log_entry()))
    }
}

impl<P: fmt::Debug> fmt::Debug for Harness<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Harness")
            .field("plugin", &self.plugin)
            .finish_non_exhaustive()
    }
}

/// What time it is: the running harness's time, or else the real one.
pub(crate) fn now() -> SystemTime {
    host::current().map_or_else(SystemTime::now, |host| {
        SystemTime::UNIX_EPOCH + host.now.get()
    })
}

fn pass(
    chunks: &[&[u8]],
    mut hook: impl FnMut(Vec<u8>, bool) -> Result<ChunkDecision, Fault>,
) -> Result<Vec<u8>, Fault> {
    let mut passed = Vec::new();
    for (index, chunk) in chunks.iter().enumerate() {
        match hook(chunk.to_vec(), index + 1 == chunks.len())? {
            ChunkDecision::Pass => passed.extend_from_slice(chunk),
            ChunkDecision::Replace(bytes) => passed.extend(bytes),
            ChunkDecision::Abort(reason) => return Err(reason.into()),
        }
    }
    Ok(passed)
}

fn checked_head(decision: Decision) -> Result<Decision, Fault> {
    if let Decision::Respond(response) = &decision {
        check(response)?;
    }
    Ok(decision)
}

fn checked_body(decision: BodyDecision) -> Result<BodyDecision, Fault> {
    if let BodyDecision::Respond(response) = &decision {
        check(response)?;
    }
    Ok(decision)
}

/// A response that the gateway would not send is a fault of the plugin.
fn check(response: &LocalResponse) -> Result<(), Fault> {
    let mut fields = fields::Fields::default();
    let fit = message::check_status(response.status).and_then(|()| {
        response
            .headers
            .iter()
            .try_for_each(|header| fields.append(&header.name, &header.value))
    });
    fit.map_err(|error| format!("the gateway refuses this response: {error}").into())
}

#[cfg(test)]
mod tests;
