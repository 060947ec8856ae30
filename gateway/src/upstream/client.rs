//! Connections: how one is made, and one exchange over it. The only file that knows hyper's client.
//!
//! hyper runs a connection in a task of its own, on the runtime of the worker that made it. Dropping a
//! [`Connection`] ends that task and closes the socket at once, whatever was going on; [`Connection::release`] keeps
//! it for the next request if hyper says that the last one is over in both directions.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::thread::{self, ThreadId};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::counters::{Open, Row};
use super::deadline::Deadline;
use super::endpoint::Endpoint;
use super::error::SendError;
use super::outgoing::{Outgoing, Progress};
use super::pool::Shard;
use super::wire::{Answered, Wire};

/// Bytes of a response head, and of trailers. The number of fields is hyper's default, 100: those it parses on the
/// stack, more would cost two allocations for each response (0.4 us of the 20 us that a request takes).
const MAX_RESPONSE_HEAD_BYTES: usize = 64 * 1024;

/// Bytes that hyper buffers for a connection in each direction: room for the longest head and for reads that are
/// large enough to be cheap. Its default of 400 KiB would let 1,000 connections hold 800 MiB.
const MAX_BUFFER_BYTES: usize = 128 * 1024;

/// An open connection to an endpoint.
pub(super) struct Connection {
    sender: SendRequest<Outgoing>,
    task: AbortHandle,
    answered: Answered,
    deadline: Deadline,
    endpoint: Arc<str>,
    counters: Arc<Row>,
    home: Weak<Shard>,
    thread: ThreadId,
    reused: bool,
}

/// An exchange that brought no response.
pub(super) struct Lost {
    pub(super) error: SendError,
    /// The request, if not a byte of it was written.
    pub(super) unsent: Option<Request<Outgoing>>,
    /// Whether a byte of an answer came.
    pub(super) answered: bool,
}

/// Connects to the first address of an endpoint that accepts, TLS included, within a time limit.
pub(super) async fn connect(
    endpoint: &Endpoint,
    counters: &Arc<Row>,
    limit: Duration,
) -> Result<Connection, SendError> {
    let deadline = Instant::now() + limit;
    let connection = match timeout_at(deadline, dial(endpoint, deadline)).await {
        Ok(Ok(wire)) => handshake(endpoint, counters, wire).await,
        Ok(Err(error)) => Err(error),
        Err(_) => Err(too_slow(endpoint, limit)),
    };
    match &connection {
        Ok(_) => counters.connects.add(1),
        Err(_) => counters.connect_failures.add(1),
    }
    connection
}

/// Tries the addresses in order; each gets an equal share of the time that is left, so that a silent one does not
/// take it all.
async fn dial(endpoint: &Endpoint, deadline: Instant) -> Result<Wire, SendError> {
    let addresses = endpoint.addresses().await?;
    let mut result = Err(endpoint.unreachable(io::ErrorKind::NotFound.into()));
    for (tried, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = deadline.saturating_duration_since(Instant::now()) / left;
        result = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return secure(endpoint, stream).await,
            Ok(Err(source)) => Err(endpoint.unreachable(source)),
            Err(_) => Err(too_slow(endpoint, share)),
        };
    }
    result
}

async fn secure(endpoint: &Endpoint, stream: TcpStream) -> Result<Wire, SendError> {
    // hyper writes a head and its body at once; waiting for more (RFC 896) would only add latency.
    stream
        .set_nodelay(true)
        .map_err(|source| endpoint.unreachable(source))?;
    let Some(tls) = endpoint.tls() else {
        return Ok(Wire::plain(stream));
    };
    match tls.connector.connect(tls.server.clone(), stream).await {
        Ok(stream) => Ok(Wire::tls(stream)),
        Err(source) => Err(SendError::Tls {
            endpoint: endpoint.name().clone(),
            source,
        }),
    }
}

