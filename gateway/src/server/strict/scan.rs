//! Follows the framing of requests, byte by byte, and says which byte is the first that is none of a well-formed request.
//!
//! It is no parser: it knows where lines, heads, bodies and chunks end, and reads two fields. Names, values, methods and
//! targets are hyper's. Where hyper could see an end at another place than this does, the byte is refused, so the two
//! never disagree about what they both accept. Pure: it looks at bytes and keeps a state.

use std::ops::ControlFlow;

use memchr::memchr;

/// What an HTTP/2 connection begins with (RFC 9113 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
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

#[derive(Debug)]
enum State {
    /// So many bytes were those of an HTTP/2 connection.
    Preface(usize),
    /// In a line of a head.
    Head,
    /// So many bytes of a body are to come.
    Length(u64),
    Chunked(Chunked),
    /// Nothing more to look at: HTTP/2.
    Over,
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

impl Default for State {
    fn default() -> Self {
        Self::Preface(0)
    }
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
                State::Over => return None,
                State::Refused => ControlFlow::Break(0),
                State::Preface(known) => self.preface(known, rest),
                State::Head => self.line(rest),
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

    fn preface(&mut self, known: usize, bytes: &[u8]) -> ControlFlow<usize, usize> {
        let expected = &PREFACE[known..];
        let same = expected.iter().zip(bytes).take_while(|(a, b)| a == b);
        let same = same.count();
        if same == expected.len() {
            self.state = State::Over;
        } else if same == bytes.len() {
            self.state = State::Preface(known + same);
        } else {
            // HTTP/1.1 after all: what was taken for a preface is the start of a head.
            self.state = State::Head;
            let refused = self.refused(&PREFACE[..known]);
            debug_assert!(refused.is_none(), "the preface has two well-formed heads");
            return ControlFlow::Continue(0);
        }
        ControlFlow::Continue(same)
    }

