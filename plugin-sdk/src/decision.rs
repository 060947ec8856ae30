//! The answers of hooks: [`Decision`], [`BodyDecision`], and ways to write [`LocalResponse`] step by step, [`Edit`] by name.
//!
//! Promises: nothing is checked here; the gateway checks names, values and status once, whoever made them.
//! Leaves out: [`ChunkDecision`](crate::ChunkDecision), which is the contract's own.

use serde::Serialize;

use crate::json::push_string;
use crate::{Edit, Header, Interest, LocalResponse, Request};

/// What a hook on a head answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a decision is carried out only if the hook returns it"]
pub enum Decision {
    /// Go on, with the interest that [`Plugin::interest`](crate::Plugin::interest) declared.
    Next,
    /// Go on, and for this exchange be interested in just these hooks.
    NextWith(Interest),
    /// Go on, and before that do what a [`Preset`](crate::Preset) says, which is where this comes from.
    NextPreset(u32),
    /// Stop here and answer with this response. One that the gateway refuses is a fault, and denied whatever `on-fault`
    /// says.
    Respond(LocalResponse),
}

/// What a hook on a whole body answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a decision is carried out only if the hook returns it"]
pub enum BodyDecision {
    /// Let the body pass as it is.
    Pass,
    /// Send this body instead.
    Replace(Vec<u8>),
    /// Stop here and answer with this response, as [`Decision::Respond`] does.
    Respond(LocalResponse),
}

impl Header {
    /// A field.
    pub fn new(name: &str, value: impl AsRef<[u8]>) -> Self {
        Self {
            name: name.to_owned(),
            value: value.as_ref().to_vec(),
        }
    }
}

impl Edit {
    /// Replace every field of that name by one.
    pub fn set(name: &str, value: impl AsRef<[u8]>) -> Self {
        Self::Set(Header::new(name, value))
    }

    /// Add a field and keep those of the same name.
    pub fn append(name: &str, value: impl AsRef<[u8]>) -> Self {
        Self::Append(Header::new(name, value))
    }

    /// Remove every field of that name.
    pub fn remove(name: &str) -> Self {
        Self::Remove(name.to_owned())
    }
}

impl LocalResponse {
    /// An empty response of that status, 200 to 599.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// The answer to a request that went wrong, in the gateway's own form:
    /// `{"error": "api-key-missing", "request_id": ..}`. The reason is a stable word for programs; what a person needs
    /// to know beyond that belongs in the log.
    pub fn failure(status: u16, reason: &str, request: &Request) -> Self {
        let mut body = String::from("{\"error\": ");
        push_string(&mut body, reason);
        body.push_str(", \"request_id\": ");
        push_string(&mut body, &request.id());
        body.push_str("}\n");
        Self::new(status)
            .header("content-type", "application/json")
            .body(body)
    }

    /// Add a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(Header::new(name, value));
        self
    }

    /// Set the body. Its length is the gateway's to write.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Set the body to a value as JSON, with its content type. A value that JSON can't hold, such as a map whose
    /// keys aren't strings, leaves the body empty.
    #[must_use]
    pub fn json(self, value: &impl Serialize) -> Self {
        self.header("content-type", "application/json")
            .body(serde_json::to_vec(value).unwrap_or_default())
    }
}

impl From<LocalResponse> for Decision {
    fn from(response: LocalResponse) -> Self {
        Self::Respond(response)
    }
}

impl From<LocalResponse> for BodyDecision {
    fn from(response: LocalResponse) -> Self {
        Self::Respond(response)
    }
}
