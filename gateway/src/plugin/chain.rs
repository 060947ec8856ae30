//! Plugins in a row. A request passes them in order, a response in reverse, through those only whose request hook
//! has been reached; a response made at one place walks back through the places outside of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use smallvec::SmallVec;
use thiserror::Error;

use super::bindings::{LogEntry, PluginTime};
use super::fault::Fault;
use super::head::{Changes, Facts, RequestHead, ResponseHead};
use super::host::Access;
use super::interest::Interest;
use super::lease::Hook;
use super::pool::{Policy, Pool};
use super::step::{changed, request_step, response_step, scene};
use crate::body::{Body, BodyError};
use crate::config::OnFault;

/// A request on its way through a chain.
#[derive(Debug)]
pub struct Request {
    /// Its head.
    pub head: Arc<RequestHead>,
    /// Its body.
    pub body: Body,
}

/// A response on its way through a chain.
#[derive(Debug)]
pub struct Response {
    /// Its head.
    pub head: Arc<ResponseHead>,
    /// Its body.
    pub body: Body,
}

/// What a chain made of a request.
#[derive(Debug)]
pub enum Decision {
    /// To the upstream with it.
    Next(Request),
    /// A plugin answered.
    Respond(Response),
}

/// Why a chain could not go on.
#[derive(Debug, Error)]
pub enum ChainError {
    /// A plugin faulted whose policy is `deny`. Already reported.
    #[error("plugin '{plugin}' {fault}")]
    Fault {
        /// The plugin's name.
        plugin: Arc<str>,
        /// What went wrong.
        fault: Fault,
    },
    /// A plugin wanted the whole body, and that is longer than the plugin's `buffered-body`.
    #[error(
        "the body is longer than the {limit_bytes} bytes that plugin '{plugin}' may hold (limits.buffered-body)"
    )]
    TooLarge {
        /// The plugin's name.
        plugin: Arc<str>,
        /// The limit.
        limit_bytes: usize,
    },
    /// The body broke off while it was collected.
    #[error("the body broke off: {0}")]
    Body(#[source] BodyError),
}

/// Why a run has its request.
const IS_HERE: &str = "the request is here from the start of the chain, but while it is lent";

/// One exchange's way through its chain.
#[derive(Debug, Default)]
pub struct Run {
    /// How many places the request has reached.
    pub(super) reached: usize,
    /// What each place wants of this exchange. The chain's own until a plugin changes its mind.
    pub(super) interests: Arc<[Interest]>,
    /// The request as it stands in the chain; behind it, kept if anybody on the way back wants to see it.
    pub(super) request: Option<Arc<RequestHead>>,
    /// What places want done to the response when it passes them, in the order of the places; of one place the last lies
    /// first, since they are taken from the end.
    pub(super) later: SmallVec<[(usize, Arc<Changes>); 4]>,
    hurry: Hurry,
    /// When the request had passed the chain, if that has plugins.
    pub(super) ended: Option<Instant>,
}

/// Whether [`Chain::on_request`] may be dropped before it is done, by a time limit, and the response for that still walks back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Hurry {
    /// It is always awaited.
    #[default]
    None,
    /// It may be dropped, so that the request must be kept beside the hook that edits it, at the price of a copy.
    TimeLimit,
}

impl Run {
    /// The request as it left the chain, if somebody on the way back wants to see it.
    #[must_use]
    pub fn request(&self) -> Option<&Arc<RequestHead>> {
        self.request.as_ref()
    }

    /// When the request had passed the chain, if that has plugins.
    #[must_use]
    pub fn ended(&self) -> Option<Instant> {
        self.ended
    }

    /// The request, for a hook that edits it. It is lent, since a second handle would make every edit copy it first;
    /// [`Run::give_back`] ends that.
    pub(super) fn lend(&mut self) -> Arc<RequestHead> {
        let head = match self.hurry {
            Hurry::None => self.request.take(),
            Hurry::TimeLimit => self.request.clone(),
        };
        head.expect(IS_HERE)
    }

    /// The request, for the upstream. Kept only if somebody will look at it: otherwise it goes without a copy.
    fn send_off(&mut self) -> Arc<RequestHead> {
        let looked_at = Interest::ANY_RESPONSE.or(Interest::LOG);
        let is_kept = self.interests.iter().any(|it| it.wants(looked_at));
        let kept = is_kept.then(|| Arc::clone(self.head()));
        std::mem::replace(&mut self.request, kept).expect(IS_HERE)
    }

    /// Have this done to the response when it passes a place, after what that place has wanted before.
    pub(super) fn defer(&mut self, slot: usize, changes: Arc<Changes>) {
        let before = self.later.iter().rposition(|(place, _)| *place < slot);
        let first = before.map_or(0, |before| before + 1);
        self.later.insert(first, (slot, changes));
    }

    /// From now on a place wants this.
    pub(super) fn set_interest(&mut self, slot: usize, interest: Interest) {
        Arc::make_mut(&mut self.interests)[slot] = interest;
    }

    pub(super) fn give_back(&mut self, head: Arc<RequestHead>) {
        self.request = Some(head);
    }

    /// The request as it stands.
    pub(super) fn head(&self) -> &Arc<RequestHead> {
        let head = self.request.as_ref();
        head.expect(IS_HERE)
    }
}

