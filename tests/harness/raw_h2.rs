//! HTTP/2 as frames, for clients that a library would not let us be. RFC 9113 4.1; header blocks are literals of RFC 7541.
//!
//! Leaves out: flow control, the client's compression table, any state of a stream: tests send what they say.

use std::io;
use std::net::{SocketAddr, TcpStream};

use crate::client::Client;
use crate::wire::is_end;

/// Types of frames.
pub const DATA: u8 = 0;
/// A request, or the rest of one.
pub const HEADERS: u8 = 1;
/// Deprecated, and still to be borne.
pub const PRIORITY: u8 = 2;
/// A stream is taken back.
pub const RST_STREAM: u8 = 3;
/// Parameters of a connection.
pub const SETTINGS: u8 = 4;
/// To be answered with the same.
pub const PING: u8 = 6;
/// The connection ends.
pub const GOAWAY: u8 = 7;
/// More bytes may come.
pub const WINDOW_UPDATE: u8 = 8;
/// More of a header block.
pub const CONTINUATION: u8 = 9;

/// Flag of DATA and HEADERS: the last frame of its side of the stream. Of SETTINGS and PING: the answer to one.
pub const END_STREAM: u8 = 1;
/// Flag of HEADERS and CONTINUATION: the header block ends here.
pub const END_HEADERS: u8 = 4;

/// The error codes of RFC 9113 7 that tests ask for.
pub const REFUSED_STREAM: u32 = 7;
/// The sender gives the stream up.
pub const CANCEL: u32 = 8;
/// The other side does too much.
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream, 0 for the connection.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of RST_STREAM or GOAWAY.
    ///
    /// # Panics
    /// If it is another frame.
    #[must_use]
    #[track_caller]
    pub fn code(&self) -> u32 {
        let at = match self.kind {
            RST_STREAM => 0,
            GOAWAY => 4,
            _ => panic!("no error code in {self:?}"),
        };
        u32::from_be_bytes(
            self.payload[at..at + 4]
                .try_into()
                .expect("four bytes are four"),
        )
    }
}

/// A frame to send.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("tests send small frames");
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A frame whose payload is one number: WINDOW_UPDATE, RST_STREAM.
#[must_use]
pub fn number(kind: u8, stream: u32, value: u32) -> Vec<u8> {
    frame(kind, 0, stream, &value.to_be_bytes())
}

/// A header block of a request with that method (`GET` or `POST`), to `http://gateway.test`.
///
/// # Panics
/// If it is another method.
#[must_use]
pub fn request(method: &str, path: &str) -> Vec<u8> {
    let method = match method {
        "GET" => 0x82,
        "POST" => 0x83,
        other => panic!("no {other} in the static table"),
    };
    // The scheme http, then literals with names of the static table: `:path`, `:authority`.
    let mut block = vec![method, 0x86];
    block.push(0x04);
    block.extend(text(path));
    block.push(0x01);
    block.extend(text("gateway.test"));
    block
}

/// A field that no table remembers.
#[must_use]
pub fn field(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Vec<u8> {
    [vec![0], text(name), text(value)].concat()
}

/// A string as it is (RFC 7541 5.2), with its length (5.1).
#[must_use]
pub fn text(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    let mut bytes = Vec::new();
    match text.len() {
        length if length < 127 => bytes.push(length as u8),
        length => {
            bytes.push(127);
            let mut rest = length - 127;
            while rest >= 128 {
                bytes.push((rest % 128) as u8 | 128);
                rest /= 128;
            }
            bytes.push(rest as u8);
        }
    }
    bytes.extend(text);
    bytes
}

/// A GET in one frame.
#[must_use]
pub fn get(stream: u32, path: &str) -> Vec<u8> {
    let flags = END_STREAM | END_HEADERS;
    frame(HEADERS, flags, stream, &request("GET", path))
}

/// A connection that has begun.
pub struct Raw {
    client: Client,
}

impl Raw {
    /// Connect, and say what every client says first.
    ///
    /// # Panics
    /// If nobody listens.
    #[must_use]
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        Self::with_settings(address, &[])
    }

    /// Likewise, with these settings (number and value).
    ///
    /// # Panics
    /// If nobody listens.
    #[must_use]
    #[track_caller]
    pub fn with_settings(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect(address).expect("the gateway listens");
        let mut raw = Self {
            client: Client::over(stream),
        };
        raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        raw.send(frame(SETTINGS, 0, 0, &payload));
        raw
    }

    /// Send bytes.
    ///
    /// # Panics
    /// If they can't be sent.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.client.send(bytes);
    }

    /// Send bytes; the other side may have closed.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.client.try_send(bytes)
    }

    /// The next frame; `None` at the end of the connection.
    ///
    /// # Panics
    /// If neither comes.
    #[track_caller]
    pub fn next_frame(&mut self) -> Option<Frame> {
        let head = self.exactly(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream,
            payload: self.exactly(length as usize)?,
        })
    }

    #[track_caller]
    fn exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        match self.client.reader().exactly(count) {
            Ok(bytes) => Some(bytes),
            Err(error) if is_end(&error) => None,
            Err(error) => panic!("neither a frame nor the end: {error}"),
        }
    }

    /// The next frame of that kind on that stream, whatever comes before it.
    ///
    /// # Panics
    /// If it does not come.
    #[track_caller]
    pub fn expect(&mut self, kind: u8, stream: u32) -> Frame {
        let mut before = Vec::new();
        while let Some(frame) = self.next_frame() {
            if frame.kind == kind && frame.stream == stream {
                return frame;
            }
            before.push((frame.kind, frame.stream, frame.payload.len()));
        }
        panic!("no frame {kind} on stream {stream} before the end, but {before:?}");
    }

    /// Everything up to the end of the connection.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.next_frame()).collect()
    }

    /// Read everything up to the end on another thread, so that neither side waits for the other while this one floods.
    ///
    /// # Panics
    /// If the system gives no thread.
    #[must_use]
    pub fn rest_meanwhile(&self) -> std::thread::JoinHandle<Vec<Frame>> {
        let stream = self.client.stream().try_clone();
        let stream = stream.expect("a socket can be shared");
        std::thread::spawn(move || {
            let mut other = Self {
                client: Client::over(stream),
            };
            other.rest()
        })
    }
}
