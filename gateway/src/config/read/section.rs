//! A table being read: each key is asked for once, by its type and with its default.
//!
//! [`Section::finish`] reports the keys that nobody asked for, so there is no second list of keys to keep. Tables whose
//! keys are the user's own (names of plugins, of upstreams) are read through [`Section::members`] and not finished.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::{Item, Reader};
use crate::config::{ConfigError, Invalid, Place, suggest};

/// A table being read.
#[must_use = "finish() reports unknown keys"]
pub(in crate::config) struct Section<'a> {
    reader: &'a Reader<'a>,
    key: String,
    offset: usize,
    table: &'a DeTable<'a>,
    asked: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The whole document.
    pub(in crate::config) fn root(reader: &'a Reader<'a>, table: &'a DeTable<'a>) -> Self {
        Self::new(reader, String::new(), 0, table)
    }

    pub(super) fn new(
        reader: &'a Reader<'a>,
        key: String,
        offset: usize,
        table: &'a DeTable<'a>,
    ) -> Self {
        Self {
            reader,
            key,
            offset,
            table,
            asked: Vec::new(),
        }
    }

    /// Where the table was written.
    pub(in crate::config) fn place(&self) -> Place {
        self.reader.place(&self.key, self.offset)
    }

    /// All members of a table whose keys are the user's.
    pub(in crate::config) fn members(&self) -> Vec<Member<'a>> {
        let member = |(name, value): (&'a Spanned<_>, &'a Spanned<_>)| self.member(name, value);
        self.table.iter().map(member).collect()
    }

    fn member(
        &self,
        name: &'a Spanned<DeString<'a>>,
        value: &'a Spanned<DeValue<'a>>,
    ) -> Member<'a> {
        let name_text: &'a str = name.get_ref();
        Member {
            name: name_text,
            name_offset: name.span().start,
            item: Item {
                reader: self.reader,
                key: joined(&self.key, name_text),
                value,
            },
        }
    }

    /// The value of a key, if written.
    pub(in crate::config) fn take(&mut self, name: &'static str) -> Option<Item<'a>> {
        self.asked.push(name);
        let (key, value) = self.table.get_key_value(name)?;
        Some(self.member(key, value).item)
    }

    /// The value of a key that must be written.
    pub(in crate::config) fn required(&mut self, name: &'static str) -> Option<Item<'a>> {
        let found = self.take(name);
        if found.is_none() {
            self.missing(name);
        }
        found
    }

    /// Report that a key is not there.
    pub(in crate::config) fn missing(&self, name: &str) {
        let error = ConfigError::at(&self.place(), format!("'{name}' is missing"));
        self.reader.report(error, true);
    }

    /// A table below this one, if written.
    pub(in crate::config) fn section(&mut self, name: &'static str) -> Option<Section<'a>> {
        self.take(name)?.section()
    }

    /// The values of a list, none if not written.
    pub(in crate::config) fn list(&mut self, name: &'static str, what: &str) -> Vec<Item<'a>> {
        self.take(name)
            .and_then(|item| item.list(what))
            .unwrap_or_default()
    }

    /// A truth value.
    pub(in crate::config) fn boolean(&mut self, name: &'static str, default: bool) -> bool {
        self.take(name)
            .and_then(|item| item.boolean())
            .unwrap_or(default)
    }

    /// A duration within bounds.
    pub(in crate::config) fn duration(
        &mut self,
        name: &'static str,
        default: Duration,
        bounds: RangeInclusive<Duration>,
    ) -> Duration {
        self.take(name)
            .and_then(|item| item.duration(bounds))
            .unwrap_or(default)
    }

    /// A size within bounds, in bytes.
    pub(in crate::config) fn size(
        &mut self,
        name: &'static str,
        default: usize,
        bounds: RangeInclusive<usize>,
    ) -> usize {
        let bounds = *bounds.start() as u64..=*bounds.end() as u64;
        let size = self.take(name).and_then(|item| item.size(bounds));
        size.map_or(default, |size| usize::try_from(size).unwrap_or(usize::MAX))
    }

    /// A number within bounds.
    pub(in crate::config) fn count<T: TryFrom<u32>>(
        &mut self,
        name: &'static str,
        default: T,
        bounds: RangeInclusive<u32>,
    ) -> T {
        let count = self.take(name).and_then(|item| item.count(bounds));
        count
            .and_then(|count| T::try_from(count).ok())
            .unwrap_or(default)
    }

    /// One of several words.
    pub(in crate::config) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        default: T,
        words: &[(&'static str, T)],
    ) -> T {
        self.take(name)
            .and_then(|item| item.choice(words))
            .unwrap_or(default)
    }

    /// Report every key that was not asked for.
    pub(in crate::config) fn finish(self) {
        for member in self.members() {
            if !self.asked.contains(&member.name) {
                let error = ConfigError::at(&member.name_place(), "unknown key");
                let hint = suggest::hint(member.name, self.asked.iter().copied());
                self.reader.report(ConfigError { hint, ..error }, false);
            }
        }
    }
}

/// One key of a table, with its value.
pub(in crate::config) struct Member<'a> {
    /// The key as written.
    pub(in crate::config) name: &'a str,
    name_offset: usize,
    /// The value.
    pub(in crate::config) item: Item<'a>,
}

impl Member<'_> {
    /// Where the key was written.
    pub(in crate::config) fn name_place(&self) -> Place {
        self.item.reader.place(&self.item.key, self.name_offset)
    }

    /// Report a problem with the key.
    pub(in crate::config) fn name_problem(&self, problem: Invalid) {
        let error = ConfigError::at(&self.name_place(), problem.message);
        let hint = problem.hint;
        self.item
            .reader
            .report(ConfigError { hint, ..error }, false);
    }
}

/// The dotted key of a member; names that TOML would quote are quoted.
fn joined(key: &str, name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let name = if !name.is_empty() && name.chars().all(bare) {
        name.to_owned()
    } else {
        format!("{name:?}")
    };
    if key.is_empty() {
        name
    } else {
        format!("{key}.{name}")
    }
}
