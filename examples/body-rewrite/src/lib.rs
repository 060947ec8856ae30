//! Replaces a text in responses while they pass, also where the text lies across two chunks.
//!
//! Promises: holds back only what could be the beginning of the text, so memory stays small however long the body is.
//! Leaves out: compressed bodies, which pass as they are, and texts across the border of two encodings.

use plugin_sdk::{
    ChunkDecision, Decision, Fault, Interest, OnRequest, OnResponse, OnResponseBody, Plugin,
    Request, Response,
};
use serde::Deserialize;

#[cfg(test)]
mod tests;

/// Bytes of the text to find: the rest of a chunk is kept in the exchange, which has room for 64 KiB.
const FIND_BYTES_MAX: usize = 1 << 10;

/// The `config` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    find: String,
    replace: String,
}

/// The plugin.
#[derive(Debug)]
pub struct Rewrite {
    find: Vec<u8>,
    replace: Vec<u8>,
}

impl Plugin for Rewrite {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        if config.find.is_empty() || config.find.len() > FIND_BYTES_MAX {
            return Err(format!("`find` has 1 to {FIND_BYTES_MAX} bytes"));
        }
        Ok(Self {
            find: config.find.into_bytes(),
            replace: config.replace.into_bytes(),
        })
    }

    /// The heads of all exchanges; bodies only of those that `on_response` picks.
    fn interest(&self) -> Interest {
        Interest::REQUEST | Interest::RESPONSE
    }
}

impl OnRequest for Rewrite {
    fn on_request(&self, request: &mut Request) -> Result<Decision, Fault> {
        // Ask for the whole text, as it is: a part of a file could begin within a word, and nothing here unpacks gzip.
        request.remove_header("accept-encoding")?;
        request.remove_header("range")?;
        Ok(Decision::Next)
    }
}

impl OnResponse for Rewrite {
    fn on_response(&self, _: &Request, response: &mut Response) -> Result<Decision, Fault> {
        let kind = response.header_str("content-type").unwrap_or_default();
        let is_text = kind.starts_with("text/") || kind.starts_with("application/json");
        if !is_text || response.header("content-encoding").is_some() {
            return Ok(Decision::Next);
        }
        // What says something about the exact bytes is no longer true. `content-length` is the gateway's concern.
        for name in ["etag", "accept-ranges", "content-digest", "repr-digest"] {
            response.remove_header(name)?;
        }
        Ok(Decision::NextWith(Interest::RESPONSE_BODY_CHUNKS))
    }
}

impl OnResponseBody for Rewrite {
    fn response_chunk(
        &self,
        request: &Request,
        _: &Response,
        data: Vec<u8>,
        end: bool,
    ) -> Result<ChunkDecision, Fault> {
        // What was held back lies in the exchange, not in `self`: the client may leave in the middle of a body, and the
        // next body must not begin with what was left of it.
        let held = request.state().unwrap_or_default();
        let nothing_held = held.is_empty();
        let text = [held, data].concat();
        let (mut output, rest) = self.rewrite(&text);
        if end {
            output.extend_from_slice(rest);
        } else if !(nothing_held && rest.is_empty()) {
            request.set_state(rest)?;
        }
        if nothing_held && output == text {
            return Ok(ChunkDecision::Pass);
        }
        Ok(ChunkDecision::Replace(output))
    }
}

plugin_sdk::export!(Rewrite: OnRequest, OnResponse, OnResponseBody);

impl Rewrite {
    /// The text with replacements, and the end of it that could be the beginning of another match.
    fn rewrite<'a>(&self, text: &'a [u8]) -> (Vec<u8>, &'a [u8]) {
        let mut output = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.iter().position(|byte| *byte == self.find[0]) {
            let (before, from) = rest.split_at(at);
            output.extend_from_slice(before);
            if let Some(after) = from.strip_prefix(&*self.find) {
                output.extend_from_slice(&self.replace);
                rest = after;
            } else if self.find.starts_with(from) {
                return (output, from);
            } else {
                output.push(self.find[0]);
                rest = &from[1..];
            }
        }
        output.extend_from_slice(rest);
        (output, &[])
    }
}
