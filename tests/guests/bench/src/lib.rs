//! A plugin for the benches: it does the one thing that its configuration names, so that the thing can be measured.
//!
//! Made with the plugin SDK as any plugin is, so the figures are those that a plugin author gets. Leaves out:
//! whatever is wrong; `guests/misbehaving` has that.

use std::sync::LazyLock;

use plugin_sdk::{
    ChunkDecision, Decision, Edit, Fault, Interest, LocalResponse, OnRequest, OnRequestBody,
    OnResponse, OnResponseBody, Plugin, Request, Response,
};
use serde::Deserialize;

/// The key that [`Work::HeaderOnly`] asks for.
const KEY: &[u8] = b"secret-1";
/// The bit that tells upper case from lower case.
const CASE: u8 = 0x20;

/// Eight fields to set, for one call each or for one call together.
const FIELDS: [(&str, &str); 8] = [
    ("x-one", "the first value"),
    ("x-two", "the second value"),
    ("x-three", "the third value"),
    ("x-four", "the fourth value"),
    ("x-five", "the fifth value"),
    ("x-six", "the sixth value"),
    ("x-seven", "the seventh value"),
    ("x-eight", "the eighth value"),
];

static EDITS: LazyLock<Vec<Edit>> =
    LazyLock::new(|| FIELDS.map(|(name, value)| Edit::set(name, value)).to_vec());

/// The `config` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    work: Work,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Work {
    /// Nothing, in the request hook.
    Empty,
    /// Read one request field and set two.
    Headers,
    /// That, with a check of the field, and set one response field: what a plugin that looks at headers only does.
    HeaderOnly,
    /// Set eight fields, one call for each.
    Singly,
    /// Set eight fields in one call.
    Batch,
    /// Let every chunk of both bodies pass.
    Pass,
    /// Swap upper and lower case in every chunk of both bodies.
    Transform,
}

/// The plugin.
#[derive(Debug)]
pub struct Bench(Work);

impl Plugin for Bench {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        Ok(Self(config.work))
    }

    fn interest(&self) -> Interest {
        match self.0 {
            Work::Empty | Work::Headers | Work::Singly | Work::Batch => Interest::REQUEST,
            Work::HeaderOnly => Interest::REQUEST | Interest::RESPONSE,
            Work::Pass | Work::Transform => {
                Interest::REQUEST_BODY_CHUNKS | Interest::RESPONSE_BODY_CHUNKS
            }
        }
    }
}

impl OnRequest for Bench {
    fn on_request(&self, request: &mut Request) -> Result<Decision, Fault> {
        match self.0 {
            Work::Headers | Work::HeaderOnly => {
                let key = request.header("x-api-key");
                if self.0 == Work::HeaderOnly && key.as_deref() != Some(KEY) {
                    return Ok(LocalResponse::new(401).into());
                }
                request.set_header("x-consumer", "alice")?;
                request.set_header("x-plan", "gold")?;
            }
            Work::Singly => {
                for (name, value) in FIELDS {
                    request.set_header(name, value)?;
                }
            }
            Work::Batch => request.edit_headers(&EDITS)?,
            Work::Empty | Work::Pass | Work::Transform => {}
        }
        Ok(Decision::Next)
    }
}

impl OnRequestBody for Bench {
    fn request_chunk(&self, _: &Request, data: Vec<u8>, _: bool) -> Result<ChunkDecision, Fault> {
        Ok(self.chunk(data))
    }
}

impl OnResponse for Bench {
    fn on_response(&self, _: &Request, response: &mut Response) -> Result<Decision, Fault> {
        response.set_header("x-served-by", "gateway")?;
        Ok(Decision::Next)
    }
}

impl OnResponseBody for Bench {
    fn response_chunk(
        &self,
        _: &Request,
        _: &Response,
        data: Vec<u8>,
        _: bool,
    ) -> Result<ChunkDecision, Fault> {
        Ok(self.chunk(data))
    }
}

impl Bench {
    fn chunk(&self, mut data: Vec<u8>) -> ChunkDecision {
        if self.0 != Work::Transform {
            return ChunkDecision::Pass;
        }
        for byte in &mut data {
            *byte ^= CASE;
        }
        ChunkDecision::Replace(data)
    }
}

plugin_sdk::export!(Bench: OnRequest, OnRequestBody, OnResponse, OnResponseBody);
