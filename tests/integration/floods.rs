//! What a client on HTTP/2 may do without asking for anything, and what becomes of more (THREATS 16): the connection ends,
//! with a word why, and another client notices nothing.

use gateway_tests::raw_h2::{
    self, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, GOAWAY, HEADERS,
    PING, PRIORITY, RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE, frame, number,
};
use gateway_tests::{Running, Setup, Upstream, eventually, get};

use crate::expect;

/// Bytes of a flood before its sender gives up; every limit is far below.
const FLOOD_BYTES: usize = 16 << 20;

fn gateway(up: &Upstream, limits: &str) -> Running {
    Setup::to(up, "").limits(limits).start()
}

/// Connections that were cut off for that reason.
fn cut(gateway: &Running, reason: &str) -> f64 {
    let name = "gateway_client_connections_cut_total";
    gateway.metrics().get(name, &[("reason", reason)])
}

/// An upstream that never answers, so that streams stay open.
fn silent() -> Upstream {
    Upstream::script(|connection| {
        connection.request()?;
        connection.closed();
        Ok(())
    })
}

/// Send the same again and again until the other side has had enough; what it said meanwhile. Another client is served
/// before, during and after.
#[track_caller]
fn flood(gateway: &Running, mut raw: Raw, piece: &[u8]) -> Vec<Frame> {
    let reading = raw.rest_meanwhile();
    let mut sent = 0;
    let block = piece.repeat(1 + 4096 / piece.len());
    while raw.try_send(&block).is_ok() {
        if sent % (64 * block.len()) == 0 {
            expect::ok(&gateway.get("/somebody-else"));
        }
        sent += block.len();
        assert!(sent < FLOOD_BYTES, "it is read for ever");
    }
    expect::ok(&gateway.get("/somebody-else"));
    reading.join().expect("the connection ends")
}

/// The connection was ended with that code. A reset may have overtaken it.
#[track_caller]
fn ended(frames: &[Frame], code: u32) {
    if let Some(goaway) = frames.iter().find(|frame| frame.kind == GOAWAY) {
        assert_eq!(goaway.code(), code, "{goaway:?}");
    }
}

#[test]
fn frames_that_carry_nothing_may_come_so_often_and_no_more() {
    let up = Upstream::echo();
    let gateway = gateway(&up, "control-frames = 200");
    let mut raw = Raw::connect(gateway.address());
    // Its SETTINGS were one of them.
    raw.send(frame(PING, 0, 0, b"01234567").repeat(150));
    for _ in 0..150 {
        assert_eq!(raw.expect(PING, 0).payload, b"01234567");
    }
    raw.send(raw_h2::get(1, "/"));
    raw.expect(HEADERS, 1);
    raw.expect(DATA, 1);
    raw.send(frame(PING, 0, 0, b"01234567").repeat(600));
    let goaway = raw.expect(GOAWAY, 0);
    assert_eq!(goaway.code(), ENHANCE_YOUR_CALM);
    assert!(raw.rest().is_empty(), "and that is the end");
    eventually("it is counted", || cut(&gateway, "control-frames") == 1.0);
}

#[test]
fn no_kind_of_empty_frame_can_be_sent_for_ever() {
    let up = Upstream::echo();
    let gateway = gateway(&up, "");
    let kinds = [
        ("PING", frame(PING, 0, 0, b"01234567")),
        ("answers to no PING", frame(PING, 1, 0, b"01234567")),
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
        ("SETTINGS that move all windows", {
            let window = |value: u32| [&[0, 4][..], &value.to_be_bytes()].concat();
            [
                frame(SETTINGS, 0, 0, &window(1)),
                frame(SETTINGS, 0, 0, &window(100_000)),
            ]
            .concat()
        }),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1])),
        ("WINDOW_UPDATE", number(WINDOW_UPDATE, 0, 1)),
        ("unknown", frame(0xbb, 0, 0, b"what is this")),
    ];
    for (number, (name, piece)) in kinds.iter().enumerate() {
        let frames = flood(&gateway, Raw::connect(gateway.address()), piece);
        ended(&frames, ENHANCE_YOUR_CALM);
        eventually(name, || {
            cut(&gateway, "control-frames") == (number + 1) as f64
        });
    }
}

