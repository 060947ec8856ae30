//! Spellings that try to get around an auth route (THREATS 13).
//!
//! A model of upstreams reads each path in every way that servers are known to: decoded once, twice or three times, slashes
//! merged, dots resolved, parameters cut, backslashes turned, in lower case, without dots, blanks and a slash at the end.
//! The property: what reaches the upstream without having passed the auth plugin resolves under a protected path in none
//! of these readings.

use std::collections::BTreeSet;

use gateway_tests::strict::Recorder;
use gateway_tests::{Running, Setup, get};

/// Paths that are protected, each by another kind of route.
const PROTECTED: [&str; 5] = ["/admin/x", "/admin", "/secret", "/users/7", "/Mixed/Case"];

/// What stands in place of a slash within a path.
const SLASHES: &str = r#"
    // /// /./ /.// //./ /%2e/ /%2E/ /y/../ /y/%2e%2e/ /y/.%2e/ /y/..;/ /;/ /;a=b/ ;/ ;a=b/ %2f %2F
    %252f %25252f \ %5c %5C %255c /\ /%20/ /%252e/ /.%00/ %c0%af %e0%80%af %u2215
"#;

/// What stands behind a path; `-` is nothing.
const ENDS: &str = r#"
    - / // /. /./ /%2e . .. ... ./ %2e %2E %252e %20 %20/ + %09 %00 %0a %0d%0a %2500 ; ;a ;a=b ;/ %3b
    %253b ? ?x %3f %3fx=y %253f %23 %23x %2523 # #x \ %5c /y/.. /y/%2e%2e/ /..;/y %2520 .%20.
"#;

/// What stands before a path.
const STARTS: &str = r#"
    / // /. /./ /%2e /%252e /y/.. /y/../ /y/%2e%2e /y/%2E. /y/..; /y/..%00 /.. /%2e%2e /%252e%252e /;
    /;a=b /\ /%5c /%2f /%252f /%20 /y//.. /y%2f.. /y/z/../.. /%c0%ae%c0%ae
"#;

/// A letter, written in other ways.
fn letters(letter: char) -> Vec<String> {
    let byte = u32::from(letter);
    let other = if letter.is_ascii_lowercase() {
        letter.to_ascii_uppercase()
    } else {
        letter.to_ascii_lowercase()
    };
    vec![
        other.to_string(),
        format!("%{byte:02x}"),
        format!("%{byte:02X}"),
        format!("%25{byte:02x}"),
        format!("%2525{byte:02x}"),
        format!("%%3{}{:x}", byte >> 4, byte & 15),
        format!("%25%3{}%3{}", byte >> 4, byte & 15),
        format!("%C1%{:02X}", 0x80 | (byte & 0x3f)),
        format!("%u00{byte:02x}"),
        format!("%{:02x}", u32::from(other)),
        format!("%25{:02x}", u32::from(other)),
        format!("{letter}%00"),
        format!("{letter}%cc%80"),
    ]
}

