//! The lease that a hook call takes on an instance. The instance is spoiled from the start of a call until it returned
//! well; on drop it goes back to its pool, or to the thread that drops instances.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::bindings::{BodyDecision, ChunkDecision, LogEntry, WireDecision};
use super::fault::Fault;
use super::host::Scene;
use super::instance::{Instance, Side};
use super::pool::Pool;

/// A hook, as calls are counted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Hook {
    Request,
    RequestBody,
    Response,
    ResponseBody,
    Log,
}

impl Hook {
    /// `on-request` or `on-response`.
    pub(super) fn head(side: Side) -> Self {
        match side {
            Side::Request => Self::Request,
            Side::Response => Self::Response,
        }
    }

    /// `on-request-body` or `on-response-body`.
    pub(super) fn body(side: Side) -> Self {
        match side {
            Side::Request => Self::RequestBody,
            Side::Response => Self::ResponseBody,
        }
    }
}

/// Names of the hooks in metrics, by [`Hook`].
pub(super) const HOOKS: [&str; 5] = [
    "on-request",
    "on-request-body",
    "on-response",
    "on-response-body",
    "on-log",
];

/// An instance for one call after another, given back on drop.
pub(super) struct Lease<'a> {
    /// Borrowed where the chain is, since all workers share the count of its owners.
    pool: Cow<'a, Arc<Pool>>,
    /// There until the drop.
    instance: Option<Box<Instance>>,
    spoiled: bool,
    /// When the last call ended, so that the clock need not be read again.
    ended: Option<Instant>,
}

impl<'a> Lease<'a> {
    pub(super) fn new(pool: &'a Arc<Pool>, instance: Box<Instance>) -> Self {
        Self {
            pool: Cow::Borrowed(pool),
            instance: Some(instance),
            spoiled: false,
            ended: None,
        }
    }

    /// The same lease, to be kept for as long as it is needed.
    pub(super) fn into_owned(mut self) -> Lease<'static> {
        Lease {
            pool: Cow::Owned(Arc::clone(&self.pool)),
            instance: self.instance.take(),
            spoiled: self.spoiled,
            ended: self.ended,
        }
    }

    /// The instance is in the middle of something that will not go on.
    pub(super) fn spoil(&mut self) {
        self.spoiled = true;
    }

    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Call the hook on a head. It begins `now`; afterwards that is when it ended, so that the clock need not be read
    /// between two hooks.
    pub(super) async fn head(
        &mut self,
        side: Side,
        stage: &mut Option<Scene>,
        now: &mut Instant,
    ) -> Result<WireDecision, Fault> {
        let result = self.enter(stage).head(side, *now).await;
        *now = self.leave(Hook::head(side), stage, *now, result.as_ref().err());
        result
    }

    /// Call the hook on a chunk.
    pub(super) async fn chunk(
        &mut self,
        side: Side,
        stage: &mut Option<Scene>,
        data: Bytes,
        end: bool,
    ) -> Result<ChunkDecision, Fault> {
        let started = Instant::now();
        let result = self.enter(stage).chunk(side, data, end, started).await;
        self.leave(Hook::body(side), stage, started, result.as_ref().err());
        result
    }

    /// Call the hook on a whole body.
    pub(super) async fn whole(
        &mut self,
        side: Side,
        stage: &mut Option<Scene>,
        body: Bytes,
    ) -> Result<BodyDecision, Fault> {
        let started = Instant::now();
        let result = self.enter(stage).whole(side, body, started).await;
        self.leave(Hook::body(side), stage, started, result.as_ref().err());
        result
    }

    /// Call the hook on the end of an exchange.
    pub(super) async fn log(&mut self, scene: Scene, entry: Arc<LogEntry>) -> Result<(), Fault> {
        let started = Instant::now();
        let mut stage = Some(scene);
        let result = self.enter(&mut stage).log(entry, started).await;
        self.leave(Hook::Log, &mut stage, started, result.as_ref().err());
        result
    }

    /// The instance with what is on the stage, spoiled until [`Lease::leave`] says otherwise: a call may be dropped at any await.
    fn enter(&mut self, stage: &mut Option<Scene>) -> &mut Instance {
        self.spoiled = true;
        let instance = self.instance();
        instance.swap_scene(stage);
        instance
    }

    fn instance(&mut self) -> &mut Instance {
        self.instance
            .as_mut()
            .expect("a lease has its instance until it is dropped")
    }

    /// The call has ended; when.
    fn leave(
        &mut self,
        hook: Hook,
        stage: &mut Option<Scene>,
        started: Instant,
        fault: Option<&Fault>,
    ) -> Instant {
        self.instance().swap_scene(stage);
        self.spoiled = fault.is_some();
        let fault = fault.map(|fault| (fault, self.instance().cost(started)));
        let ended = Instant::now();
        self.ended = Some(ended);
        let time = ended.duration_since(started);
        self.pool.note(hook, time, ended, fault);
        if let Some(scene) = stage {
            scene.request.facts.add_time(scene.slot, time);
        }
        ended
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        match self.instance.take() {
            Some(instance) if self.spoiled => self.pool.bury(instance),
            Some(instance) => self
                .pool
                .release(instance, self.ended.unwrap_or_else(Instant::now)),
            None => {}
        }
    }
}
