//! What attacks cost in memory: a gateway in a process of its own, and many connections that do the same to it at once
//! (THREATS 16, 17).

use gateway_tests::raw_h2::{
    self, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, Raw, SETTINGS, frame,
};
use gateway_tests::{Client, Setup, Upstream, get};

use crate::expect;

/// Connections of each attack.
const CONNECTIONS: usize = 100;
/// What all of them together may add, in KiB. They send 100 times as much.
const MAY_ADD_KIB: u64 = 64 << 10;

/// What a connection sends, piece by piece, and how often at most.
struct Attack {
    name: &'static str,
    first: Vec<u8>,
    piece: Vec<u8>,
}

fn attacks() -> Vec<Attack> {
    let remembered = [
        vec![0x40],
        raw_h2::text("x"),
        raw_h2::text("a".repeat(4_000)),
    ]
    .concat();
    let bomb = [raw_h2::request("GET", "/"), remembered, vec![0xbe; 12_000]].concat();
    let unfinished = frame(HEADERS, END_STREAM, 1, &raw_h2::request("GET", "/"));
    let big = raw_h2::field("x-more", "a".repeat(16_000));
    let none = Vec::new;
    vec![
        Attack {
            name: "PING that nobody answers to us",
            first: none(),
            piece: frame(PING, 0, 0, b"01234567"),
        },
        Attack {
            name: "SETTINGS",
            first: none(),
            piece: frame(SETTINGS, 0, 0, &[]),
        },
        Attack {
            name: "a header block without an end",
            first: unfinished.clone(),
            piece: frame(CONTINUATION, 0, 1, &big),
        },
        Attack {
            name: "an empty header block without an end",
            first: unfinished,
            piece: frame(CONTINUATION, 0, 1, &[]),
        },
        Attack {
            name: "a block that grows",
            first: none(),
            piece: frame(HEADERS, END_STREAM | END_HEADERS, 1, &bomb),
        },
        Attack {
            name: "tiny pieces of a body",
            first: frame(HEADERS, END_HEADERS, 1, &raw_h2::request("POST", "/")),
            piece: frame(DATA, 0, 1, b"x"),
        },
        Attack {
            name: "an HTTP/1 head without an end",
            first: b"GET / HTTP/1.1\r\n".to_vec(),
            piece: b"x-more: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".to_vec(),
        },
    ]
}

impl Attack {
    /// Send, never read, until the other side reads no more or has closed; or 8 MiB.
    fn run(&self, address: std::net::SocketAddr) -> Client {
        const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let mut client = Client::connect(address);
        if !self.name.contains("HTTP/1") {
            client.send([PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
        }
        client
            .stream()
            .set_nonblocking(true)
            .expect("a socket takes options");
        let block = self.piece.repeat(1 + (64 << 10) / self.piece.len());
        let mut sent = client.try_send(&self.first).map(|()| 0);
        while let Ok(bytes) = sent
            && bytes < 8 << 20
        {
            sent = client.try_send(&block).map(|()| bytes + block.len());
        }
        client
    }
}

#[test]
fn a_hundred_connections_of_any_attack_cost_little_memory() {
    let up = Upstream::script(|connection| {
        while let Some(head) = connection.head()? {
            if head.start.starts_with("POST") {
                // Never reads the body.
                std::thread::park_timeout(gateway_tests::PATIENCE);
                return Ok(());
            }
            connection.reply(&gateway_tests::Reply::new(200, "ok"), false)?;
        }
        Ok(())
    });
    let setup = Setup::to(&up, "");
    let (mut gateway, address) = crate::drain::serve(&setup);
    let ask = || expect::ok(&Client::connect(address).request(&get("/")));
    ask();
    for attack in attacks() {
        let before = gateway.resident_kib();
        let held: Vec<Client> = (0..CONNECTIONS).map(|_| attack.run(address)).collect();
        ask();
        let added = gateway.resident_kib().saturating_sub(before);
        assert!(added < MAY_ADD_KIB, "{}: {added} KiB", attack.name);
        drop(held);
        ask();
    }
    // Raw clients that go on reading see the end of it, too.
    drop(Raw::connect(address));
    assert!(gateway.is_running());
}
