//! Why a configuration was refused: a message, and the key that it is about.
//!
//! Promises: values and types are told in words of the configuration (table, list, whole number), and for a name that
//! is not known the nearest one. Leaves out: serde's own rendering of
//! unexpected values, whose floats cost a plugin 20 KB.

use std::fmt::{self, Display};

use serde::de::{Expected, Unexpected};

/// An error with the path to its key. One word, since each step of the reader returns one.
#[derive(Debug)]
pub(super) struct Error(Box<Parts>);

#[derive(Debug)]
struct Parts {
    path: String,
    message: String,
}

impl Error {
    /// The message piece by piece, which takes half the code of `format!`.
    #[cold]
    pub(super) fn new(pieces: &[&str]) -> Self {
        Self::with(joined(pieces))
    }

    pub(super) fn with(message: String) -> Self {
        let path = String::new();
        Self(Box::new(Parts { path, message }))
    }

    /// The error of the value under that key.
    #[cold]
    pub(super) fn under_key(mut self, key: &str) -> Self {
        let path = &mut self.0.path;
        let separator = if path.is_empty() || path.starts_with('[') {
            ""
        } else {
            "."
        };
        *path = joined(&[key, separator, path]);
        self
    }

    /// The error of the value at that place of a list.
    #[cold]
    pub(super) fn under_index(self, index: usize) -> Self {
        self.under_key(&format!("[{index}]"))
    }

    pub(super) fn into_text(self) -> String {
        let Parts { path, message } = *self.0;
        if path.is_empty() {
            message
        } else {
            joined(&["`", &path, "`: ", &message])
        }
    }
}

impl Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

impl serde::de::Error for Error {
    fn custom<T: Display>(message: T) -> Self {
        Self::with(message.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        mismatch(unexpected, expected)
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        mismatch(unexpected, expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(&["`", field, "` is missing"])
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        unknown("unknown key", field, known)
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        let what = joined(&["unknown word \"", variant, "\""]);
        unknown(&what, variant, known)
    }
}

fn joined(pieces: &[&str]) -> String {
    pieces.iter().copied().collect()
}

fn mismatch(found: Unexpected<'_>, expected: &dyn Expected) -> Error {
    let expected = expected.to_string();
    let expected = in_words(&expected);
    // Not by `contains`: a search for a text takes 4 KB.
    let mut sevens = expected.as_bytes().windows(7);
    let article = if sevens.any(|seven| seven == b" number") {
        ""
    } else {
        "the number "
    };
    let digits;
    let (before, value, after) = match found {
        Unexpected::Bool(true) => ("true", "", ""),
        Unexpected::Bool(false) => ("false", "", ""),
        Unexpected::Unsigned(value) => {
            digits = format!("{value}");
            (article, &*digits, "")
        }
        Unexpected::Signed(value) => {
            digits = format!("{value}");
            (article, &*digits, "")
        }
        Unexpected::Str(value) => ("the string \"", value, "\""),
        Unexpected::Map => ("a table", "", ""),
        Unexpected::Seq => ("a list", "", ""),
        Unexpected::Other(words) if words.starts_with(is_numeric) => (article, words, ""),
        Unexpected::Other(words) => (words, "", ""),
        _ => ("another value", "", ""),
    };
    Error::new(&["expected ", expected, ", found ", before, value, after])
}

fn is_numeric(first: char) -> bool {
    first == '-' || first.is_ascii_digit()
}

/// serde names the types of Rust.
fn in_words(type_name: &str) -> &str {
    const WORDS: [(&str, &str); 15] = [
        ("usize", "a whole number of at least 0"),
        ("u64", "a whole number of at least 0"),
        ("u32", "a whole number from 0 to 4294967295"),
        ("u16", "a whole number from 0 to 65535"),
        ("u8", "a whole number from 0 to 255"),
        ("isize", "a whole number"),
        ("i64", "a whole number"),
        ("i32", "a whole number from -2147483648 to 2147483647"),
        ("i16", "a whole number from -32768 to 32767"),
        ("i8", "a whole number from -128 to 127"),
        ("f32", "a number"),
        ("f64", "a number"),
        ("a boolean", "true or false"),
        ("a sequence", "a list"),
        ("a map", "a table"),
    ];
    if type_name.starts_with("struct ") {
        return "a table";
    }
    let found = WORDS.iter().find(|(name, _)| *name == type_name);
    found.map_or(type_name, |(_, words)| words)
}

/// A name that is not known, with what is known and near to it, else with everything that is known.
#[cold]
fn unknown(what: &str, name: &str, known: &[&str]) -> Error {
    let near = known
        .iter()
        .map(|other| (typing_errors(name, other), other))
        .min();
    match near {
        None => Error::new(&[what, "; there are no keys here"]),
        Some((errors, near)) if errors <= (name.len() / 3).max(1) && errors < near.len() => {
            Error::new(&[what, "; did you mean `", near, "`?"])
        }
        Some(_) => {
            let mut message = joined(&[what, "; there are "]);
            for (index, name) in known.iter().enumerate() {
                message.push_str(if index == 0 { "`" } else { "`, `" });
                message.push_str(name);
            }
            message.push('`');
            Error::with(message)
        }
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
