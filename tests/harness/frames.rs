//! One HTTP/2 request that no client would send: fields are written as they are, and nothing is checked. On top of `raw_h2`.

use std::net::SocketAddr;

use crate::raw_h2::{self, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, Raw, frame};

/// The stream that these connections have.
const STREAM: u32 = 1;

/// A connection with one stream.
pub struct Frames {
    raw: Raw,
}

/// What the stream came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A response head with that status.
    Status(u16),
    /// It was reset, with that error code.
    Reset(u32),
    /// The connection was given up, with that error code.
    GoAway(u32),
    /// The connection ended without a word.
    Closed,
}

/// Whether more of the stream follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// This is the last frame.
    Here,
    /// It goes on.
    Later,
}

impl Frames {
    /// Connect and say what has to be said first.
    ///
    /// # Panics
    /// If nobody listens.
    #[must_use]
    pub fn connect(address: SocketAddr) -> Self {
        Self {
            raw: Raw::connect(address),
        }
    }

    /// Send fields, as literals that are not indexed (RFC 7541 6.2.2).
    pub fn headers(&mut self, fields: &[(Vec<u8>, Vec<u8>)], end: End) {
        let fields = fields.iter();
        let block: Vec<u8> = fields
            .flat_map(|(name, value)| raw_h2::field(name, value))
            .collect();
        self.send(HEADERS, END_HEADERS | flag(end), &block);
    }

    /// Send a piece of body.
    pub fn data(&mut self, data: &[u8], end: End) {
        self.send(DATA, flag(end), data);
    }

    /// What the stream comes to.
    ///
    /// # Panics
    /// If neither an answer nor the end comes.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        while let Some(frame) = self.raw.next_frame() {
            match frame.kind {
                HEADERS => return Answer::Status(status(&frame.payload)),
                RST_STREAM => return Answer::Reset(frame.code()),
                GOAWAY => return Answer::GoAway(frame.code()),
                _ => {}
            }
        }
        Answer::Closed
    }

    fn send(&mut self, kind: u8, flags: u8, payload: &[u8]) {
        // It may have been closed over what was sent before; the answer says so.
        let _ = self.raw.try_send(frame(kind, flags, STREAM, payload));
    }
}

fn flag(end: End) -> u8 {
    if end == End::Here { END_STREAM } else { 0 }
}

/// The status, which stands first: one of the static table, or a literal of the name there.
fn status(block: &[u8]) -> u16 {
    let is_update = |byte: &&u8| **byte & 0xe0 == 0x20;
    let block = &block[block.iter().take_while(is_update).count()..];
    match *block {
        [0x88, ..] => 200,
        [0x89, ..] => 204,
        [0x8a, ..] => 206,
        [0x8b, ..] => 304,
        [0x8c, ..] => 400,
        [0x8d, ..] => 404,
        [0x8e, ..] => 500,
        [0x08 | 0x48, length, ref text @ ..] => {
            let text = &text[..text.len().min(usize::from(length & 0x7f))];
            let digits = if length & 0x80 == 0 {
                text.to_vec()
            } else {
                huffman_digits(text)
            };
            let text = String::from_utf8_lossy(&digits);
            text.parse().unwrap_or_default()
        }
        _ => 0,
    }
}

/// Digits have codes of five bits, 0 to 2, or of six (RFC 7541, appendix B).
fn huffman_digits(bytes: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| (byte >> bit) & 1))
        .collect();
    let number = |bits: &[u8]| bits.iter().fold(0, |number, bit| number * 2 + bit);
    let mut digits = Vec::new();
    let mut at = 0;
    while digits.len() < 3 && at + 5 <= bits.len() {
        match number(&bits[at..at + 5]) {
            small @ 0..=2 => {
                digits.push(b'0' + small);
                at += 5;
            }
            _ if at + 6 <= bits.len() => {
                digits.push(b'3' + number(&bits[at..at + 6]).wrapping_sub(0x19));
                at += 6;
            }
            _ => break,
        }
    }
    digits
}
