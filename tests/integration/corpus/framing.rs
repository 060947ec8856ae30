//! Where the body of a request ends: lengths, codings, chunks, and what HTTP/1.0 makes of them.

use super::{Corpus, Fate, form};

/// Fields that say nothing, or two things, about the body. With a body that fits either reading none is forwarded.
const REFUSED_FIELDS: &[&str] = &[
    "content-length: +5",
    "content-length: -5",
    "content-length: -0",
    "content-length: 0x5",
    "content-length: 5x",
    "content-length: x5",
    "content-length: 5.0",
    "content-length: 5e0",
    "content-length: 5, 5",
    "content-length: 5,5",
    "content-length: 5, 6",
    "content-length: 5,",
    "content-length: ,5",
    "content-length: 5;q=1",
    "content-length: 5 5",
    "content-length: 5\t5",
    "content-length: 1_0",
    "content-length: \"5\"",
    "content-length: '5'",
    "content-length: \u{665}",
    "content-length: 5\u{a0}",
    "content-length: five",
    "content-length:",
    "content-length: \t ",
    "content-length: 18446744073709551615",
    "content-length: 18446744073709551616",
    "content-length: 99999999999999999999999999",
    "content-length: 5\0",
    "content-length: \x0b5",
    "content-length: 5\x0c",
    "content-length : 5",
    "content-length\t: 5",
    " content-length: 5",
    "\tcontent-length: 5",
    "content-length\0: 5",
    "content-length\r: 5",
    "content-length: 5\r\n 0",
    "content-length:\r\n 5",
    "content-length: 5\ncontent-length: 5",
    "content-length: 5\r\ncontent-length: 5",
    "content-length: 5\r\nContent-Length: 6",
    "content-length: 0\r\ncontent-length: 5",
    "CONTENT-LENGTH: 5\r\nx: y\r\ncontent-length: 05",
    "content-length: 5\r\ntransfer-encoding: chunked",
    "transfer-encoding: chunked\r\ncontent-length: 5",
    "content-length: 0\r\ntransfer-encoding: chunked",
    "transfer-encoding: chunked\r\ncontent-length: 0",
    "content-length: 5\r\nTransfer-Encoding: Chunked",
    "Transfer-encoding: CHUNKED\r\nContent-length: 5",
    "content-length: 5\r\ntransfer-encoding: identity",
    "content-length: 5\r\ntransfer-encoding:",
    "content-length: 5\r\ntransfer-encoding : chunked",
    "content-length: 5\r\n transfer-encoding: chunked",
    "content-length: 5\r\nx: y\r\n\ttransfer-encoding: chunked",
    "content-length: 5\r\nx:\r\n transfer-encoding: chunked",
    "content-length: 5\ntransfer-encoding: chunked",
    "content-length: 5\rtransfer-encoding: chunked",
    "x: y\rtransfer-encoding: chunked",
    "x: y\ntransfer-encoding: chunked",
    "transfer-encoding: xchunked",
    "transfer-encoding: chunkedx",
    "transfer-encoding: chunke",
    "transfer-encoding: chun ked",
    "transfer-encoding: chunked, chunked",
    "transfer-encoding: chunked,chunked",
    "transfer-encoding: chunked, identity",
    "transfer-encoding: identity, chunked",
    "transfer-encoding: gzip, chunked",
    "transfer-encoding: chunked, gzip",
    "transfer-encoding: gzip",
    "transfer-encoding: deflate",
    "transfer-encoding: identity",
    "transfer-encoding: none",
    "transfer-encoding: chunked,",
    "transfer-encoding: ,chunked",
    "transfer-encoding: , chunked",
    "transfer-encoding: chunked;",
    "transfer-encoding: chunked;q=0",
    "transfer-encoding: chunked; foo=bar",
    "transfer-encoding: \"chunked\"",
    "transfer-encoding: 'chunked'",
    "transfer-encoding: [chunked]",
    "transfer-encoding:",
    "transfer-encoding: \x0bchunked",
    "transfer-encoding: chunked\x0b",
    "transfer-encoding: \x0cchunked",
    "transfer-encoding: chunked\0",
    "transfer-encoding: \0chunked",
    "transfer-encoding: chunked\x08",
    "transfer-encoding: \u{a0}chunked",
    "transfer-encoding: chun\u{212a}ed",
    "transfer-encoding:\r\n chunked",
    "transfer-encoding: \r\n\tchunked",
    "transfer-encoding: chunked\r\n , gzip",
    "transfer-encoding : chunked",
    "transfer-encoding\t: chunked",
    " transfer-encoding: chunked",
    "transfer-encoding\r: chunked",
    "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
    "transfer-encoding: chunked\r\ntransfer-encoding: identity",
    "transfer-encoding: identity\r\ntransfer-encoding: chunked",
    "transfer-encoding: gzip\r\ntransfer-encoding: chunked",
    "transfer-encoding: chunked\r\nTransfer-Encoding: x",
    "transfer-encoding: x\r\ntransfer-encoding: chunked",
    "transfer-encoding: chunked\r\ncontent-length: 5\r\ntransfer-encoding: chunked",
];

