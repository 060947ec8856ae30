//! The traits that a plugin implements: [`Plugin`] and one for each hook.
//!
//! Promises: a hook whose trait is not named in [`export!`](crate::export) is not part of the component, so the
//! gateway never calls it. Leaves out: how a hook gets its arguments (`export.rs` inside the gateway,
//! [`testing`](crate::testing) natively).

use std::error::Error;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{BodyDecision, ChunkDecision, Decision, Interest, LogEntry, Request, Response};

/// What made a hook give up: any error, so that `?` works on everything, and `"text".into()` does too.
///
/// The text goes to the gateway's log; then the call counts as a fault of the plugin, and the plugin's `on-fault`
/// policy decides: by default the exchange is denied with 503.
pub type Fault = Box<dyn Error>;

/// A plugin: how it is made from its configuration, and what it wants to see.
///
/// An instance serves many exchanges, one call at a time, and there are several instances. Hence `&self`, and
/// three places for data:
/// - what belongs to *one exchange* goes into [`Request::set_state`], never into the instance: another exchange
///   may come between two hooks;
/// - what all exchanges share goes into [`kv`](crate::kv) or [`limiter`](crate::limiter);
/// - a cache that may vanish at any time can stand in the instance, in a `RefCell`.
pub trait Plugin: Sized + 'static {
    /// The plugin's `config` table. Derive `Deserialize` with `#[serde(deny_unknown_fields)]`, so that a misspelt
    /// key is an error; `#[serde(rename_all = "kebab-case")]` fits the rest of the gateway's file.
    type Config: DeserializeOwned;

    /// Make an instance. An error refuses the configuration, and its text is what the operator reads; keys that are
    /// missing or of the wrong type are already refused before. The place to compute what hooks only look up.
    fn new(config: Self::Config) -> Result<Self, String>;

    /// The hooks that this instance wants for every exchange; asked once, after [`new`](Self::new).
    ///
    /// The default is every head hook that is exported, and the log. A plugin that works on bodies must ask for
    /// them, here or for a single exchange with [`Decision::NextWith`], and say whether by chunks or whole.
    /// A hook that is not asked for costs nothing.
    fn interest(&self) -> Interest {
        Interest::REQUEST | Interest::RESPONSE | Interest::LOG
    }
}

/// The configuration of a plugin that takes none: any key in it is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// The request head, before it is forwarded. Plugins run in the order of the chain.
pub trait OnRequest: Plugin {
    /// Look at the request, change it, and let it pass or answer it.
    fn on_request(&self, request: &mut Request) -> Result<Decision, Fault>;
}

/// The request body. Override the method that fits the [`Interest`] you ask for.
pub trait OnRequestBody: Plugin {
    /// One chunk as it passes ([`Interest::REQUEST_BODY_CHUNKS`]). `end` marks the last call, whose data may be
    /// empty. The same instance gets all chunks of a body.
    fn request_chunk(
        &self,
        _request: &Request,
        _data: Vec<u8>,
        _end: bool,
    ) -> Result<ChunkDecision, Fault> {
        Ok(ChunkDecision::Pass)
    }

    /// The whole body ([`Interest::REQUEST_BODY_WHOLE`]). The head waits for it and can still be changed.
    fn request_whole(&self, _request: &mut Request, _body: Vec<u8>) -> Result<BodyDecision, Fault> {
        Ok(BodyDecision::Pass)
    }
}

/// The response head. Plugins run in reverse order of the chain.
pub trait OnResponse: Plugin {
    /// Look at the response, change it, and let it pass or put another in its place.
    fn on_response(&self, request: &Request, response: &mut Response) -> Result<Decision, Fault>;
}

/// The response body. Override the method that fits the [`Interest`] you ask for.
pub trait OnResponseBody: Plugin {
    /// One chunk as it passes ([`Interest::RESPONSE_BODY_CHUNKS`]). `end` marks the last call, whose data may be
    /// empty. The same instance gets all chunks of a body.
    fn response_chunk(
        &self,
        _request: &Request,
        _response: &Response,
        _data: Vec<u8>,
        _end: bool,
    ) -> Result<ChunkDecision, Fault> {
        Ok(ChunkDecision::Pass)
    }

    /// The whole body ([`Interest::RESPONSE_BODY_WHOLE`]). The head waits for it and can still be changed.
    fn response_whole(
        &self,
        _request: &Request,
        _response: &mut Response,
        _body: Vec<u8>,
    ) -> Result<BodyDecision, Fault> {
        Ok(BodyDecision::Pass)
    }
}

/// The end of an exchange, off the request path.
pub trait OnLog: Plugin {
    /// Take note of it. Header fields, attributes and state of the request can still be read.
    fn on_log(&self, request: &Request, entry: &LogEntry) -> Result<(), Fault>;
}
