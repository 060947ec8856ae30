//! JSON, token by token.
//!
//! Promises: text that is not JSON ends in an error, never in a panic. Leaves out: strictness about numbers beyond
//! what Rust's `parse` has, and depth limits: the text was written by the gateway.

use super::error::Error;

/// A place in a JSON text.
#[derive(Debug)]
pub(super) struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// The first byte of the next token; 0 at the end of the text.
    #[inline(never)]
    pub(super) fn peek(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = bytes.get(self.at) {
            self.at += 1;
        }
        bytes.get(self.at).copied().unwrap_or(0)
    }

    /// Step over a byte, if it is the next token.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let taken = self.peek() == byte;
        self.at += usize::from(taken);
        taken
    }

    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Error> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(self.malformed())
        }
    }

    /// Nothing may follow.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        if self.peek() == 0 && self.at == self.text.len() {
            Ok(())
        } else {
            Err(self.malformed())
        }
    }

    /// Whether the number that is next has a fraction or an exponent.
    pub(super) fn is_fraction(&self) -> bool {
        Reader::new(self.rest()).number().contains(['.', 'e', 'E'])
    }

    /// Step over a word such as `null`, if it is next.
    pub(super) fn take_word(&mut self, word: &str) -> bool {
        self.peek();
        let taken = self.rest().starts_with(word);
        self.at += if taken { word.len() } else { 0 };
        taken
    }

    /// The text of a number.
    pub(super) fn number(&mut self) -> &'t str {
        self.peek();
        let rest = self.rest();
        let is_other = |byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let end = rest.bytes().position(is_other).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or("")
    }

    /// A string.
    pub(super) fn string(&mut self) -> Result<String, Error> {
        self.expect(b'"')?;
        let mut text = String::new();
        loop {
            let rest = self.rest();
            let end = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\'));
            let Some(plain) = end.and_then(|end| rest.get(..end)) else {
                return Err(self.malformed());
            };
            text.push_str(plain);
            self.at += plain.len();
            if self.take(b'"') {
                return Ok(text);
            }
            self.at += 1;
            text.push(self.escape()?);
        }
    }

    /// The next key of a table and the colon behind it, or the table's end.
    pub(super) fn key(&mut self, is_first: bool) -> Result<Option<String>, Error> {
        if self.take(b'}') {
            return Ok(None);
        }
        if !is_first {
            self.expect(b',')?;
        }
        let key = self.string()?;
        self.expect(b':')?;
        Ok(Some(key))
    }

    /// Step over a whole value.
    pub(super) fn skip(&mut self) -> Result<(), Error> {
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                b'"' => _ = self.string()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' | b',' | b':' if depth > 0 => {
                    depth -= usize::from(matches!(self.peek(), b'}' | b']'));
                    self.at += 1;
                }
                b'-' | b'0'..=b'9' => _ = self.number(),
                _ if self.take_word("true")
                    || self.take_word("false")
                    || self.take_word("null") => {}
                _ => return Err(self.malformed()),
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// The character after a backslash (RFC 8259 section 7).
    fn escape(&mut self) -> Result<char, Error> {
        let byte = self.rest().bytes().next().ok_or_else(|| self.malformed())?;
        let plain = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.malformed()),
        };
        self.at += 1;
        Ok(plain)
    }

    /// `uXXXX`, or two of them as a surrogate pair.
    fn unicode(&mut self) -> Result<char, Error> {
        let first = self.code_unit()?;
        let code = if (0xD800..0xDC00).contains(&first) && self.rest().starts_with('\\') {
            self.at += 1;
            let second = self.code_unit()?;
            0x1_0000 + ((first - 0xD800) << 10) + (second.wrapping_sub(0xDC00) & 0x3FF)
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| self.malformed())
    }

    fn code_unit(&mut self) -> Result<u32, Error> {
        let digits = self.rest().strip_prefix('u').and_then(|rest| rest.get(..4));
        let unit = digits
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(|| self.malformed())?;
        self.at += 5;
        Ok(unit)
    }

    #[inline(never)]
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or("")
    }

    #[cold]
    pub(super) fn malformed(&self) -> Error {
        let at = self.at;
        Error::with(format!("the configuration is not JSON at byte {at}"))
    }
}
