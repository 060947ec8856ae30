//! Numbers by name that are there as long as somebody holds them.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

/// Numbers by name. The map itself keeps nothing alive, so a name that left the configuration leaves the scrape.
#[derive(Debug)]
pub(super) struct Live<T>(Mutex<BTreeMap<String, Weak<T>>>);

impl<T> Default for Live<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Default> Live<T> {
    /// The numbers of that name: those that are held, else new ones.
    pub(super) fn get(&self, name: &str) -> Arc<T> {
        let mut map = self.0.lock();
        if let Some(held) = map.get(name).and_then(Weak::upgrade) {
            return held;
        }
        let fresh = Arc::default();
        map.insert(name.to_owned(), Arc::downgrade(&fresh));
        fresh
    }

    /// All that are held, by name. Names that nobody holds are forgotten.
    pub(super) fn all(&self) -> Vec<(String, Arc<T>)> {
        let mut map = self.0.lock();
        map.retain(|_, numbers| numbers.strong_count() > 0);
        map.iter()
            .filter_map(|(name, numbers)| Some((name.clone(), numbers.upgrade()?)))
            .collect()
    }
}
