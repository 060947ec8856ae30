//! HTTP/2 as frames (RFC 9113), for requests that no client would send: fields are written as they are, and nothing is
//! checked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::PATIENCE;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// The stream that these connections have.
const STREAM: u32 = 1;

/// A connection with one stream.
pub struct Frames {
    stream: TcpStream,
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
        let stream = TcpStream::connect(address).expect("the gateway listens");
        let options = stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| stream.set_nodelay(true));
        options.expect("a socket takes options");
        let mut frames = Self { stream };
        frames.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        frames.frame(SETTINGS, 0, 0, &[]);
        frames
    }

    /// Send fields, as literals that are not indexed (RFC 7541 6.2.2).
    pub fn headers(&mut self, fields: &[(Vec<u8>, Vec<u8>)], end: End) {
        let mut block = Vec::new();
        for (name, value) in fields {
            block.push(0);
            for text in [name, value] {
                push_length(&mut block, text.len());
                block.extend_from_slice(text);
            }
        }
        self.frame(HEADERS, END_HEADERS | flag(end), STREAM, &block);
    }

    /// Send a piece of body.
    pub fn data(&mut self, data: &[u8], end: End) {
        self.frame(DATA, flag(end), STREAM, data);
    }

    /// What the stream comes to.
    pub fn answer(&mut self) -> Answer {
        loop {
            let mut head = [0; 9];
            if self.stream.read_exact(&mut head).is_err() {
                return Answer::Closed;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            if self.stream.read_exact(&mut payload).is_err() {
                return Answer::Closed;
            }
            let code = |at: usize| {
                let bytes = payload
                    .get(at..at + 4)
                    .and_then(|bytes| bytes.try_into().ok());
                u32::from_be_bytes(bytes.unwrap_or_default())
            };
            match head[3] {
                HEADERS => return Answer::Status(status(&payload)),
                RST_STREAM => return Answer::Reset(code(0)),
                GOAWAY => return Answer::GoAway(code(4)),
                _ => {}
            }
        }
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend_from_slice(&[kind, flags]);
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.write(&frame);
    }

    fn write(&mut self, bytes: &[u8]) {
        // It may have been closed over what was sent before; the answer says so.
        let _ = self.stream.write_all(bytes);
    }
}

fn flag(end: End) -> u8 {
    if end == End::Here { END_STREAM } else { 0 }
}

/// A length with a prefix of 7 bits (RFC 7541 5.1), not Huffman-coded.
fn push_length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        block.push(u8::try_from(length).unwrap_or_default());
        return;
    }
    block.push(127);
    let mut left = length - 127;
    while left >= 128 {
        block.push(u8::try_from(left % 128).unwrap_or_default() | 128);
        left /= 128;
    }
    block.push(u8::try_from(left).unwrap_or_default());
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
