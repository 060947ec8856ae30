//! JSON written by hand, for plugins that need too little of it to pay 8 KB for serde_json.
//!
//! Promises: any text becomes a valid string. Leaves out: everything but strings.

use std::fmt::Write as _;

/// Append a text as a JSON string, with its quotes (RFC 8259 section 7).
pub fn push_string(json: &mut String, text: &str) {
    json.push('"');
    let mut rest = text;
    // In runs: most texts have nothing to escape. What has is one byte long.
    while let Some(at) = rest.bytes().position(needs_escape) {
        let (run, from) = rest.split_at(at);
        let (special, behind) = from.split_at(1);
        json.push_str(run);
        match special {
            "\"" | "\\" => json.extend(["\\", special]),
            _ => write!(json, "\\u{:04x}", special.as_bytes()[0])
                .expect("a String takes every write"),
        }
        rest = behind;
    }
    json.push_str(rest);
    json.push('"');
}

fn needs_escape(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | ..b' ')
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
