//! Request ids: 32 hexadecimal digits, unique in this process and, by their random start, most likely everywhere.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

/// Bytes of an id that a trusted proxy gives.
const MAX_GIVEN: usize = 128;

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

/// Whether an id that somebody else gave can stand in logs and JSON as it is.
pub(super) fn is_acceptable(id: &str) -> bool {
    (1..=MAX_GIVEN).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.:=+/".contains(&b))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_given_id_must_be_short_and_plain() {
        assert!(super::is_acceptable(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        ));
        assert!(super::is_acceptable(&"a".repeat(128)));
        for id in ["", "a b", "a\"b", "a\\b", &"a".repeat(129)] {
            assert!(!super::is_acceptable(id), "{id}");
        }
    }

    #[test]
    fn ids_differ_and_have_one_length() {
        let ids: std::collections::HashSet<String> = (0..1000).map(|_| super::next()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 32));
    }
}
