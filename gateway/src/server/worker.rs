//! A worker: one thread, one runtime, its own sockets. It serves until it is told to stop, then drains.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::mpsc::Receiver;
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinError, JoinHandle, JoinSet};

use super::connection::{self, Drain};
use super::listener::Bound;
use super::opening::Arrival;
use super::places::{Places, TOO_MANY};
use crate::observe::Metrics;
use crate::observe::metrics::raise;
use crate::proxy::{Ended, Proxy};
use crate::worker;

/// How long to wait after an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Turns of the scheduler that aborted connections get to be dropped in.
const LAST_TURNS: usize = 64;

/// Ended exchanges whose `on-log` hooks run at the same time on one worker.
const MAX_TELLING: usize = 64;

/// Time for the `on-log` hooks of the last exchanges.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(5);

/// What all workers share.
pub struct Shared {
    /// Serves requests.
    pub proxy: Arc<Proxy>,
    places: Arc<Places>,
}

impl Shared {
    /// For that proxy.
    #[must_use]
    pub fn new(proxy: Arc<Proxy>) -> Self {
        Self {
            proxy,
            places: Arc::default(),
        }
    }
}

/// What workers are told.
#[derive(Debug, Clone)]
pub enum Orders {
    /// Serve on these.
    Serve(Vec<Arc<Bound>>),
    /// Accept nothing more, let what is open end within that time.
    Drain(Duration),
}

/// The worker threads.
pub struct Workers {
    orders: watch::Sender<Orders>,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
}

impl Workers {
    /// Start one for each log queue.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start(
        shared: &Arc<Shared>,
        bound: Vec<Arc<Bound>>,
        logs: Vec<Receiver<Box<Ended>>>,
    ) -> std::io::Result<Self> {
        let (orders, _) = watch::channel(Orders::Serve(bound));
        let mut threads = Vec::new();
        for (index, log) in logs.into_iter().enumerate() {
            let (shared, orders) = (Arc::clone(shared), orders.subscribe());
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let thread = thread::Builder::new().name(format!("worker-{index}"));
            threads.push(thread.spawn(move || {
                worker::enter(index);
                runtime.block_on(run(index, shared, orders, log));
                // Tasks that outlived the drain are dropped here, each with its exchange's log entry lost or counted.
                runtime.shutdown_background();
            })?);
        }
        Ok(Self {
            orders,
            threads: Mutex::new(threads),
        })
    }

    /// Serve on these addresses from now on.
    pub fn serve(&self, bound: Vec<Arc<Bound>>) {
        self.orders.send_replace(Orders::Serve(bound));
    }

    /// Drain and wait for the end. Blocks for that long at most, and a little.
    pub fn stop(&self, drain: Duration) {
        self.orders.send_replace(Orders::Drain(drain));
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
    }
}

async fn run(
    index: usize,
    shared: Arc<Shared>,
    mut orders: watch::Receiver<Orders>,
    log: Receiver<Box<Ended>>,
) {
    let (last_words, no_more) = oneshot::channel();
    let logging = tokio::spawn(tell(log, no_more, Arc::clone(&shared.proxy.metrics)));
    let (draining, when_draining) = watch::channel(());
    let open = Arc::new(Open::default());
    let mut accepting: HashMap<SocketAddr, JoinHandle<()>> = HashMap::new();
    let drain = loop {
        let current = orders.borrow_and_update().clone();
        let bound = match current {
            Orders::Drain(limit) => break limit,
            Orders::Serve(bound) => bound,
        };
        accepting.retain(|address, task| {
            let stays = bound.iter().any(|bound| bound.address == *address);
            if !stays {
                task.abort();
            }
            stays
        });
        for bound in bound {
            if let Some(listener) = bound
                .take(index)
                .and_then(|socket| TcpListener::from_std(socket).ok())
            {
                let task = tokio::spawn(accept(
                    listener,
                    Arc::clone(&bound),
                    Arc::clone(&shared),
                    when_draining.clone(),
                    Arc::clone(&open),
                ));
                accepting.insert(bound.address, task);
            }
        }
        if orders.changed().await.is_err() {
            break Duration::ZERO;
        }
    };
    for (_, task) in accepting {
        task.abort();
        // Until the task is gone it holds the socket and the register of connections.
        let _ = task.await;
    }
    drop(when_draining);
    end_connections(index, &draining, drain, &open).await;
    let _ = last_words.send(());
    if tokio::time::timeout(LAST_WORDS_TIMEOUT, logging)
        .await
        .is_err()
    {
        tracing::warn!(
            worker = index,
            "log entries were lost at the end: on-log hooks took too long"
        );
    }
}

