//! One timer for each connection, used again and again.
//!
//! A connection waits for a response head, then for bytes of a body, then for the next head. Setting tokio's timer to
//! a later time is one atomic store, whereas making one goes through the timer wheel and the allocator; so the timer
//! stays with the connection, and is only set when there is something to wait for.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Longer is the same as for ever, and a sum with it cannot overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A timer that can be set again.
#[derive(Default)]
pub(super) struct Deadline {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// Ring after this time, whatever was set before.
    pub(super) fn set(&mut self, after: Duration) {
        let at = Instant::now() + after.min(LONGEST);
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(at),
            None => self.sleep = Some(Box::pin(sleep_until(at))),
        }
    }

    /// Ready when the time that was set is up; never if none was set.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}
