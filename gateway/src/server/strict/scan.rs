//! Follows the framing of requests, byte by byte, and says which byte is the first that is none of a well-formed request.
//!
//! It is no parser: it knows where lines, heads, bodies and chunks end, and reads two fields. Names, values, methods and
//! targets are hyper's. Where hyper could see an end at another place than this does, the byte is refused, so the two
//! never disagree about what they both accept. Pure: it looks at bytes and keeps a state.

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

/// Bytes of a line that is kept until the rest of it has come, and of a field that is about framing: the longest of
/// those has 37, with blanks around its value.
const MAX_KEPT_BYTES: usize = 128;
/// Digits of a chunk's size: as many as fit 64 bits.
const MAX_SIZE_DIGITS: u8 = 16;

/// Where in the bytes of a connection we are.
#[derive(Debug, Default)]
pub(super) struct Scan {
    state: State,
    head: Head,
    kept: Vec<u8>,
}

#[derive(Debug, Default)]
enum State {
    /// In a line of a head.
    #[default]
    Head,
    /// So many bytes of a body are to come.
    Length(u64),
    Chunked(Chunked),
    /// There was a byte that is refused; so are all that follow.
    Refused,
}

/// What is known of a head from its lines so far.
#[derive(Debug, Default, Clone, Copy)]
struct Head {
    has_begun: bool,
    framing: Option<Framing>,
}

#[derive(Debug, Clone, Copy)]
enum Framing {
    Length(u64),
    Chunked,
}

/// In a chunked body (RFC 9112 7.1).
#[derive(Debug, Clone, Copy)]
enum Chunked {
    Size {
        digits: u8,
        size: u64,
    },
    Extension {
        size: u64,
    },
    SizeEnd {
        size: u64,
    },
    Data(u64),
    DataEnd,
    DataEnded,
    /// At the start of a line behind the last chunk.
    TrailerStart,
    Trailer,
    TrailerEnd,
    LastEnd,
}

impl Chunked {
    const START: Self = Self::Size { digits: 0, size: 0 };
}

impl Scan {
    /// Which of the bytes that came is the first to be refused.
    pub(super) fn refused(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let step = match self.state {
                State::Refused => ControlFlow::Break(0),
                State::Head => self.lines(rest),
                State::Length(left) => ControlFlow::Continue(self.body(left, rest)),
                State::Chunked(chunked) => self.chunked(chunked, rest),
            };
            match step {
                ControlFlow::Continue(passed) => at += passed,
                ControlFlow::Break(refused) => {
                    self.state = State::Refused;
                    return Some(at + refused);
                }
            }
        }
        None
    }

    /// Line by line to the end of the head, or as far as it goes.
    fn lines(&mut self, bytes: &[u8]) -> ControlFlow<usize, usize> {
        let mut start = 0;
        while let Some(length) = find(b'\n', &bytes[start..]) {
            let end = start + length;
            let line = &bytes[start..end];
            let passes = if self.kept.is_empty() {
                self.ended(line)
            } else {
                self.keep(line);
                let line = std::mem::take(&mut self.kept);
                self.ended(&line)
            };
            if !passes {
                return ControlFlow::Break(end);
            }
            start = end + 1;
            if !matches!(self.state, State::Head) {
                return ControlFlow::Continue(start);
            }
        }
        self.keep(&bytes[start..]);
        ControlFlow::Continue(bytes.len())
    }

    /// Keep the start of a line, and its last byte.
    fn keep(&mut self, bytes: &[u8]) {
        let room = MAX_KEPT_BYTES.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&bytes[..room.min(bytes.len())]);
        if room < bytes.len()
            && let (Some(kept), Some(last)) = (self.kept.last_mut(), bytes.last())
        {
            *kept = *last;
        }
    }

    /// Whether a line without its line feed is well-formed, as far as that is ours to say.
    fn ended(&mut self, line: &[u8]) -> bool {
        let Some((b'\r', line)) = line.split_last() else {
            return false;
        };
        if !self.head.has_begun {
            // RFC 9112 2.2: empty lines before a request are passed over. 3.2: a target has no fragment.
            self.head.has_begun = !line.is_empty();
            return find(b'#', line).is_none();
        }
        if line.is_empty() {
            self.state = match std::mem::take(&mut self.head).framing {
                Some(Framing::Length(length)) if length > 0 => State::Length(length),
                Some(Framing::Chunked) => State::Chunked(Chunked::START),
                Some(Framing::Length(_)) | None => State::Head,
            };
            return true;
        }
        // Few fields begin like the two that matter.
        if !matches!(line[0], b'c' | b'C' | b't' | b'T') {
            return true;
        }
        let framing = if let Some(value) = value(line, b"content-length:") {
            length(value).map(Framing::Length)
        } else if let Some(value) = value(line, b"transfer-encoding:") {
            // Others than `chunked` are not undone here, and would be lost on the way.
            let is_chunked = value.eq_ignore_ascii_case(b"chunked");
            is_chunked.then_some(Framing::Chunked)
        } else {
            return true;
        };
        // RFC 9112 6.1, 6.3: two ways to say where a body ends are one too many.
        let is_first = self.head.framing.is_none();
        self.head.framing = framing;
        // With its end it may have been as long as what is kept, and then some of it may not have been.
        is_first && framing.is_some() && line.len() + 1 < MAX_KEPT_BYTES
    }

    fn body(&mut self, left: u64, bytes: &[u8]) -> usize {
        let (passed, left) = passed(left, bytes);
        self.state = match left {
            0 => State::Head,
            left => State::Length(left),
        };
        passed
    }

    fn chunked(&mut self, chunked: Chunked, bytes: &[u8]) -> ControlFlow<usize, usize> {
        if let Chunked::Data(left) = chunked {
            let (passed, left) = passed(left, bytes);
            self.state = State::Chunked(match left {
                0 => Chunked::DataEnd,
                left => Chunked::Data(left),
            });
            return ControlFlow::Continue(passed);
        }
        self.state = match (chunked, bytes[0]) {
            (Chunked::LastEnd, b'\n') => State::Head,
            (chunked, byte) => match next(chunked, byte) {
                Some(next) => State::Chunked(next),
                None => return ControlFlow::Break(0),
            },
        };
        ControlFlow::Continue(1)
    }
}

