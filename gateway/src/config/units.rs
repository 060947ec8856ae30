//! Durations and sizes as people write them: `5ms`, `1.5s`, `16MiB`.
//!
//! Arithmetic is on integers, so `0.1s` is exactly 100 ms. A number without a unit is refused, since nobody
//! remembers which unit was meant. There are no sums (`1h30m`) and no spaces.

use std::time::Duration;

use super::Invalid;

/// A family of units.
struct Family {
    /// What a value looks like, for messages.
    example: &'static str,
    /// The smallest thing that is counted.
    smallest: &'static str,
    /// Names with their factors.
    units: &'static [(&'static str, u64)],
}

/// Time in nanoseconds.
const TIME: Family = Family {
    example: DURATION,
    smallest: "nanoseconds",
    units: &[
        ("us", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
        ("d", 86_400_000_000_000),
    ],
};

/// Size in bytes.
const BYTES: Family = Family {
    example: SIZE,
    smallest: "bytes",
    units: &[
        ("B", 1),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
    ],
};

/// What a duration looks like, for messages.
pub(super) const DURATION: &str = r#"a duration such as "5ms" or "2s""#;
/// What a size looks like, for messages.
pub(super) const SIZE: &str = r#"a size such as "64KiB" or "16MiB""#;

/// Digits read before or after the point; more is no number that anyone means, and would overflow.
const DIGITS_MAX: usize = 15;

/// Read a duration.
pub(super) fn duration(text: &str) -> Result<Duration, Invalid> {
    quantity(text, &TIME).map(Duration::from_nanos)
}

/// Read a size in bytes.
pub(super) fn size(text: &str) -> Result<u64, Invalid> {
    quantity(text, &BYTES)
}

/// Write a duration with the largest unit that leaves a whole number.
pub(super) fn show_duration(value: Duration) -> String {
    show(u64::try_from(value.as_nanos()).unwrap_or(u64::MAX), &TIME)
}

/// Write a size with the largest unit that leaves a whole number.
pub(super) fn show_size(bytes: u64) -> String {
    show(bytes, &BYTES)
}

fn show(value: u64, family: &Family) -> String {
    let (unit, scale) = family
        .units
        .iter()
        .filter(|(_, scale)| value.is_multiple_of(*scale) && value >= *scale)
        .max_by_key(|(_, scale)| *scale)
        .unwrap_or(&family.units[0]);
    format!("{}{unit}", value / scale)
}

fn quantity(text: &str, family: &Family) -> Result<u64, Invalid> {
    let wrong = || {
        let what = family.example;
        Invalid::new(format!("expected {what}, found the string {text:?}"))
    };
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| {
        (1..=DIGITS_MAX).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
    };
    if !digits(whole) || !digits(fraction) {
        return Err(wrong());
    }
    let Some((_, scale)) = family.units.iter().find(|(name, _)| *name == unit) else {
        return Err(wrong().hint(unit_hint(number, unit, family.units)));
    };
    let parse = |part: &str| part.parse::<u128>().map_err(|_| wrong());
    let divisor = 10u128.pow(fraction.len() as u32);
    let scaled = (parse(whole)? * divisor + parse(fraction)?) * u128::from(*scale);
    if !scaled.is_multiple_of(divisor) {
        let message = format!("{text:?} is not a whole number of {}", family.smallest);
        return Err(Invalid::new(message));
    }
    u64::try_from(scaled / divisor).map_err(|_| Invalid::new(format!("{text:?} is too large")))
}

/// The unit that was probably meant, else all of them.
fn unit_hint(number: &str, unit: &str, units: &[(&str, u64)]) -> String {
    let meant = units
        .iter()
        .find(|(name, _)| !unit.is_empty() && name.eq_ignore_ascii_case(unit.trim()));
    match meant {
        Some((name, _)) => format!("did you mean \"{number}{name}\"?"),
        None => {
            let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
            format!("units are {}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact() {
        for (text, nanos) in [
            ("5ms", 5_000_000),
            ("0.1s", 100_000_000),
            ("1.5s", 1_500_000_000),
            ("2m", 120_000_000_000),
            ("250us", 250_000),
            ("1h", 3_600_000_000_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn sizes_know_both_families() {
        for (text, bytes) in [
            ("16MiB", 16 << 20),
            ("64KB", 64_000),
            ("1GiB", 1 << 30),
            ("1.5KiB", 1536),
            ("7B", 7),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "5",
            "ms",
            "5 ms",
            "-5ms",
            "+5ms",
            ".5s",
            "5.s",
            "1.2.3s",
            "1e3s",
            "5ms ",
            "1h30m",
            "٣s",
            "99999999999999999999s",
            "999999999999999d",
            "0.0000000001s",
            "５s",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in [
            "",
            "16",
            "16M",
            "16mib",
            "0.3B",
            "MiB",
            "999999999999999GiB",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hints_name_the_unit_that_was_meant() {
        assert_eq!(
            size("16mib").unwrap_err().hint.as_deref(),
            Some("did you mean \"16MiB\"?")
        );
        assert_eq!(
            duration("5").unwrap_err().hint.as_deref(),
            Some("units are us, ms, s, m, h, d")
        );
    }

    #[test]
    fn what_is_shown_reads_back() {
        for nanos in [
            0,
            1_000,
            1_500_000,
            1_000_000_000,
            90_000_000_000,
            86_400_000_000_000,
        ] {
            let value = Duration::from_nanos(nanos);
            assert_eq!(duration(&show_duration(value)), Ok(value));
        }
        for bytes in [0, 1, 1_000, 65_534, 65_536, 1 << 30] {
            assert_eq!(size(&show_size(bytes)), Ok(bytes));
        }
    }
}
