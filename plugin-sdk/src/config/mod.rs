//! From the JSON text that `lifecycle.init` gets to a plugin's typed configuration.
//!
//! Promises: an error names the key (`` `keys[1].name`: expected a string, .. ``), never a line, since the text is the
//! gateway's rendering of a TOML table that no user has seen. Why not serde_json: it and serde_path_to_error add
//! 67 KB to a plugin of 72 KB, mostly for numbers with fractions; this adds 10 KB, and fractions only where a
//! configuration has them. Leaves out: map keys that aren't strings, and borrowing from the text.

mod error;
mod reader;
mod table;
mod value;

use serde::de::DeserializeOwned;

use error::Error;
use reader::Reader;
pub use table::Table;

/// Read a configuration.
pub(crate) fn parse<C: DeserializeOwned>(json: &str) -> Result<C, String> {
    let mut reader = Reader::new(json);
    let config = C::deserialize(&mut reader).and_then(|config| reader.end().map(|()| config));
    config.map_err(Error::into_text)
}

#[cfg(test)]
mod tests;
