//! How long somebody may keep a body waiting: a time that runs while we wait, and that bytes give back.
//!
//! One rule for a client that stalls and for one that is merely very slow (RFC 9110 leaves both to us). A fixed time from
//! byte to byte would let it send one byte a minute for ever; a rate alone would not know of pauses.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::config::ClientLimits;

/// What a sender or a reader is granted.
#[derive(Debug, Clone, Copy)]
pub struct Grace {
    /// Time that it may keep us waiting in all.
    pub limit: Duration,
    /// Bytes that give back a second of that time; 0: every byte gives back all of it.
    pub bytes_per_second: u64,
}

impl Grace {
    /// What a client is granted.
    #[must_use]
    pub fn of_client(limits: &ClientLimits) -> Self {
        Self {
            limit: limits.body_timeout,
            bytes_per_second: limits.min_rate,
        }
    }
}

/// How much of its [`Grace`] somebody has left.
#[derive(Debug)]
pub struct Patience {
    grace: Grace,
    left: Duration,
    waiting_since: Option<Instant>,
    timer: Timer,
}

impl Patience {
    /// All of it.
    #[must_use]
    pub fn new(grace: Grace) -> Self {
        Self {
            grace,
            left: grace.limit,
            waiting_since: None,
            timer: Timer::default(),
        }
    }

    /// So many bytes have come, or were taken. Costs next to nothing if nobody had to wait for them.
    pub fn moved(&mut self, bytes: usize) {
        if let Some(since) = self.waiting_since.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        } else if self.left == self.grace.limit {
            return;
        }
        let back = self.given_back(bytes);
        self.left = (self.left + back).min(self.grace.limit);
    }

    fn given_back(&self, bytes: usize) -> Duration {
        match self.grace.bytes_per_second {
            0 if bytes > 0 => self.grace.limit,
            0 => Duration::ZERO,
            rate => Duration::from_secs_f64(bytes as f64 / rate as f64),
        }
    }

    /// It is somebody else that we wait for now.
    pub fn pause(&mut self) {
        self.moved(0);
    }

    /// Whether we are waiting, as far as this was told.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.waiting_since.is_some()
    }

    /// Nothing has moved: wait on, or have waited long enough.
    pub fn poll_enough(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        self.timer.poll(since + self.left, cx)
    }

    /// For how long it may keep us waiting.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.grace.limit
    }
}

/// A sleep that is made once and moved only when it fires before its time, not whenever something moves.
#[derive(Debug, Default)]
pub struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Whether it is so late.
    pub fn poll(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self
            .0
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn patience(bytes_per_second: u64) -> Patience {
        Patience::new(Grace {
            limit: SECOND * 10,
            bytes_per_second,
        })
    }

    /// Wait for that long; whether that was enough.
    async fn wait(patience: &mut Patience, time: Duration) -> bool {
        let enough = poll_fn(|cx| patience.poll_enough(cx));
        tokio::time::timeout(time, enough).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_moves_nothing_has_the_whole_time_and_no_more() {
        let mut patience = patience(100);
        assert!(!wait(&mut patience, SECOND * 9).await);
        assert!(wait(&mut patience, SECOND * 2).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_goes_on_for_ever_and_less_than_it_does_not() {
        let mut good = patience(100);
        let mut slow = patience(100);
        for _ in 0..100 {
            assert!(!wait(&mut good, SECOND).await);
            good.moved(101);
        }
        let mut seconds = 0;
        while !wait(&mut slow, SECOND).await {
            slow.moved(50);
            seconds += 1;
        }
        assert!((18..=20).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_fast_is_no_credit_for_later() {
        let mut patience = patience(100);
        patience.moved(1 << 30);
        assert!(!wait(&mut patience, SECOND * 9).await);
        patience.moved(1);
        assert!(wait(&mut patience, SECOND * 2).await);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_every_byte_gives_back_all() {
        let mut patience = patience(0);
        for _ in 0..5 {
            assert!(!wait(&mut patience, SECOND * 9).await);
            patience.moved(1);
        }
        assert!(wait(&mut patience, SECOND * 11).await);
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_others_are_waited_for_does_not_count() {
        let mut patience = patience(100);
        assert!(!wait(&mut patience, SECOND * 9).await);
        patience.pause();
        tokio::time::sleep(SECOND * 100).await;
        assert!(!wait(&mut patience, SECOND / 2).await);
        assert!(wait(&mut patience, SECOND).await);
    }
}
