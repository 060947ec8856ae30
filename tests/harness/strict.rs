//! A reader of HTTP/1.1 requests that forgives nothing (RFC 9112), to say what a gateway has forwarded, and a server that
//! records through it.
//!
//! Beyond the RFC it asks for the one normal form in which a gateway is to forward: names in lower case and without
//! anything but letters, digits and hyphens, one blank before a value, no chunk extensions, no fields of the connection
//! but `te: trailers`, and no two ways to say how long a body is.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::PATIENCE;

/// A request in normal form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Strict {
    /// The method.
    pub method: String,
    /// The request target.
    pub target: String,
    /// Names and values in their order.
    pub fields: Vec<(String, String)>,
    /// The body, unchunked.
    pub body: Vec<u8>,
    /// What came behind the last chunk.
    pub trailers: Vec<(String, String)>,
}

/// What some bytes are.
#[derive(Debug, PartialEq, Eq)]
pub enum Reading {
    /// The start of a request.
    Partial,
    /// A request, and how many of the bytes it takes.
    Whole(Box<Strict>, usize),
    /// Neither.
    Bad(String),
}

type Parsed<T> = Result<Option<T>, String>;

impl Strict {
    /// Every value of that field, joined.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        let same = self.fields.iter().filter(|(known, _)| known == name);
        let values: Vec<&str> = same.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }
}

/// Read one request from the start of some bytes.
#[must_use]
pub fn read(bytes: &[u8]) -> Reading {
    match request(bytes) {
        Ok(None) => Reading::Partial,
        Ok(Some((request, length))) => Reading::Whole(Box::new(request), length),
        Err(problem) => Reading::Bad(problem),
    }
}

fn request(bytes: &[u8]) -> Parsed<(Strict, usize)> {
    let mut at = 0;
    let Some(start) = line(bytes, &mut at)? else {
        return Ok(None);
    };
    let [method, target, version] = start.split(' ').collect::<Vec<_>>()[..] else {
        return Err(format!("request line {start:?}"));
    };
    if !is_token(method) || !is_target(target) || version != "HTTP/1.1" {
        return Err(format!("request line {start:?}"));
    }
    let Some(fields) = fields(bytes, &mut at)? else {
        return Ok(None);
    };
    check(&fields)?;
    let mut request = Strict {
        method: method.to_owned(),
        target: target.to_owned(),
        fields,
        ..Strict::default()
    };
    let whole = match (
        request.get("content-length"),
        request.get("transfer-encoding"),
    ) {
        (None, None) => Some(()),
        (Some(length), None) => {
            let length = number(&length)?;
            take(bytes, &mut at, length).map(|body| request.body = body.to_vec())
        }
        (None, Some(_)) => chunks(bytes, &mut at, &mut request)?,
        (Some(_), Some(_)) => return Err("framed twice".to_owned()),
    };
    Ok(whole.map(|()| (request, at)))
}

fn chunks(bytes: &[u8], at: &mut usize, request: &mut Strict) -> Parsed<()> {
    loop {
        let Some(size) = line(bytes, at)? else {
            return Ok(None);
        };
        let is_hex = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = usize::from_str_radix(&size, 16).ok().filter(|_| is_hex);
        let size = size.ok_or("chunk size")?;
        if size == 0 {
            let Some(trailers) = fields(bytes, at)? else {
                return Ok(None);
            };
            let framing = ["content-length", "transfer-encoding", "host", "trailer"];
            if let Some((name, _)) = trailers
                .iter()
                .find(|(name, _)| framing.contains(&name.as_str()))
            {
                return Err(format!("trailer {name}"));
            }
            request.trailers = trailers;
            return Ok(Some(()));
        }
        let Some(data) = take(bytes, at, size) else {
            return Ok(None);
        };
        request.body.extend_from_slice(data);
        match line(bytes, at)? {
            None => return Ok(None),
            Some(rest) if rest.is_empty() => {}
            Some(rest) => return Err(format!("behind a chunk: {rest:?}")),
        }
    }
}

