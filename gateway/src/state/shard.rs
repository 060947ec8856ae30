//! One part of the key-value store: its entries, its memory, and whom it forgets.
//!
//! Eviction is CLOCK (second chance): entries stand in a ring, reading one marks it, and the hand that looks for room
//! removes the first that is unmarked, taking marks away as it passes. That is nearly LRU and costs a read one bit.
//! New entries are unmarked, so a flood of keys that nobody reads again pushes out itself and not what is in use.
//!
//! Expired entries are removed when they are met: by whoever asks for them, by the hand, or by the short look around
//! that every write takes. Until then they count as entries.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use super::Hashed;
use super::kv::{KvError, KvStats};

/// What an entry costs beyond its key and value: its place in the ring (56 bytes) and in the index (up to 40), the
/// counts before the value (16), and what the allocator adds to two allocations (up to 32).
const ENTRY_OVERHEAD_BYTES: usize = 144;

/// Places that each write looks at for expired entries. Two for one written, so that they cannot pile up.
const SWEEP_STEPS: usize = 2;

/// A key with its namespace and their common hash.
#[derive(Debug, Clone, Copy)]
pub(super) struct Id<'a> {
    pub(super) hash: u64,
    pub(super) namespace: u32,
    pub(super) key: &'a str,
}

/// A part of the store.
#[derive(Debug)]
pub(super) struct Shard {
    max_bytes: usize,
    bytes: usize,
    /// Hash to place. Two keys with one hash (of 64 bits, keyed) push each other out; each place also knows its whole
    /// key, so neither is ever taken for the other.
    index: HashMap<u64, usize, BuildHasherDefault<Hashed>>,
    ring: Vec<Option<Entry>>,
    /// Places in the ring without an entry.
    vacant: Vec<usize>,
    /// Where the search for room goes on.
    hand: usize,
    /// Where the look around for expired entries goes on.
    broom: usize,
    evictions: u64,
    expirations: u64,
}

#[derive(Debug)]
struct Entry {
    hash: u64,
    namespace: u32,
    marked: bool,
    /// In nanoseconds since the epoch; `u64::MAX` is never.
    deadline: u64,
    key: Box<str>,
    value: Arc<[u8]>,
}

impl Shard {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            bytes: 0,
            index: HashMap::default(),
            ring: Vec::new(),
            vacant: Vec::new(),
            hand: 0,
            broom: 0,
            evictions: 0,
            expirations: 0,
        }
    }

    /// The value, if it is there and has not expired; it is marked as used.
    pub(super) fn get(&mut self, id: &Id<'_>, now: u64) -> Option<Arc<[u8]>> {
        let place = self.find(id, now)?;
        let entry = self.ring[place].as_mut()?;
        entry.marked = true;
        Some(Arc::clone(&entry.value))
    }

    /// Put an entry in, in place of an earlier one. If it can't fit, all stays as it is.
    pub(super) fn set(
        &mut self,
        id: &Id<'_>,
        value: Arc<[u8]>,
        deadline: u64,
        now: u64,
    ) -> Result<(), KvError> {
        let cost = cost(id.key, &value);
        if cost > self.max_bytes {
            return Err(KvError::Full);
        }
        let known = self.delete(id, now);
        self.sweep(now);
        while self.bytes + cost > self.max_bytes {
            self.evict(now);
        }
        if let Some(place) = self.index.get(&id.hash) {
            // Another key with the same hash.
            self.remove(*place);
            self.evictions += 1;
        }
        let entry = Entry {
            hash: id.hash,
            namespace: id.namespace,
            marked: known,
            deadline,
            key: id.key.into(),
            value,
        };
        self.insert(entry);
        self.bytes += cost;
        Ok(())
    }

    /// Remove an entry; whether it was there and had not expired.
    pub(super) fn delete(&mut self, id: &Id<'_>, now: u64) -> bool {
        let Some(place) = self.find(id, now) else {
            return false;
        };
        self.remove(place);
        true
    }

    pub(super) fn stats(&self) -> KvStats {
        KvStats {
            entries: self.index.len() as u64,
            bytes: self.bytes as u64,
            evictions: self.evictions,
            expirations: self.expirations,
        }
    }

    /// The place of an entry that has not expired; one that has is removed.
    fn find(&mut self, id: &Id<'_>, now: u64) -> Option<usize> {
        let place = *self.index.get(&id.hash)?;
        let entry = self.ring[place].as_ref()?;
        if entry.namespace != id.namespace || *entry.key != *id.key {
            return None;
        }
        (!self.expire(place, now)).then_some(place)
    }

    fn insert(&mut self, entry: Entry) {
        let hash = entry.hash;
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.ring.push(None);
            self.ring.len() - 1
        });
        self.ring[place] = Some(entry);
        self.index.insert(hash, place);
    }

    fn remove(&mut self, place: usize) {
        if let Some(entry) = self.ring[place].take() {
            self.bytes -= cost(&entry.key, &entry.value);
            self.index.remove(&entry.hash);
            self.vacant.push(place);
        }
    }

    /// Remove the entry at a place if its time is up; whether it was.
    fn expire(&mut self, place: usize, now: u64) -> bool {
        let expired = self.ring[place]
            .as_ref()
            .is_some_and(|entry| entry.deadline <= now);
        if expired {
            self.remove(place);
            self.expirations += 1;
        }
        expired
    }

    /// Look at the next few places for expired entries.
    fn sweep(&mut self, now: u64) {
        for _ in 0..SWEEP_STEPS.min(self.ring.len()) {
            self.broom = (self.broom + 1) % self.ring.len();
            self.expire(self.broom, now);
        }
    }

    /// Move the hand until one entry is removed: at most twice around, and not at all in an empty shard.
    fn evict(&mut self, now: u64) {
        for _ in 0..2 * self.ring.len() {
            self.hand = (self.hand + 1) % self.ring.len();
            if self.expire(self.hand, now) {
                return;
            }
            match &mut self.ring[self.hand] {
                None => {}
                Some(entry) if entry.marked => entry.marked = false,
                Some(_) => {
                    self.remove(self.hand);
                    self.evictions += 1;
                    return;
                }
            }
        }
    }
}

