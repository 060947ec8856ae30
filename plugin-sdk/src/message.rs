//! [`Request`] and [`Response`]: what hooks see of an exchange, as handles on objects that the gateway owns.
//!
//! Promises: what a hook may not change is `&`, so a wrong edit doesn't compile; every other refusal is an
//! [`EditError`]. Each method is one call to the gateway (a third of a microsecond, mostly for its strings), so ask
//! once and prefer [`Request::edit_headers`] for several edits. Leaves out: bodies, which hooks get as bytes.

use crate::{ClientCertificate, Edit, EditError, Header, query, raw};

/// Bytes of a shared attribute, name and value together: see [`Request::set_attribute`].
pub const ATTRIBUTE_BYTES_MAX: usize = 4 << 10;

/// The request of an exchange.
#[derive(Debug)]
pub struct Request<'a> {
    raw: &'a raw::Request,
}

/// The response of an exchange, from the upstream or made by the gateway or another plugin.
#[derive(Debug)]
pub struct Response<'a> {
    raw: &'a raw::Response,
}

impl<'a> Request<'a> {
    pub(crate) fn new(raw: &'a raw::Request) -> Self {
        Self { raw }
    }
}

impl Request<'_> {
    /// The id of the exchange, unique in this gateway, also sent as `x-request-id`.
    pub fn id(&self) -> String {
        self.raw.id()
    }

    /// The request method, such as `GET`.
    pub fn method(&self) -> String {
        self.raw.method()
    }

    /// Change the method that the upstream receives. `CONNECT` and `TRACE` are forbidden.
    pub fn set_method(&mut self, method: &str) -> Result<(), EditError> {
        self.raw.set_method(method)
    }

    /// The scheme that the client used: `http` or `https`.
    pub fn scheme(&self) -> String {
        self.raw.scheme()
    }

    /// Host and port that the client asked for.
    pub fn authority(&self) -> String {
        self.raw.authority()
    }

    /// The path that the upstream receives: normalised, and rewritten as the route says. Without query.
    pub fn path(&self) -> String {
        self.raw.path()
    }

    /// Change the path that the upstream receives. It is normalised again; the route is not chosen again.
    pub fn set_path(&mut self, path: &str) -> Result<(), EditError> {
        self.raw.set_path(path)
    }

    /// The normalised path that the client asked for, before the route rewrote it.
    pub fn original_path(&self) -> String {
        self.raw.original_path()
    }

    /// What stands behind `?`, not decoded.
    pub fn query(&self) -> Option<String> {
        self.raw.query()
    }

    /// Change or remove the query that the upstream receives.
    pub fn set_query(&mut self, query: Option<&str>) -> Result<(), EditError> {
        self.raw.set_query(query)
    }

    /// The decoded value of the first query parameter of that name; see [`query::param`].
    pub fn query_param(&self, name: &str) -> Option<String> {
        query::param(&self.query()?, name)
    }

    /// The address of the client, without port: the peer, or what a trusted proxy said of it.
    pub fn client_ip(&self) -> String {
        self.raw.client_ip()
    }

    /// The certificate of the client, if the connection is by TLS and the client has shown one that the gateway believes
    /// (the listener's `client-ca`). Header fields that say something like it are the client's own words.
    pub fn client_certificate(&self) -> Option<ClientCertificate> {
        self.raw.client_certificate()
    }

    /// The name of the matched route.
    pub fn route(&self) -> String {
        self.raw.route()
    }

    /// What a `{name}` of the route's path matched.
    pub fn param(&self, name: &str) -> Option<String> {
        self.raw.param(name)
    }

    /// Have the header fields of the response edited when it passes this plugin on its way back, whoever made it. What is
    /// known now is cheaper done like this than by [`OnResponse`](crate::OnResponse): the plugin is not called
    /// again. Edits of several calls add up.
    pub fn edit_response_headers(&mut self, edits: &[Edit]) -> Result<(), EditError> {
        self.raw.edit_response_headers(edits)
    }

    /// What this plugin put aside for this exchange with [`set_state`](Self::set_state).
    pub fn state(&self) -> Option<Vec<u8>> {
        self.raw.state()
    }

    /// Keep bytes for a later hook of this plugin on the same exchange: private, at most 64 KiB. Possible in every
    /// hook, hence `&self`.
    pub fn set_state(&self, state: impl AsRef<[u8]>) -> Result<(), EditError> {
        self.raw.set_state(state.as_ref())
    }

    /// A value shared along the chain and with the log, such as `consumer`.
    pub fn attribute(&self, name: &str) -> Option<String> {
        self.raw.attribute(name)
    }

    /// Set a shared value: at most 64 of them, of at most [`ATTRIBUTE_BYTES_MAX`] bytes with the name. Possible in every
    /// hook, hence `&self`.
    pub fn set_attribute(&self, name: &str, value: &str) -> Result<(), EditError> {
        self.raw.set_attribute(name, value)
    }
}

impl<'a> Response<'a> {
    pub(crate) fn new(raw: &'a raw::Response) -> Self {
        Self { raw }
    }
}

impl Response<'_> {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.raw.status()
    }

    /// Change the status code: 200 to 599.
    pub fn set_status(&mut self, status: u16) -> Result<(), EditError> {
        self.raw.set_status(status)
    }

    /// Whether the upstream made this response (and not the gateway or a plugin).
    pub fn from_upstream(&self) -> bool {
        self.raw.from_upstream()
    }
}

/// The header access that requests and responses share. Both resources of the contract have these functions; a
/// trait would only make authors import it.
macro_rules! header_access {
    ($message:ident) => {
        impl $message<'_> {
            /// The first value of a header field.
            pub fn header(&self, name: &str) -> Option<Vec<u8>> {
                self.raw.header(name)
            }

            /// The first value of a header field, if it is UTF-8. HTTP promises bytes only (RFC 9110 5.5).
            pub fn header_str(&self, name: &str) -> Option<String> {
                String::from_utf8(self.raw.header(name)?).ok()
            }

            /// All values of a header field, in order.
            pub fn header_values(&self, name: &str) -> Vec<Vec<u8>> {
                self.raw.header_values(name)
            }

            /// All header fields; those of one name keep their order.
            pub fn headers(&self) -> Vec<Header> {
                self.raw.headers()
            }

            /// Replace every field of that name by one.
            pub fn set_header(
                &mut self,
                name: &str,
                value: impl AsRef<[u8]>,
            ) -> Result<(), EditError> {
                self.raw.set_header(name, value.as_ref())
            }

            /// Add a field and keep those of the same name.
            pub fn append_header(
                &mut self,
                name: &str,
                value: impl AsRef<[u8]>,
            ) -> Result<(), EditError> {
                self.raw.append_header(name, value.as_ref())
            }

            /// Remove every field of that name.
            pub fn remove_header(&mut self, name: &str) -> Result<(), EditError> {
                self.raw.remove_header(name)
            }

            /// Apply edits in order, in one call. The first that is refused ends it; those before it stay.
            pub fn edit_headers(&mut self, edits: &[Edit]) -> Result<(), EditError> {
                self.raw.edit_headers(edits)
            }
        }
    };
}

header_access!(Request);
header_access!(Response);
