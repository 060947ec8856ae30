//! Bodies and plugins: a body that runs every chunk through a hook, and a body collected whole.
//!
//! Back-pressure comes from the shape: a chunk is read only when the one before has passed the hook and was taken by
//! whoever sends it on.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;

use super::bindings::ChunkDecision;
use super::fault::Fault;
use super::hook::{notes_to_undo, taken_down, undo};
use super::host::Scene;
use super::instance::Side;
use super::lease::Lease;
use super::pool::{Policy, StreamPlace};
use crate::body::{Body, BodyError};
use crate::config::OnFault;

/// Bytes that a chunk hook gets at once, so that a guest needs room for no more; larger reads are split.
const MAX_CHUNK_BYTES: usize = 64 * 1024;

/// Why a body could not be collected.
#[derive(Debug)]
pub(super) enum CollectError {
    TooLarge,
    Body(BodyError),
}

/// A whole body.
pub(super) struct Whole {
    pub(super) data: Bytes,
    pub(super) trailers: Option<HeaderMap>,
}

impl Whole {
    /// Read to the end, or to the limit.
    pub(super) async fn collect(mut body: Body, limit_bytes: usize) -> Result<Self, CollectError> {
        if body.size_hint().lower() > limit_bytes as u64 {
            return Err(CollectError::TooLarge);
        }
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        let mut trailers = None;
        while let Some(frame) = body.frame().await {
            match frame.map_err(CollectError::Body)?.into_data() {
                Ok(data) if first.len() + rest.len() + data.len() > limit_bytes => {
                    return Err(CollectError::TooLarge);
                }
                Ok(data) if first.is_empty() => first = data,
                Ok(data) => rest.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        if rest.is_empty() {
            return Ok(Self {
                data: first,
                trailers,
            });
        }
        let mut data = BytesMut::with_capacity(first.len() + rest.len());
        data.extend_from_slice(&first);
        data.extend_from_slice(&rest);
        Ok(Self {
            data: data.freeze(),
            trailers,
        })
    }

    /// A body again.
    pub(super) fn into_body(self) -> Body {
        match self.trailers {
            None => Body::full(self.data),
            Some(trailers) => Body::boxed(WithTrailers {
                data: Some(self.data),
                trailers: Some(trailers),
            }),
        }
    }
}

/// A whole body with trailers. It does not tell its length: a body that is framed by one can't have trailers in HTTP/1.1.
struct WithTrailers {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl HttpBody for WithTrailers {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let data = self.data.take().filter(|data| !data.is_empty());
        let frame = data.map(Frame::data);
        Poll::Ready(
            frame
                .or_else(|| self.trailers.take().map(Frame::trailers))
                .map(Ok),
        )
    }
}

/// A body that runs every chunk through one plugin's chunk hook. It keeps one instance from start to end.
pub(super) struct HookBody {
    inner: Body,
    state: State,
    /// What was read and not given to the hook yet.
    pending: Bytes,
    trailers: Option<HeaderMap>,
    /// Whether the inner body has ended, and whether the hook knows.
    source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Flowing,
    Ended,
    HookToldOfEnd,
}

/// The instance and what it sees.
pub(super) struct Stage {
    pub(super) lease: Lease<'static>,
    pub(super) place: StreamPlace,
    pub(super) scene: Scene,
    pub(super) side: Side,
    /// Whether the hook has let anything through: from then on its output can't be mixed with the raw body.
    pub(super) begun: Begun,
}

/// Whether a stage has already handled a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    NotYet,
    Yes,
}

type Call = Pin<Box<dyn Future<Output = (Stage, Bytes, Result<ChunkDecision, Fault>)> + Send>>;

enum State {
    Ready(Box<Stage>),
    Calling(Call),
    /// The hook has had everything, and its instance is given back.
    Told,
    /// The plugin faulted at its very first chunk and is skipped.
    Bypassed,
    Done,
}

impl HookBody {
    pub(super) fn wrap(inner: Body, stage: Stage) -> Body {
        Body::boxed(Self {
            inner,
            state: State::Ready(Box::new(stage)),
            pending: Bytes::new(),
            trailers: None,
            source: Source::Flowing,
        })
    }

