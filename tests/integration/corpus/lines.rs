//! Lines and fields: their ends, their bytes, how many there are.

use super::{Corpus, Fate, form};

/// Bytes that no line of a head may hold, but for the tab in values.
fn control_bytes() -> impl Iterator<Item = u8> {
    (0..=0x1f).chain([0x7f])
}

#[test]
fn a_line_that_ends_with_anything_but_cr_lf_is_refused() {
    let mut corpus = Corpus::start();
    let lines = [
        "POST /x HTTP/1.1",
        "host: a",
        "x-one: two",
        "content-length: 5",
        "",
    ];
    let ends: [&str; 10] = [
        "\n", "\r", "\r\r\n", "\n\r", "\n\n", "\r\r", "\0\r\n", "\r\0\n", "\x0b", "\x0c",
    ];
    for odd in 0..lines.len() {
        for end in ends {
            let each = lines.iter().enumerate();
            let head: String = each
                .map(|(at, line)| format!("{line}{}", if at == odd { end } else { "\r\n" }))
                .collect();
            corpus.refuse(format!("{head}hello"));
        }
    }
    for end in ["\n", "\r", "\n\r", "\r\r\n"] {
        corpus.refuse(format!("{}{end}", lines.join(end)));
    }
    corpus.finish(50);
}

#[test]
fn empty_lines_before_a_request_are_passed_over() {
    let mut corpus = Corpus::start();
    let get = "GET /x HTTP/1.1\r\nhost: a\r\n\r\n";
    for before in ["\r\n", "\r\n\r\n\r\n"] {
        corpus.try_one(
            format!("{before}{get}").as_bytes(),
            &Fate::Either(form("GET", "/x", "")),
        );
    }
    for before in [
        "\n", "\r", "\n\r\n", " ", "\t", "\0", " \r\n", "\u{feff}", "x\r\n", "\r\n\n", "\r\r\n",
    ] {
        corpus.refuse(format!("{before}{get}"));
    }
    corpus.finish(10);
}

#[test]
fn a_control_byte_is_refused_wherever_it_stands() {
    let mut corpus = Corpus::start();
    for byte in control_bytes() {
        let at = char::from(byte);
        corpus.refuse(format!("GE{at}T /x HTTP/1.1\r\nhost: a\r\n\r\n"));
        corpus.refuse(format!("GET{at}/x HTTP/1.1\r\nhost: a\r\n\r\n"));
        corpus.refuse(format!("GET /x{at}y HTTP/1.1\r\nhost: a\r\n\r\n"));
        corpus.refuse(format!("GET /x?y{at}z HTTP/1.1\r\nhost: a\r\n\r\n"));
        corpus.refuse(format!("GET /x{at}HTTP/1.1\r\nhost: a\r\n\r\n"));
        corpus.refuse(format!("GET /x HTTP/1.1{at}\r\nhost: a\r\n\r\n"));
        corpus.refuse(format!("GET /x HTTP/1.1\r\nhost: a{at}b\r\n\r\n"));
        corpus.refuse(format!("GET /x HTTP/1.1\r\nho{at}st: a\r\n\r\n"));
        corpus.refuse(format!("GET /x HTTP/1.1\r\nhost: a\r\nx{at}: b\r\n\r\n"));
        corpus.refuse(format!("GET /x HTTP/1.1\r\nhost: a\r\n{at}x: b\r\n\r\n"));
        for value in [
            format!("{at}"),
            format!("b{at}c"),
            format!("{at}b"),
            format!("b{at}"),
        ] {
            let request = format!("GET /x HTTP/1.1\r\nhost: a\r\nx: {value}\r\n\r\n");
            if byte == b'\t' {
                corpus.forward(request, form("GET", "/x", ""));
            } else {
                corpus.refuse(request);
            }
        }
    }
    corpus.finish(400);
}