#[test]
fn a_flood_of_data_without_any_ends_the_connection() {
    let up = silent();
    let gateway = gateway(&up, "");
    let mut raw = Raw::connect(gateway.address());
    raw.send(frame(
        HEADERS,
        END_HEADERS,
        1,
        &raw_h2::request("POST", "/"),
    ));
    let reading = raw.rest_meanwhile();
    let empty = frame(DATA, 0, 1, &[]).repeat(100);
    for _ in 0..1000 {
        if raw.try_send(&empty).is_err() {
            break;
        }
    }
    ended(&reading.join().expect("it ends"), ENHANCE_YOUR_CALM);
    eventually("its upstream request ends with it", || up.open() == 0);
}

#[test]
fn a_header_block_that_never_ends_ends_the_connection() {
    let up = Upstream::echo();
    let gateway = gateway(&up, "");
    for piece in [
        // Empty, so that nothing is over any size; and full, so that something is.
        frame(CONTINUATION, 0, 1, &[]),
        frame(
            CONTINUATION,
            0,
            1,
            &raw_h2::field("x-more", "a".repeat(16_000)),
        ),
    ] {
        let mut raw = Raw::connect(gateway.address());
        raw.send(frame(HEADERS, END_STREAM, 1, &raw_h2::request("GET", "/")));
        let frames = flood(&gateway, raw, &piece);
        let goaway = frames.iter().find(|frame| frame.kind == GOAWAY);
        assert!(goaway.is_none_or(|frame| frame.code() != 0), "{goaway:?}");
        assert!(
            !frames
                .iter()
                .any(|frame| frame.kind == HEADERS && frame.stream == 1)
        );
    }
    assert!(
        up.requests()
            .iter()
            .all(|seen| seen.target() == "/somebody-else")
    );
}

#[test]
fn a_block_that_grows_when_it_is_unpacked_is_refused_before_it_has() {
    let up = Upstream::echo();
    let gateway = gateway(&up, "");
    let mut raw = Raw::connect(gateway.address());
    // A field of 4,000 bytes that the table remembers, and thousands of bytes that each mean it again: 64 MB.
    let remembered = [
        vec![0x40],
        raw_h2::text("x"),
        raw_h2::text("a".repeat(4_000)),
    ]
    .concat();
    let block = [raw_h2::request("GET", "/"), remembered, vec![0xbe; 12_000]].concat();
    raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &block));
    let goaway = raw.expect(GOAWAY, 0);
    assert_ne!(goaway.code(), 0);
    raw.rest();
    assert_eq!(up.heads(), 0);
    // What is less far beyond the limit costs its stream only.
    let mut raw = Raw::connect(gateway.address());
    let block = [
        raw_h2::request("GET", "/"),
        vec![0x40],
        raw_h2::text("x"),
        raw_h2::text("a".repeat(4_000)),
    ]
    .concat();
    let over = [block.clone(), vec![0xbe; 20]].concat();
    raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &over));
    let head = raw.expect(HEADERS, 1);
    // 431 as a literal, since no table has it.
    assert!(
        head.payload.windows(3).any(|bytes| bytes == b"431") || head.payload.len() > 3,
        "{head:?}"
    );
    raw.send(raw_h2::get(3, "/"));
    raw.expect(DATA, 3);
    assert_eq!(
        up.count(),
        1,
        "and the table is still the same on both sides"
    );
}

#[test]
fn requests_that_are_taken_back_may_come_so_often_and_no_more() {
    let up = silent();
    let gateway = gateway(&up, "resets = 20\nstreams = 50");
    let mut raw = Raw::connect(gateway.address());
    let mut next = 1;
    // Each is on its way upstream before it is taken back: what h2 itself counts is something else.
    let mut cancel = |raw: &mut Raw, heads: usize| {
        raw.send(raw_h2::get(next, "/"));
        eventually("it is upstream", || up.heads() == heads);
        raw.send(number(RST_STREAM, next, raw_h2::CANCEL));
        next += 2;
    };
    for heads in 1..=15 {
        cancel(&mut raw, heads);
    }
    raw.send(frame(PING, 0, 0, b"still up"));
    raw.expect(PING, 0);
    eventually("the work of a stream that is gone stops", || up.open() == 0);
    let reading = raw.rest_meanwhile();
    let all: Vec<u8> = (0..1000_u32)
        .flat_map(|number_| {
            let stream = 1001 + 2 * number_;
            [
                raw_h2::get(stream, "/"),
                number(RST_STREAM, stream, raw_h2::CANCEL),
            ]
            .concat()
        })
        .collect();
    // It may end in the middle of it.
    let _ = raw.try_send(all);
    ended(&reading.join().expect("it ends"), ENHANCE_YOUR_CALM);
    assert!(up.heads() < 100, "{} were begun", up.heads());
    eventually("nothing is left of them", || up.open() == 0);
}

