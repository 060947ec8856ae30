//! [`Memo`]: what was found out before, bounded.
//!
//! Promises: never more than its size. Values that came first leave first: one that is still in use comes back at the
//! price of finding it out again. Leaves out: sharing between instances ([`kv`](crate::kv)) and expiry.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// The latest values by key.
///
/// ```
/// let mut memo = plugin_sdk::memo::Memo::new(2);
/// for key in ["a", "b", "a", "c"] {
///     memo.insert(key, key.to_uppercase());
/// }
/// assert_eq!(memo.get(&"a"), None);
/// assert_eq!(memo.get(&"c").map(String::as_str), Some("C"));
/// ```
#[derive(Debug)]
pub struct Memo<K, V> {
    size: usize,
    values: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K: Hash + Eq + Clone, V> Memo<K, V> {
    /// For so many values; none if it is 0.
    pub fn new(size: usize) -> Self {
        Self {
            size,
            values: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Whether it remembers anything at all.
    pub fn remembers(&self) -> bool {
        self.size > 0
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.values.get(key)
    }

    /// Remember a value in place of the key's present one.
    pub fn insert(&mut self, key: K, value: V) {
        if self.values.insert(key.clone(), value).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > self.size {
            if let Some(first) = self.order.pop_front() {
                self.values.remove(&first);
            }
        }
    }
}
