//! The request line and `Host`: methods, targets in all of their forms, versions, who is asked.

use super::{Corpus, Fate, form, hosted};

#[test]
fn a_request_line_is_three_words_and_nothing_else() {
    let mut corpus = Corpus::start();
    for line in [
        "",
        "GET",
        "GET /x",
        "GET /x ",
        "GET  /x HTTP/1.1",
        "GET /x  HTTP/1.1",
        " GET /x HTTP/1.1",
        "GET /x HTTP/1.1 ",
        "GET\t/x\tHTTP/1.1",
        "GET /x y HTTP/1.1",
        "GET /x HTTP/1.1 HTTP/1.1",
        "GET /x HTTP/1.1 x",
        "GET /x HTTP/1.1, HTTP/1.1",
        "GET /xHTTP/1.1",
        "GET/x HTTP/1.1",
        "/x HTTP/1.1",
        "HTTP/1.1 200 OK",
        "GET /x HTTP/0.9",
        "GET /x HTTP/1.2",
        "GET /x HTTP/1.11",
        "GET /x HTTP/1.01",
        "GET /x HTTP/01.1",
        "GET /x HTTP/2.0",
        "GET /x HTTP/2",
        "GET /x HTTP/3",
        "GET /x HTTP/9.9",
        "GET /x HTTP/1",
        "GET /x HTTP/1.",
        "GET /x HTTP/.1",
        "GET /x HTTP/+1.1",
        "GET /x HTTP 1.1",
        "GET /x HTTP/ 1.1",
        "GET /x http/1.1",
        "GET /x Http/1.1",
        "GET /x HTTPS/1.1",
        "GET /x XHTTP/1.1",
        "GET /x ICY/1.1",
        "PRI * HTTP/2.0",
        "PRI * HTTP/1.1",
    ] {
        corpus.refuse(format!("{line}\r\nhost: a\r\nx: y\r\n\r\n"));
    }
    corpus.finish(38);
}

#[test]
fn a_method_is_a_token_and_not_another_one_in_disguise() {
    let mut corpus = Corpus::start();
    for method in [
        "G@T", "G/T", "G,T", "G;T", "G:T", "G=T", "G(T", "G\"T", "G\\T", "G[T", "G{T", "G<T",
        "G?T", "\u{e9}", "get", "Get", "gET", "post", "Post", "head", "delete", "oPTIONS", "Patch",
        "TRACE", "trace", "CONNECT", "connect",
    ] {
        corpus.refuse(format!("{method} /x HTTP/1.1\r\nhost: a\r\n\r\n"));
    }
    for method in [
        "GET",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "PURGE",
        "purge",
        "M-SEARCH",
        "A!$%&'*+-.^_`|~9",
    ] {
        corpus.forward(
            format!("{method} /x HTTP/1.1\r\nhost: a\r\n\r\n"),
            form(method, "/x", ""),
        );
    }
    corpus.finish(35);
}

/// Targets that are not forwarded; `//` is a path, and may be.
const REFUSED_TARGETS: &[&str] = &[
    "x",
    "x/y",
    ".",
    "..",
    "?x",
    "#x",
    "*",
    "a:80",
    "a:443",
    "a",
    "@a",
    "//",
    "http:",
    "http:/",
    "http://",
    "http:///x",
    "http:x",
    "http:/x",
    "http://?x",
    "http://#x",
    "http://:80/x",
    "http://a:x/y",
    "http://a:99999/x",
    "http://a:-1/x",
    "http://a:+80/x",
    "http://u@a/x",
    "http://u:p@a/x",
    "http://@a/x",
    "http://a@b/x",
    "http://a b/x",
    "http://a,b/x",
    "http://a;b/x",
    "http://a\\b/x",
    "http://a%2fb/x",
    "http://a%00/x",
    "http://[::1/x",
    "http://[x]/x",
    "http://a..b/x",
    "http://.a/x",
    "http://\u{e9}/x",
    "ftp://a/x",
    "ws://a/x",
    "file:///x",
    "javascript://a/x",
    "data:x",
    "urn:x:y",
    "1http://a/x",
    "/x#y",
    "/x?y#z",
    "/#",
    "http://a/x#y",
    "/\u{e9}",
    "/%",
    "/%4",
    "/%zz",
    "/%u0041",
    "/x\\y",
    "/x;y",
    "/%2f",
    "/%5c",
    "/%00",
    "/%0d%0aX:%20y",
    "/..",
    "/%2e%2e/x",
    "/x/../../y",
    "/%c0%af",
    "/%c0%ae%c0%ae/x",
    "/%252f",
    "/x%00.html",
];

#[test]
fn a_target_is_a_path_or_a_url_of_http() {
    let mut corpus = Corpus::start();
    for target in REFUSED_TARGETS {
        let fate = if *target == "//" {
            Fate::Either(form("GET", "/", ""))
        } else {
            Fate::Refused
        };
        corpus.try_one(
            format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes(),
            &fate,
        );
    }
    corpus.finish(65);
}

