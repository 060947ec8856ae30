//! Calling a hook of a plugin on what is on the stage, and what is undone if the plugin is got around.
//!
//! Promises: however a call ends, the scene is on the stage again; unless it is dropped, which ends its exchange.

use std::sync::Arc;
use std::time::Instant;

use super::answer::stopped;
use super::bindings::{BodyDecision, WireDecision};
use super::body::Whole;
use super::fault::Fault;
use super::host::Scene;
use super::instance::Side;
use super::lease::Hook;
use super::notes::Notes;
use super::pool::Pool;
use crate::config::OnFault;

/// What is on the stage between two hooks.
pub(super) fn taken_down(stage: Option<Scene>) -> Scene {
    stage.expect("a hook that has ended has put it back")
}

/// The hook sees what is on the stage, and changes it there. `now` is when the hook before this one ended, and then when
/// this one did.
pub(super) async fn head_hook(
    pool: &Arc<Pool>,
    side: Side,
    stage: &mut Option<Scene>,
    now: &mut Instant,
) -> Result<WireDecision, Fault> {
    let hook = Hook::head(side);
    let mut lease = match pool.warm_lease(hook)? {
        Some(lease) => lease,
        None => {
            let lease = Box::pin(pool.lease_when_free(hook)).await;
            // Waiting is not the hook's time.
            *now = Instant::now();
            lease?
        }
    };
    let notes = notes_to_undo(pool, stage);
    let result = lease.head(side, stage, now).await;
    drop(lease);
    undo(notes, stage, result.is_err());
    stopped(result, stage, WireDecision::Respond)
}

pub(super) async fn whole_hook(
    pool: &Arc<Pool>,
    side: Side,
    stage: &mut Option<Scene>,
    whole: &Whole,
) -> Result<BodyDecision, Fault> {
    let mut lease = pool.lease(Hook::body(side)).await?;
    let notes = notes_to_undo(pool, stage);
    let result = lease.whole(side, stage, whole.data.clone()).await;
    undo(notes, stage, result.is_err());
    stopped(result, stage, BodyDecision::Respond)
}

/// What the chain has noted, if the plugin is to be got around as if it were not there.
pub(super) fn notes_to_undo(pool: &Pool, stage: &Option<Scene>) -> Option<Box<Notes>> {
    let scene = stage.as_ref().filter(|_| pool.on_fault() == OnFault::Skip);
    scene.map(|scene| Box::new(scene.request.facts.notes.lock().clone()))
}

/// Put back what the chain had noted before a call that is got around.
pub(super) fn undo(notes: Option<Box<Notes>>, stage: &Option<Scene>, is_faulty: bool) {
    if let (Some(notes), Some(scene), true) = (notes, stage, is_faulty) {
        *scene.request.facts.notes.lock() = *notes;
    }
}
