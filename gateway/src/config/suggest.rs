//! The nearest known name for one that is not known.
//!
//! A proposal is made only where it is probably right; otherwise what is known is listed.

/// Names listed when none is near; more would bury the message.
const LISTED_MAX: usize = 16;

/// Bytes that are enough to take a name for the beginning of another.
const BEGINNING_BYTES_MIN: usize = 3;

/// `did you mean 'time'?`, or the list of what is known, or nothing if nothing is known.
pub(super) fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut known: Vec<&str> = known.into_iter().collect();
    if let Some(near) = nearest(name, &known) {
        return Some(format!("did you mean '{near}'?"));
    }
    known.sort_unstable();
    match known.len() {
        0 => None,
        1..=LISTED_MAX => Some(format!("known: {}", known.join(", "))),
        more => Some(format!(
            "known: {} and {} more",
            known[..LISTED_MAX].join(", "),
            more - LISTED_MAX
        )),
    }
}

/// The known name with the fewest typing errors, if there is at most one for every three characters; else the only one
/// that begins with the name.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('_', "-");
    let name = plain(name);
    let allowed = (name.chars().count() / 3).max(1);
    known
        .iter()
        .map(|&other| (strsim::damerau_levenshtein(&name, &plain(other)), other))
        .filter(|&(distance, other)| distance <= allowed && distance < other.chars().count())
        .min()
        .map(|(_, other)| other)
        .or_else(|| only_beginning(&name, known))
}

fn only_beginning<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let mut longer = known.iter().filter(|other| other.starts_with(name));
    let only = longer
        .next()
        .filter(|_| name.len() >= BEGINNING_BYTES_MIN)?;
    longer.next().is_none().then_some(*only)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proposes_what_is_near_and_lists_what_is_not() {
        let known = ["time", "memory", "wall-time"];
        assert_eq!(nearest("tme", &known), Some("time"));
        assert_eq!(nearest("Wall_Time", &known), Some("wall-time"));
        assert_eq!(nearest("mem", &known), Some("memory"));
        assert_eq!(nearest("wa", &known), None);
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(
            hint("colour", known).as_deref(),
            Some("known: memory, time, wall-time")
        );
        assert_eq!(hint("x", []), None);
        assert_eq!(nearest("x", &["y"]), None);
    }
}
