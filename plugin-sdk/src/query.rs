//! Query parameters: the part of a URL that the contract hands over as one undecoded string.
//!
//! Promises: reads `application/x-www-form-urlencoded` as browsers write it; what is left after a removal is byte
//! for byte what was there. Leaves out: building queries.

/// The decoded value of the first parameter of that name. `+` is a space; bytes that aren't UTF-8 are replaced.
pub fn param(query: &str, name: &str) -> Option<String> {
    pairs(query)
        .find(|(key, _)| decode(key) == name)
        .map(|(_, value)| decode(value))
}

/// The query without any parameter of that name, or `None` if nothing is left.
pub fn without_param(query: &str, name: &str) -> Option<String> {
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| decode(pair.split_once('=').map_or(*pair, |(key, _)| key)) != name)
        .collect();
    let kept = kept.join("&");
    (!kept.is_empty()).then_some(kept)
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, tail @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                bytes.push(hex(*high) << 4 | hex(*low));
                rest = tail;
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}

#[cfg(test)]
mod tests {
    use super::{param, without_param};

    #[test]
    fn the_first_value_is_decoded() {
        assert_eq!(
            param("a=1&key=x%2Fy+z%4a&key=2", "key").as_deref(),
            Some("x/y zJ")
        );
        assert_eq!(param("k%65y=1", "key").as_deref(), Some("1"));
        assert_eq!(param("key", "key").as_deref(), Some(""));
        assert_eq!(param("a=%zz%4", "a").as_deref(), Some("%zz%4"));
        assert_eq!(param("monkey=1", "key"), None);
    }

    #[test]
    fn removal_takes_every_spelling_and_keeps_the_rest_as_it_is() {
        assert_eq!(
            without_param("a=%20+&key=1&b&k%65y=2&key", "key").as_deref(),
            Some("a=%20+&b")
        );
        assert_eq!(without_param("key=1", "key"), None);
    }
}