/// Chunked bodies of which none is whole.
const REFUSED_CHUNKS: &[&[u8]] = &[
    b"\r\n",
    b"\r\n\r\n",
    b";\r\n\r\n",
    b";ext\r\nhello\r\n0\r\n\r\n",
    b"x\r\n\r\n",
    b"g\r\nhello\r\n0\r\n\r\n",
    b"+5\r\nhello\r\n0\r\n\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n",
    b"-0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"\\x35\r\nhello\r\n0\r\n\r\n",
    b"5.0\r\nhello\r\n0\r\n\r\n",
    b"5_\r\nhello\r\n0\r\n\r\n",
    b"5,5\r\nhello\r\n0\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n",
    b" 5\r\nhello\r\n0\r\n\r\n",
    b"\t5\r\nhello\r\n0\r\n\r\n",
    b"5\t\r\nhello\r\n0\r\n\r\n",
    b"5 ;a=b\r\nhello\r\n0\r\n\r\n",
    b"5 5\r\nhello\r\n0\r\n\r\n",
    b"5\0\r\nhello\r\n0\r\n\r\n",
    b"\x005\r\nhello\r\n0\r\n\r\n",
    b"5\x0b\r\nhello\r\n0\r\n\r\n",
    b"5\xa0\r\nhello\r\n0\r\n\r\n",
    b"5\nhello\r\n0\r\n\r\n",
    b"5\rhello\r\n0\r\n\r\n",
    b"5\n\rhello\r\n0\r\n\r\n",
    b"5\r\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\n0\r\n\r\n",
    b"5\r\nhello\r0\r\n\r\n",
    b"5\r\nhello0\r\n\r\n",
    b"5\r\nhello\r\n\r\n0\r\n\r\n",
    b"5\r\nhelloX\r\n0\r\n\r\n",
    b"5\r\nhello\n\r0\r\n\r\n",
    b"4\r\nhello\r\n0\r\n\r\n",
    b"6\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\n\r\n",
    b"5\r\nhello\r\n0\r\n\n",
    b"5\r\nhello\r\n0\r\r\n\r\n",
    b"5\r\nhello\r\n0\n\n",
    b"5;a\nhello\r\n0\r\n\r\n",
    b"5;a\r;b\r\nhello\r\n0\r\n\r\n",
    b"5;a\0b\r\nhello\r\n0\r\n\r\n",
    b"5;a\x7f\r\nhello\r\n0\r\n\r\n",
    b"5;\n\r\nhello\r\n0\r\n\r\n",
    b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    b"100000000000000000000000000000005\r\nhello\r\n0\r\n\r\n",
    b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    b"000000000000000000000000000000005\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n-1\r\n\r\n",
    b"5\r\nhello\r\nzz\r\n\r\n",
    b"0\r\nx: y\n\r\n",
    b"0\r\nx: y\n\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n",
    b"0\r\nx: y\rz: a\r\n\r\n",
    b"0\r\nx: \0\r\n\r\n",
    b"0\r\nx : y\r\n\r\n",
    b"0\r\nx y\r\n\r\n",
    b"0\r\n: y\r\n\r\n",
    b"0\r\n x: y\r\n\r\n",
    b"0\r\nx: y\r\n z\r\n\r\n",
    b"0\r\nno-colon\r\n\r\n",
    b"0\r\nx: y\r\n\n",
];

#[test]
fn a_body_with_two_ends_is_refused() {
    let mut corpus = Corpus::start();
    for fields in REFUSED_FIELDS {
        for body in ["hello", "0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", ""] {
            corpus.refuse(format!(
                "POST /x HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n{body}"
            ));
        }
        corpus.refuse(format!("GET /x HTTP/1.1\r\n{fields}\r\nhost: a\r\n\r\n"));
    }
    corpus.finish(500);
}

#[test]
fn chunks_that_are_not_by_the_letter_are_refused() {
    let mut corpus = Corpus::start();
    for body in REFUSED_CHUNKS {
        let head = b"POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        corpus.refuse([head, *body].concat());
        let late = b"POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
        corpus.refuse([late, *body].concat());
    }
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "e".repeat(1 << 20));
    let many = format!("0\r\n{}\r\n", "x: y\r\n".repeat(200));
    let wide = format!("0\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    for body in [long, many, wide] {
        let head = "POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        corpus.refuse(format!("{head}{body}"));
    }
    corpus.finish(100);
}

