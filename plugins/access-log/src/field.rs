//! The fields of a line: their names, and how each is written as JSON.
//!
//! Promises: times are UTC (RFC 3339) or microseconds, as the name says. Leaves out: floats; parts
//! of a microsecond are dropped, but for those of plugins, which take few of them.

use plugin_sdk::json::push_string;
use plugin_sdk::{LogEntry, Request, header};

/// Bytes of a header field or attribute that are written: a line that the gateway cuts, at 64 KiB,
/// is no JSON.
const VALUE_BYTES_MAX: usize = 1024;

/// Where a value comes from.
#[derive(Debug)]
pub(crate) enum Field {
    /// What is written stands in the entry.
    Entry(fn(&mut String, &LogEntry)),
    /// A header field of the request, as it was sent to the upstream.
    Header(String),
    /// What a plugin has shared.
    Attribute(String),
}

impl Field {
    /// What is written if the configuration does not say: all but the query.
    pub(crate) const DEFAULT: &str = "time id client consumer protocol method scheme host path \
        route endpoint status failure request_bytes response_bytes duration_us \
        upstream_duration_us plugins_us";

    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        if let Some(name) = name
            .strip_prefix("request.header.")
            .filter(|name| header::is_token(name))
        {
            return Ok(Self::Header(name.to_ascii_lowercase()));
        }
        if let Some(name) = name
            .strip_prefix("attribute.")
            .filter(|name| !name.is_empty())
        {
            return Ok(Self::Attribute(name.to_owned()));
        }
        Ok(Self::Entry(match name {
            "consumer" => return Ok(Self::Attribute("consumer".to_owned())),
            "time" => |line, entry| push_time(line, entry.started),
            "id" => |line, entry| push_string(line, &entry.id),
            "client" => |line, entry| push_string(line, &entry.client_ip),
            "protocol" => |line, entry| push_string(line, &entry.protocol),
            "method" => |line, entry| push_string(line, &entry.method),
            "scheme" => |line, entry| push_string(line, &entry.scheme),
            "host" => |line, entry| push_string(line, &entry.authority),
            "path" => |line, entry| push_string(line, &entry.path),
            "query" => |line, entry| push_option(line, entry.query.as_deref(), push_string),
            "route" => |line, entry| push_option(line, entry.route.as_deref(), push_string),
            "endpoint" => |line, entry| push_option(line, entry.endpoint.as_deref(), push_string),
            "status" => |line, entry| push_number(line, u64::from(entry.status)),
            "failure" => |line, entry| push_option(line, entry.failure.as_deref(), push_string),
            "request_bytes" => |line, entry| push_number(line, entry.request_bytes),
            "response_bytes" => |line, entry| push_number(line, entry.response_bytes),
            "duration_us" => |line, entry| push_number(line, entry.duration / 1000),
            "upstream_duration_us" => |line, entry| {
                let microseconds = entry.upstream_duration.map(|it| it / 1000);
                push_option(line, microseconds, push_number);
            },
            "plugins_us" => push_plugins,
            _ => {
                let known = Self::DEFAULT.replace(' ', ", ");
                return Err(format!(
                    "unknown field \"{name}\"; there are {known}, query, request.header.NAME and \
                     attribute.NAME"
                ));
            }
        }))
    }

    /// Write the value.
    pub(crate) fn push(&self, line: &mut String, request: &Request, entry: &LogEntry) {
        match self {
            Self::Entry(push) => push(line, entry),
            Self::Header(name) => push_option(line, request.header(name), push_bytes),
            Self::Attribute(name) => {
                let value = request.attribute(name);
                push_option(line, value.map(String::into_bytes), push_bytes);
            }
        }
    }
}

fn push_bytes(line: &mut String, mut bytes: Vec<u8>) {
    bytes.truncate(VALUE_BYTES_MAX);
    push_string(line, &String::from_utf8_lossy(&bytes));
}

/// Digit by digit, which is what `write!` does on many more steps.
fn push_number(line: &mut String, number: u64) {
    if number > 9 {
        push_number(line, number / 10);
    }
    push_digits(line, number, 1);
}

/// The last digits of a number.
fn push_digits(line: &mut String, number: u64, width: u32) {
    if width > 1 {
        push_digits(line, number / 10, width - 1);
    }
    line.push(char::from(b'0' + (number % 10) as u8));
}

fn push_option<T>(line: &mut String, value: Option<T>, push: impl FnOnce(&mut String, T)) {
    match value {
        Some(value) => push(line, value),
        None => line.push_str("null"),
    }
}

fn push_plugins(line: &mut String, entry: &LogEntry) {
    line.push('{');
    for (index, plugin) in entry.plugins.iter().enumerate() {
        line.push_str(if index == 0 { "" } else { "," });
        push_string(line, &plugin.name);
        line.push(':');
        push_number(line, plugin.nanoseconds / 1000);
        line.push('.');
        push_digits(line, plugin.nanoseconds / 100, 1);
    }
    line.push('}');
}

/// `"2026-11-24T04:08:03.762Z"` from nanoseconds since 1970.
fn push_time(line: &mut String, nanoseconds: u64) {
    let milliseconds = nanoseconds / 1_000_000;
    let seconds = milliseconds / 1000;
    let (year, month, day) = date(seconds / 86_400);
    let parts = [
        ('"', year, 4),
        ('-', month, 2),
        ('-', day, 2),
        ('T', seconds / 3600 % 24, 2),
        (':', seconds / 60 % 60, 2),
        (':', seconds % 60, 2),
        ('.', milliseconds, 3),
    ];
    for (before, number, width) in parts {
        line.push(before);
        push_digits(line, number, width);
    }
    line.push_str("Z\"");
}

/// Year, month and day of a day since 1970. Counted in years that begin in March, so that leap days
/// come last, and in the 400 years (146,097 days) after which the Gregorian calendar repeats.
pub(crate) fn date(days_since_1970: u64) -> (u64, u64, u64) {
    /// Days from 1 March of the year 0 to 1970.
    const EPOCH: u64 = 719_468;
    let days = days_since_1970 + EPOCH;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months_since_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months_since_march + 2) / 5 + 1;
    let month = (months_since_march + 2) % 12 + 1;
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}
