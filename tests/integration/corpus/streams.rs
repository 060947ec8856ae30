//! Requests of HTTP/2 that would be something else in HTTP/1.1 (RFC 9113 8, 10.3).

use gateway_tests::frames::{Answer, End, Frames};

use super::{Corpus, Fate, Form, REFUSALS, form, hosted};

/// Edits of `GET http://a/x`: `-name` removes a field, `name=value` replaces it, `+name=value` puts another one last, and
/// `^name=value` first. None is forwarded.
const REFUSED: &[&[&str]] = &[
    &["+x=a\r\ny: b"],
    &["+x=a\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"],
    &["+x=a\nb"],
    &["+x=a\rb"],
    &["+x=a\0b"],
    &["+x=\r\n"],
    &["+x=a\x7f"],
    &["+x=a\x01"],
    &["+x\r\ny=b"],
    &["+x: a\r\ny=b"],
    &["+x\n=b"],
    &["+x\0=b"],
    &["+x y=b"],
    &["+x:=b"],
    &["+x:y=b"],
    &["+=b"],
    &["+X=b"],
    &["+Host=a"],
    &["+xY=b"],
    &["+\u{e9}=b"],
    &["+x@y=b"],
    &["+transfer-encoding=chunked"],
    &["+transfer-encoding=identity"],
    &["+transfer-encoding="],
    &["+Transfer-Encoding=chunked"],
    &["+transfer-encoding =chunked"],
    &["+transfer-encoding:chunked=x"],
    &["+connection=close"],
    &["+connection=x"],
    &["+connection="],
    &["+keep-alive=timeout=5"],
    &["+proxy-connection=keep-alive"],
    &["+upgrade=h2c"],
    &["+upgrade=websocket"],
    &["+te=gzip"],
    &["+te=trailers, gzip"],
    &["+content-length=5"],
    &["+content-length=+0"],
    &["+content-length=-0"],
    &["+content-length=0x0"],
    &["+content-length="],
    &["+content-length=0, 0"],
    &["+content-length=0, 5"],
    &["+content-length=x"],
    &["+content-length=0", "+content-length=5"],
    &["+content-length=18446744073709551616"],
    &["-:method"],
    &["-:path"],
    &["-:scheme"],
    &["-:authority"],
    &["-:authority", "+host="],
    &["+:method=GET"],
    &["+:path=/y"],
    &["+:authority=b"],
    &["^:path=/y"],
    &["^:method=POST"],
    &["^:scheme=http"],
    &["^:authority=b"],
    &["^:status=200"],
    &["^:foo=bar"],
    &["^:protocol=websocket"],
    &["^x=y"],
    &["+:x=y"],
    &[":method="],
    &[":method=G T"],
    &[":method=GET "],
    &[":method=GET\r\n"],
    &[":method=GET /smuggled HTTP/1.1\r\nx:"],
    &[":method=get"],
    &[":method=TRACE"],
    &[":method=trace"],
    &[":method=CONNECT"],
    &[":method=CONNECT", "-:scheme", "-:path"],
    &[":method=CONNECT", "^:protocol=x"],
    &[":method=G@T"],
    &[":path="],
    &[":path=x"],
    &[":path=*"],
    &[":path=..", ":authority=a"],
    &[":path=http://b/x"],
    &[":path=/x y"],
    &[":path=/x HTTP/1.1\r\nx: y"],
    &[":path=/x\r\n"],
    &[":path=/x\n"],
    &[":path=/x\ty"],
    &[":path=/x\0"],
    &[":path= /x"],
    &[":path=/x "],
    &[":path=/\u{e9}"],
    &[":path=/%2f"],
    &[":path=/%5c"],
    &[":path=/%00"],
    &[":path=/x\\y"],
    &[":path=/x;y"],
    &[":path=/.."],
    &[":path=/%zz"],
    &[":path=/%c0%ae"],
    &[":scheme="],
    &[":scheme=ftp"],
    &[":scheme=http://b/"],
    &[":scheme=http://b/x?"],
    &[":scheme=ht tp"],
    &[":scheme=http\r\nx: y"],
    &[":scheme=http:"],
    &[":authority="],
    &[":authority=u@a"],
    &[":authority=u:p@a"],
    &[":authority=a b"],
    &[":authority=a,b"],
    &[":authority=a/x"],
    &[":authority=a?x"],
    &[":authority=a#x"],
    &[":authority=a:x"],
    &[":authority=a:+80"],
    &[":authority=a:"],
    &[":authority=a:99999"],
    &[":authority=http://a"],
    &[":authority=a\r\nx: y"],
    &[":authority=a\0"],
    &[":authority=a\\b"],
    &[":authority=a%2eb"],
    &[":authority=a..b"],
    &[":authority=\u{e9}"],
    &[":authority=[x]"],
    &["+host=b"],
    &["+host=a:80"],
    &["+host="],
    &["+host=a, b"],
    &["+host=a", "+host=a"],
    &["+host=a", "+host=b"],
    &["-:authority", "+host=a", "+host=b"],
    &["-:authority", "+host=u@a"],
];

