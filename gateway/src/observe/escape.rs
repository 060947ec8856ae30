//! Making text safe to stand in one line of a log.
//!
//! Whatever could end the line, drive a terminal or change the order in which text is shown is written as a JSON
//! escape: control characters (C0, DEL, C1 with U+009B), the line and paragraph separators U+2028 and U+2029, and the
//! marks that direct bidirectional text. A line that was valid JSON before is valid JSON with the same meaning after, as
//! none of these can stand outside a string there (but for white space, which a line of a log has no use for).
//!
//! A backslash stays as it is, or JSON would change; so in plain text `\n` may also have been written by the sender.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with everything escaped that does not belong in a line of a log. Clean text is not copied.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    // Nearly all text is printable ASCII. A fold, as it looks at many bytes at once where `all` looks at one.
    let is_plain = text
        .bytes()
        .fold(true, |plain, byte| plain & (0x20..0x7f).contains(&byte));
    if is_plain || !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 32);
    for char in text.chars() {
        push_escaped(&mut escaped, char);
    }
    Cow::Owned(escaped)
}

fn push_escaped(text: &mut String, char: char) {
    match char {
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        char if is_unsafe(char) => {
            // All of them are below U+10000, so four digits do.
            write!(text, "\\u{:04x}", u32::from(char)).expect("a String takes every write");
        }
        char => text.push(char),
    }
}

/// Whether a character may end a line, drive a terminal or reorder what is shown.
fn is_unsafe(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{2028}' | '\u{2029}'
            // Bidi_Control of the Unicode character database.
            | '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_text_is_borrowed() {
        for text in [
            "",
            "GET /users?x=1 \"quoted\" \\n",
            "zażółć 日本語 🦀 עברית",
        ] {
            assert!(matches!(escape(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn what_ends_a_line_or_drives_a_terminal_is_escaped() {
        assert_eq!(escape("a\r\nb\tc\0"), "a\\r\\nb\\tc\\u0000");
        assert_eq!(
            escape("\u{1b}[2J\u{7f}\u{9b}31m\u{85}"),
            "\\u001b[2J\\u007f\\u009b31m\\u0085"
        );
        assert_eq!(escape("é\u{2028}\u{2029}"), "é\\u2028\\u2029");
    }

    #[test]
    fn what_reorders_text_is_escaped() {
        for mark in "\u{61c}\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}".chars() {
            assert_eq!(
                escape(&mark.to_string()),
                format!("\\u{:04x}", u32::from(mark))
            );
        }
    }

    #[test]
    fn no_character_at_all_comes_out_unsafe() {
        for char in '\0'..=char::MAX {
            assert!(!escape(&char.to_string()).chars().any(is_unsafe));
        }
    }

    #[test]
    fn json_keeps_its_meaning() {
        let json = serde_json::to_string("\u{9b}\u{2028}\u{202e}\u{7f}\n\\").unwrap();
        let back: String = serde_json::from_str(&escape(&json)).unwrap();
        assert_eq!(back, "\u{9b}\u{2028}\u{202e}\u{7f}\n\\");
    }
}