#[test]
fn a_field_has_a_name_a_colon_and_a_value_on_one_line() {
    let mut corpus = Corpus::start();
    for field in [
        ": b",
        ":",
        "x",
        "x b",
        "x : b",
        "x\t: b",
        " x: b",
        "\tx: b",
        "x: b\r\n c: d",
        "x: b\r\n\tc",
        "x:\r\n b",
        "x: b\r\n ",
        "x: b\r\n\r",
        "x@y: b",
        "x/y: b",
        "x,y: b",
        "x;y: b",
        "x=y: b",
        "x(y): b",
        "x[y]: b",
        "x{y}: b",
        "x<y>: b",
        "x?y: b",
        "x\\y: b",
        "\"x\": b",
        "x y: b",
        "\u{e9}: b",
        "x\u{a0}: b",
        "x\u{ff1a} b",
        "http/1.1",
        "GET /smuggled HTTP/1.1",
    ] {
        corpus.refuse(format!("GET /x HTTP/1.1\r\nhost: a\r\n{field}\r\n\r\n"));
        corpus.refuse(format!("GET /x HTTP/1.1\r\n{field}\r\nhost: a\r\n\r\n"));
    }
    for field in [
        "x:b",
        "x:",
        "x:  ",
        "x: \t b \t",
        "x: b: c",
        "x: \"\u{e9}\"",
        "x: a, b, ,",
        "X-Y: b",
        "x_y: b",
        "x.y: b",
        "x!#$%&'*+-.^_`|~: b",
        "x: GET /smuggled HTTP/1.1",
    ] {
        corpus.forward(
            format!("GET /x HTTP/1.1\r\nhost: a\r\n{field}\r\n\r\n"),
            form("GET", "/x", ""),
        );
    }
    corpus.finish(60);
}

#[test]
fn fields_are_limited_in_number_and_length() {
    let mut corpus = Corpus::start();
    let request = |count: usize| {
        format!(
            "GET /x HTTP/1.1\r\nhost: a\r\n{}\r\n",
            "x: y\r\n".repeat(count - 1)
        )
    };
    corpus.forward(request(100), form("GET", "/x", ""));
    for count in [101, 1_000, 20_000] {
        corpus.refuse(request(count));
    }
    for length in [70_000, 1 << 20] {
        corpus.refuse(format!(
            "GET /x HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
            "y".repeat(length)
        ));
        corpus.refuse(format!(
            "GET /x HTTP/1.1\r\nhost: a\r\n{}: x\r\n\r\n",
            "y".repeat(length)
        ));
        corpus.refuse(format!(
            "{} /x HTTP/1.1\r\nhost: a\r\n\r\n",
            "Y".repeat(length)
        ));
        corpus.refuse(format!(
            "GET /{} HTTP/1.1\r\nhost: a\r\n\r\n",
            "y".repeat(length)
        ));
        corpus.refuse(format!(
            "GET /x HTTP/1.1\r\nhost: a\r\nx:{}y\r\n\r\n",
            " ".repeat(length)
        ));
    }
    corpus.forward(
        format!(
            "GET /{} HTTP/1.1\r\nhost: a\r\n\r\n",
            "y".repeat(8 * 1024 - 1)
        ),
        form("GET", &format!("/{}", "y".repeat(8 * 1024 - 1)), ""),
    );
    corpus.refuse(format!(
        "GET /{} HTTP/1.1\r\nhost: a\r\n\r\n",
        "y".repeat(8 * 1024)
    ));
    corpus.finish(14);
}

#[test]
fn fields_of_the_connection_end_here_whatever_they_say() {
    let mut corpus = Corpus::start();
    for fields in [
        "connection: keep-alive",
        "connection: Keep-Alive, x, host",
        "connection: ,, ,",
        "connection: \"close\"",
        "connection: upgrade\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__",
        "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: ",
        "connection: upgrade\r\nupgrade: websocket",
        "upgrade: h2c",
        "upgrade: HTTP/3.0, TLS/1.0",
        "keep-alive: timeout=5",
        "proxy-connection: keep-alive",
        "te: gzip, deflate;q=0.5",
        "connection: te\r\nte: trailers",
        "connection: host, content-length, x-forwarded-for, via",
        "connection: transfer-encoding",
    ] {
        corpus.forward(
            format!("POST /x HTTP/1.1\r\nhost: a\r\n{fields}\r\ncontent-length: 2\r\n\r\nhi"),
            form("POST", "/x", "hi"),
        );
    }
    corpus.finish(15);
}
