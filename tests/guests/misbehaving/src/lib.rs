//! A plugin for the tests: it does what its configuration says, right or wrong, in whichever hook it says.
//!
//! Made with bindings straight from the contract and without the plugin SDK, so that it can hand over what the SDK
//! would never let through. `script` is what can be asked of it, `right` and `wrong` do it.
#![cfg(target_family = "wasm")]
#![expect(
    unsafe_code,
    reason = "generated bindings, and acts that reach for what is not theirs"
)]

mod bindings {
    //! What wit-bindgen makes of the contract.

    wit_bindgen::generate!({ path: "../../../wit", world: "plugin", generate_all });
}
mod right;
mod script;
mod wrong;

use std::sync::OnceLock;

use bindings::exports::gateway::plugin::{
    lifecycle, on_log, on_request, on_request_body, on_response, on_response_body,
};
use bindings::gateway::plugin::types::{
    BodyDecision, ChunkDecision, Decision, Interest, LocalResponse, LogEntry, Request, Response,
};
use script::{Hook, Script};

/// What the configuration asked for. An instance has one configuration for all its life.
static SCRIPT: OnceLock<Script> = OnceLock::new();

struct Misbehaving;

bindings::export!(Misbehaving with_types_in bindings);

/// What a hook is looking at.
struct Stage<'a> {
    hook: Hook,
    request: &'a Request,
    response: Option<&'a Response>,
    data: Option<&'a [u8]>,
    entry: Option<&'a LogEntry>,
}

/// How one act ended.
enum Outcome {
    /// On to the next act.
    GoOn,
    /// The hook ends with these interests.
    Interest(Interest),
    /// The hook ends with this preset.
    Preset(u32),
    /// The hook ends with a response that it was to give before.
    Answer,
    /// The hook ends with a response.
    Respond(LocalResponse),
    /// The hook ends with other bytes.
    Replace(Vec<u8>),
    /// The hook ends by cutting the body off.
    Abort(String),
}

/// Do every act of that hook, until one ends it.
fn play(stage: &Stage<'_>) -> Outcome {
    right::count_call();
    let acts = SCRIPT
        .get()
        .map(|script| script.acts.as_slice())
        .unwrap_or_default();
    for step in acts.iter().filter(|step| step.hook == stage.hook) {
        if step
            .when
            .as_ref()
            .is_some_and(|name| stage.request.header(name).is_none())
        {
            continue;
        }
        let outcome = right::act(stage, &step.act).or_else(|| wrong::act(stage, &step.act));
        match outcome.unwrap_or(Outcome::GoOn) {
            Outcome::GoOn => {}
            end => return end,
        }
    }
    Outcome::GoOn
}

fn decision(request: &Request, outcome: Outcome) -> Decision {
    match outcome {
        Outcome::Interest(interest) => Decision::NextWith(interest),
        Outcome::Preset(number) => Decision::NextPreset(number),
        Outcome::Respond(response) => {
            // Whatever the gateway says to it.
            let _ = request.respond(&response);
            Decision::Respond
        }
        Outcome::Answer => Decision::Respond,
        Outcome::GoOn | Outcome::Replace(_) | Outcome::Abort(_) => Decision::Next,
    }
}

fn chunk_decision(outcome: Outcome) -> ChunkDecision {
    match outcome {
        Outcome::Replace(data) => ChunkDecision::Replace(data),
        Outcome::Abort(why) => ChunkDecision::Abort(why),
        Outcome::GoOn
        | Outcome::Interest(_)
        | Outcome::Preset(_)
        | Outcome::Answer
        | Outcome::Respond(_) => ChunkDecision::Pass,
    }
}

fn body_decision(request: &Request, outcome: Outcome) -> BodyDecision {
    match outcome {
        Outcome::Replace(data) => BodyDecision::Replace(data),
        Outcome::Respond(response) => {
            let _ = request.respond(&response);
            BodyDecision::Respond
        }
        Outcome::Answer => BodyDecision::Respond,
        Outcome::GoOn | Outcome::Interest(_) | Outcome::Preset(_) | Outcome::Abort(_) => {
            BodyDecision::Pass
        }
    }
}

impl lifecycle::Guest for Misbehaving {
    fn init(config: String) -> Result<Interest, String> {
        let script: Script = serde_json::from_str(&config).map_err(|error| error.to_string())?;
        if let Some(init) = &script.init {
            wrong::init(init)?;
        }
        let interest = script.interest();
        SCRIPT
            .set(script)
            .map_err(|_| "init was called twice".to_owned())?;
        Ok(interest)
    }
}

impl on_request::Guest for Misbehaving {
    fn handle(request: &Request) -> Decision {
        decision(
            request,
            play(&Stage {
                hook: Hook::Request,
                request,
                response: None,
                data: None,
                entry: None,
            }),
        )
    }
}

impl on_request_body::Guest for Misbehaving {
    fn chunk(request: &Request, data: Vec<u8>, _end: bool) -> ChunkDecision {
        let data = Some(data.as_slice());
        chunk_decision(play(&Stage {
            hook: Hook::RequestChunk,
            request,
            response: None,
            data,
            entry: None,
        }))
    }

    fn whole(request: &Request, body: Vec<u8>) -> BodyDecision {
        let data = Some(body.as_slice());
        body_decision(
            request,
            play(&Stage {
                hook: Hook::RequestWhole,
                request,
                response: None,
                data,
                entry: None,
            }),
        )
    }
}

impl on_response::Guest for Misbehaving {
    fn handle(request: &Request, response: &Response) -> Decision {
        let response = Some(response);
        decision(
            request,
            play(&Stage {
                hook: Hook::Response,
                request,
                response,
                data: None,
                entry: None,
            }),
        )
    }
}

impl on_response_body::Guest for Misbehaving {
    fn chunk(request: &Request, response: &Response, data: Vec<u8>, _end: bool) -> ChunkDecision {
        let (response, data) = (Some(response), Some(data.as_slice()));
        chunk_decision(play(&Stage {
            hook: Hook::ResponseChunk,
            request,
            response,
            data,
            entry: None,
        }))
    }

    fn whole(request: &Request, response: &Response, body: Vec<u8>) -> BodyDecision {
        let (response, data) = (Some(response), Some(body.as_slice()));
        body_decision(
            request,
            play(&Stage {
                hook: Hook::ResponseWhole,
                request,
                response,
                data,
                entry: None,
            }),
        )
    }
}

impl on_log::Guest for Misbehaving {
    fn handle(request: &Request, entry: LogEntry) {
        let entry = Some(&entry);
        play(&Stage {
            hook: Hook::Log,
            request,
            response: None,
            data: None,
            entry,
        });
    }
}
