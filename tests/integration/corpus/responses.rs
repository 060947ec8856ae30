//! What hostile upstreams answer (THREATS 7, 8): the client sees 502 or a body that is visibly cut, and never a short
//! success; what they send beyond reaches nobody.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use gateway_tests::{Client, Request, Running, Setup, Upstream, eventually, get};

use crate::expect;

/// What the client sees.
#[derive(Debug, Clone, Copy)]
enum Seen {
    /// 502.
    Refused,
    /// A good head, and a body that does not end.
    Cut,
    /// 502, or that status with this whole body.
    RefusedOr(u16, &'static str),
    /// That status with this whole body.
    Whole(u16, &'static str),
}

use Seen::{Cut, Refused, RefusedOr, Whole};

impl Seen {
    fn parse(text: &'static str) -> Self {
        let whole = |text: &'static str| {
            let (status, body) = text.split_once(' ').unwrap_or((text, ""));
            (status.parse().expect("a status is a number"), body)
        };
        match text {
            "502" => Refused,
            "cut" => Cut,
            _ => match text.strip_prefix("502 or ").map(whole) {
                Some((status, body)) => RefusedOr(status, body),
                None => {
                    let (status, body) = whole(text);
                    Whole(status, body)
                }
            },
        }
    }
}

/// Answers to a GET: what the client sees, and the bytes.
fn answers() -> Vec<(Seen, String)> {
    let lines = include_str!("responses.txt").lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let answer = |line: &'static str| {
        let (seen, answer) = line
            .split_once("| ")
            .unwrap_or((line.trim_end_matches('|'), ""));
        (Seen::parse(seen.trim()), unescaped(answer))
    };
    lines.map(answer).collect()
}

/// `\r`, `\n`, `\0` and `\xHH`.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (letter, rest) = part.split_at(1);
        match letter {
            "r" => out.push('\r'),
            "n" => out.push('\n'),
            "0" => out.push('\0'),
            _ => {
                let byte = u8::from_str_radix(&rest[..2], 16).expect("an escape is known");
                out.push(char::from(byte));
                out.push_str(&rest[2..]);
                continue;
            }
        }
        out.push_str(rest);
    }
    out
}

/// Answers `/N` with the answer of that number and closes; anything else with `fine`.
fn hostile() -> Upstream {
    let answers = answers();
    Upstream::script(move |connection| {
        while let Some(seen) = connection.request()? {
            let number = seen.target().trim_start_matches('/').parse::<usize>();
            match number.ok().and_then(|number| answers.get(number)) {
                Some((_, answer)) => {
                    connection.write(answer)?;
                    return Ok(());
                }
                None => connection.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine")?,
            }
        }
        Ok(())
    })
}

fn gateway(up: &Upstream) -> Running {
    Setup::to(up, "").server("workers = 1").start()
}

#[track_caller]
fn judge(client: &mut Client, request: &Request, seen: Seen, shown: &str) {
    client.send(request.bytes());
    let Some(answer) = client.try_response_to(request.method()) else {
        // Cut before a byte of body, and with it the head that waited for one.
        assert!(matches!(seen, Cut), "no response: {shown}");
        return;
    };
    match seen {
        Refused => expect::failure(&answer, 502, answer.reason().as_str()),
        RefusedOr(..) if answer.status == 502 => assert!(answer.is_whole, "{shown}"),
        Cut => assert!(
            answer.status == 200 && !answer.is_whole,
            "{answer:?}: {shown}"
        ),
        RefusedOr(status, body) | Whole(status, body) => {
            let found = (answer.status, answer.text(), answer.is_whole);
            assert_eq!(found, (status, body.to_owned(), true), "{shown}");
        }
    }
    if matches!(seen, Cut) {
        assert_eq!(client.rest(), b"", "{shown}");
    }
}

#[test]
fn an_answer_is_whole_or_cut_or_502() {
    let up = hostile();
    let gateway = gateway(&up);
    for (number, (seen, answer)) in answers().iter().enumerate() {
        judge(
            &mut gateway.client(),
            &get(&format!("/{number}")),
            *seen,
            &answer.escape_debug().to_string(),
        );
        assert_eq!(gateway.get("/fine").text(), "fine", "after {answer:?}");
    }
}