#[test]
fn one_body_written_in_many_ways_is_forwarded_as_one() {
    let mut corpus = Corpus::start();
    let fields = "transfer-encoding: chunked";
    let chunked = [
        "5\r\nhello\r\n0\r\n\r\n",
        "1\r\nh\r\n4\r\nello\r\n0\r\n\r\n",
        "0000000000000005\r\nhello\r\n0000\r\n\r\n",
        "5;a\r\nhello\r\n0;b\r\n\r\n",
        "5;a=b;c=\"d;e\"\r\nhello\r\n0\r\n\r\n",
        "5;\r\nhello\r\n0\r\n\r\n",
        "5;a = b\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n",
        "5\r\nhello\r\n0\r\ncontent-length: 7\r\n\r\n",
        "5\r\nhello\r\n0\r\ntransfer-encoding: gzip\r\nhost: evil\r\n\r\n",
    ];
    for body in chunked {
        for fields in [
            fields,
            "Transfer-Encoding: \tChunked ",
            "TRANSFER-ENCODING:chunked",
        ] {
            let request = format!("POST /x HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n{body}");
            corpus.forward(request, form("POST", "/x", "hello"));
        }
    }
    let declared =
        "trailer: x-sum, content-length, transfer-encoding, host, trailer\r\nte: trailers";
    for body in chunked {
        let request =
            format!("POST /x HTTP/1.1\r\nhost: a\r\n{fields}\r\n{declared}\r\n\r\n{body}");
        corpus.forward(request, form("POST", "/x", "hello"));
    }
    for length in [
        "content-length: 5",
        "Content-Length:5",
        "content-length: 0000005",
        "CONTENT-LENGTH:\t5\t ",
    ] {
        for method in [
            "POST", "PUT", "PATCH", "GET", "DELETE", "OPTIONS", "HEAD", "PROPFIND",
        ] {
            let request = format!("{method} /x HTTP/1.1\r\nhost: a\r\n{length}\r\n\r\nhello");
            corpus.forward(request, form(method, "/x", "hello"));
        }
    }
    for method in ["GET", "DELETE", "HEAD", "OPTIONS"] {
        let request = format!(
            "{method} /x HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n{}",
            chunked[1]
        );
        corpus.forward(request, form(method, "/x", "hello"));
    }
    let hex = "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n";
    let request = format!("POST /x HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n{hex}");
    corpus.forward(request, form("POST", "/x", "01234567890123456789"));
    corpus.finish(70);
}

#[test]
fn fields_that_only_look_like_framing_are_none() {
    let mut corpus = Corpus::start();
    for field in [
        "content_length: 5",
        "content.length: 5",
        "x-content-length: 5",
        "content-lengths: 5",
        "transfer_encoding: chunked",
        "x-transfer-encoding: chunked",
        "transfer-encodin: chunked",
        "te: chunked",
        "te: trailers, chunked",
        "trailer: transfer-encoding",
        "connection: content-length, transfer-encoding",
        "content-encoding: chunked",
        "content-type: multipart/form-data; boundary=--",
    ] {
        let request = format!("POST /x HTTP/1.1\r\nhost: a\r\n{field}\r\n\r\n");
        corpus.forward(request, form("POST", "/x", ""));
        let request =
            format!("POST /x HTTP/1.1\r\nhost: a\r\n{field}\r\ncontent-length: 3\r\n\r\nabc");
        corpus.forward(request, form("POST", "/x", "abc"));
    }
    corpus.finish(20);
}

#[test]
fn http_1_0_has_lengths_and_no_chunks() {
    let mut corpus = Corpus::start();
    corpus.forward(
        "POST /x HTTP/1.0\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
        form("POST", "/x", "hello"),
    );
    corpus.forward(
        "GET /x HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n",
        form("GET", "/x", ""),
    );
    for fields in [
        "transfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 5",
        "transfer-encoding: identity",
    ] {
        for body in ["hello", "5\r\nhello\r\n0\r\n\r\n", "0\r\n\r\n"] {
            corpus.refuse(format!(
                "POST /x HTTP/1.0\r\nhost: a\r\n{fields}\r\n\r\n{body}"
            ));
        }
    }
    corpus.finish(10);
}

#[test]
fn expect_is_answered_or_refused_and_never_forwarded() {
    let mut corpus = Corpus::start();
    for expect in [
        "100-continue",
        "100-Continue",
        "100-continue, 100-continue",
        "200-ok",
        "",
        "x",
    ] {
        let request = format!(
            "POST /x HTTP/1.1\r\nhost: a\r\nexpect: {expect}\r\ncontent-length: 5\r\n\r\nhello"
        );
        corpus.try_one(
            request.as_bytes(),
            &Fate::Either(form("POST", "/x", "hello")),
        );
    }
    corpus.finish(5);
}