/// Bytes that an entry takes of the shard's memory.
fn cost(key: &str, value: &[u8]) -> usize {
    key.len() + value.len() + ENTRY_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: u64 = u64::MAX;

    fn id(hash: u64, key: &str) -> Id<'_> {
        Id {
            hash,
            namespace: 0,
            key,
        }
    }

    /// Room for `entries` one-byte values under one-byte keys.
    fn room_for(entries: usize) -> Shard {
        Shard::new(entries * cost("k", b"v"))
    }

    fn set(shard: &mut Shard, hash: u64, deadline: u64, now: u64) {
        shard
            .set(&id(hash, "k"), b"v"[..].into(), deadline, now)
            .unwrap();
    }

    #[test]
    fn what_is_read_again_survives_a_flood_of_what_is_not() {
        let mut shard = room_for(8);
        set(&mut shard, 0, NEVER, 0);
        for hash in 1..1_000 {
            assert!(shard.get(&id(0, "k"), 0).is_some());
            set(&mut shard, hash, NEVER, 0);
        }
        assert!(shard.get(&id(0, "k"), 0).is_some());
        assert_eq!((shard.stats().entries, shard.stats().evictions), (8, 992));
    }

    #[test]
    fn an_expired_entry_makes_room_before_a_live_one() {
        let mut shard = room_for(4);
        (0..3).for_each(|hash| set(&mut shard, hash, NEVER, 0));
        set(&mut shard, 3, 10, 0);
        // Two writes look at all four places.
        set(&mut shard, 2, NEVER, 10);
        set(&mut shard, 1, NEVER, 10);
        set(&mut shard, 4, NEVER, 10);
        assert!((0..3).all(|hash| shard.get(&id(hash, "k"), 10).is_some()));
        assert_eq!((shard.stats().evictions, shard.stats().expirations), (0, 1));
    }

    #[test]
    fn writes_alone_clear_away_what_has_expired() {
        let mut shard = room_for(1_000);
        (0..500).for_each(|hash| set(&mut shard, hash, 10, 0));
        (0..251).for_each(|_| set(&mut shard, 9_999, NEVER, 10));
        assert_eq!((shard.stats().entries, shard.stats().expirations), (1, 500));
    }

    #[test]
    fn an_entry_larger_than_the_shard_is_refused_and_nothing_is_lost() {
        let mut shard = room_for(2);
        set(&mut shard, 0, NEVER, 0);
        let large = vec![0; shard.max_bytes].into();
        assert_eq!(shard.set(&id(0, "k"), large, NEVER, 0), Err(KvError::Full));
        assert_eq!(shard.get(&id(0, "k"), 0).as_deref(), Some(&b"v"[..]));
    }

    #[test]
    fn keys_with_the_same_hash_push_each_other_out_but_are_never_mixed_up() {
        let mut shard = room_for(8);
        let (one, other) = (
            id(7, "one"),
            Id {
                namespace: 1,
                ..id(7, "one")
            },
        );
        shard.set(&one, b"1"[..].into(), NEVER, 0).unwrap();
        assert_eq!(shard.get(&other, 0), None);
        assert!(!shard.delete(&other, 0));
        shard.set(&other, b"2"[..].into(), NEVER, 0).unwrap();
        assert_eq!(shard.get(&one, 0), None);
        assert_eq!(shard.get(&other, 0).as_deref(), Some(&b"2"[..]));
        assert_eq!(shard.stats().entries, 1);
    }

    #[test]
    fn bytes_return_to_zero_when_everything_is_gone() {
        let mut shard = room_for(100);
        for hash in 0..300 {
            set(&mut shard, hash, NEVER, 0);
            shard
                .set(&id(hash, "k"), b"longer"[..].into(), NEVER, 0)
                .unwrap();
        }
        (0..300).for_each(|hash| {
            shard.delete(&id(hash, "k"), 0);
        });
        assert_eq!((shard.bytes, shard.index.len()), (0, 0));
        assert_eq!(shard.vacant.len(), shard.ring.len());
    }
}
