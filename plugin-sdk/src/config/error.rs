//! Why a configuration was refused: a message, and the key that it is about.
//!
//! Promises: values are told in words of the configuration (table, list). Leaves out: serde's own rendering of
//! unexpected values, whose floats cost a plugin 20 KB.

use std::fmt::{self, Display};

use serde::de::{Expected, Unexpected};

/// An error with the path to its key.
#[derive(Debug)]
pub(super) struct Error {
    path: String,
    message: String,
}

impl Error {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            path: String::new(),
            message: message.into(),
        }
    }

    /// The error of the value under that key.
    pub(super) fn under_key(mut self, key: &str) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') {
            ""
        } else {
            "."
        };
        self.path = format!("{key}{separator}{}", self.path);
        self
    }

    /// The error of the value at that place of a list.
    pub(super) fn under_index(self, index: usize) -> Self {
        self.under_key(&format!("[{index}]"))
    }

    pub(super) fn into_text(self) -> String {
        if self.path.is_empty() {
            self.message
        } else {
            format!("`{}`: {}", self.path, self.message)
        }
    }
}

impl Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl serde::de::Error for Error {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!(
            "invalid type: {}, expected {expected}",
            in_words(unexpected)
        ))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!(
            "invalid value: {}, expected {expected}",
            in_words(unexpected)
        ))
    }
}

fn in_words(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("integer `{value}`"),
        Unexpected::Signed(value) => format!("integer `{value}`"),
        Unexpected::Str(value) => format!("string \"{value}\""),
        Unexpected::Map => "table".to_owned(),
        Unexpected::Seq => "list".to_owned(),
        Unexpected::Other(words) => words.to_owned(),
        _ => "another value".to_owned(),
    }
}
