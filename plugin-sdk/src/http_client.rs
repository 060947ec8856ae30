//! HTTP calls to other services: `http_client::get(url).timeout(..).fetch()?`. Needs the grant `http-client`, a list
//! of origins.
//!
//! Promises: the plugin waits, the gateway doesn't; redirects are not followed. Leaves out: streaming, and anything
//! over 1 MiB.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use crate::bindings::imports::gateway::plugin::http_client::{HttpRequest, HttpResponse};
pub use crate::error::FetchError as Error;
use crate::{Header, millis};

/// A `GET` of an absolute `http` or `https` URL.
pub fn get(url: &str) -> HttpRequest {
    HttpRequest::new("GET", url)
}

/// A `POST` to an absolute `http` or `https` URL.
pub fn post(url: &str) -> HttpRequest {
    HttpRequest::new("POST", url)
}

impl HttpRequest {
    /// A call of any method.
    pub fn new(method: &str, url: &str) -> Self {
        Self {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            body: None,
            timeout: None,
        }
    }

    /// Add a header field. Framing and `host` are the gateway's.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(Header::new(name, value));
        self
    }

    /// Set the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Set the body to a value as JSON, with its content type. A value that JSON can't hold leaves the body empty.
    #[must_use]
    pub fn json(self, value: &impl Serialize) -> Self {
        self.header("content-type", "application/json")
            .body(serde_json::to_vec(value).unwrap_or_default())
    }

    /// Give up after this time. The plugin's own deadline stands in any case.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(millis(timeout));
        self
    }

    /// Make the call and wait for the whole answer, whatever its status.
    pub fn fetch(&self) -> Result<HttpResponse, Error> {
        crate::raw::http_client::fetch(self)
    }
}

impl HttpResponse {
    /// An answer, for tests.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// The first value of a header field.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))
            .map(|header| &*header.value)
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Read the body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}
