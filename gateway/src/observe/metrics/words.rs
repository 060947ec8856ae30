//! A counter for each word of a closed list, such as the reasons of failures.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;

use super::collect::count_of;

/// Counters by word. Words are written in this program, so there are few of them. Cheap to clone; clones are one.
#[derive(Debug, Clone)]
pub struct Words {
    label: &'static str,
    counters: Arc<Mutex<BTreeMap<&'static str, Counter>>>,
}

impl Words {
    /// No counts yet; the words that are `known` are shown from the start.
    #[must_use]
    pub fn new(label: &'static str, known: &[&'static str]) -> Self {
        let counters = known
            .iter()
            .map(|word| (*word, Counter::default()))
            .collect();
        Self {
            label,
            counters: Arc::new(Mutex::new(counters)),
        }
    }

    /// The counter of a word, to be kept by whoever counts often.
    #[must_use]
    pub fn counter(&self, word: &'static str) -> Counter {
        self.counters.lock().entry(word).or_default().clone()
    }

    /// Count one.
    pub fn count(&self, word: &'static str) {
        self.counters.lock().entry(word).or_default().inc();
    }

    /// What was counted, by word.
    pub(super) fn counts(&self) -> Vec<(&'static str, u64)> {
        self.counters
            .lock()
            .iter()
            .map(|(word, counter)| (*word, counter.get()))
            .collect()
    }
}

impl EncodeMetric for Words {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (word, count) in self.counts() {
            let labels = [(self.label, word)];
            count_of(&mut encoder.encode_family(&labels)?, count)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}
