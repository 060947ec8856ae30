//! A client that sends what it is told, byte by byte if need be, and shows what came back.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::Value;

use crate::PATIENCE;
use crate::wire::{Framing, Head, Reader, is_end};

/// One connection.
pub struct Client {
    stream: TcpStream,
    reader: Reader,
}

/// A request to send.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: String,
    fields: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

/// A response, as far as it came.
#[derive(Debug, Clone)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its head.
    pub head: Head,
    /// Its body.
    pub body: Vec<u8>,
    /// What came behind the last chunk.
    pub trailers: Vec<(String, String)>,
    /// Whether the body came to its proper end.
    pub is_whole: bool,
}

/// A GET.
#[must_use]
pub fn get(target: &str) -> Request {
    Request::new("GET", target)
}

/// A POST with a body.
#[must_use]
pub fn post(target: &str, body: impl AsRef<[u8]>) -> Request {
    Request::new("POST", target).body(body)
}

impl Request {
    /// Any method.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            fields: Vec::new(),
            body: None,
        }
    }

    /// And this field. `host` is `gateway.test` unless said.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this body, by `Content-Length`.
    #[must_use]
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = Some(body.as_ref().to_vec());
        self
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// As it goes over the wire.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self
            .fields
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            text.push_str("host: gateway.test\r\n");
        }
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = &self.body {
            text.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        let mut bytes = (text + "\r\n").into_bytes();
        bytes.extend(self.body.iter().flatten());
        bytes
    }
}

impl Client {
    /// Connect.
    ///
    /// # Panics
    /// If nobody listens.
    #[must_use]
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the gateway listens");
        Self::over(stream)
    }

    /// Connect, and pause between bytes written and read for as little as possible; also of use on a socket that the
    /// test has made itself.
    ///
    /// # Panics
    /// If the socket is broken.
    #[must_use]
    pub fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a socket takes options");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket takes options");
        stream
            .set_write_timeout(Some(PATIENCE))
            .expect("a socket takes options");
        let reader = Reader::new(stream.try_clone().expect("a socket can be shared"));
        Self { stream, reader }
    }

    /// Send a request and read its response.
    ///
    /// # Panics
    /// If the connection ends without one.
    #[track_caller]
    pub fn request(&mut self, request: &Request) -> Response {
        self.send(request.bytes());
        self.response_to(&request.method)
    }

    /// Send bytes as they are.
    ///
    /// # Panics
    /// If they can't be sent.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the gateway reads");
    }

    /// Send bytes as they are; the other side may have closed.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// The next response, to a GET.
    ///
    /// # Panics
    /// If the connection ends without one.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// The next final response, to a request with that method.
    ///
    /// # Panics
    /// If the connection ends without one.
    #[track_caller]
    pub fn response_to(&mut self, method: &str) -> Response {
        self.try_response_to(method)
            .expect("the connection ended before a response")
    }

    /// The next final response, or `None` if the connection ends first.
    #[track_caller]
    pub fn try_response_to(&mut self, method: &str) -> Option<Response> {
        let head = loop {
            let head = self.head()?;
            if !(100..200).contains(&head.status()) || head.status() == 101 {
                break head;
            }
        };
        let body = self
            .reader
            .body(head.response_framing(method))
            .expect("a body comes in time");
        Some(Response {
            status: head.status(),
            head,
            body: body.data,
            trailers: body.trailers,
            is_whole: body.is_whole,
        })
    }

    /// The next head, also of an interim response; `None` if the connection ends first.
    #[track_caller]
    pub fn head(&mut self) -> Option<Head> {
        match self.reader.head() {
            Ok(head) => head,
            Err(error) if is_end(&error) => None,
            Err(error) => panic!("no response: {error}"),
        }
    }

    /// What comes next.
    pub fn reader(&mut self) -> &mut Reader {
        &mut self.reader
    }

    /// Everything up to the end of the connection.
    ///
    /// # Panics
    /// If it does not end.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        match self.reader.body(Framing::Close) {
            Ok(body) => body.data,
            Err(error) => panic!("the connection does not end: {error}"),
        }
    }

    /// Say that nothing more will be sent.
    pub fn end(&self) {
        // Closed already: the same.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The socket, for whoever needs its options.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

impl Response {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("no JSON ({error}): {} {:?}", self.status, self.text()),
        }
    }

    /// The first field of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }

    /// Every field of that name, joined.
    #[must_use]
    pub fn headers(&self, name: &str) -> String {
        self.head.all(name).join(", ")
    }

    /// The reason word of a failure.
    ///
    /// # Panics
    /// If it is no failure of the gateway.
    #[must_use]
    #[track_caller]
    pub fn reason(&self) -> String {
        self.json()["error"]
            .as_str()
            .map(str::to_owned)
            .expect("a failure has a reason")
    }

    /// What the echo saw of a request field; every field of that name, joined.
    #[must_use]
    #[track_caller]
    pub fn echoed(&self, name: &str) -> Option<String> {
        let seen = self.json();
        let fields = seen["headers"].as_array().expect("the echo lists fields");
        let same = fields.iter().filter(|field| {
            field[0]
                .as_str()
                .is_some_and(|known| known.eq_ignore_ascii_case(name))
        });
        let values: Vec<&str> = same.filter_map(|field| field[1].as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }
}