fn fields(edits: &[&str]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let start = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/x"),
        (":authority", "a"),
    ];
    let field = |(name, value): (&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    let mut fields: Vec<_> = start.into_iter().map(field).collect();
    for edit in edits {
        let (kind, text) = edit.split_at(1);
        // A name may begin with a colon.
        let split = |text: &str| {
            let at = text.find('=').expect("an edit has a value");
            field((&text[..at], &text[at + 1..]))
        };
        match kind {
            "-" => fields.retain(|(name, _)| name != text.as_bytes()),
            "+" => fields.push(split(text)),
            "^" => fields.insert(0, split(text)),
            _ => {
                let (name, value) = split(edit);
                let same = fields.iter_mut().find(|(known, _)| *known == name);
                same.expect("what is replaced is there").1 = value;
            }
        }
    }
    fields
}

/// Send a request, with a body if there is one, and see what becomes of it.
#[track_caller]
fn try_one(corpus: &Corpus, edits: &[&str], body: Option<&str>, fate: &Fate) {
    let mut frames = Frames::connect(corpus.gateway().address());
    match body {
        Some(body) => {
            frames.headers(&fields(edits), End::Later);
            frames.data(body.as_bytes(), End::Here);
        }
        None => frames.headers(&fields(edits), End::Here),
    }
    judge(corpus, &mut frames, &format!("{edits:?} {body:?}"), fate);
}

#[track_caller]
fn judge(corpus: &Corpus, frames: &mut Frames, shown: &str, fate: &Fate) {
    let answer = frames.answer();
    let seen: Vec<Form> = corpus.recorder().take().iter().map(Form::of).collect();
    if answer == Answer::Status(200) {
        let (Fate::Forwarded(form) | Fate::Either(form)) = fate else {
            panic!("forwarded: {shown}\nas {seen:?}");
        };
        assert_eq!(seen, std::slice::from_ref(form), "{shown}");
    } else {
        assert!(!matches!(fate, Fate::Forwarded(_)), "{answer:?}: {shown}");
        let is_refusal = !matches!(answer, Answer::Status(status) if !REFUSALS.contains(&status));
        assert!(is_refusal, "{answer:?}: {shown}");
        assert_eq!(seen, [], "{shown}");
    }
}

#[test]
fn what_is_no_request_of_http_1_1_is_refused() {
    let corpus = Corpus::start();
    for edits in REFUSED {
        try_one(&corpus, edits, None, &Fate::Refused);
        // With a method that has a body, and the field somewhere else.
        let is_about_the_body = edits.iter().any(|edit| edit.contains("content-length"));
        if !is_about_the_body {
            let edits = [&["+y=z"], *edits].concat();
            try_one(&corpus, &edits, Some("hello"), &Fate::Refused);
        }
    }
    corpus.finish(0);
}