fn words(list: &'static str) -> impl Iterator<Item = &'static str> {
    let words = list.split_whitespace();
    words.map(|word| if word == "-" { "" } else { word })
}

fn spellings() -> BTreeSet<String> {
    let mut spellings = BTreeSet::new();
    for path in PROTECTED {
        for end in words(ENDS) {
            spellings.insert(format!("{path}{end}"));
            spellings.insert(format!("{}{end}", path.to_uppercase()));
            spellings.insert(format!("{}{end}", path.to_lowercase()));
            spellings.extend(words(STARTS).map(|start| format!("{start}{path}{end}")));
        }
        let bare = &path[1..];
        for slash in words(SLASHES) {
            spellings.insert(format!("/{}", bare.replace('/', slash)));
            spellings.insert(format!("{slash}{bare}"));
            spellings.insert(format!("/y/..{slash}{bare}"));
            spellings.insert(format!(
                "{slash}{}",
                bare.replace('/', slash).to_uppercase()
            ));
        }
        for (at, letter) in path
            .char_indices()
            .filter(|(_, letter)| letter.is_ascii_alphabetic())
        {
            for other in letters(letter) {
                let (before, after) = (&path[..at], &path[at + 1..]);
                spellings.extend(
                    ["", "/", ".", "%20", "?x"].map(|end| format!("{before}{other}{after}{end}")),
                );
            }
        }
        for url in [
            "http://gateway.test",
            "HTTP://GATEWAY.TEST",
            "https://gateway.test:443",
            "http://gateway.test/y/..",
        ] {
            spellings.insert(format!("{url}{path}"));
            spellings.insert(format!("{url}/{path}"));
        }
    }
    spellings
}

/// One way to read a path.
#[derive(Clone, Copy)]
struct Reader {
    decodings: u8,
    /// Further habits, one a bit.
    habits: u8,
}

impl Reader {
    fn all() -> impl Iterator<Item = Self> {
        (0..=3).flat_map(|decodings| (0..=u8::MAX).map(move |habits| Self { decodings, habits }))
    }

    fn has(self, habit: u8) -> bool {
        self.habits & (1 << habit) != 0
    }

    fn read(self, path: &str) -> Vec<u8> {
        let mut path = path.as_bytes().to_vec();
        for _ in 0..self.decodings {
            path = decoded(&path);
        }
        if self.has(0) {
            let end = path.iter().position(|byte| matches!(byte, b'?' | b'#' | 0));
            path.truncate(end.unwrap_or(path.len()));
        }
        if self.has(1) {
            path.iter_mut()
                .filter(|byte| **byte == b'\\')
                .for_each(|byte| *byte = b'/');
        }
        if self.has(2) {
            path.make_ascii_lowercase();
        }
        let mut kept: Vec<Vec<u8>> = Vec::new();
        for segment in path.split(|byte| *byte == b'/').skip(1) {
            let mut segment = segment.to_vec();
            if self.has(3) {
                let end = segment.iter().position(|byte| *byte == b';');
                segment.truncate(end.unwrap_or(segment.len()));
            }
            match &segment[..] {
                b"." if self.has(4) => continue,
                b".." if self.has(4) => {
                    kept.pop();
                    continue;
                }
                _ => {}
            }
            if self.has(5) {
                while let Some(b'.' | b' ') = segment.last() {
                    segment.pop();
                }
            }
            if !segment.is_empty() || !self.has(6) {
                kept.push(segment);
            }
        }
        if self.has(7) && kept.last().is_some_and(Vec::is_empty) {
            kept.pop();
        }
        kept.iter()
            .flat_map(|segment| [b"/", &segment[..]].concat())
            .collect()
    }
}

fn decoded(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = path;
    while let Some((&byte, tail)) = rest.split_first() {
        let digit = |at: usize| {
            tail.get(at)
                .and_then(|digit| char::from(*digit).to_digit(16))
        };
        if byte == b'%'
            && let (Some(high), Some(low)) = (digit(0), digit(1))
        {
            out.push(u8::try_from(high * 16 + low).expect("two hex digits are a byte"));
            rest = &tail[2..];
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    out
}

/// Whether an upstream would serve what the routes protect.
fn is_protected(path: &[u8]) -> bool {
    let path = String::from_utf8_lossy(path);
    let mut segments = path.split('/').skip(1);
    match (segments.next(), segments.next(), segments.next()) {
        (Some("admin"), ..) | (Some("secret"), None, _) => true,
        (Some("users"), Some(id), None) => !id.is_empty(),
        (Some("Mixed"), Some("Case"), None) | (Some("mixed"), Some("case"), None) => true,
        _ => false,
    }
}

/// A gateway whose protected routes leave their mark.
fn protecting(recorder: &Recorder, server: &str) -> Running {
    let guard = "plugins = [\"guard\"]";
    let mark = "{ hook = \"request\", act = { set = { name = \"x-guarded\", value = \"1\" } } }";
    Setup::new()
        .server("workers = 1")
        .server(server)
        .acts("guard", mark)
        .upstream_at("up", &recorder.origin(), "")
        .route("/*", "")
        .route("/admin/*", guard)
        .route("/secret", guard)
        .route("/users/{id}", guard)
        .route("/Mixed/Case", guard)
        .route("/*", &format!("host = \"inner.test\"\n{guard}"))
        .start()
}

#[test]
fn no_spelling_gets_around_an_auth_route() {
    let recorder = Recorder::start();
    let gateway = protecting(&recorder, "");
    let (mut guarded, mut open, mut refused) = (0, 0, 0);
    for spelling in spellings() {
        let mut client = gateway.client();
        client.send(get(&spelling).bytes());
        let status = client.response().status;
        let seen = recorder.take();
        let [seen] = &seen[..] else {
            assert!(
                status == 400 && seen.is_empty(),
                "{status} {spelling}: {seen:?}"
            );
            refused += 1;
            continue;
        };
        assert_eq!(status, 200, "{spelling}");
        if seen.get("x-guarded").is_some() {
            guarded += 1;
            continue;
        }
        open += 1;
        let path = seen
            .target
            .split('?')
            .next()
            .expect("a split has a first part");
        for reader in Reader::all() {
            let read = reader.read(path);
            assert!(
                !is_protected(&read),
                "{spelling}, forwarded as {path}, may be {:?}",
                read.escape_ascii().to_string()
            );
        }
    }
    assert_eq!(recorder.problems(), [""; 0]);
    assert!(
        guarded > 100 && open > 20 && refused > 2_000,
        "{guarded} {open} {refused}"
    );
}

#[test]
fn no_spelling_of_a_host_gets_around_an_auth_route() {
    let recorder = Recorder::start();
    let gateway = protecting(&recorder, "");
    for host in [
        "inner.test",
        "INNER.test",
        "inner.test.",
        "inner.test:80",
        "inner.test.:80",
        "inner.test:",
        "inner.test..",
        "inner.test.:",
        ".inner.test",
        "inner..test",
        "inner.test/",
        "inner.test@x",
        "x@inner.test",
        "inner%2etest",
        "inner.test,x",
        "x,inner.test",
        "inner.test x",
        "inner.test:0080",
        "inner.test:+80",
        "inner.test#",
        "inner.test?",
        "inner.test\\",
        "http://inner.test",
    ] {
        for request in [
            format!("GET /x HTTP/1.1\r\nhost: {host}\r\n\r\n"),
            format!("GET http://{host}/x HTTP/1.1\r\nhost: x\r\n\r\n"),
            format!("GET http://x/x HTTP/1.1\r\nhost: {host}\r\n\r\n"),
        ] {
            let mut client = gateway.client();
            client.send(&request);
            let status = client.response().status;
            assert!(matches!(status, 200 | 400), "{request}");
            for seen in recorder.take() {
                let asked = seen.get("host").expect("there is one");
                let name = asked.split(':').next().expect("a split has a first part");
                let is_inner = name.trim_matches('.').eq_ignore_ascii_case("inner.test");
                assert!(
                    !is_inner || seen.get("x-guarded").is_some(),
                    "{request:?} as {asked}"
                );
                let claimed = seen.get("x-forwarded-host");
                assert_eq!(claimed.as_deref(), Some(&*asked), "{request:?}");
            }
        }
    }
}

#[test]
fn other_readings_are_no_matter_where_they_get_around_nothing() {
    let recorder = Recorder::start();
    let gateway = protecting(&recorder, "");
    for path in [
        "/Public/Page",
        "/UPPER",
        "/a.b/c./",
        "/files/100%2525",
        "/%C3%89t%C3%A9",
        "/search/what%3F",
        "/users",
        "/users/",
        "/admins",
        "/secrets",
        "/users/7/Posts",
        "/x%20y",
        "/admin.json",
        "/Users",
        "/mixed",
    ] {
        assert_eq!(gateway.get(path).status, 200, "{path}");
        let [seen] = &recorder.take()[..] else {
            panic!("{path}")
        };
        assert_eq!((seen.target.as_str(), seen.get("x-guarded")), (path, None));
    }
    for path in [
        "/admin/A%20B/",
        "/users/ABC",
        "/Mixed/Case",
        "/secret?x=/../",
        "/admin",
    ] {
        assert_eq!(gateway.get(path).status, 200, "{path}");
        let [seen] = &recorder.take()[..] else {
            panic!("{path}")
        };
        assert_eq!(
            (seen.target.as_str(), seen.get("x-guarded").is_some()),
            (path, true)
        );
    }
}

#[test]
fn a_strict_gateway_takes_a_path_in_its_normal_form_or_not_at_all() {
    let recorder = Recorder::start();
    let gateway = protecting(&recorder, "path-normalisation = \"strict\"");
    for path in ["/", "/x", "/x/", "/x?y=//", "/%c3%a9", "/x%20y", "/a:b@c"] {
        assert_eq!(gateway.get(path).status, 200, "{path}");
    }
    for path in [
        "//x",
        "/x//y",
        "/./x",
        "/x/.",
        "/x/../y",
        "/%78",
        "/%7e",
        "/x|y",
        "/x\"",
        "http://a//x",
    ] {
        let answer = gateway.get(path);
        crate::expect::failure(&answer, 400, "bad-path");
        assert_eq!(answer.header("connection"), Some("close"), "{path}");
    }
    assert_eq!(recorder.take().len(), 7);
}
