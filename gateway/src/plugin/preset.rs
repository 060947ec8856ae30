//! Presets: edits and attributes that an instance has prepared, so that a hook names them by number instead of handing
//! them over once more.
//!
//! Promises: what is in a preset was checked as any edit is; only the room that a message has is looked at when it is
//! applied. Leaves out: sharing between instances; each prepares its own.

use std::sync::Arc;

use super::bindings::EditError;
use super::head::Changes;
use super::host::{Access, Scene};
use super::notes::Attribute;

/// Presets of one instance.
const MAX_PRESETS: usize = 512;
/// Bytes of all presets of one instance, with [`PART_BYTES`] for each edit and attribute.
const MAX_PRESET_BYTES: usize = 256 * 1024;
/// What an edit or attribute takes beside its text.
const PART_BYTES: usize = 64;

/// What to do to an exchange.
#[derive(Debug, Default)]
pub(super) struct Preset {
    /// To the request's header fields.
    pub(super) request: Changes,
    /// To the response's, when it comes. Shared, since it waits with the exchange.
    pub(super) response: Arc<Changes>,
    /// Values to share along the chain.
    pub(super) attributes: Vec<Arc<Attribute>>,
}

impl Preset {
    fn bytes(&self) -> usize {
        let attributes = self.attributes.iter();
        let texts: usize = attributes.map(|attribute| attribute.bytes()).sum();
        let parts = self.request.len() + self.response.len() + self.attributes.len();
        self.request.bytes() + self.response.bytes() + texts + parts * PART_BYTES
    }

    /// Do it, in the request's hook.
    pub(super) fn apply_to_request(&self, scene: &mut Scene) -> Result<(), EditError> {
        if !self.request.is_empty() {
            self.request
                .apply(&mut Arc::make_mut(&mut scene.request).headers)?;
        }
        if !self.response.is_empty() {
            scene.preset = Some(Arc::clone(&self.response));
        }
        self.share(scene)
    }

    /// Do it, in the response's hook.
    pub(super) fn apply_to_response(&self, scene: &mut Scene) -> Result<(), EditError> {
        let response = scene.response.as_mut().ok_or(EditError::ReadOnly)?;
        if !self.request.is_empty() || scene.response_access == Access::Read {
            return Err(EditError::ReadOnly);
        }
        if !self.response.is_empty() {
            self.response.apply(&mut Arc::make_mut(response).headers)?;
        }
        self.share(scene)
    }

    fn share(&self, scene: &Scene) -> Result<(), EditError> {
        let facts = &scene.request.facts;
        let mut attributes = self.attributes.iter();
        attributes.try_for_each(|attribute| facts.share(Arc::clone(attribute)))
    }
}

/// The presets of an instance, by number.
#[derive(Debug, Default)]
pub(super) struct Presets {
    list: Vec<Preset>,
    bytes: usize,
}

impl Presets {
    /// Keep one; its number.
    pub(super) fn add(&mut self, preset: Preset) -> Result<u32, EditError> {
        let bytes = self.bytes + preset.bytes();
        if self.list.len() >= MAX_PRESETS || bytes > MAX_PRESET_BYTES {
            return Err(EditError::TooLarge);
        }
        let number = u32::try_from(self.list.len()).map_err(|_| EditError::TooLarge)?;
        self.bytes = bytes;
        self.list.push(preset);
        Ok(number)
    }

    /// The one of that number.
    pub(super) fn get(&self, number: u32) -> Option<&Preset> {
        self.list.get(usize::try_from(number).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::head::{Change, Field};
    use super::*;

    fn preset(value_bytes: usize) -> Preset {
        let mut preset = Preset::default();
        let field = Field::checked("x-a", &vec![b'v'; value_bytes]).unwrap();
        preset.request.push(Change::Set(field)).unwrap();
        preset
    }

    #[test]
    fn so_many_presets_are_kept_and_no_more() {
        let mut presets = Presets::default();
        for number in 0..MAX_PRESETS {
            assert_eq!(presets.add(preset(1)), Ok(number as u32));
        }
        assert_eq!(presets.add(preset(1)), Err(EditError::TooLarge));
        assert!(presets.get(MAX_PRESETS as u32 - 1).is_some());
        assert!(presets.get(MAX_PRESETS as u32).is_none());
    }

    #[test]
    fn so_many_bytes_are_kept_and_no_more() {
        let mut presets = Presets::default();
        let quarter = MAX_PRESET_BYTES / 4 - PART_BYTES - "x-a".len();
        let large = quarter.min(60 << 10);
        let fitting = MAX_PRESET_BYTES / (large + PART_BYTES + "x-a".len());
        for _ in 0..fitting {
            presets.add(preset(large)).unwrap();
        }
        let rest = MAX_PRESET_BYTES - presets.bytes - PART_BYTES - "x-a".len();
        assert_eq!(presets.add(preset(rest + 1)), Err(EditError::TooLarge));
        assert!(presets.add(preset(rest)).is_ok());
    }

    #[test]
    fn an_attribute_has_a_name_and_a_bounded_value() {
        let made = |name, value| Attribute::checked(name, value).map(|it| it.bytes());
        let long = "v".repeat(4096);
        assert_eq!(made("", "alice"), Err(EditError::InvalidName));
        assert_eq!(made("a", &long), Err(EditError::TooLarge));
        assert_eq!(made("a", &long[1..]), Ok(4096));
    }
}