/// Where a byte that is not data leads in a chunked body.
fn next(chunked: Chunked, byte: u8) -> Option<Chunked> {
    Some(match (chunked, byte) {
        (Chunked::Size { digits, size }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F')
            if digits < MAX_SIZE_DIGITS =>
        {
            let digit = char::from(byte).to_digit(16)?;
            Chunked::Size {
                digits: digits + 1,
                size: (size << 4) | u64::from(digit),
            }
        }
        (Chunked::Size { digits: 1.., size }, b';') => Chunked::Extension { size },
        (Chunked::Size { digits: 1.., size } | Chunked::Extension { size }, b'\r') => {
            Chunked::SizeEnd { size }
        }
        (Chunked::Extension { .. } | Chunked::Trailer, b'\t' | b' '..=b'~' | 0x80..) => chunked,
        (Chunked::SizeEnd { size: 0 }, b'\n') => Chunked::TrailerStart,
        (Chunked::SizeEnd { size }, b'\n') => Chunked::Data(size),
        (Chunked::DataEnd, b'\r') => Chunked::DataEnded,
        (Chunked::DataEnded, b'\n') => Chunked::START,
        (Chunked::TrailerStart, b'\r') => Chunked::LastEnd,
        (Chunked::TrailerStart, b'!'..=b'~') => Chunked::Trailer,
        (Chunked::Trailer, b'\r') => Chunked::TrailerEnd,
        (Chunked::TrailerEnd, b'\n') => Chunked::TrailerStart,
        _ => return None,
    })
}

/// How many bytes belong to a body of which so many are left, and how many are left then.
fn passed(left: u64, bytes: &[u8]) -> (usize, u64) {
    let passed = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
    (passed, left - passed as u64)
}

/// Where a byte first stands. Eight at a time: lines are too short for wide registers to be worth setting up.
fn find(wanted: u8, bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let (words, tail) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let zero_where_wanted = u64::from_le_bytes(*word) ^ (ONES * u64::from(wanted));
        // The lowest high bit is that of the first zero byte; a borrow can only set those above it.
        let found = zero_where_wanted.wrapping_sub(ONES) & !zero_where_wanted & HIGH;
        if found != 0 {
            return Some(at * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let found = tail.iter().position(|byte| *byte == wanted);
    found.map(|at| words.len() * 8 + at)
}

/// The value of a field with that name, which ends with its colon.
fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    // The colon first: it stands there in few lines.
    let is_same = start.last() == name.last() && start.eq_ignore_ascii_case(name);
    is_same.then(|| value.trim_ascii())
}

/// RFC 9110 8.6: digits and nothing else.
fn length(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}
