//! A request without a body, written down so that it can be sent once more.
//!
//! It lets an upstream restart without a failed GET. Nearly all are thrown away unread, so it is made to be cheap: one piece of
//! memory, where a second header map would share each name and value, with a locked instruction to take it and one to give
//! it back.

use http::header::{HeaderName, HeaderValue};
use http::{Method, Request, Uri};

use super::outgoing::Outgoing;
use crate::body::Body;

/// What a name and its value commonly take.
const FIELD_BYTES: usize = 48;

/// A request without its body.
pub(super) struct Written {
    method: Method,
    uri: Uri,
    /// For each field its name, a colon, its value and a line feed: the former is in no name, and the latter in no value.
    fields: Vec<u8>,
}

impl Written {
    /// Write that one down.
    pub(super) fn of(request: &Request<Outgoing>) -> Self {
        let headers = request.headers();
        let mut fields = Vec::with_capacity(headers.len() * FIELD_BYTES);
        for (name, value) in headers {
            fields.extend_from_slice(name.as_str().as_bytes());
            fields.push(b':');
            fields.extend_from_slice(value.as_bytes());
            fields.push(b'\n');
        }
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            fields,
        }
    }

    /// The same request again.
    pub(super) fn read(self) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        let fields = self.fields.split(|byte| *byte == b'\n');
        let fields = fields.filter_map(|field| {
            let colon = field.iter().position(|byte| *byte == b':')?;
            let (name, value) = field.split_at(colon);
            Some((
                HeaderName::from_bytes(name).ok()?,
                HeaderValue::from_bytes(&value[1..]).ok()?,
            ))
        });
        for (name, value) in fields {
            request.headers_mut().append(name, value);
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_down_is_the_same_when_it_is_read() {
        let mut request = Request::new(Outgoing::new(Body::empty()));
        *request.method_mut() = Method::DELETE;
        *request.uri_mut() = Uri::from_static("/a?b=c:d");
        let long = "v".repeat(10_000);
        let fields = [
            ("host", "example.org:8080".as_bytes()),
            ("x-twice", b"one"),
            ("x-twice", b"two: \t\xff"),
            ("x-empty", b""),
            ("x-long", long.as_bytes()),
        ];
        for (name, value) in fields {
            let value = HeaderValue::from_bytes(value).unwrap();
            request.headers_mut().append(name, value);
        }
        let again = Written::of(&request).read();
        assert_eq!(again.method(), request.method());
        assert_eq!(again.uri(), request.uri());
        assert_eq!(again.headers(), request.headers());
    }
}
