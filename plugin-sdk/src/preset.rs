//! [`Preset`]: edits and attributes that many exchanges get alike.
//!
//! Promises: what it does is what the calls would do that it stands for, in the order request, response, attributes; the
//! gateway gets them once for each instance, and then only a number; nothing happens unless the hook returns the decision.
//! Leaves out: what depends on the exchange.
//!
//! ```
//! use plugin_sdk::{Decision, Edit, Fault, NoConfig, OnRequest, Plugin, Preset, Request};
//!
//! struct Stage {
//!     preset: Preset,
//! }
//!
//! impl Plugin for Stage {
//!     type Config = NoConfig;
//!
//!     fn new(_: NoConfig) -> Result<Self, String> {
//!         let preset = Preset::new()
//!             .request([Edit::set("x-stage", "canary")])
//!             .response([Edit::remove("server")])
//!             .attribute("stage", "canary");
//!         Ok(Self { preset: preset.checked()? })
//!     }
//! }
//!
//! impl OnRequest for Stage {
//!     fn on_request(&self, request: &mut Request) -> Result<Decision, Fault> {
//!         Ok(self.preset.next(request)?)
//!     }
//! }
//! # use plugin_sdk::testing::{Exchange, Harness};
//! # let harness = Harness::<Stage>::new("")?;
//! # let exchange = Exchange::get("/").response_header("server", "x");
//! # assert_eq!(harness.on_request(&exchange)?, Decision::Next);
//! # assert_eq!(exchange.request().header_str("x-stage").as_deref(), Some("canary"));
//! # assert_eq!(exchange.request().attribute("stage").as_deref(), Some("canary"));
//! # assert_eq!(exchange.response().header("server"), None);
//! # assert!(Preset::new().request([Edit::set("x-a", "b\n")]).checked().is_err_and(|it| it.starts_with("\"x-a\"")));
//! # assert!(Preset::new().response([Edit::remove("host")]).checked().is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::cell::Cell;

use crate::bindings::imports::gateway::plugin::presets as contract;
use crate::{Decision, Edit, EditError, Request, header, raw};

/// What to do to an exchange, known before it comes.
#[derive(Debug)]
pub struct Preset {
    wire: contract::Preset,
    kept: Cell<Kept>,
}

/// Whether the gateway has it.
#[derive(Debug, Clone, Copy)]
enum Kept {
    /// Nobody has asked.
    Unknown,
    /// Under this number.
    As(u32),
    /// It keeps no more of this instance.
    Not,
}

impl Default for Preset {
    fn default() -> Self {
        Self::new()
    }
}

impl Preset {
    /// One that does nothing yet.
    pub fn new() -> Self {
        let wire = contract::Preset {
            request_edits: Vec::new(),
            response_edits: Vec::new(),
            attributes: Vec::new(),
        };
        Self {
            wire,
            kept: Cell::new(Kept::Unknown),
        }
    }

    /// Edit the request's header fields.
    #[must_use]
    pub fn request(mut self, edits: impl IntoIterator<Item = Edit>) -> Self {
        self.wire.request_edits.extend(edits);
        self
    }

    /// Edit the response's header fields, when it passes this plugin on its way back, whoever made it.
    #[must_use]
    pub fn response(mut self, edits: impl IntoIterator<Item = Edit>) -> Self {
        self.wire.response_edits.extend(edits);
        self
    }

    /// Share a value along the chain and with the log, as [`Request::set_attribute`] does.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        self.wire.attributes.push(contract::Attribute {
            name: name.to_owned(),
            value: value.to_owned(),
        });
        self
    }

    /// It, if the gateway will take its names and values: for [`Plugin::new`](crate::Plugin::new), so that what stands in
    /// a configuration is refused at load and not at each request. The error names the edit.
    pub fn checked(self) -> Result<Self, String> {
        for edit in self
            .wire
            .request_edits
            .iter()
            .chain(&self.wire.response_edits)
        {
            let (name, value) = match edit {
                Edit::Set(field) | Edit::Append(field) => (&field.name, &*field.value),
                Edit::Remove(name) => (name, &[][..]),
            };
            let fits = header::check_name(name).and_then(|_| header::check_value(value));
            fits.map_err(|error| format!("\"{name}\": {error}"))?;
        }
        Ok(self)
    }

    /// Whether it does nothing.
    pub fn is_empty(&self) -> bool {
        let wire = &self.wire;
        wire.request_edits.is_empty()
            && wire.response_edits.is_empty()
            && wire.attributes.is_empty()
    }

    /// Let a request pass with this done to it, and to its response. The answer of
    /// [`OnRequest::on_request`](crate::OnRequest::on_request), with nothing done in between.
    pub fn next(&self, request: &mut Request) -> Result<Decision, EditError> {
        if let Kept::Unknown = self.kept.get() {
            self.kept.set(self.prepare()?);
        }
        match self.kept.get() {
            Kept::As(number) => Ok(Decision::NextPreset(number)),
            Kept::Unknown | Kept::Not => self.call(request),
        }
    }

    fn prepare(&self) -> Result<Kept, EditError> {
        if self.is_empty() {
            return Ok(Kept::Not);
        }
        match raw::presets::prepare(&self.wire) {
            Ok(number) => Ok(Kept::As(number)),
            Err(EditError::TooLarge) => Ok(Kept::Not),
            Err(error) => Err(error),
        }
    }

    /// The same, call by call.
    fn call(&self, request: &mut Request) -> Result<Decision, EditError> {
        let wire = &self.wire;
        if !wire.request_edits.is_empty() {
            request.edit_headers(&wire.request_edits)?;
        }
        if !wire.response_edits.is_empty() {
            request.edit_response_headers(&wire.response_edits)?;
        }
        for attribute in &wire.attributes {
            request.set_attribute(&attribute.name, &attribute.value)?;
        }
        Ok(Decision::Next)
    }
}
