//! Clients that keep a gateway busy: so many connections, each with one request at a time.
//!
//! They know as much HTTP as their own requests get for an answer: a status and a `content-length`. Anything else counts
//! as failed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// Bytes of the largest response.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// A GET with the fields that a small program sends, and the key of the benches' consumer.
pub(crate) fn get(path: &str) -> Arc<[u8]> {
    let text = format!(
        "GET {path} HTTP/1.1\r\nhost: gateway.test\r\nuser-agent: bench/1.0\r\naccept: application/json\r\n\
         accept-encoding: gzip\r\nx-api-key: secret-1\r\n\r\n"
    );
    text.into_bytes().into()
}

/// How many requests are still to be sent, all connections together.
pub(crate) type Budget = Arc<AtomicU64>;

/// What became of requests.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Outcome {
    /// Answered with 200, to the end.
    pub(crate) good: u64,
    /// Everything else.
    pub(crate) failed: u64,
}

/// Connections to one address, kept alive.
pub(crate) struct Clients {
    runtime: Arc<Runtime>,
    address: SocketAddr,
    connections: Vec<Connection>,
}

impl Clients {
    /// Connect that many. They run on that runtime, while they are driven.
    pub(crate) fn connect(
        runtime: &Arc<Runtime>,
        address: SocketAddr,
        count: usize,
    ) -> io::Result<Self> {
        let mut connections = Vec::new();
        for _ in 0..count {
            connections.push(runtime.block_on(Connection::open(address))?);
        }
        Ok(Self {
            runtime: Arc::clone(runtime),
            address,
            connections,
        })
    }

    /// Send that request over all connections until the budget is spent.
    pub(crate) fn drive(&mut self, request: &Arc<[u8]>, budget: &Budget) -> Outcome {
        let address = self.address;
        let tasks: Vec<_> = std::mem::take(&mut self.connections)
            .into_iter()
            .map(|connection| {
                let (request, budget) = (Arc::clone(request), Arc::clone(budget));
                self.runtime
                    .spawn(drive(connection, address, request, budget))
            })
            .collect();
        let mut sum = Outcome::default();
        for task in tasks {
            let (connection, outcome) = self
                .runtime
                .block_on(task)
                .expect("a client does not panic");
            self.connections.extend(connection);
            sum.good += outcome.good;
            sum.failed += outcome.failed;
        }
        sum
    }
}

async fn drive(
    mut connection: Connection,
    address: SocketAddr,
    request: Arc<[u8]>,
    budget: Budget,
) -> (Option<Connection>, Outcome) {
    let mut outcome = Outcome::default();
    while take(&budget) {
        match connection.exchange(&request).await {
            Ok(200) => outcome.good += 1,
            Ok(_) => outcome.failed += 1,
            Err(_) => {
                outcome.failed += 1;
                match Connection::open(address).await {
                    Ok(another) => connection = another,
                    Err(_) => return (None, outcome),
                }
            }
        }
    }
    (Some(connection), outcome)
}

fn take(budget: &AtomicU64) -> bool {
    budget
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(1)
        })
        .is_ok()
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(4096),
        })
    }

    /// Send a request and read its response to the end; its status.
    async fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some((status, length)) = response(&self.buffer)?
                && self.buffer.len() >= length
            {
                return Ok(status);
            }
        }
    }
}

/// Status and length of a response, once its head is there.
pub(crate) fn response(buffer: &[u8]) -> io::Result<Option<(u16, usize)>> {
    let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return if buffer.len() < MAX_RESPONSE_BYTES {
            Ok(None)
        } else {
            Err(io::ErrorKind::InvalidData.into())
        };
    };
    let head = std::str::from_utf8(&buffer[..end]).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    let (status, length): (u16, usize) = status.zip(length).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Some((status, end + 4 + length)))
}