/// Plugins in a row.
#[derive(Default)]
pub struct Chain {
    pools: Vec<Arc<Pool>>,
    /// What each of them declared.
    declared: Arc<[Interest]>,
    /// Whether any may come to look at the time that each took.
    is_timed: bool,
}

impl Chain {
    /// Of those plugins, in that order.
    #[must_use]
    pub fn new(pools: Vec<Arc<Pool>>) -> Self {
        Self {
            declared: pools.iter().map(|pool| pool.declared()).collect(),
            is_timed: pools.iter().any(|pool| pool.exports().wants(Interest::LOG)),
            pools,
        }
    }

    /// The plugins, in order.
    #[must_use]
    pub fn pools(&self) -> &[Arc<Pool>] {
        &self.pools
    }

    /// Begin an exchange.
    #[must_use]
    pub fn begin(&self, hurry: Hurry) -> Run {
        Run {
            reached: 0,
            interests: Arc::clone(&self.declared),
            request: None,
            later: SmallVec::new(),
            hurry,
            ended: None,
        }
    }

    /// Through the chain towards the upstream. After an error, too, the way back is [`Chain::on_response`].
    pub async fn on_request(
        &self,
        run: &mut Run,
        mut request: Request,
    ) -> Result<Decision, ChainError> {
        if self.pools.is_empty() {
            return Ok(Decision::Next(request));
        }
        run.request = Some(request.head);
        let mut now = Instant::now();
        for (slot, pool) in self.pools.iter().enumerate() {
            let step = request_step(run, slot, pool, &mut request.body, &mut now);
            if let Some(response) = step.await? {
                return Ok(Decision::Respond(response));
            }
            run.reached = slot + 1;
        }
        run.ended = Some(now);
        Ok(Decision::Next(Request {
            head: run.send_off(),
            body: request.body,
        }))
    }

    /// Back through the chain. It can't fail: where a plugin does, `failed` makes the response that goes on from there.
    pub async fn on_response(
        &self,
        run: &mut Run,
        mut response: Response,
        failed: &(dyn Fn(ChainError) -> Response + Sync),
    ) -> Response {
        let request = run.request.clone();
        if request.is_none() && run.later.is_empty() {
            return response;
        }
        // A plugin that let the head pass and then stopped the request has not been passed.
        let passed = run.later.partition_point(|(place, _)| *place < run.reached);
        run.later.truncate(passed);
        let mut now = None;
        for slot in (0..run.reached).rev() {
            let pool = &self.pools[slot];
            while run.later.last().is_some_and(|(place, _)| *place >= slot)
                && let Some((_, changes)) = run.later.pop()
            {
                response = match changed(pool, response, &changes) {
                    Ok(response) => response,
                    Err(error) => failed(error),
                };
            }
            let Some(request) = &request else { continue };
            if !run.interests[slot].wants(Interest::ANY_RESPONSE) {
                continue;
            }
            let now = now.get_or_insert_with(Instant::now);
            response = match response_step(run, slot, pool, request, response, now).await {
                Ok(response) => response,
                Err(error) => failed(error),
            };
        }
        response
    }

    /// The exchange has ended: tell those that want to know, reached or not.
    pub async fn on_log(&self, run: &Run, facts: &Arc<Facts>, entry: &Arc<LogEntry>) {
        for (slot, pool) in self.pools.iter().enumerate() {
            if !run.interests[slot].wants(Interest::LOG) {
                continue;
            }
            let request = run
                .request
                .clone()
                .unwrap_or_else(|| Arc::new(bare_head(facts)));
            let logged = match pool.lease(Hook::Log).await {
                Ok(mut lease) => {
                    lease
                        .log(scene(&request, Access::Read, None, slot), Arc::clone(entry))
                        .await
                }
                Err(fault) => Err(fault),
            };
            if let Err(fault) = logged {
                let policy = match pool.on_fault() {
                    OnFault::Skip => Policy::Skipped,
                    OnFault::Deny => Policy::None,
                };
                pool.report(&fault, policy);
            }
        }
    }

    /// Whether anybody wants to know that an exchange has ended.
    #[must_use]
    pub fn wants_log(&self, run: &Run) -> bool {
        run.interests
            .iter()
            .any(|interest| interest.wants(Interest::LOG))
    }

    /// Room for the time of each plugin, if anybody may want to know.
    #[must_use]
    pub fn times_of_exchange(&self) -> Box<[AtomicU64]> {
        let timed = self.pools.iter().filter(|_| self.is_timed);
        timed.map(|_| AtomicU64::new(0)).collect()
    }

    /// Time per plugin that ran.
    #[must_use]
    pub fn times(&self, facts: &Facts) -> Vec<PluginTime> {
        let times = facts.times.iter().map(|time| time.load(Ordering::Relaxed));
        let pairs = self
            .pools
            .iter()
            .zip(times)
            .filter(|(_, nanoseconds)| *nanoseconds > 0);
        pairs
            .map(|(pool, nanoseconds)| PluginTime {
                name: pool.name().to_string(),
                nanoseconds,
            })
            .collect()
    }
}

/// The request as the client sent it, without fields: for exchanges that never had a chain to go through.
fn bare_head(facts: &Arc<Facts>) -> RequestHead {
    RequestHead {
        method: facts.method.clone(),
        target: facts.target.clone(),
        headers: http::HeaderMap::new(),
        facts: Arc::clone(facts),
    }
}
