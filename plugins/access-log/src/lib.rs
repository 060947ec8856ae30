//! Stock plugin `access-log`: one line of JSON for each exchange, with the configured fields.
//!
//! Promises: a line is written when the exchange has ended, off the request path; it is valid JSON,
//! whatever the client sent; the same fields in the same order each time, `null` where nothing is
//! known. Leaves out: sampling, and the query by default, since keys and tokens stand in it.

use plugin_sdk::{Fault, Interest, LogEntry, OnLog, Plugin, Request, json, log};
use serde::Deserialize;

mod field;
#[cfg(test)]
mod tests;

use field::Field;

/// What a line with all fields usually fits in.
const LINE_BYTES: usize = 512;

/// The `config` table; the README explains the keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    fields: Option<Vec<String>>,
}

/// The plugin.
#[derive(Debug)]
pub struct AccessLog {
    /// What to write, with the text that stands before each value: `,"name":`.
    fields: Vec<(String, Field)>,
}

impl Plugin for AccessLog {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        let names = config
            .fields
            .unwrap_or_else(|| Field::DEFAULT.split(' ').map(str::to_owned).collect());
        if names.is_empty() {
            return Err("`fields` is empty: there is nothing to log".to_owned());
        }
        let mut fields = Vec::new();
        for (index, name) in names.iter().enumerate() {
            if names[..index].contains(name) {
                return Err(format!("`fields[{index}]`: \"{name}\" is there twice"));
            }
            let field =
                Field::parse(name).map_err(|error| format!("`fields[{index}]`: {error}"))?;
            let mut before = String::from(if index == 0 { "{" } else { "," });
            json::push_string(&mut before, name);
            before.push(':');
            fields.push((before, field));
        }
        Ok(Self { fields })
    }

    fn interest(&self) -> Interest {
        Interest::LOG
    }
}

impl OnLog for AccessLog {
    fn on_log(&self, request: &Request, entry: &LogEntry) -> Result<(), Fault> {
        let mut line = String::with_capacity(LINE_BYTES);
        for (before, field) in &self.fields {
            line.push_str(before);
            field.push(&mut line, request, entry);
        }
        line.push('}');
        log::access(&line);
        Ok(())
    }
}

plugin_sdk::export!(AccessLog: OnLog);
