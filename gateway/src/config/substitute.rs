//! A plugin's `config` from TOML to JSON, with secrets put in place.
//!
//! In every string, keys of tables included, `${env:NAME}` becomes an environment variable and `${file:PATH}` the text
//! of a file without its last newline. What was put in is not looked at again. Any other `${...}` stays: it is the
//! plugin's. Dates become strings; `nan` and `inf` are refused, JSON has none. Errors name the line and the variable
//! or file, never a value or a key of the table, which may be a secret itself.

use std::env::VarError;
use std::fs::File;
use std::io::Read;

use serde_json::{Map, Number, Value};
use toml::de::{DeInteger, DeValue};

use super::read::{Item, Reader};
use super::{Invalid, PluginConfig};

/// Bytes of a secret file; a key set is some kilobytes.
const SECRET_BYTES_MAX: u64 = 1 << 20;
/// Tables and lists within one another; a plugin's parser has a limit too.
const DEPTH_MAX: usize = 32;

/// The configuration of a plugin from a table.
pub(super) fn plugin_config(item: &Item<'_>) -> Option<PluginConfig> {
    if !item.value.get_ref().is_table() {
        item.problem("expected a table, the plugin's configuration");
        return None;
    }
    match json(item, 0)? {
        Value::Object(members) => Some(PluginConfig::new(members)),
        _ => None,
    }
}

fn json(item: &Item<'_>, depth: usize) -> Option<Value> {
    if depth > DEPTH_MAX {
        item.problem(format!(
            "more than {DEPTH_MAX} tables and lists within one another"
        ));
        return None;
    }
    match item.value.get_ref() {
        DeValue::String(text) => checked(item, substitute(item.reader, text)).map(Value::String),
        DeValue::Integer(integer) => checked(item, number(integer)).map(Value::Number),
        DeValue::Float(float) => {
            let value = float.as_str().parse().ok().and_then(Number::from_f64);
            checked(
                item,
                value.ok_or_else(|| Invalid::new("JSON has no such number")),
            )
            .map(Value::Number)
        }
        DeValue::Boolean(value) => Some(Value::Bool(*value)),
        DeValue::Datetime(date) => Some(Value::String(date.to_string())),
        // All elements are looked at, so that all problems are found.
        DeValue::Array(values) => {
            let values: Vec<_> = values
                .iter()
                .map(|value| json(&item.inner(value), depth + 1))
                .collect();
            values.into_iter().collect::<Option<_>>().map(Value::Array)
        }
        DeValue::Table(table) => {
            let mut members = Map::new();
            let mut complete = true;
            for (key, value) in table {
                let name = checked(&item.inner(value), substitute(item.reader, key.get_ref()));
                let value = json(&item.inner(value), depth + 1);
                let (Some(name), Some(value)) = (name, value) else {
                    complete = false;
                    continue;
                };
                if members.insert(name, value).is_some() {
                    item.problem("two keys are the same after substitution");
                    complete = false;
                }
            }
            complete.then_some(Value::Object(members))
        }
    }
}

fn checked<T>(item: &Item<'_>, result: Result<T, Invalid>) -> Option<T> {
    result.map_err(|problem| item.invalid(problem)).ok()
}

fn number(integer: &DeInteger<'_>) -> Result<Number, Invalid> {
    i64::from_str_radix(integer.as_str(), integer.radix())
        .map(Number::from)
        .map_err(|_| Invalid::new("the number does not fit in 64 bits"))
}

fn substitute(reader: &Reader<'_>, text: &str) -> Result<String, Invalid> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, placeholder) = rest.split_at(start);
        result.push_str(before);
        let secret = placeholder.starts_with("${env:") || placeholder.starts_with("${file:");
        let Some(end) = placeholder.find('}').filter(|_| secret) else {
            if secret {
                return Err(Invalid::new(
                    "a placeholder '${env:' or '${file:' has no '}'",
                ));
            }
            result.push_str("${");
            rest = &placeholder[2..];
            continue;
        };
        let (source, name) = placeholder[2..end].split_once(':').unwrap_or_default();
        result.push_str(&match source {
            "env" => variable(reader, name)?,
            _ => file(reader, name)?,
        });
        rest = &placeholder[end + 1..];
    }
    result.push_str(rest);
    Ok(result)
}

fn variable(reader: &Reader<'_>, name: &str) -> Result<String, Invalid> {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    if !name.starts_with(first) || !name.chars().all(|c| first(c) || c.is_ascii_digit()) {
        let problem = Invalid::new(format!(
            "{name:?} is not the name of an environment variable"
        ));
        return Err(problem.hint("letters, digits and '_', such as ${env:API_KEY}"));
    }
    (reader.variables)(name).map_err(|error| match error {
        VarError::NotPresent => Invalid::new(format!("the environment variable {name} is not set")),
        VarError::NotUnicode(_) => {
            Invalid::new(format!("the environment variable {name} is not UTF-8"))
        }
    })
}

fn file(reader: &Reader<'_>, name: &str) -> Result<String, Invalid> {
    let refused = |why: &str| Invalid::new(format!("the secret file {name:?} {why}"));
    if name.is_empty() {
        return Err(Invalid::new("the placeholder '${file:}' names no file"));
    }
    let path = reader.resolve(name);
    reader.watch(&path);
    if !path.is_file() {
        return Err(refused("does not exist or is not a file"));
    }
    let mut text = String::new();
    File::open(&path)
        .and_then(|file| file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(|error| refused(&format!("can't be read: {error}")))?;
    if text.len() as u64 > SECRET_BYTES_MAX {
        return Err(refused("is larger than 1 MiB"));
    }
    let trimmed = text.strip_suffix('\n').unwrap_or(&text);
    Ok(trimmed.strip_suffix('\r').unwrap_or(trimmed).to_owned())
}