#[test]
fn whoever_lets_requests_end_may_take_others_back() {
    let up = Upstream::script(|connection| {
        while let Some(seen) = connection.request()? {
            if seen.target() == "/slow" {
                connection.closed();
                return Ok(());
            }
            connection.reply(&gateway_tests::Reply::new(200, "ok"), false)?;
        }
        Ok(())
    });
    let gateway = gateway(&up, "resets = 5");
    let mut raw = Raw::connect(gateway.address());
    for round in 0..30 {
        let (whole, taken_back) = (1 + 4 * round, 3 + 4 * round);
        raw.send(raw_h2::get(whole, "/"));
        raw.expect(DATA, whole);
        raw.send(raw_h2::get(taken_back, "/slow"));
        raw.send(number(RST_STREAM, taken_back, raw_h2::CANCEL));
    }
    raw.send(raw_h2::get(1001, "/"));
    raw.expect(DATA, 1001);
}

#[test]
fn streams_that_we_have_to_reset_count_as_well_and_their_work_stops() {
    let up = silent();
    let gateway = gateway(&up, "resets = 10");
    let mut raw = Raw::connect(gateway.address());
    let made_us_reset = |stream| {
        // A window that grows beyond 2^31 - 1 is an error of that stream (RFC 9113 6.9.1).
        [
            raw_h2::get(stream, "/"),
            number(WINDOW_UPDATE, stream, i32::MAX as u32),
        ]
        .concat()
    };
    for number in 0..10 {
        let stream = 1 + 2 * number;
        raw.send(made_us_reset(stream));
        raw.expect(RST_STREAM, stream);
    }
    eventually("the work of a stream that is gone stops", || up.open() == 0);
    raw.send(made_us_reset(101));
    let goaway = raw.expect(GOAWAY, 0);
    assert_eq!(goaway.code(), ENHANCE_YOUR_CALM);
    raw.rest();
    expect_served(&gateway);
}

fn expect_served(gateway: &Running) {
    let mut client = gateway.client();
    client.send(get("/%2e%2e").bytes());
    assert_eq!(client.response().status, 400, "a new client is heard");
}

#[test]
fn so_many_streams_run_side_by_side_and_one_more_is_refused() {
    let up = silent();
    let gateway = gateway(&up, "streams = 3");
    let mut raw = Raw::connect(gateway.address());
    for stream in [1, 3, 5] {
        raw.send(raw_h2::get(stream, "/"));
    }
    eventually("all three are upstream", || up.count() == 3);
    raw.send(raw_h2::get(7, "/"));
    assert_eq!(raw.expect(RST_STREAM, 7).code(), raw_h2::REFUSED_STREAM);
    raw.send(number(RST_STREAM, 1, raw_h2::CANCEL));
    raw.send(raw_h2::get(9, "/"));
    eventually("one has made room for another", || up.count() == 4);
}

#[test]
fn two_thousand_streams_at_once_are_a_hundred_requests_at_most() {
    let up = silent();
    let gateway = gateway(&up, "");
    let mut raw = Raw::connect(gateway.address());
    let reading = raw.rest_meanwhile();
    let all: Vec<u8> = (0..2000)
        .flat_map(|number| raw_h2::get(1 + 2 * number, "/"))
        .collect();
    // It may end in the middle of it.
    let _ = raw.try_send(all);
    ended(&reading.join().expect("it ends"), ENHANCE_YOUR_CALM);
    assert!(up.heads() <= 100, "{}", up.heads());
    eventually("nothing is left of them", || up.open() == 0);
}