    /// To the end of a line, or as far as it goes.
    fn line(&mut self, bytes: &[u8]) -> ControlFlow<usize, usize> {
        let Some(end) = memchr(b'\n', bytes) else {
            self.keep(bytes);
            return ControlFlow::Continue(bytes.len());
        };
        let passes = if self.kept.is_empty() {
            self.ended(&bytes[..end])
        } else {
            self.keep(&bytes[..end]);
            let line = std::mem::take(&mut self.kept);
            self.ended(&line)
        };
        if passes {
            ControlFlow::Continue(end + 1)
        } else {
            ControlFlow::Break(end)
        }
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
            return memchr(b'#', line).is_none();
        }
        if line.is_empty() {
            self.state = match std::mem::take(&mut self.head).framing {
                Some(Framing::Length(length)) if length > 0 => State::Length(length),
                Some(Framing::Chunked) => State::Chunked(Chunked::START),
                Some(Framing::Length(_)) | None => State::Head,
            };
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

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

    /// What is refused of these bytes, however they are cut in two.
    #[track_caller]
    fn refused(bytes: &[u8]) -> Option<usize> {
        let whole = Scan::default().refused(bytes);
        for cut in 0..=bytes.len() {
            let mut scan = Scan::default();
            let (first, second) = bytes.split_at(cut);
            let found = scan.refused(first);
            let found = found.or_else(|| scan.refused(second).map(|at| cut + at));
            assert_eq!(found, whole, "cut at {cut}: {:?}", bytes.escape_ascii());
        }
        whole
    }

    fn post(fields: &str, body: &str) -> String {
        format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n{body}")
    }

    #[test]
    fn well_formed_requests_pass_one_after_another() {
        let requests = [
            GET.to_owned(),
            format!("\r\n{GET}"),
            post("content-length: 5", "a\nb\r\n"),
            post("CONTENT-LENGTH:0", ""),
            post("Content-Length: \t 5 ", "\n\n\n\n\n"),
            post("transfer-encoding: Chunked", "0\r\n\r\n"),
            post(
                "transfer-encoding: chunked",
                "5\r\na\nb\r\n\r\nA;x=\"y\"\r\n0\r\n\r\n0\r\n\r\n\r\n000;z\r\na: b\r\nc: d\r\n\r\n",
            ),
            post(&format!("cookie: {}", "c".repeat(300)), ""),
            post("content-length-x: a\r\nx-content-length: 3", ""),
            post("content-type: x\r\ntransfer-encodings: x", ""),
        ];
        assert_eq!(refused(requests.concat().as_bytes()), None);
    }

    #[test]
    fn a_line_ends_with_both_of_its_bytes() {
        for (bytes, at) in [
            ("\nGET / HTTP/1.1\r\n\r\n", 0),
            ("GET / HTTP/1.1\nhost: a\r\n\r\n", 14),
            ("GET / HTTP/1.1\r\nhost: a\n\r\n", 23),
            ("GET / HTTP/1.1\r\nhost: a\r\n\n", 25),
            ("GET /#x HTTP/1.1\r\n", 17),
        ] {
            assert_eq!(refused(bytes.as_bytes()), Some(at), "{bytes:?}");
        }
        let late = format!("{GET}GET / HTTP/1.1\n");
        assert_eq!(refused(late.as_bytes()), Some(late.len() - 1));
        let long = format!("GET / HTTP/1.1\r\ncookie: {}\n", "c".repeat(300));
        assert_eq!(refused(long.as_bytes()), Some(long.len() - 1));
    }

    #[test]
    fn the_length_of_a_body_is_told_once_and_plainly() {
        for fields in [
            "content-length: 5\r\ncontent-length: 5",
            "content-length: 5\r\nTransfer-Encoding: chunked",
            "transfer-encoding: chunked\r\ncontent-length: 5",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
            "transfer-encoding: gzip, chunked",
            "transfer-encoding: chunked, chunked",
            "transfer-encoding: identity",
            "transfer-encoding: \"chunked\"",
            "transfer-encoding: chunked;a=b",
            "transfer-encoding: \u{b}chunked",
            "transfer-encoding:",
            "content-length: 5, 5",
            "content-length: +5",
            "content-length: -5",
            "content-length: 0x5",
            "content-length: 5 5",
            "content-length: 5.",
            "content-length:",
            "content-length: 18446744073709551616",
            &format!("content-length: {}5", " ".repeat(200)),
            &format!("content-length: {}5", "0".repeat(200)),
        ] {
            let request = post(fields, "");
            // At the line feed of the second of the two, or of the only one.
            let at = request.len() - 3;
            assert_eq!(refused(request.as_bytes()), Some(at), "{fields:?}");
        }
    }

    #[test]
    fn a_chunk_is_a_size_an_extension_and_its_data() {
        let head = post("transfer-encoding: chunked", "");
        for (body, at) in [
            ("\r\n", 0),
            (";\r\n", 0),
            ("g\r\n", 0),
            ("-1\r\n", 0),
            ("0x5\r\n", 1),
            ("5 \r\n", 1),
            ("5\t;a\r\n", 1),
            ("5\n", 1),
            ("5;a\n", 3),
            ("5;a\0\r\n", 3),
            ("5;a\rb\r\n", 4),
            ("5\rhello", 2),
            ("00000000000000005\r\n", 16),
            ("10000000000000000\r\n", 16),
            ("5\r\nhello\n", 8),
            ("5\r\nhello0\r\n\r\n", 8),
            ("5\r\nhello\r0\r\n", 9),
            ("0\r\n\n", 3),
            ("0\r\na: b\n\r\n", 7),
            ("0\r\na: \0\r\n\r\n", 6),
            ("0\r\n a: b\r\n\r\n", 3),
            ("0\r\na: b\rc\r\n", 8),
            ("0\r\n\rX", 4),
        ] {
            let request = format!("{head}{body}");
            let at = head.len() + at;
            assert_eq!(refused(request.as_bytes()), Some(at), "{body:?}");
        }
    }

    #[test]
    fn what_follows_a_refused_byte_is_refused_too() {
        let mut scan = Scan::default();
        assert_eq!(scan.refused(b"GET / HTTP/1.1\n"), Some(14));
        assert_eq!(scan.refused(GET.as_bytes()), Some(0));
    }

    #[test]
    fn http_2_is_none_of_our_business() {
        let connection = [PREFACE, b"\n\n\0\n"].concat();
        assert_eq!(refused(&connection), None);
        assert_eq!(refused(b"PRI * HTTP/2.0\n"), Some(14));
        assert_eq!(refused(b"PRI / HTTP/1.1\r\nhost: a\n"), Some(23));
    }
}