async fn handshake(
    endpoint: &Endpoint,
    counters: &Arc<Row>,
    wire: Wire,
) -> Result<Connection, SendError> {
    let answered = wire.answered();
    let (sender, connection) = Builder::new()
        .max_buf_size(MAX_BUFFER_BYTES)
        .max_header_size(MAX_RESPONSE_HEAD_BYTES)
        .handshake(TokioIo::new(wire))
        .await
        .map_err(|error| SendError::from_exchange(endpoint.name(), error, None))?;
    let open = Open::new(counters.clone());
    let name = endpoint.name().clone();
    let task = tokio::spawn(async move {
        let _open = open;
        if let Err(error) = connection.await {
            tracing::debug!(endpoint = %name, %error, "connection ended");
        }
    });
    Ok(Connection {
        sender,
        task: task.abort_handle(),
        answered,
        deadline: Deadline::default(),
        endpoint: endpoint.name().clone(),
        counters: counters.clone(),
        home: Arc::downgrade(endpoint.pool().here()),
        thread: thread::current().id(),
        reused: false,
    })
}

fn too_slow(endpoint: &Endpoint, limit: Duration) -> SendError {
    SendError::ConnectTimeout {
        endpoint: endpoint.name().clone(),
        limit,
    }
}

impl Connection {
    /// Sends a request and waits for the response head.
    ///
    /// `limit` is the time without progress: it runs from the start and anew from each piece of the request body.
    /// So a long upload does not trip it, but an upstream that neither reads nor answers does.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Outgoing>,
        limit: Duration,
    ) -> Result<Response<Incoming>, Box<Lost>> {
        let progress = request.body().progress();
        let progress = progress.as_deref();
        if let Some(progress) = progress {
            progress.touch();
        }
        self.answered.forget();
        let deadline = &mut self.deadline;
        let mut response = pin!(self.sender.try_send_request(request));
        let mut set = false;
        let outcome = poll_fn(|cx| {
            if let Poll::Ready(outcome) = response.as_mut().poll(cx) {
                return Poll::Ready(Some(outcome));
            }
            if !std::mem::replace(&mut set, true) {
                deadline.set(limit);
            }
            while deadline.poll(cx).is_ready() {
                let still = progress.map_or(limit, Progress::still);
                if still >= limit {
                    return Poll::Ready(None);
                }
                deadline.set(limit - still);
            }
            Poll::Pending
        })
        .await;
        match outcome {
            Some(Ok(response)) => {
                self.answered.complete();
                Ok(response)
            }
            Some(Err(mut refusal)) => Err(Box::new(Lost {
                unsent: refusal.take_message(),
                error: if self.answered.is_flooded() {
                    SendError::Protocol {
                        endpoint: self.endpoint.clone(),
                        reason: "too many bytes and no response head".to_owned(),
                    }
                } else {
                    SendError::from_exchange(&self.endpoint, refusal.into_error(), progress)
                },
                answered: self.answered.get(),
            })),
            None => Err(Box::new(Lost {
                error: SendError::ResponseTimeout {
                    endpoint: self.endpoint.clone(),
                    limit,
                },
                unsent: None,
                answered: self.answered.get(),
            })),
        }
    }

    /// Host and port of the endpoint.
    pub(super) fn endpoint(&self) -> &Arc<str> {
        &self.endpoint
    }

    /// Whether it served a request before.
    pub(super) fn is_reused(&self) -> bool {
        self.reused
    }

    /// The same connection, for another request.
    pub(super) fn again(mut self) -> Self {
        self.reused = true;
        self
    }

    /// Whether another request could be sent: open, the last request written and its response read completely.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Whether its task runs on this thread. Threads that are no worker share a shard with one, and a connection
    /// whose runtime is not running would keep its request waiting.
    pub(super) fn is_here(&self) -> bool {
        self.thread == thread::current().id()
    }

    /// Give it back when its response has ended, having brought so many bytes. It is closed if it is not ready,
    /// which is so when the response came before the request was written: the rest would be taken for another
    /// request.
    pub(super) fn release(self, received_bytes: u64) {
        self.counters.received_bytes.add(received_bytes);
        if self.is_ready()
            && let Some(home) = self.home.upgrade()
        {
            home.put(self);
        }
    }

    /// Close it when its response was cut short, after so many bytes.
    pub(super) fn close(self, received_bytes: u64) {
        self.counters.received_bytes.add(received_bytes);
    }

    /// Start to wait for the next bytes of the response.
    pub(super) fn set_deadline(&mut self, after: Duration) {
        self.deadline.set(after);
    }

    /// Ready when the wait was too long.
    pub(super) fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.deadline.poll(cx)
    }
}

impl Drop for Connection {
    /// hyper would finish writing a request whose answer nobody waits for.
    fn drop(&mut self) {
        self.task.abort();
    }
}