    /// The next piece for the hook, and whether it is the last.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<(Bytes, bool), BodyError>> {
        while self.pending.is_empty() && self.source == Source::Flowing {
            match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.pending = data,
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => self.source = Source::Ended,
            }
            if self.inner.is_end_stream() {
                self.source = Source::Ended;
            }
        }
        let size = self.pending.len().min(MAX_CHUNK_BYTES);
        let piece = self.pending.split_to(size);
        let end = self.pending.is_empty() && self.source == Source::Ended;
        if end {
            self.source = Source::HookToldOfEnd;
        }
        Poll::Ready(Ok((piece, end)))
    }

    /// What came out of the hook.
    fn settle(
        &mut self,
        stage: Stage,
        piece: Bytes,
        result: Result<ChunkDecision, Fault>,
    ) -> Result<Bytes, BodyError> {
        let plugin = stage.lease.pool().name().clone();
        let fault = match result {
            Ok(decision) => {
                self.state = if self.source == Source::HookToldOfEnd {
                    State::Told
                } else {
                    State::Ready(Box::new(Stage {
                        begun: Begun::Yes,
                        ..stage
                    }))
                };
                return match decision {
                    ChunkDecision::Pass => Ok(piece),
                    ChunkDecision::Replace(data) => Ok(Bytes::from(data)),
                    ChunkDecision::Abort(why) => {
                        self.give_up();
                        Err(BodyError::Aborted(format!(
                            "plugin '{plugin}' aborted the body: {why}"
                        )))
                    }
                };
            }
            Err(fault) => fault,
        };
        let skip = stage.lease.pool().on_fault() == OnFault::Skip && stage.begun == Begun::NotYet;
        let policy = if skip {
            Policy::Skipped
        } else {
            Policy::Denied
        };
        stage.lease.pool().report(&fault, policy);
        if skip {
            self.state = State::Bypassed;
            return Ok(piece);
        }
        self.state = State::Done;
        Err(BodyError::Fault(format!("plugin '{plugin}' {fault}")))
    }

    /// No more chunks will come. An instance that waits for them keeps something of this body, maybe, and must not meet
    /// another one.
    fn give_up(&mut self) {
        if let State::Ready(stage) = &mut self.state
            && stage.begun == Begun::Yes
        {
            stage.lease.spoil();
        }
        self.state = State::Done;
    }

    fn poll_bypassed(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if !self.pending.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.pending)))));
        }
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        Pin::new(&mut self.inner).poll_frame(cx)
    }
}

async fn call(
    stage: Box<Stage>,
    piece: Bytes,
    end: bool,
) -> (Stage, Bytes, Result<ChunkDecision, Fault>) {
    let Stage {
        mut lease,
        place,
        scene,
        side,
        begun,
    } = *stage;
    let mut scene = Some(scene);
    let notes = match begun {
        Begun::NotYet => notes_to_undo(lease.pool(), &scene),
        Begun::Yes => None,
    };
    let result = lease.chunk(side, &mut scene, piece.clone(), end).await;
    undo(notes, &scene, result.is_err());
    let stage = Stage {
        lease,
        place,
        scene: taken_down(scene),
        side,
        begun,
    };
    (stage, piece, result)
}

impl Drop for HookBody {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl HttpBody for HookBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Done => return Poll::Ready(None),
                State::Told => {
                    let trailers = self.trailers.take();
                    return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
                }
                State::Bypassed => {
                    self.state = State::Bypassed;
                    return self.poll_bypassed(cx);
                }
                State::Ready(stage) => {
                    let piece = self.poll_piece(cx);
                    match piece {
                        Poll::Pending => {
                            self.state = State::Ready(stage);
                            return Poll::Pending;
                        }
                        Poll::Ready(Err(error)) => {
                            self.state = State::Ready(stage);
                            self.give_up();
                            return Poll::Ready(Some(Err(error)));
                        }
                        Poll::Ready(Ok((piece, end))) => {
                            self.state = State::Calling(Box::pin(call(stage, piece, end)));
                        }
                    }
                }
                State::Calling(mut calling) => match calling.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.state = State::Calling(calling);
                        return Poll::Pending;
                    }
                    Poll::Ready((stage, piece, result)) => {
                        match self.settle(stage, piece, result) {
                            Ok(data) if data.is_empty() => {}
                            Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                            Err(error) => return Poll::Ready(Some(Err(error))),
                        }
                    }
                },
            }
        }
    }
}
