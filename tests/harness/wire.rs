//! HTTP/1.1 as bytes: read a head, read a body by its framing. Strict where a sloppy reader would hide a mistake.
//!
//! Leaves out: whatever hyper does, on purpose; tests must not see the wire through the gateway's own parser.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;

/// A request or response head.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// Request or status line, without its end.
    pub start: String,
    /// Fields in the order in which they came. Values as Latin-1, so that every byte is kept.
    pub fields: Vec<(String, String)>,
}

/// A body as it was framed.
#[derive(Debug, Clone, Default)]
pub struct Body {
    /// Its bytes.
    pub data: Vec<u8>,
    /// What came behind the last chunk.
    pub trailers: Vec<(String, String)>,
    /// Whether it came to its proper end.
    pub is_whole: bool,
}

/// How a body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// By `Content-Length`.
    Length(usize),
    /// Chunked.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// Reads from a connection.
#[derive(Debug)]
pub struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Head {
    /// The first field of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    /// Every field of that name.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.fields
            .iter()
            .filter(same)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// How a request body is framed (RFC 9112 6.3).
    #[must_use]
    pub fn request_framing(&self) -> Framing {
        self.framing().unwrap_or(Framing::None)
    }

    /// How the body of a response to `method` is framed.
    #[must_use]
    pub fn response_framing(&self, method: &str) -> Framing {
        let status = self.status();
        if method == "HEAD" || (100..200).contains(&status) || status == 204 || status == 304 {
            return Framing::None;
        }
        self.framing().unwrap_or(Framing::Close)
    }

    /// The status of a response head, 0 if it is none.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.start
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0)
    }

    fn framing(&self) -> Option<Framing> {
        let (length, coding) = (self.all("content-length"), self.all("transfer-encoding"));
        assert!(
            length.is_empty() || coding.is_empty(),
            "framed twice: {self:?}"
        );
        assert!(
            length.len() < 2 && coding.len() < 2,
            "framed twice: {self:?}"
        );
        if let Some(coding) = coding.first() {
            assert_eq!(*coding, "chunked", "{self:?}");
            return Some(Framing::Chunked);
        }
        length
            .first()
            .map(|length| Framing::Length(length.parse().expect("a length is a number")))
    }
}

impl Reader {
    /// Read from that stream.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// The next head; `None` if the connection ended before it began.
    pub fn head(&mut self) -> io::Result<Option<Head>> {
        let Some(start) = self.line()? else {
            return Ok(None);
        };
        let fields = self.fields()?;
        Ok(Some(Head { start, fields }))
    }

    /// The body that follows.
    pub fn body(&mut self, framing: Framing) -> io::Result<Body> {
        let mut body = Body::default();
        let end = match framing {
            Framing::None => Ok(()),
            Framing::Length(length) => self.take_into(length, &mut body.data),
            Framing::Chunked => self.chunks(&mut body),
            Framing::Close => self.take_all(&mut body.data),
        };
        match end {
            Ok(()) => body.is_whole = true,
            Err(error) if is_end(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(body)
    }

    /// The next chunk; `None` at the last one, whose trailers are left unread.
    pub fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line = self.line()?.ok_or(ErrorKind::UnexpectedEof)?;
        let size = usize::from_str_radix(&line, 16)
            .map_err(|_| io::Error::other(format!("chunk size {line:?}")))?;
        if size == 0 {
            return Ok(None);
        }
        let mut data = Vec::new();
        self.take_into(size, &mut data)?;
        match self.line()? {
            Some(rest) if rest.is_empty() => Ok(Some(data)),
            _ => Err(ErrorKind::UnexpectedEof.into()),
        }
    }

    /// So many bytes.
    pub fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut data = Vec::new();
        self.take_into(count, &mut data)?;
        Ok(data)
    }

    /// Everything up to the end of the connection.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut data = Vec::new();
        self.take_all(&mut data)?;
        Ok(data)
    }

    /// Whatever is there next, at least a byte; empty at the end.
    pub fn some(&mut self) -> io::Result<Vec<u8>> {
        if self.buffer.is_empty() {
            self.fill()?;
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    fn chunks(&mut self, body: &mut Body) -> io::Result<()> {
        while let Some(data) = self.chunk()? {
            body.data.extend_from_slice(&data);
        }
        body.trailers = self.fields()?;
        Ok(())
    }

    fn fields(&mut self) -> io::Result<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?.ok_or(ErrorKind::UnexpectedEof)?;
            if line.is_empty() {
                return Ok(fields);
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| io::Error::other(format!("no field: {line:?}")))?;
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.buffer[searched..]
                .windows(2)
                .position(|pair| pair == b"\r\n")
            {
                let line: Vec<u8> = self.buffer.drain(..searched + end + 2).collect();
                return Ok(Some(
                    line[..line.len() - 2]
                        .iter()
                        .map(|byte| char::from(*byte))
                        .collect(),
                ));
            }
            searched = self.buffer.len().saturating_sub(1);
            if !self.fill()? {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    fn take_into(&mut self, count: usize, to: &mut Vec<u8>) -> io::Result<()> {
        let mut left = count;
        loop {
            let ready = left.min(self.buffer.len());
            to.extend(self.buffer.drain(..ready));
            left -= ready;
            if left == 0 {
                return Ok(());
            }
            if !self.fill()? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn take_all(&mut self, to: &mut Vec<u8>) -> io::Result<()> {
        loop {
            to.append(&mut self.buffer);
            if !self.fill()? {
                return Ok(());
            }
        }
    }

    fn fill(&mut self) -> io::Result<bool> {
        let mut piece = [0; 64 * 1024];
        let count = self.stream.read(&mut piece)?;
        self.buffer.extend_from_slice(&piece[..count]);
        Ok(count > 0)
    }
}

/// Whether a connection has ended, well or by a reset.
#[must_use]
pub fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}
