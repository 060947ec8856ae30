//! JSON written by hand, for plugins that need too little of it to pay 8 KB for serde_json.
//!
//! Promises: any text becomes a valid string. Leaves out: everything but strings.

use std::fmt::Write as _;

/// Append a text as a JSON string, with its quotes (RFC 8259 section 7).
pub fn push_string(json: &mut String, text: &str) {
    json.push('"');
    let mut from = 0;
    // In runs: most texts have nothing to escape, and what has is one byte long. `get`, since an index that may panic would
    // bring 7 KB of words for that.
    for (at, byte) in text.bytes().enumerate() {
        if !matches!(byte, b'"' | b'\\' | ..b' ') {
            continue;
        }
        json.push_str(text.get(from..at).unwrap_or_default());
        match byte {
            b'"' | b'\\' => json.extend(['\\', char::from(byte)]),
            _ => write!(json, "\\u{byte:04x}").expect("a String takes every write"),
        }
        from = at + 1;
    }
    json.push_str(text.get(from..).unwrap_or_default());
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::push_string;

    #[test]
    fn any_text_is_a_json_string() {
        for text in ["", "a\"b\\c", "\0\n\r\t\u{1f}\u{7f}", "é😀\u{2028}"] {
            let mut json = String::new();
            push_string(&mut json, text);
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
