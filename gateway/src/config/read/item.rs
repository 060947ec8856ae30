//! A value with its place, read by its type.
//!
//! Every reading answers `None` after reporting what was expected and what was found.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::{Reader, Section};
use crate::config::units::{self, show_duration, show_size};
use crate::config::{ConfigError, Invalid, Place};

/// Characters of a wrong value that a message repeats.
const SHOWN_CHARS_MAX: usize = 60;

/// A value with its place.
#[derive(Clone)]
pub(in crate::config) struct Item<'a> {
    /// The file that it stands in.
    pub(in crate::config) reader: &'a Reader<'a>,
    /// Its dotted key.
    pub(in crate::config) key: String,
    /// The value.
    pub(in crate::config) value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Item<'a> {
    /// Where the value was written.
    pub(in crate::config) fn place(&self) -> Place {
        self.reader.place(&self.key, self.value.span().start)
    }

    /// A value within this one under the same key, where the inner keys are not to be shown.
    pub(in crate::config) fn inner(&self, value: &'a Spanned<DeValue<'a>>) -> Self {
        Self {
            value,
            ..self.clone()
        }
    }

    /// Report a problem with the value.
    pub(in crate::config) fn problem(&self, message: impl Into<String>) {
        self.invalid(Invalid::new(message));
    }

    /// Report what is wrong with the value.
    pub(in crate::config) fn invalid(&self, problem: Invalid) {
        // What stands in for an unreadable value has no place, and no value stands at the very beginning.
        let absence = self.value.span().start == 0;
        self.reader.report(self.error(problem), absence);
    }

    /// Report that the value names something that is not there.
    pub(in crate::config) fn absent(&self, problem: Invalid) {
        self.reader.report(self.error(problem), true);
    }

    fn error(&self, problem: Invalid) -> ConfigError {
        let error = ConfigError::at(&self.place(), problem.message);
        ConfigError {
            hint: problem.hint,
            ..error
        }
    }

    /// Report that something else should stand here.
    pub(in crate::config) fn expected(&self, what: &str) {
        self.problem(format!(
            "expected {what}, found {}",
            shown(self.value.get_ref())
        ));
    }

    /// The text of a string.
    pub(in crate::config) fn string(&self, what: &str) -> Option<&'a str> {
        let text = self.value.get_ref().as_str();
        if text.is_none() {
            self.expected(what);
        }
        text
    }

    /// A string that some function understands.
    pub(in crate::config) fn parsed<T>(
        &self,
        what: &str,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        parse(self.string(what)?)
            .map_err(|problem| self.invalid(problem))
            .ok()
    }

    /// The table.
    pub(in crate::config) fn section(&self) -> Option<Section<'a>> {
        let Some(table) = self.value.get_ref().as_table() else {
            self.problem(format!(
                "expected a table, found {}",
                kind(self.value.get_ref())
            ));
            return None;
        };
        Some(Section::new(
            self.reader,
            self.key.clone(),
            self.value.span().start,
            table,
        ))
    }

    /// The values of a list.
    pub(in crate::config) fn list(&self, what: &str) -> Option<Vec<Item<'a>>> {
        let Some(array) = self.value.get_ref().as_array() else {
            self.problem(format!(
                "expected {what}, found {}",
                kind(self.value.get_ref())
            ));
            return None;
        };
        let item = |(index, value)| Item {
            reader: self.reader,
            key: format!("{}[{index}]", self.key),
            value,
        };
        Some(array.iter().enumerate().map(item).collect())
    }

    /// The values of a list with at least one; `or_else` says what to do instead of leaving it empty.
    pub(in crate::config) fn filled_list(
        &self,
        what: &str,
        or_else: &str,
    ) -> Option<Vec<Item<'a>>> {
        let items = self.list(what)?;
        if items.is_empty() {
            self.invalid(Invalid::new("the list is empty").hint(or_else));
        }
        Some(items)
    }

    /// A truth value.
    pub(in crate::config) fn boolean(&self) -> Option<bool> {
        let value = self.value.get_ref().as_bool();
        if value.is_none() {
            self.expected("true or false");
        }
        value
    }

    /// A duration within bounds.
    pub(in crate::config) fn duration(&self, bounds: RangeInclusive<Duration>) -> Option<Duration> {
        let value = self.parsed(units::DURATION, units::duration)?;
        self.bounded(value, bounds, show_duration)
    }

    /// A size within bounds, in bytes.
    pub(in crate::config) fn size(&self, bounds: RangeInclusive<u64>) -> Option<u64> {
        let value = self.parsed(units::SIZE, units::size)?;
        self.bounded(value, bounds, show_size)
    }

    /// A number within bounds.
    pub(in crate::config) fn count(&self, bounds: RangeInclusive<u32>) -> Option<u32> {
        let Some(integer) = self.value.get_ref().as_integer() else {
            self.expected("a number such as 100");
            return None;
        };
        // What does not fit is far above every bound, or far below.
        let far = if integer.as_str().starts_with('-') {
            i64::MIN
        } else {
            i64::MAX
        };
        let value = i64::from_str_radix(integer.as_str(), integer.radix()).unwrap_or(far);
        let bounds = i64::from(*bounds.start())..=i64::from(*bounds.end());
        let value = self.bounded(value, bounds, |bound| bound)?;
        u32::try_from(value).ok()
    }

    fn bounded<T: PartialOrd + Copy, S: Display>(
        &self,
        value: T,
        bounds: RangeInclusive<T>,
        show: impl Fn(T) -> S,
    ) -> Option<T> {
        if value < *bounds.start() {
            self.problem(format!("must be at least {}", show(*bounds.start())));
            return None;
        }
        if value > *bounds.end() {
            self.problem(format!("must be at most {}", show(*bounds.end())));
            return None;
        }
        Some(value)
    }

    /// One of several words.
    pub(in crate::config) fn choice<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let quoted: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        let what = quoted.join(" or ");
        let text = self.string(&what)?;
        let found = words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value);
        if found.is_none() {
            self.expected(&what);
        }
        found
    }
}

/// A value for a message: what is short and plain itself, the rest by type.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.chars().count() <= SHOWN_CHARS_MAX => {
            format!("the string {text:?}")
        }
        DeValue::Integer(integer) => format!("the integer {integer}"),
        DeValue::Float(float) => format!("the float {float}"),
        DeValue::Boolean(value) => format!("the boolean {value}"),
        other => kind(other).to_owned(),
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
