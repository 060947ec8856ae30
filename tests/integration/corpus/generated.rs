//! Thousands of requests that dice have damaged, and two readers that must agree on what is left of them: the strict one on
//! what the client sent, and the gateway, by what its upstream saw.
//!
//! Whatever the gateway makes of a request, the upstream sees as many requests as the client sees good answers, each in
//! normal form; and what is a request by the letter is forwarded as that request.

use std::fmt::Write as _;

use gateway_tests::strict::{Reading, Strict, read};

use super::{Corpus, Form};

const ROUNDS: u64 = 6_000;
/// More than any length that the pieces make.
const PADDING_BYTES: usize = 64 * 1024;

/// What gets into requests.
const PIECES: [&str; 40] = [
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    "\n\n",
    "\0",
    " ",
    "\t",
    ":",
    ": ",
    ",",
    ";",
    "#",
    "?",
    "/",
    "%",
    "%2f",
    "..",
    "\\",
    "\x0b",
    "\u{a0}",
    "content-length: 3\r\n",
    "content-length: 0\r\n",
    "Content-Length: 7\r\n",
    "transfer-encoding: chunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    "transfer-encoding: identity\r\n",
    "host: b\r\n",
    "connection: close\r\n",
    "expect: 100-continue\r\n",
    "x: y\r\n z\r\n",
    "0\r\n\r\n",
    "3\r\nabc\r\n",
    "3;x\r\nabc\r\n",
    "HTTP/1.0",
    "HTTP/1.1",
    "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n",
    "POST ",
    "get ",
    "http://b/",
];

const STARTS: [&str; 7] = [
    "GET /x HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /x?y=z HTTP/1.1\r\nhost: a\r\naccept: */*\r\nx: y\r\n\r\n",
    "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
    "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    "PUT /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nx-sum: 1\r\n\r\n",
    "DELETE /x HTTP/1.0\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi",
];

/// Random numbers that are the same in every run (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % bound as u64).expect("it is below a usize")
    }

    fn request(&mut self) -> Vec<u8> {
        let mut request = STARTS[self.below(STARTS.len())].as_bytes().to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(request.len() + 1);
            let piece = PIECES[self.below(PIECES.len())].as_bytes();
            let end = match self.below(3) {
                // Put in, put in place of as much, or just cut out.
                0 => at,
                _ => (at + self.below(4)).min(request.len()),
            };
            let piece = if self.below(5) == 0 { &[] } else { piece };
            request.splice(at..end, piece.iter().copied());
        }
        request
    }
}

/// What the client sees: how many answers are good, until one is not or the connection ends.
fn good_answers(corpus: &Corpus, bytes: &[u8]) -> usize {
    let mut client = corpus.gateway().client();
    let _ = client.try_send(bytes);
    let answers = client.rest();
    let text = String::from_utf8_lossy(&answers);
    text.matches("HTTP/1.1 200 OK\r\n").count() + text.matches("HTTP/1.0 200 OK\r\n").count()
}

/// What a strict reader sees in the same bytes.
fn strictly(mut bytes: &[u8]) -> Vec<Strict> {
    let mut requests = Vec::new();
    while let Reading::Whole(request, length) = read(bytes) {
        requests.push(*request);
        bytes = &bytes[length..];
    }
    requests
}

#[test]
fn damaged_requests_are_read_by_the_upstream_as_by_a_strict_reader_or_not_at_all() {
    let corpus = Corpus::start();
    let mut dice = Dice(3);
    let (mut forwarded, mut nothing) = (0, 0);
    for round in 0..ROUNDS {
        let request = dice.request();
        let mut bytes = request.clone();
        let mut behind = String::new();
        write!(
            behind,
            "GET /behind HTTP/1.1\r\nhost: c\r\nx-round: {round}\r\nconnection: close\r\n\r\n"
        )
        .expect("a string takes what it is given");
        bytes.extend_from_slice(behind.as_bytes());
        // A body that would have more gets it, and everybody else refuses it at once: nobody waits.
        bytes.resize(bytes.len() + PADDING_BYTES, 0);
        let good = good_answers(&corpus, &bytes);
        let shown = bytes[..bytes.len() - PADDING_BYTES]
            .escape_ascii()
            .to_string();
        let seen = corpus.recorder().take();
        assert!(
            good <= seen.len(),
            "round {round}: {good} good answers of {seen:?} to {shown}"
        );
        let read = strictly(&bytes);
        // What both take for a request, they take for the same one; where the strict one stops, the other may go on in a
        // normal form of what it forgives, such as blanks around a value.
        for (ours, theirs) in seen.iter().zip(&read) {
            let (ours, theirs) = (Form::of(ours), Form::of(theirs));
            assert_eq!(
                (&ours.method, &ours.host, &ours.body),
                (&theirs.method, &theirs.host, &theirs.body),
                "{shown}"
            );
        }
        forwarded += seen.len();
        nothing += usize::from(seen.is_empty());
    }
    assert_eq!(corpus.recorder().problems(), [""; 0]);
    assert!(
        forwarded > 1_000 && nothing > 1_000,
        "{forwarded} forwarded, {nothing} not"
    );
    corpus.finish(0);
}
