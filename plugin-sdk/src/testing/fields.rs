//! The header fields of a message, with the checks that the gateway makes of every edit.
//!
//! Promises: what is refused here is refused there, with the same error. Leaves out: nothing that an edit can meet;
//! the limits are the gateway's.

use crate::header::{check_name, check_value};
use crate::{Edit, EditError, Header};

/// Header fields that a message may have after an edit.
const FIELDS_MAX: usize = 1_088;
/// Bytes of all names and values after an edit.
const BYTES_MAX: usize = 64 << 10;

/// The fields in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(Vec<Header>);

impl Fields {
    /// Add what came over the wire: unchecked.
    pub(super) fn push(&mut self, name: &str, value: &[u8]) {
        self.0.push(Header::new(&name.to_ascii_lowercase(), value));
    }

    pub(super) fn first(&self, name: &str) -> Option<Vec<u8>> {
        self.of(name).next().cloned()
    }

    pub(super) fn values(&self, name: &str) -> Vec<Vec<u8>> {
        self.of(name).cloned().collect()
    }

    pub(super) fn all(&self) -> Vec<Header> {
        self.0.clone()
    }

    pub(super) fn set(&mut self, name: &str, value: &[u8]) -> Result<(), EditError> {
        let header = checked(name, value)?;
        self.check_room(&header)?;
        match self.0.iter().position(|known| known.name == header.name) {
            Some(first) => {
                let mut index = 0;
                self.0.retain(|known| {
                    index += 1;
                    index - 1 <= first || known.name != header.name
                });
                self.0[first] = header;
            }
            None => self.0.push(header),
        }
        Ok(())
    }

    pub(super) fn append(&mut self, name: &str, value: &[u8]) -> Result<(), EditError> {
        let header = checked(name, value)?;
        self.check_room(&header)?;
        self.0.push(header);
        Ok(())
    }

    pub(super) fn remove(&mut self, name: &str) -> Result<(), EditError> {
        let name = check_name(name)?;
        self.0.retain(|known| known.name != name);
        Ok(())
    }

    pub(super) fn edit(&mut self, edits: &[Edit]) -> Result<(), EditError> {
        edits.iter().try_for_each(|edit| match edit {
            Edit::Set(header) => self.set(&header.name, &header.value),
            Edit::Append(header) => self.append(&header.name, &header.value),
            Edit::Remove(name) => self.remove(name),
        })
    }

    fn of(&self, name: &str) -> impl Iterator<Item = &Vec<u8>> {
        let name = name.to_ascii_lowercase();
        self.0
            .iter()
            .filter(move |header| header.name == name)
            .map(|header| &header.value)
    }

    fn check_room(&self, added: &Header) -> Result<(), EditError> {
        let size = |header: &Header| header.name.len() + header.value.len();
        let bytes = self.0.iter().map(size).sum::<usize>() + size(added);
        if self.0.len() >= FIELDS_MAX || bytes > BYTES_MAX {
            Err(EditError::TooLarge)
        } else {
            Ok(())
        }
    }
}

fn checked(name: &str, value: &[u8]) -> Result<Header, EditError> {
    let name = check_name(name)?;
    check_value(value)?;
    Ok(Header::new(&name, value))
}

#[cfg(test)]
mod tests {
    use super::{FIELDS_MAX, Fields};
    use crate::{Edit, EditError};

    #[test]
    fn what_the_gateway_refuses_is_refused_and_changes_nothing() {
        let mut fields = Fields::default();
        for name in ["", "a b", "a:b", ":path", "é", "a\r\nb"] {
            assert_eq!(
                fields.set(name, b"x"),
                Err(EditError::InvalidName),
                "{name}"
            );
        }
        for name in [
            "Content-Length",
            "transfer-encoding",
            "HOST",
            "connection",
            "te",
            "upgrade",
            "trailer",
        ] {
            assert_eq!(
                fields.append(name, b"x"),
                Err(EditError::Forbidden),
                "{name}"
            );
            assert_eq!(fields.remove(name), Err(EditError::Forbidden), "{name}");
        }
        for value in ["a\rb", "a\nb", "a\0b", "\u{7f}", "\u{1b}[1m"] {
            assert_eq!(
                fields.set("a", value.as_bytes()),
                Err(EditError::InvalidValue),
                "{value:?}"
            );
        }
        assert_eq!(fields.set("a", &[b'x'; 64 << 10]), Err(EditError::TooLarge));
        assert!(fields.all().is_empty());
    }

    #[test]
    fn a_refused_edit_ends_the_batch_and_keeps_those_before_it() {
        let mut fields = Fields::default();
        let edits = [
            Edit::set("A", "1"),
            Edit::append("a", b"\xff"),
            Edit::set("host", "x"),
            Edit::remove("a"),
        ];
        assert_eq!(fields.edit(&edits), Err(EditError::Forbidden));
        assert_eq!(fields.values("a"), [b"1".to_vec(), b"\xff".to_vec()]);
    }

    #[test]
    fn setting_replaces_every_field_of_the_name_and_no_other() {
        let mut fields = Fields::default();
        for name in ["a", "b", "a", "c", "a"] {
            fields.push(name, b"old");
        }
        fields.set("a", b"new").unwrap();
        let names: Vec<String> = fields.all().into_iter().map(|header| header.name).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(fields.first("A"), Some(b"new".to_vec()));
        assert_eq!(fields.first("b"), Some(b"old".to_vec()));
    }

    #[test]
    fn a_message_has_only_so_many_fields() {
        let mut fields = Fields::default();
        for _ in 0..FIELDS_MAX {
            fields.append("a", b"").unwrap();
        }
        assert_eq!(fields.append("a", b""), Err(EditError::TooLarge));
    }
}
