//! Requests at a fixed rate, whatever becomes of them, or one after the other; and how long each took.
//!
//! A thread for each connection, each with its own times at which to send. At a fixed rate, a request that can't be sent in time,
//! because the one before it is not answered yet, counts from when it should have been sent: a gateway that stands still
//! can't hide that.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::rig::clients::response;

/// After this a request counts as failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Requests to send.
#[derive(Clone)]
pub(crate) struct Pace {
    pub(crate) address: SocketAddr,
    pub(crate) request: Arc<[u8]>,
    pub(crate) connections: u32,
    /// All connections together; `None`: each sends its next request when it has the answer to the last.
    pub(crate) per_second: Option<u32>,
    pub(crate) during: Duration,
}

/// What became of them.
#[derive(Debug, Default)]
pub(crate) struct Paced {
    /// Time of each that was answered with 200, in milliseconds.
    pub(crate) times_ms: Vec<f64>,
    /// Everything else.
    pub(crate) failed: u64,
}

impl Paced {
    /// The time that 99 of 100 requests don't exceed.
    pub(crate) fn p99_ms(&self) -> f64 {
        let mut times = self.times_ms.clone();
        times.sort_by(f64::total_cmp);
        times
            .get(times.len() * 99 / 100)
            .copied()
            .unwrap_or(f64::INFINITY)
    }
}

impl Pace {
    /// Begin, on threads of its own.
    pub(crate) fn start(&self) -> Vec<thread::JoinHandle<Paced>> {
        let begin = Instant::now();
        (0..self.connections)
            .map(|number| {
                let pace = self.clone();
                thread::spawn(move || pace.connection(begin, number))
            })
            .collect()
    }

    fn connection(&self, begin: Instant, number: u32) -> Paced {
        let mut paced = Paced::default();
        let period = self.per_second.map_or(Duration::ZERO, |rate| {
            Duration::from_secs(1) * self.connections / rate
        });
        let mut due = begin + period * number / self.connections;
        let mut stream = None;
        let mut free = begin;
        while due < begin + self.during {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            // Waking up late is our own doing and not the gateway's; being busy with the last request is its.
            let sent = if free > due && self.per_second.is_some() {
                due
            } else {
                Instant::now()
            };
            match self.exchange(&mut stream) {
                Ok(200) => paced.times_ms.push(sent.elapsed().as_secs_f64() * 1000.0),
                Ok(_) => paced.failed += 1,
                Err(_) => {
                    paced.failed += 1;
                    stream = None;
                }
            }
            free = Instant::now();
            due = match self.per_second {
                Some(_) => due + period,
                None => free,
            };
        }
        paced
    }

    /// Send a request, over a new connection if there is none, and read its response; its status.
    fn exchange(&self, kept: &mut Option<TcpStream>) -> io::Result<u16> {
        let stream = match kept {
            Some(stream) => stream,
            None => kept.insert(connect(self.address)?),
        };
        stream.write_all(&self.request)?;
        let mut buffer = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let count = stream.read(&mut piece)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            buffer.extend_from_slice(&piece[..count]);
            if let Some((status, length)) = response(&buffer)?
                && buffer.len() >= length
            {
                return Ok(status);
            }
        }
    }
}

/// Wait for the end of [`Pace::start`].
pub(crate) fn join(threads: Vec<thread::JoinHandle<Paced>>) -> Paced {
    let mut sum = Paced::default();
    for thread in threads {
        let paced = thread.join().expect("a client does not panic");
        sum.times_ms.extend(paced.times_ms);
        sum.failed += paced.failed;
    }
    sum
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}
