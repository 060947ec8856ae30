//! Durations in a configuration, as the gateway's own are written: `#[serde(with = "plugin_sdk::duration")]`.
//!
//! Promises: `500ms`, `1.5s`, `1m`, `12h`, `7d`; whole nanoseconds, no floats. Leaves out: sums such as `1h30m`, and
//! numbers without a unit, since nobody remembers which one was meant.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// Read a duration.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_str(Text)
}

/// For a duration that may be missing: `#[serde(default, with = "plugin_sdk::duration::optional")]`.
pub mod optional {
    use std::time::Duration;

    use serde::de::Deserializer;

    /// Read a duration that is there.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        super::deserialize(deserializer).map(Some)
    }
}

struct Text;

impl Visitor<'_> for Text {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"1s\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// Read a duration from a text.
pub fn parse(text: &str) -> Option<Duration> {
    let end = text
        .bytes()
        .position(|byte| !byte.is_ascii_digit() && byte != b'.')?;
    let (number, unit) = (text.get(..end)?, text.get(end..)?);
    let unit: u64 = match unit {
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return None,
    };
    let Some((whole, fraction)) = number.split_once('.') else {
        return Some(Duration::from_nanos(
            number.parse::<u64>().ok()?.checked_mul(unit)?,
        ));
    };
    let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let scaled = whole
        .parse::<u64>()
        .ok()?
        .checked_mul(scale)?
        .checked_add(fraction.parse().ok()?)?;
    let nanoseconds = scaled.checked_mul(unit)?;
    nanoseconds
        .is_multiple_of(scale)
        .then(|| Duration::from_nanos(nanoseconds / scale))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::parse;

    #[test]
    fn a_number_with_a_unit_is_a_duration_and_nothing_else_is() {
        for (text, milliseconds) in [
            ("0s", 0),
            ("500ms", 500),
            ("1s", 1000),
            ("1.5s", 1500),
            ("0.001s", 1),
            ("1m", 60_000),
            ("2d", 172_800_000),
        ] {
            assert_eq!(
                parse(text),
                Some(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        let wrong = [
            "", "1", "s", ".s", "1.s", ".5s", "1..5s", "1.2.3s", "-1s", "+1s", "1 s", "1S",
            "1h30m", "0.5", "é",
        ];
        for text in wrong
            .into_iter()
            .chain(["99999999999999999d", "1.23456789012us", "0.0001us"])
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
