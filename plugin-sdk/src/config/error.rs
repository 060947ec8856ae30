//! Why a configuration was refused: a message, and the key that it is about.
//!
//! Promises: values and types are told in words of the configuration (table, list, whole number), and for a name that
//! is not known the nearest one. Leaves out: serde's own rendering of
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
        mismatch(unexpected, expected)
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        mismatch(unexpected, expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("`{field}` is missing"))
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::new(format!("unknown key{}", hint(field, known)))
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        Self::new(format!(
            "unknown word \"{variant}\"{}",
            hint(variant, known)
        ))
    }
}

fn mismatch(found: Unexpected<'_>, expected: &dyn Expected) -> Error {
    let expected = expected_in_words(expected.to_string());
    let article = if expected.contains(" number") {
        ""
    } else {
        "the number "
    };
    let found = match found {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(value) => format!("{article}{value}"),
        Unexpected::Signed(value) => format!("{article}{value}"),
        Unexpected::Str(value) => format!("the string \"{value}\""),
        Unexpected::Map => "a table".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Other(words) => format!(
            "{}{words}",
            if words.starts_with(is_numeric) {
                article
            } else {
                ""
            }
        ),
        _ => "another value".to_owned(),
    };
    Error::new(format!("expected {expected}, found {found}"))
}

fn is_numeric(first: char) -> bool {
    first == '-' || first.is_ascii_digit()
}

/// serde names the types of Rust.
fn expected_in_words(type_name: String) -> String {
    let bits = |kind| {
        type_name
            .strip_prefix(kind)
            .and_then(|bits| bits.parse::<u32>().ok())
    };
    let words = match &*type_name {
        "usize" | "u64" => "a whole number of at least 0",
        "isize" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        _ if type_name.starts_with("struct ") => "a table",
        _ => {
            if let Some(bits) = bits('u').filter(|bits| *bits < 64) {
                return format!("a whole number from 0 to {}", (1_u64 << bits) - 1);
            }
            if let Some(bits) = bits('i').filter(|bits| *bits < 64) {
                let end = 1_i64 << (bits - 1);
                return format!("a whole number from {} to {}", -end, end - 1);
            }
            return type_name;
        }
    };
    words.to_owned()
}

/// What is known and near to a name, else everything that is known.
fn hint(name: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|other| (typing_errors(name, other), other))
        .min();
    match near {
        None => "; there are no keys here".to_owned(),
        Some((errors, near)) if errors <= (name.len() / 3).max(1) && errors < near.len() => {
            format!("; did you mean `{near}`?")
        }
        Some(_) => format!("; there are `{}`", known.join("`, `")),
    }
}

/// Bytes to put in, take out or replace to make one name of the other (Levenshtein's distance).
fn typing_errors(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (b, above) in b.bytes().zip(row.iter_mut().skip(1)) {
            let cost = (diagonal + usize::from(a != b))
                .min(left + 1)
                .min(*above + 1);
            diagonal = *above;
            *above = cost;
            left = cost;
        }
    }
    row.last().copied().unwrap_or(a.len())
}
