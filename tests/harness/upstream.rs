//! An upstream that does what a test says: a thread for each connection, and every request on record.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::PATIENCE;
use crate::wire::{Body, Head, Reader};

/// A server on a port of its own.
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// A request as it arrived, to its end.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its head.
    pub head: Head,
    /// Its body.
    pub body: Body,
    /// Which connection it came over, counted from 0.
    pub connection: usize,
}

/// A response to write.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

/// One connection, for scripts.
pub struct Connection {
    /// Its number, from 0.
    pub number: usize,
    stream: TcpStream,
    reader: Reader,
    shared: Arc<Shared>,
}

type Script = dyn Fn(&mut Connection) -> io::Result<()> + Send + Sync;

struct Shared {
    script: Box<Script>,
    heads: AtomicUsize,
    seen: Mutex<Vec<Seen>>,
    connections: Mutex<Vec<TcpStream>>,
    open: AtomicUsize,
    is_over: AtomicBool,
}

impl Upstream {
    /// Answers every request with 200 and, as JSON, what it saw.
    #[must_use]
    pub fn echo() -> Self {
        Self::answering(|seen| Reply::json(&seen.as_json()))
    }

    /// Answers every request as the function says.
    #[must_use]
    pub fn answering(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::script(move |connection| {
            while let Some(seen) = connection.request()? {
                let reply = answer(&seen);
                connection.reply(&reply, seen.method() == "HEAD")?;
            }
            Ok(())
        })
    }

    /// Runs the function on each connection. Its end closes the connection.
    ///
    /// # Panics
    /// If there is no port to listen on.
    #[must_use]
    pub fn script(
        script: impl Fn(&mut Connection) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared {
            script: Box::new(script),
            heads: AtomicUsize::new(0),
            seen: Mutex::default(),
            connections: Mutex::default(),
            open: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &accepting));
        Self { address, shared }
    }

    /// Nobody listens there.
    ///
    /// # Panics
    /// If there is no port to be had.
    #[must_use]
    pub fn nobody() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
        listener.local_addr().expect("a listener has an address")
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// As an endpoint.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests that arrived whole.
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        self.shared
            .seen
            .lock()
            .expect("no script panics while it holds this")
            .clone()
    }

    /// The request that arrived last.
    ///
    /// # Panics
    /// If none did.
    #[must_use]
    pub fn last(&self) -> Seen {
        self.requests().pop().expect("the upstream saw no request")
    }

    /// How many requests arrived whole.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared
            .seen
            .lock()
            .expect("no script panics while it holds this")
            .len()
    }

    /// How many request heads arrived.
    #[must_use]
    pub fn heads(&self) -> usize {
        self.shared.heads.load(Ordering::SeqCst)
    }

    /// How many connections were made.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared
            .connections
            .lock()
            .expect("no script panics while it holds this")
            .len()
    }

    /// How many connections have a script running.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, so that it sees the flag.
        let _ = TcpStream::connect(self.address);
        for stream in self
            .shared
            .connections
            .lock()
            .into_iter()
            .flat_map(|mut streams| std::mem::take(&mut *streams))
        {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.is_over.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let Ok(mut connection) = Connection::new(stream, shared) else {
            continue;
        };
        std::thread::spawn(move || {
            connection.shared.open.fetch_add(1, Ordering::SeqCst);
            let script = Arc::clone(&connection.shared);
            // How a connection ends is the test's to judge, from what arrived.
            let _ = (script.script)(&mut connection);
            let _ = connection.stream.shutdown(Shutdown::Both);
            connection.shared.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

impl Connection {
    fn new(stream: TcpStream, shared: &Arc<Shared>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        // Idle connections of a pool stay open between requests, hence longer than anything a test waits for.
        stream.set_read_timeout(Some(PATIENCE * 3))?;
        let reader = Reader::new(stream.try_clone()?);
        let mut connections = shared
            .connections
            .lock()
            .expect("nobody panics while holding this");
        let number = connections.len();
        connections.push(stream.try_clone()?);
        Ok(Self {
            number,
            stream,
            reader,
            shared: Arc::clone(shared),
        })
    }

    /// The next request, to its end. `None`: the other side has closed.
    pub fn request(&mut self) -> io::Result<Option<Seen>> {
        let Some(head) = self.head()? else {
            return Ok(None);
        };
        let body = self.reader.body(head.request_framing())?;
        if !body.is_whole {
            return Ok(None);
        }
        let seen = Seen {
            head,
            body,
            connection: self.number,
        };
        self.shared
            .seen
            .lock()
            .expect("nobody panics while holding this")
            .push(seen.clone());
        Ok(Some(seen))
    }

    /// The next request's head; its body is the script's to read.
    pub fn head(&mut self) -> io::Result<Option<Head>> {
        let head = self.reader.head()?;
        if head.is_some() {
            self.shared.heads.fetch_add(1, Ordering::SeqCst);
        }
        Ok(head)
    }

    /// What comes next.
    pub fn reader(&mut self) -> &mut Reader {
        &mut self.reader
    }

    /// Write bytes as they are.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Write a response.
    pub fn reply(&mut self, reply: &Reply, is_head: bool) -> io::Result<()> {
        self.stream.write_all(&reply.bytes(is_head))
    }

    /// Wait until the other side has closed; whatever it sends until then is thrown away.
    pub fn closed(&mut self) {
        while self.reader.some().is_ok_and(|bytes| !bytes.is_empty()) {}
    }

    /// Break off with a reset instead of an orderly end.
    pub fn reset(&mut self) {
        let socket = socket2::SockRef::from(&self.stream);
        // What is closed with a zero linger time sends a reset.
        let _ = socket.set_linger(Some(std::time::Duration::ZERO));
    }
}

impl Seen {
    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.head.start.split(' ').next().unwrap_or_default()
    }

    /// The request target.
    #[must_use]
    pub fn target(&self) -> &str {
        self.head.start.split(' ').nth(1).unwrap_or_default()
    }

    /// The first field of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }

    /// Everything, as the echo answers it.
    #[must_use]
    pub fn as_json(&self) -> Value {
        json!({
            "method": self.method(),
            "target": self.target(),
            "headers": self.head.fields,
            "body": String::from_utf8_lossy(&self.body.data),
            "length": self.body.data.len(),
            "trailers": self.body.trailers,
            "connection": self.connection,
        })
    }
}

impl Reply {
    /// A response with that body.
    #[must_use]
    pub fn new(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self {
            status,
            fields: Vec::new(),
            body: body.as_ref().to_vec(),
        }
    }

    /// 200 with JSON.
    #[must_use]
    pub fn json(value: &Value) -> Self {
        Self::new(200, value.to_string()).header("content-type", "application/json")
    }

    /// And this field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    fn bytes(&self, is_head: bool) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} Said\r\n", self.status);
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.status != 204 && self.status != 304 {
            text.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        let mut bytes = (text + "\r\n").into_bytes();
        if !is_head {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}
