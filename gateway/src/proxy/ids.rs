//! Request ids: 32 hexadecimal digits, unique in this process and, by their random start, most likely everywhere.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

thread_local! {
    // The standard library seeds each RandomState from the system; hashing nothing with two of them gives 128 bits.
    static NEXT: Cell<(u64, u64)> =
        Cell::new((RandomState::new().hash_one(0u8), RandomState::new().hash_one(1u8)));
}

/// The next id of this worker.
pub(super) fn next() -> String {
    let (high, low) = NEXT.with(|next| {
        let (high, low) = next.get();
        next.set((high, low.wrapping_add(1)));
        (high, low)
    });
    format!("{high:016x}{low:016x}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_differ_and_have_one_length() {
        let ids: std::collections::HashSet<String> = (0..1000).map(|_| super::next()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 32));
    }
}
