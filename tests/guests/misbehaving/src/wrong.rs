//! Acts that no plugin should do, and that the gateway has to survive.

use std::mem::ManuallyDrop;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::bindings::gateway::plugin::log;
use crate::bindings::gateway::plugin::types::{Header, LocalResponse, Request};
use crate::script::{Act, Flood, InitAct};
use crate::{Outcome, Stage};

/// Never zero; the compiler can't know.
static GO_ON: AtomicU64 = AtomicU64::new(1);
/// What this instance saw last: a token, and the handle it came from.
static REMEMBERED: Mutex<Option<(String, u32)>> = Mutex::new(None);

/// Do what is to go wrong at the start.
pub(crate) fn init(act: &InitAct) -> Result<(), String> {
    match act {
        InitAct::Loop => spin(),
        InitAct::Trap => core::arch::wasm32::unreachable(),
        InitAct::Allocate => allocate(),
        InitAct::Sleep => sleep(),
        InitAct::Compute(milliseconds) => compute(*milliseconds),
        InitAct::Refuse(text) => return Err(text.clone()),
    }
    Ok(())
}

/// Do an act that is wrong.
pub(crate) fn act(stage: &Stage<'_>, act: &Act) -> Option<Outcome> {
    match act {
        Act::Loop => spin(),
        Act::Trap => core::arch::wasm32::unreachable(),
        Act::Panic => panic!("on purpose"),
        Act::Exit => std::process::exit(3),
        Act::Allocate => allocate(),
        Act::Recurse => drop(recurse(0)),
        Act::Sleep => sleep(),
        Act::Nap(milliseconds) => std::thread::sleep(Duration::from_millis(*milliseconds)),
        Act::HostCalls(count) => (0..*count).for_each(|_| drop(stage.request.header("x"))),
        Act::LogFlood(Flood { count, bytes }) => {
            let message = "y".repeat(*bytes);
            (0..*count).for_each(|_| log::write(log::Level::Warn, &message, &[]));
        }
        Act::PrintFlood(Flood { count, bytes }) => {
            let line = "p".repeat(*bytes);
            (0..*count).for_each(|_| println!("{line}"));
        }
        Act::HeaderFlood(flood) => {
            let value = "z".repeat(flood.bytes);
            for _ in 0..flood.count {
                let result = stage.append("x-flood", value.as_bytes());
                if result.is_err() {
                    stage.note("x-flood", result);
                    break;
                }
            }
        }
        Act::StateFlood(bytes) => stage.note("state", stage.request.set_state(&vec![b's'; *bytes])),
        Act::AttributeFlood(flood) => {
            let value = "a".repeat(flood.bytes);
            for number in 0..flood.count {
                stage.note(
                    "attribute",
                    stage
                        .request
                        .set_attribute(&format!("flood-{number}"), &value),
                );
            }
        }
        Act::LookAround => look_around(stage),
        Act::Remember => remember(stage),
        _ => return answer(stage, act),
    }
    Some(Outcome::GoOn)
}

/// Do an act that ends its hook in a wrong way.
fn answer(stage: &Stage<'_>, act: &Act) -> Option<Outcome> {
    match act {
        Act::PresetNumber(number) => Some(Outcome::Preset(*number)),
        Act::RespondNothing => Some(Outcome::Answer),
        Act::RespondOrTrap(status) => match stage.request.respond(&bare(*status)) {
            Ok(()) => Some(Outcome::Answer),
            Err(error) => panic!("{error}"),
        },
        Act::RespondThenTrap(status) => {
            let _ = stage.request.respond(&bare(*status));
            panic!("after a response");
        }
        Act::RespondWithFlood(flood) => {
            let header = |_| Header {
                name: "x-flood".to_owned(),
                value: vec![b'z'; flood.bytes],
            };
            let headers = (0..flood.count).map(header).collect();
            Some(Outcome::Respond(LocalResponse {
                status: 200,
                headers,
                body: Vec::new(),
            }))
        }
        Act::Output(bytes) => {
            let body = vec![b'o'; *bytes];
            Some(match stage.data {
                Some(_) => Outcome::Replace(body),
                None => Outcome::Respond(LocalResponse {
                    status: 200,
                    headers: Vec::new(),
                    body,
                }),
            })
        }
        _ => None,
    }
}

fn spin() {
    while GO_ON.load(Ordering::Relaxed) != 0 {}
}

fn compute(milliseconds: u64) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(milliseconds) {}
}

fn allocate() {
    while GO_ON.load(Ordering::Relaxed) != 0 {
        // Seen by somebody, or the compiler would leave it out.
        std::mem::forget(std::hint::black_box(vec![1_u8; 256 << 10]));
    }
}

fn sleep() {
    std::thread::sleep(Duration::from_secs(24 * 3600));
}

/// Deep in calls, not in memory: no variable here needs an address. The division keeps it from becoming a loop.
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    if GO_ON.load(Ordering::Relaxed) == 0 {
        return depth;
    }
    recurse(depth + 1) / 3 + GO_ON.load(Ordering::Relaxed)
}

/// Try what a program on an ordinary machine would find.
fn look_around(stage: &Stage<'_>) {
    let variables = std::env::vars_os().count();
    let arguments = std::env::args_os().count();
    let files = ["/", ".", "/etc/passwd", "/proc/self/environ"];
    let files = files
        .iter()
        .filter(|path| std::fs::metadata(path).is_ok())
        .count();
    let clock = std::time::SystemTime::now() > std::time::UNIX_EPOCH;
    let told =
        format!("variables {variables}, arguments {arguments}, files {files}, clock {clock}");
    stage.tell("x-around", &told);
}

/// Reveal what an earlier call left in this instance, and try its handle again.
fn remember(stage: &Stage<'_>) {
    let token = stage.request.header("x-token").unwrap_or_default();
    let token = String::from_utf8_lossy(&token).into_owned();
    let before = REMEMBERED
        .lock()
        .ok()
        .and_then(|mut kept| kept.replace((token, stage.request.handle())));
    let Some((token, handle)) = before else {
        return;
    };
    stage.tell("x-remembered", &token);
    // SAFETY: a handle is an index that the gateway checks at every use; a stale one is what this act is about.
    let kept = ManuallyDrop::new(unsafe { Request::from_handle(handle) });
    let seen = kept.header("x-token").unwrap_or_default();
    stage.tell("x-kept", &String::from_utf8_lossy(&seen));
}

fn bare(status: u16) -> LocalResponse {
    LocalResponse {
        status,
        headers: Vec::new(),
        body: Vec::new(),
    }
}