#[test]
fn a_body_is_as_long_as_it_says() {
    let corpus = Corpus::start();
    for (length, body) in [
        ("+content-length=5", "four"),
        ("+content-length=5", "sixsix"),
        ("+content-length=0", "x"),
        ("+content-length=5", ""),
        ("+content-length=5x", "hello"),
        ("+content-length=5, 5", "hello"),
        ("+content-length=+5", "hello"),
        ("+content-length= 5", "hello"),
        ("+content-length=", "hello"),
        ("+transfer-encoding=chunked", "5\r\nhello\r\n0\r\n\r\n"),
    ] {
        try_one(
            &corpus,
            &[":method=POST", length],
            Some(body),
            &Fate::Refused,
        );
    }
    let twice = ["+content-length=5", "+content-length=4"];
    try_one(
        &corpus,
        &[":method=POST", twice[0], twice[1]],
        Some("hello"),
        &Fate::Refused,
    );
    try_one(
        &corpus,
        &[":method=POST", twice[1], twice[0]],
        Some("four"),
        &Fate::Refused,
    );
    for method in ["POST", "GET", "DELETE", "OPTIONS"] {
        let posted = Fate::Forwarded(form(method, "/x", "hello"));
        let method = format!(":method={method}");
        try_one(
            &corpus,
            &[&method, "+content-length=5"],
            Some("hello"),
            &posted,
        );
        try_one(
            &corpus,
            &[&method, "+content-length=05"],
            Some("hello"),
            &posted,
        );
        try_one(&corpus, &[&method], Some("hello"), &posted);
        let same = ["+content-length=5", "+content-length=5"];
        let either = Fate::Either(form(&method[8..], "/x", "hello"));
        try_one(
            &corpus,
            &[&method, same[0], same[1]],
            Some("hello"),
            &either,
        );
    }
    // Chunks within the body are nobody's framing.
    let chunks = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    try_one(
        &corpus,
        &[":method=POST"],
        Some(chunks),
        &Fate::Forwarded(form("POST", "/x", chunks)),
    );
    corpus.finish(0);
}

#[test]
fn what_can_be_said_in_http_1_1_is_said_in_one_way() {
    let corpus = Corpus::start();
    for (edits, expected) in [
        (&[][..], form("GET", "/x", "")),
        (&["+te=trailers"], form("GET", "/x", "")),
        (&["+http2-settings=x"], form("GET", "/x", "")),
        (&["+x_y=z"], form("GET", "/x", "")),
        (&["+x=\u{e9}"], form("GET", "/x", "")),
        (&["+x= a "], form("GET", "/x", "")),
        (&["+cookie=a=1", "+cookie=b=2"], form("GET", "/x", "")),
        (&["+expect=100-continue"], form("GET", "/x", "")),
        (&[":path=/a/../%78?y"], form("GET", "/x?y", "")),
        (&[":path=/x?y=/../"], form("GET", "/x?y=/../", "")),
        (&[":scheme=https"], form("GET", "/x", "")),
        (&["+host=a"], form("GET", "/x", "")),
        (&["-:authority", "+host=b"], hosted("GET", "/x", "b", "")),
        (&[":authority=B:81"], hosted("GET", "/x", "B:81", "")),
        (
            &[":authority=[::1]:81"],
            hosted("GET", "/x", "[::1]:81", ""),
        ),
    ] {
        // h2 takes blanks around a value for malformed.
        let fate = if edits.contains(&"+x= a ") {
            Fate::Either(expected)
        } else {
            Fate::Forwarded(expected)
        };
        try_one(&corpus, edits, None, &fate);
    }
    for path in [":path=?y", ":path=/x#y", ":path=#y"] {
        let normal = if path == ":path=?y" {
            "/?y"
        } else if path == ":path=#y" {
            "/"
        } else {
            "/x"
        };
        try_one(
            &corpus,
            &[path],
            None,
            &Fate::Either(form("GET", normal, "")),
        );
    }
    corpus.finish(0);
}

#[test]
fn trailers_frame_and_address_nothing() {
    let corpus = Corpus::start();
    let posted = Fate::Either(form("POST", "/x", "hello"));
    for (name, value, fate) in [
        ("x-sum", "1", Fate::Forwarded(form("POST", "/x", "hello"))),
        ("content-length", "3", posted.clone()),
        ("transfer-encoding", "chunked", posted.clone()),
        ("connection", "close", posted.clone()),
        ("host", "evil", posted.clone()),
        ("x", "a\r\nb: c", posted.clone()),
        ("x\r\ny", "a", posted.clone()),
        (":path", "/smuggled", posted.clone()),
        (":method", "DELETE", posted.clone()),
    ] {
        let mut frames = Frames::connect(corpus.gateway().address());
        let names = [
            "+te=trailers",
            "+trailer=x-sum, content-length, transfer-encoding, connection, host, x",
        ];
        frames.headers(
            &fields(&[&[":method=POST"], &names[..]].concat()),
            End::Later,
        );
        frames.data(b"hello", End::Later);
        frames.headers(
            &[(name.as_bytes().to_vec(), value.as_bytes().to_vec())],
            End::Here,
        );
        judge(
            &corpus,
            &mut frames,
            &format!("trailer {name:?}: {value:?}"),
            &fate,
        );
    }
    corpus.finish(0);
}