#[test]
fn a_target_is_forwarded_in_its_normal_form() {
    let mut corpus = Corpus::start();
    for (target, normal) in [
        ("/", "/"),
        ("/x//y", "/x/y"),
        ("/./x", "/x"),
        ("/x/.", "/x/"),
        ("/x/../y", "/y"),
        ("/%78", "/x"),
        ("/%c3%a9", "/%C3%A9"),
        ("/\"{}", "/%22%7B%7D"),
        ("/x?", "/x?"),
        ("/x?y=/../z", "/x?y=/../z"),
        ("/x?y=%0d%0a", "/x?y=%0d%0a"),
        ("/x??y", "/x??y"),
        ("/x?http://b/", "/x?http://b/"),
        ("/http://b/", "/http:/b/"),
        ("//b/x", "/b/x"),
        ("/x@b:80", "/x@b:80"),
    ] {
        corpus.forward(
            format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n"),
            form("GET", normal, ""),
        );
    }
    for (target, normal, host) in [
        ("http://b/x", "/x", "b"),
        ("http://b", "/", "b"),
        ("http://b?x", "/?x", "b"),
        ("http://b:81/x?y", "/x?y", "b:81"),
        ("HTTP://b/x", "/x", "b"),
        ("https://b/x", "/x", "b"),
        ("http://[::1]:81/x", "/x", "[::1]:81"),
        ("http://b//x/./y", "/x/y", "b"),
    ] {
        corpus.forward(
            format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n"),
            hosted("GET", normal, host, ""),
        );
    }
    corpus.finish(24);
}

/// Fields that are no `Host`, or more than one.
const REFUSED_HOSTS: &[&str] = &[
    "x: y",
    "host:",
    "host: \t",
    "host: a\r\nhost: a",
    "host: a\r\nHost: b",
    "host: a\r\nHOST:",
    "host: a, b",
    "host: a,a",
    "host: a b",
    "host: a\tb",
    "host: a/x",
    "host: a/",
    "host: a?x",
    "host: a#x",
    "host: a@b",
    "host: @a",
    "host: http://a",
    "host: a:",
    "host: a:x",
    "host: a:+80",
    "host: a:-80",
    "host: a:80:80",
    "host: a:80x",
    "host: a: 80",
    "host: a:65536",
    "host: a:999999999999999999999",
    "host: :80",
    "host: :",
    "host: [::1",
    "host: ::1",
    "host: [::1]x",
    "host: [::1]:x",
    "host: [x]",
    "host: []",
    "host: a\\b",
    "host: a%00",
    "host: a%2eb",
    "host: %61",
    "host: a;b",
    "host: a'b",
    "host: a\"b",
    "host: (a)",
    "host: a*b",
    "host: a..b",
    "host: .a",
    "host: .",
    "host: ..",
    "host: a..",
    "host: \u{e9}",
    "host: a\0b",
    "host: a\r\n b",
    "host:\r\n a",
    "host : a",
    " host: a",
    "ho st: a",
];

#[test]
fn host_is_there_once_and_is_one() {
    let mut corpus = Corpus::start();
    for fields in REFUSED_HOSTS {
        corpus.refuse(format!("GET /x HTTP/1.1\r\n{fields}\r\n\r\n"));
        // The authority of the target replaces Host (RFC 9112 3.2.2), and yet there must be a good one or none.
        let absolute = format!("GET http://b/x HTTP/1.1\r\n{fields}\r\n\r\n");
        let fate = if *fields == "x: y" {
            Fate::Either(hosted("GET", "/x", "b", ""))
        } else {
            Fate::Refused
        };
        corpus.try_one(absolute.as_bytes(), &fate);
    }
    for host in [
        "a",
        "A.b",
        "a:80",
        "a.",
        "a-b_c~d",
        "127.0.0.1:81",
        "[::1]",
        "[2001:DB8::1]:81",
        "a:080",
        "1",
    ] {
        corpus.forward(
            format!("GET /x HTTP/1.1\r\nhost: {host}\r\n\r\n"),
            hosted("GET", "/x", host, ""),
        );
    }
    corpus.finish(110);
}

#[test]
fn nothing_behind_a_refused_request_is_answered() {
    let mut corpus = Corpus::start();
    let good = "GET /good HTTP/1.1\r\nhost: a\r\n\r\n";
    for bad in [
        "GET /%2f HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /x HTTP/1.1\r\n\r\n",
        "GET ftp://a/ HTTP/1.1\r\nhost: a\r\n\r\n",
        "TRACE /x HTTP/1.1\r\nhost: a\r\n\r\n",
        "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n",
        "POST /%2f HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
        "POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ] {
        corpus.refuse(bad);
        // Behind a good one as well; that one is answered.
        let mut client = corpus.gateway().client();
        client.send(format!("{good}{bad}{good}{good}"));
        assert_eq!(client.response().status, 200, "{bad:?}");
        assert_ne!(client.response().status, 200, "{bad:?}");
        assert_eq!(client.rest(), b"", "{bad:?}");
        assert_eq!(corpus.recorder().take().len(), 1, "{bad:?}");
    }
    corpus.finish(7);
}
