//! What a token's claims become: header fields for the upstream, and the `consumer` attribute for the chain and the log.
//!
//! Promises: a configured field is never the client's, whether its claim is there or not. Leaves out: the token itself.

use plugin_sdk::{Edit, header};
use serde_json::Value;

use crate::claims;
use crate::refusal::Refusal;

/// Bytes of the `consumer` attribute, which is what the gateway takes.
const CONSUMER_BYTES_MAX: usize = 4 << 10;

/// Where claims go.
pub(crate) struct Outcome {
    /// Claims and their header fields.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) consumer_claim: String,
}

impl Outcome {
    /// The header fields that claims become. One whose claim is missing is removed: it is from the client.
    pub(crate) fn edits(&self, claims: &Value) -> Result<Vec<Edit>, Refusal> {
        let edit = |(claim, name): &(String, String)| match claims::find(claims, claim) {
            None => Ok(Edit::remove(name)),
            Some(value) => {
                let text = claims::text(value);
                header::check_value(text.as_bytes()).map_err(|_| Refusal::Unfit)?;
                Ok(Edit::set(name, text))
            }
        };
        self.headers.iter().map(edit).collect()
    }

    /// Who the token is about.
    pub(crate) fn consumer(&self, claims: &Value) -> Result<Option<String>, Refusal> {
        let consumer = claims::find(claims, &self.consumer_claim).map(claims::text);
        let fits = consumer.as_deref().is_none_or(|consumer| {
            consumer.len() <= CONSUMER_BYTES_MAX && header::check_value(consumer.as_bytes()).is_ok()
        });
        if fits {
            Ok(consumer)
        } else {
            Err(Refusal::Unfit)
        }
    }
}