/// Let what is open end, for so long, and cut off what is left then.
async fn end_connections(
    worker: usize,
    draining: &watch::Sender<()>,
    limit: Duration,
    open: &Open,
) {
    // Nobody hears it: no connection is open.
    let _ = draining.send(());
    if tokio::time::timeout(limit, draining.closed())
        .await
        .is_err()
    {
        let cut = open.cut_off().await;
        tracing::warn!(
            worker,
            cut,
            "connections cut off after {limit:?} of draining"
        );
    }
}

/// Run the `on-log` hooks until there will be no more ended exchanges. A few at a time, so that one that waits does not
/// hold up the others; each in a task of its own, so that a defect costs one entry.
async fn tell(
    mut log: Receiver<Box<Ended>>,
    mut no_more: oneshot::Receiver<()>,
    metrics: Arc<Metrics>,
) {
    let mut telling = JoinSet::new();
    loop {
        while telling.len() >= MAX_TELLING
            && let Some(told) = telling.join_next().await
        {
            note(&told, &metrics);
        }
        while let Some(told) = telling.try_join_next() {
            note(&told, &metrics);
        }
        let ended = tokio::select! {
            biased;
            ended = log.recv() => ended,
            _ = &mut no_more, if !log.is_closed() => {
                log.close();
                continue;
            }
        };
        let Some(ended) = ended else { break };
        telling.spawn(ended.log());
    }
    while let Some(told) = telling.join_next().await {
        note(&told, &metrics);
    }
}

fn note(told: &Result<(), JoinError>, metrics: &Metrics) {
    if told.as_ref().is_err_and(JoinError::is_panic) {
        metrics.panics.inc();
        metrics.log_entries_dropped.inc();
    }
}

async fn accept(
    listener: TcpListener,
    bound: Arc<Bound>,
    shared: Arc<Shared>,
    drain: Drain,
    open: Arc<Open>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                admit(stream, peer, &bound, &shared, &open, drain.clone());
            }
            Err(error) if is_of_the_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "can't accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(
    stream: TcpStream,
    peer: SocketAddr,
    bound: &Bound,
    shared: &Arc<Shared>,
    open: &Arc<Open>,
    drain: Drain,
) {
    let snapshot = shared.proxy.snapshot.load();
    let (limits, exempt) = (&snapshot.limits, &snapshot.trusted_proxies);
    let mode = bound.mode();
    let place = (shared.places).take(&bound.connections, peer.ip(), limits, exempt);
    let place = match place {
        Ok(place) => place,
        Err(limit) => {
            shared.proxy.metrics.client_connections_refused.count(limit);
            if mode.tls.is_none() {
                // As much as fits at once; who floods us is not waited for.
                let _ = stream.try_write(TOO_MANY);
            }
            return;
        }
    };
    // Small responses must not wait for the client's acknowledgement of the last one.
    let _ = stream.set_nodelay(true);
    let arrival = Arrival {
        stream,
        peer,
        mode,
        place,
    };
    let proxy = Arc::clone(&shared.proxy);
    let registered = open.register();
    let number = registered.number;
    let task = tokio::spawn(async move {
        let _registered = registered;
        let _open = raise(&proxy.metrics.client_connections);
        connection::serve(arrival, proxy.clone(), drain).await;
    });
    open.started(number, task.abort_handle());
}

/// The connections of a worker, to cut them off when a drain takes too long.
#[derive(Default)]
struct Open {
    tasks: Mutex<HashMap<u64, Option<AbortHandle>>>,
    next: AtomicU64,
}

/// A connection's place in [`Open`], until it ends.
struct Registered {
    open: Arc<Open>,
    number: u64,
}

impl Open {
    fn register(self: &Arc<Self>) -> Registered {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.tasks.lock().insert(number, None);
        Registered {
            open: Arc::clone(self),
            number,
        }
    }

    fn started(&self, number: u64, task: AbortHandle) {
        if let Some(place) = self.tasks.lock().get_mut(&number) {
            *place = Some(task);
        }
    }

    /// Abort what is left, and wait until it is gone; how many that were.
    async fn cut_off(&self) -> usize {
        let handles: Vec<_> = self.tasks.lock().values().flatten().cloned().collect();
        handles.iter().for_each(AbortHandle::abort);
        // Each is dropped when it is next scheduled, and what it spawned soon after.
        for _ in 0..LAST_TURNS {
            tokio::task::yield_now().await;
        }
        handles.len()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.open.tasks.lock().remove(&self.number);
    }
}

fn is_of_the_client(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}