#[test]
fn an_answer_to_head_has_no_body_whatever_comes() {
    let up = hostile();
    let gateway = gateway(&up);
    for (number, (_, answer)) in answers().iter().enumerate() {
        let mut client = gateway.client();
        let head = client.request(&Request::new("HEAD", &format!("/{number}")));
        assert!(head.body.is_empty() && head.is_whole, "{answer:?}");
        assert_eq!(gateway.get("/fine").text(), "fine", "after {answer:?}");
        // The client's connection is in step, if it still is one.
        if client.try_send(get("/fine").bytes()).is_ok()
            && let Some(next) = client.try_response_to("GET")
        {
            assert_eq!(next.text(), "fine", "after {answer:?}");
        }
    }
}

#[test]
fn long_heads_and_floods_of_interim_ones_are_502() {
    let up = Upstream::script(|connection| {
        while let Some(seen) = connection.request()? {
            let flood = match seen.target() {
                "/long" => format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(1 << 20)),
                "/many" => format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(10_000)),
                "/endless" => "HTTP/1.1 200 OK\r\nx: ".to_owned() + &"y".repeat(2 << 20),
                "/interim" => "HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n".repeat(100_000),
                _ => "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine".to_owned(),
            };
            connection.write(flood)?;
        }
        Ok(())
    });
    let gateway = gateway(&up);
    for path in ["/long", "/many", "/endless", "/interim"] {
        expect::failure(&gateway.get(path), 502, "upstream-protocol");
        assert_eq!(gateway.get("/fine").text(), "fine", "after {path}");
    }
}

/// Whose other end the test has.
fn hand<T>() -> (Sender<T>, Mutex<Receiver<T>>) {
    let (sender, receiver) = channel();
    (sender, Mutex::new(receiver))
}

#[test]
fn what_comes_behind_an_answer_reaches_nobody() {
    let evil = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    // At once, and when the answer has been taken.
    let (go, may_go) = hand();
    let (gone, has_gone) = channel();
    let gone = Mutex::new(gone);
    let up = Upstream::script(move |connection| {
        let whole = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine";
        while let Some(seen) = connection.request()? {
            match seen.target() {
                "/at-once" => connection.write(format!("{whole}{evil}"))?,
                "/half" => connection.write(format!("{whole}HTTP/1.1 200 OK\r\n"))?,
                "/chunked" => connection.write(format!(
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n{evil}"
                ))?,
                "/later" => {
                    connection.write(whole)?;
                    let go = may_go.lock().expect("no script panics here").recv();
                    if go.is_ok() {
                        // The gateway may have closed it.
                        let _ = connection.write(evil);
                        let _ = gone.lock().expect("no script panics here").send(());
                    }
                }
                _ => connection.write(whole)?,
            }
        }
        Ok(())
    });
    let gateway = gateway(&up);
    for path in ["/at-once", "/half", "/chunked"] {
        for _ in 0..20 {
            assert_eq!(gateway.get(path).text(), "fine", "{path}");
            assert_eq!(gateway.get("/fine").text(), "fine", "after {path}");
        }
    }
    for _ in 0..20 {
        assert_eq!(gateway.get("/later").text(), "fine");
        go.send(()).expect("the script waits");
        has_gone.recv().expect("the script says so");
        assert_eq!(gateway.get("/fine").text(), "fine", "after /later");
    }
}

#[test]
fn an_answer_before_the_body_was_read_ends_the_connection_to_the_upstream() {
    let up = Upstream::script(|connection| {
        while let Some(head) = connection.head()? {
            let status = if head.start.contains("/early") {
                413
            } else {
                200
            };
            connection.write(format!(
                "HTTP/1.1 {status} X\r\ncontent-length: 4\r\n\r\nfine"
            ))?;
            if status == 413 {
                connection.closed();
                return Ok(());
            }
        }
        Ok(())
    });
    let gateway = gateway(&up);
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let framings = [
        "content-length: 1000\r\n\r\nabc".to_owned(),
        format!("transfer-encoding: chunked\r\n\r\n{:x}\r\nabc", 1_000),
    ];
    for framing in framings {
        let mut client = gateway.client();
        client.send(format!("POST /early HTTP/1.1\r\nhost: a\r\n{framing}"));
        let early = client.response();
        assert_eq!((early.status, early.text().as_str()), (413, "fine"));
        eventually("the upstream connection is closed", || up.open() == 0);
        // What is left of the body is no request.
        let _ = client.try_send(smuggled);
        client.end();
        client.rest();
        assert_eq!(gateway.get("/fine").text(), "fine");
        gateway.reload().expect("a reload is fine");
        eventually("nothing is open but what is idle", || up.open() <= 1);
    }
    let heads = Arc::new(up);
    assert_eq!(heads.heads(), 4, "two early ones and two fine ones");
}
