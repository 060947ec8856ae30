//! Signals as orders: SIGHUP is a reload, the first SIGTERM or SIGINT a stop, the second the end of the process.
//!
//! A thread of its own listens, so that the second signal is heard while the main thread waits for a drain or a reload.
//! What comes while the gateway still starts waits until it has.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What shells add to a signal's number when that signal ended a process.
const EXIT_CODE_BASE: i32 = 128;

/// What the system wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Reload,
    Stop,
}

/// Signals of this process, from when this was made.
pub(super) struct Signals(Receiver<Order>);

impl Signals {
    /// Listen from now on.
    pub(super) fn listen() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let streams = {
            let _inside = runtime.enter();
            Streams {
                hangup: signal(SignalKind::hangup())?,
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            }
        };
        let (sender, orders) = channel();
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || runtime.block_on(streams.pass_on(&sender)))?;
        Ok(Self(orders))
    }

    /// Wait for the next order.
    pub(super) fn next(&self) -> Order {
        // Nobody could end a process that does not hear signals any more.
        self.0.recv().unwrap_or(Order::Stop)
    }
}

struct Streams {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Streams {
    async fn pass_on(mut self, orders: &Sender<Order>) {
        let mut is_stopping = false;
        loop {
            let kind = tokio::select! {
                _ = self.hangup.recv() => SignalKind::hangup(),
                _ = self.terminate.recv() => SignalKind::terminate(),
                _ = self.interrupt.recv() => SignalKind::interrupt(),
            };
            let order = match kind {
                kind if kind == SignalKind::hangup() => Order::Reload,
                kind if is_stopping => {
                    tracing::warn!("ended by a second signal; open exchanges are cut off");
                    std::process::exit(EXIT_CODE_BASE + kind.as_raw_value());
                }
                _ => Order::Stop,
            };
            is_stopping |= order == Order::Stop;
            if orders.send(order).is_err() {
                return;
            }
        }
    }
}