/// What must hold of the fields of a request that a gateway has forwarded.
fn check(fields: &[(String, String)]) -> Result<(), String> {
    let all = |name: &str| -> Vec<&str> {
        let same = fields.iter().filter(|(known, _)| known == name);
        same.map(|(_, value)| value.as_str()).collect()
    };
    let [host] = all("host")[..] else {
        return Err(format!("hosts {:?}", all("host")));
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_host) {
        return Err(format!("host {host:?}"));
    }
    if !matches!(all("transfer-encoding")[..], [] | ["chunked"]) || all("content-length").len() > 1
    {
        return Err("framing".to_owned());
    }
    if !matches!(all("connection")[..], [] | ["te"]) || !matches!(all("te")[..], [] | ["trailers"])
    {
        return Err("connection".to_owned());
    }
    for name in [
        "upgrade",
        "keep-alive",
        "proxy-connection",
        "http2-settings",
        "expect",
    ] {
        if !all(name).is_empty() {
            return Err(format!("field {name}"));
        }
    }
    Ok(())
}

fn fields(bytes: &[u8], at: &mut usize) -> Parsed<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let Some(line) = line(bytes, at)? else {
            return Ok(None);
        };
        if line.is_empty() {
            return Ok(Some(fields));
        }
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| format!("field {line:?}"))?;
        let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if name.is_empty() || !name.bytes().all(is_plain) {
            return Err(format!("field name {name:?}"));
        }
        let value = value.strip_prefix(' ').unwrap_or(value);
        let is_visible = |letter: char| letter == '\t' || (letter >= ' ' && letter != '\x7f');
        if value != value.trim_matches([' ', '\t']) || !value.chars().all(is_visible) {
            return Err(format!("field value {value:?}"));
        }
        fields.push((name.to_owned(), value.to_owned()));
    }
}

/// A line up to its CR LF, as Latin-1.
fn line(bytes: &[u8], at: &mut usize) -> Parsed<String> {
    let rest = &bytes[*at..];
    let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return Ok(None);
    };
    match rest[end..] {
        [b'\r'] => Ok(None),
        [b'\r', b'\n', ..] => {
            *at += end + 2;
            Ok(Some(
                rest[..end].iter().map(|byte| char::from(*byte)).collect(),
            ))
        }
        _ => Err("a line that does not end with CR LF".to_owned()),
    }
}

fn take<'a>(bytes: &'a [u8], at: &mut usize, count: usize) -> Option<&'a [u8]> {
    let taken = bytes.get(*at..at.checked_add(count)?)?;
    *at += count;
    Some(taken)
}

fn number(text: &str) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|_| format!("length {text:?}"))?;
    let is_plain = number.to_string() == text;
    is_plain
        .then_some(number)
        .ok_or_else(|| format!("length {text:?}"))
}

fn is_token(text: &str) -> bool {
    let is_one = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_one)
}

/// The origin-form (RFC 9112 3.2.1), its path by the letter of RFC 3986 3.3. Clients write more than RFC 3986 3.4 allows
/// into queries; here that is anything visible but `#`.
fn is_target(text: &str) -> bool {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@/".contains(&byte);
    let mut bytes = path.bytes();
    let mut is_fine = path.starts_with('/');
    while let Some(byte) = bytes.next() {
        let is_hex = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
        is_fine &= allowed(byte) || (byte == b'%' && is_hex(bytes.next()) && is_hex(bytes.next()));
    }
    is_fine
        && query
            .chars()
            .all(|letter| letter > ' ' && letter != '#' && letter != '\x7f')
}

/// A server that answers every request with 200 and `ok`, and keeps what it was sent.
pub struct Recorder {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Strict>>,
    problems: Mutex<BTreeSet<String>>,
    is_over: AtomicBool,
}

impl Recorder {
    /// On a port of its own.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if accepting.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Self { address, shared }
    }

    /// As an endpoint.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests that came whole since this was asked last.
    #[must_use]
    pub fn take(&self) -> Vec<Strict> {
        std::mem::take(&mut lock(&self.shared.seen))
    }

    /// What came and was no request in normal form.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        lock(&self.shared.problems).iter().cloned().collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // Wakes whoever accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let mut bytes = Vec::new();
        let mut piece = [0; 16 * 1024];
        loop {
            match read(&bytes) {
                Reading::Whole(request, length) => {
                    bytes.drain(..length);
                    let is_head = request.method == "HEAD";
                    lock(&self.seen).push(*request);
                    let body = if is_head { "" } else { "ok" };
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{body}");
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
                Reading::Partial => match stream.read(&mut piece) {
                    Ok(0) | Err(_) => return,
                    Ok(count) => bytes.extend_from_slice(&piece[..count]),
                },
                Reading::Bad(problem) => {
                    let text = bytes.escape_ascii();
                    lock(&self.problems).insert(format!("{problem}: {text}"));
                    return;
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
