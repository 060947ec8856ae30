//! Tokens that were verified, so that a client's next request costs a hash instead of a signature.
//!
//! Promises: bounded; holds digests and what follows from a token, never a token; whoever asks must still check the
//! period. Only good tokens get in, so nobody without a key can fill it. Leaves out: sharing between instances.

use std::collections::{HashMap, VecDeque};

use plugin_sdk::Edit;
use sha2::{Digest as _, Sha256};

use crate::claims::Period;

/// What follows from a good token.
#[derive(Clone)]
pub(crate) struct Pass {
    pub(crate) period: Period,
    pub(crate) signer: Signer,
    /// The fields that its claims become.
    pub(crate) edits: Vec<Edit>,
    pub(crate) consumer: Option<String>,
}

/// Whose key has signed a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signer {
    /// One from the configuration.
    Configured,
    /// One from the key set, which may have been withdrawn since.
    Remote,
}

/// A token's SHA-256.
pub(crate) type Digest = [u8; 32];

pub(crate) fn digest(token: &str) -> Digest {
    Sha256::digest(token).into()
}

/// The tokens that came first leave first: those that are still in use come back at the price of one signature.
pub(crate) struct Cache {
    size: usize,
    passes: HashMap<Digest, Pass>,
    order: VecDeque<Digest>,
}

impl Cache {
    pub(crate) fn new(size: usize) -> Self {
        Self {
            size,
            passes: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.size > 0
    }

    pub(crate) fn get(&self, digest: &Digest) -> Option<&Pass> {
        self.passes.get(digest)
    }

    pub(crate) fn insert(&mut self, digest: Digest, pass: Pass) {
        if self.passes.insert(digest, pass).is_none() {
            self.order.push_back(digest);
        }
        while self.order.len() > self.size {
            if let Some(first) = self.order.pop_front() {
                self.passes.remove(&first);
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.passes.clear();
        self.order.clear();
    }
}
