//! A plugin's own response: checked when a hook gives it, sent if the hook then answers `respond`.
//!
//! Promises: a response that was refused is remembered, so that a plugin that wanted to stop an exchange can't be got
//! around by what made its response wrong.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use super::bindings::EditError;
use super::chain::Response;
use super::fault::Fault;
use super::head::{Field, MAX_HEADERS, ResponseHead, append_header, final_status};
use super::host::Scene;
use crate::body::Body;

/// Characters of a refused name that the log shows.
const SHOWN_CHARS: usize = 64;

/// What a hook has given as its response.
#[derive(Debug, Default)]
pub(super) enum Answer {
    /// Nothing.
    #[default]
    None,
    /// Something that can't be sent, or its hook did not come to an end after it; why.
    Refused(Fault),
    /// This.
    Given(Box<Response>),
}

impl Answer {
    /// Take note of a response; what the guest is told.
    pub(super) fn give(&mut self, made: Result<Response, Refusal>) -> Result<(), EditError> {
        match made {
            Ok(response) => {
                *self = Self::Given(Box::new(response));
                Ok(())
            }
            Err(refusal) => {
                *self = Self::Refused(Fault::Output(refusal.text));
                Err(refusal.error)
            }
        }
    }
}

/// A fault after a response was given, or refused, can't be skipped either.
pub(super) fn stopped<D>(
    result: Result<D, Fault>,
    stage: &mut Option<Scene>,
    respond: D,
) -> Result<D, Fault> {
    let Some(orders) = stage.as_mut().and_then(|scene| scene.orders.as_mut()) else {
        return result;
    };
    match (result, &orders.answer) {
        (Err(fault), Answer::Given(_)) => {
            orders.answer = Answer::Refused(fault);
            Ok(respond)
        }
        (Err(_), Answer::Refused(_)) => Ok(respond),
        (result, _) => result,
    }
}

/// Why a response can't be sent: for the guest, and for the log.
pub(super) struct Refusal {
    error: EditError,
    text: String,
}

/// A response that is being made.
pub(super) struct Draft {
    status: StatusCode,
    headers: HeaderMap,
}

impl Draft {
    /// With that status and so many fields.
    pub(super) fn new(status: u16, fields: usize) -> Result<Self, Refusal> {
        let Some(status) = final_status(status) else {
            return Err(Refusal {
                error: EditError::InvalidValue,
                text: format!("answered with status {status}"),
            });
        };
        if fields > MAX_HEADERS {
            return Err(Refusal {
                error: EditError::TooLarge,
                text: format!("answered with {fields} header fields"),
            });
        }
        let headers = HeaderMap::with_capacity(fields);
        Ok(Self { status, headers })
    }

    /// Add a field.
    pub(super) fn append(&mut self, name: &str, value: &[u8]) -> Result<(), Refusal> {
        let field = Field::checked(name, value);
        let done = field.and_then(|field| append_header(&mut self.headers, field));
        done.map_err(|error| {
            let shown: String = name.chars().take(SHOWN_CHARS).collect();
            Refusal {
                error,
                text: format!("answered with a header that is refused ({error:?}): {shown:?}"),
            }
        })
    }

    /// It is complete.
    pub(super) fn finish(self, body: Vec<u8>) -> Response {
        let head = ResponseHead {
            status: self.status,
            headers: self.headers,
            from_upstream: false,
        };
        Response {
            head: Arc::new(head),
            body: Body::full(body),
        }
    }
}
