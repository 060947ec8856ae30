//! JSON written by hand, for plugins that need too little of it to pay 8 KB for serde_json.
//!
//! Promises: any text becomes a valid string. Leaves out: everything but strings.

use std::fmt::Write as _;

/// Append a text as a JSON string, with its quotes (RFC 8259 section 7).
pub fn push_string(json: &mut String, text: &str) {
    json.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => json.extend(['\\', char]),
            '\0'..'\x20' => {
                write!(json, "\\u{:04x}", u32::from(char)).expect("a String takes every write")
            }
            _ => json.push(char),
        }
    }
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
