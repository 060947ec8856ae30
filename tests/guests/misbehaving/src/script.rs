//! What can be asked of this plugin: `{ acts = [{ hook = "request", act = "loop" }, ...] }` and the like.

use serde::Deserialize;

use crate::bindings::gateway::plugin::types::Interest;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Script {
    /// What `init` does before it answers.
    pub(crate) init: Option<InitAct>,
    /// What to declare; if not said, every hook that some act names.
    declare: Option<Vec<Hook>>,
    /// What hooks do, in order.
    #[serde(default)]
    pub(crate) acts: Vec<Step>,
}

/// One thing to do in one hook.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) hook: Hook,
    /// Only if the request has this header field.
    pub(crate) when: Option<String>,
    pub(crate) act: Act,
}

/// A hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Hook {
    Request,
    RequestChunk,
    RequestWhole,
    Response,
    ResponseChunk,
    ResponseWhole,
    Log,
}

/// A field of a header, or any other pair.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// Many of something, each of a size.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Flood {
    pub(crate) count: u32,
    pub(crate) bytes: usize,
}

/// A response to give.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) headers: Vec<Pair>,
    #[serde(default)]
    pub(crate) body: String,
}

/// A call to make, that many times.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call {
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) headers: Vec<Pair>,
    #[serde(default = "once")]
    pub(crate) count: u32,
    pub(crate) timeout: Option<u64>,
}

fn once() -> u32 {
    1
}

/// Tokens to take.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Take {
    pub(crate) key: String,
    pub(crate) rate: u64,
    pub(crate) period: u64,
    pub(crate) burst: u64,
    pub(crate) cost: u64,
}

/// What to do to an exchange.
#[derive(Debug, Deserialize)]
pub(crate) struct Preset {
    #[serde(default)]
    pub(crate) request: Vec<Pair>,
    #[serde(default)]
    pub(crate) response: Vec<Pair>,
    #[serde(default)]
    pub(crate) attributes: Vec<Pair>,
}

/// What `init` does.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum InitAct {
    Loop,
    Trap,
    Allocate,
    Sleep,
    /// Compute for so many milliseconds.
    Compute(u64),
    Refuse(String),
}

/// What a hook does. Edits are of the message that the hook is about; one that is refused is noted in the attribute
/// `refused`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Act {
    Set(Pair),
    Append(Pair),
    Remove(String),
    /// All of them in one call: appended.
    Batch(Vec<Pair>),
    /// All of them in one call: set on the response when it comes back.
    Later(Vec<Pair>),
    /// Even in a response hook.
    SetOnRequest(Pair),
    Method(String),
    Path(String),
    Query(String),
    NoQuery,
    Status(u16),
    Respond(Answer),
    /// Prepare a preset, note a refusal, and answer with it.
    Preset(Preset),
    /// Answer with the preset of that number, whether it is there or not.
    PresetNumber(u32),
    /// Give a response with that status, then trap.
    RespondThenTrap(u16),
    /// Answer `respond` without a response.
    RespondNothing,
    /// Answer with that status, and trap if the gateway refuses it.
    RespondOrTrap(u16),
    /// Answer with what the request offers, as JSON; in response hooks a field `x-described` tells of the response.
    Describe,
    State(String),
    /// Append `x-state`.
    RevealState,
    Attribute(Pair),
    /// Append `x-attribute`.
    RevealAttribute(String),
    Interest(Vec<Hook>),
    Replace(String),
    Upper,
    Drop,
    Abort(String),
    /// Append `x-calls`, and add to the attribute `calls`: the calls that this instance has had.
    Calls,
    /// Note in the attribute `largest` the largest chunk so far.
    Measure,
    /// The log entry as a line of the access log.
    Entry,
    Log(String),
    Access(String),
    Print(String),
    KvSet(Pair),
    /// Append `x-kv`.
    KvGet(String),
    /// Append `x-taken`.
    Take(Take),
    /// Append `x-fetched`, one for each kind of answer.
    Fetch(Call),
    /// Append `x-around`: what of the machine can be reached.
    LookAround,

    Loop,
    Trap,
    Panic,
    Exit,
    Allocate,
    Recurse,
    Sleep,
    /// For so many milliseconds.
    Nap(u64),
    HostCalls(u32),
    LogFlood(Flood),
    PrintFlood(Flood),
    HeaderFlood(Flood),
    RespondWithFlood(Flood),
    /// Answer with a body, or replace a body, by that many bytes.
    Output(usize),
    StateFlood(usize),
    AttributeFlood(Flood),
    /// Append `x-remembered` with the `x-token` that this instance saw before, and `x-kept` with what the handle of
    /// that time shows now.
    Remember,
}

impl Script {
    /// The hooks to declare.
    pub(crate) fn interest(&self) -> Interest {
        let named: Vec<Hook> = self.acts.iter().map(|step| step.hook).collect();
        interest(self.declare.as_ref().unwrap_or(&named))
    }
}

/// Hooks as the contract writes them.
pub(crate) fn interest(hooks: &[Hook]) -> Interest {
    hooks.iter().fold(Interest::empty(), |set, hook| {
        set | match hook {
            Hook::Request => Interest::REQUEST,
            Hook::RequestChunk => Interest::REQUEST_BODY_CHUNKS,
            Hook::RequestWhole => Interest::REQUEST_BODY_WHOLE,
            Hook::Response => Interest::RESPONSE,
            Hook::ResponseChunk => Interest::RESPONSE_BODY_CHUNKS,
            Hook::ResponseWhole => Interest::RESPONSE_BODY_WHOLE,
            Hook::Log => Interest::LOG,
        }
    })
}
