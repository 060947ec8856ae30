//! Which endpoint is next: round-robin.
//!
//! Each worker takes turns on its own, starting at its own index, so that workers neither share a counter nor all
//! begin with the first endpoint. Left out: weights, and endpoints known to be ill.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::worker;

/// The turn of each worker.
pub(super) struct RoundRobin {
    turns: Box<[Turn]>,
}

/// Aligned to a cache line: two workers that wrote to one line would slow each other down.
#[repr(align(64))]
struct Turn(AtomicUsize);

impl RoundRobin {
    pub(super) fn new() -> Self {
        Self {
            turns: (0..worker::count().max(1))
                .map(|index| Turn(AtomicUsize::new(index)))
                .collect(),
        }
    }

    /// Whose turn it is among `count`; `None` if there is none.
    pub(super) fn next(&self, count: usize) -> Option<usize> {
        match count {
            0 => None,
            1 => Some(0),
            _ => {
                let turn = worker::shard(&self.turns);
                Some(turn.0.fetch_add(1, Ordering::Relaxed) % count)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_gets_the_same_share() {
        let balance = RoundRobin::new();
        let mut shares = [0; 3];
        for _ in 0..300 {
            shares[balance.next(3).unwrap()] += 1;
        }
        assert_eq!(shares, [100; 3]);
    }

    #[test]
    fn no_endpoint_is_nobodys_turn() {
        assert_eq!(RoundRobin::new().next(0), None);
    }
}
