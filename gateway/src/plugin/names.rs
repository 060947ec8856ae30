//! Names of header fields that an instance has changed before, parsed and judged: most guests use a few, again and again.
//!
//! Promises: bounded; what comes out is what parsing the name anew would give.

use std::cell::RefCell;

use http::HeaderName;

use super::bindings::EditError;
use super::head::belongs_to_core;

/// Names that are remembered. They are looked for one by one.
const MAX_NAMES: usize = 16;
/// Bytes of a name that is worth remembering.
const MAX_NAME_BYTES: usize = 64;

/// The names of one instance.
#[derive(Debug, Default)]
pub(super) struct Names {
    list: RefCell<Vec<Name>>,
}

#[derive(Debug, Clone)]
struct Name {
    name: HeaderName,
    is_ours: bool,
}

impl Names {
    /// One whose fields the guest wants to change.
    pub(super) fn to_edit(&self, text: &str) -> Result<HeaderName, EditError> {
        match self.find(text) {
            Some(found) if found.is_ours => Err(EditError::Forbidden),
            Some(found) => Ok(found.name),
            None => Err(EditError::InvalidName),
        }
    }

    fn find(&self, text: &str) -> Option<Name> {
        let mut list = self.list.borrow_mut();
        if let Some(known) = list.iter().find(|known| known.name.as_str() == text) {
            return Some(known.clone());
        }
        let name = HeaderName::from_bytes(text.as_bytes()).ok()?;
        let found = Name {
            is_ours: belongs_to_core(&name),
            name,
        };
        // One that is written in upper case would never be found again.
        if text.len() <= MAX_NAME_BYTES && found.name.as_str() == text {
            if list.len() >= MAX_NAMES {
                list.remove(0);
            }
            list.push(found.clone());
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_judged_the_same_the_second_time_and_among_many() {
        let names = Names::default();
        for round in 0..3 {
            for number in 0..MAX_NAMES * 2 {
                let text = format!("x-{number}");
                assert_eq!(names.to_edit(&text).unwrap(), *text, "{round}");
            }
            assert_eq!(names.to_edit("host"), Err(EditError::Forbidden));
            assert_eq!(names.to_edit("Host"), Err(EditError::Forbidden));
            assert_eq!(names.to_edit("x y"), Err(EditError::InvalidName));
            assert_eq!(names.to_edit(""), Err(EditError::InvalidName));
            let long = "x".repeat(MAX_NAME_BYTES + 1);
            assert_eq!(names.to_edit(&long).unwrap(), *long);
        }
        assert!(names.list.borrow().len() <= MAX_NAMES);
    }
}
