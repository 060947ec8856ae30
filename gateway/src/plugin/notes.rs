//! What plugins keep with an exchange: attributes, which all of its chain and the log see, and state, which is each plugin's own.
//!
//! Promises: bounded in number and size, whatever a plugin hands over.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::bindings::EditError;
use super::head::Facts;

/// Bytes that one plugin may put aside for one exchange.
const MAX_STATE_BYTES: usize = 64 * 1024;
/// Attributes of one exchange.
const MAX_ATTRIBUTES: usize = 64;
/// Bytes of an attribute's name and value.
const MAX_ATTRIBUTE_BYTES: usize = 4 * 1024;

/// What plugins keep with an exchange.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    attributes: SmallVec<[Arc<Attribute>; 2]>,
    states: Vec<(usize, Bytes)>,
}

impl Facts {
    /// A value that some plugin shared.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<String> {
        let notes = self.notes.lock();
        let found = notes.attributes.iter().find(|known| *known.name == *name);
        found.map(|known| known.value.to_string())
    }

    /// Share an attribute, in place of one of its name.
    pub(super) fn share(&self, attribute: Arc<Attribute>) -> Result<(), EditError> {
        let attributes = &mut self.notes.lock().attributes;
        let place = attributes
            .iter()
            .position(|known| known.name == attribute.name);
        match place {
            Some(place) => attributes[place] = attribute,
            None if attributes.len() >= MAX_ATTRIBUTES => return Err(EditError::TooLarge),
            None => attributes.push(attribute),
        }
        Ok(())
    }

    pub(super) fn state(&self, slot: usize) -> Option<Bytes> {
        let notes = self.notes.lock();
        let found = notes.states.iter().find(|(owner, _)| *owner == slot);
        found.map(|(_, state)| state.clone())
    }

    pub(super) fn set_state(&self, slot: usize, state: &[u8]) -> Result<(), EditError> {
        if state.len() > MAX_STATE_BYTES {
            return Err(EditError::TooLarge);
        }
        let state = Bytes::copy_from_slice(state);
        let mut notes = self.notes.lock();
        match notes.states.iter_mut().find(|(owner, _)| *owner == slot) {
            Some((_, known)) => *known = state,
            None => notes.states.push((slot, state)),
        }
        Ok(())
    }
}

/// A value under a name, shared along the chain and with the log.
#[derive(Debug)]
pub(super) struct Attribute {
    name: Box<str>,
    value: Box<str>,
}

impl Attribute {
    pub(super) fn checked(name: &str, value: &str) -> Result<Self, EditError> {
        if name.is_empty() {
            return Err(EditError::InvalidName);
        }
        if name.len() + value.len() > MAX_ATTRIBUTE_BYTES {
            return Err(EditError::TooLarge);
        }
        let (name, value) = (name.into(), value.into());
        Ok(Self { name, value })
    }

    /// Bytes of name and value.
    pub(super) fn bytes(&self) -> usize {
        self.name.len() + self.value.len()
    }
}
