//! Which byte of what is refused, however the bytes are cut in two.

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
fn a_byte_is_found_where_it_stands_first() {
    for length in 0..40 {
        for at in 0..length {
            let mut bytes = vec![b'\t'; length];
            bytes[at] = b'\n';
            assert_eq!(find(b'\n', &bytes), Some(at));
            bytes[at..].fill(b'\n');
            assert_eq!(find(b'\n', &bytes), Some(at));
            bytes[..at].fill(0x8a);
            assert_eq!(find(b'\n', &bytes), Some(at));
        }
        assert_eq!(find(b'\n', &vec![0x0b; length]), None);
        assert_eq!(find(b'\n', &vec![0x8a; length]), None);
    }
}
