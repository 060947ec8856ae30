//! [`Exchange`]: a request and its response, as one place in a chain sees them.
//!
//! Promises: hooks edit it under the gateway's checks; what a test writes with the builder comes "from the wire" and
//! is taken as it is. Leaves out: routing and rewriting; path and original path are the same.

use std::cell::RefCell;

use super::message::{self, RequestData, ResponseData};
use crate::{ClientCertificate, EditError, LocalResponse, LogEntry, PluginTime, Request, Response};

/// One exchange in a test: a request from `192.0.2.1` to `http://gateway.example` on the route `route`, and a 200
/// from the upstream, unless it is told otherwise.
#[derive(Debug)]
pub struct Exchange {
    pub(super) request: message::Request,
    pub(super) response: message::Response,
}

impl Exchange {
    /// A request; the target is a path with an optional query.
    pub fn new(method: &str, target: &str) -> Self {
        let (path, query) = target
            .split_once('?')
            .map_or((target, None), |(path, query)| (path, Some(query)));
        let request = RequestData {
            id: "exchange-1".to_owned(),
            method: method.to_owned(),
            scheme: "http".to_owned(),
            authority: "gateway.example".to_owned(),
            path: path.to_owned(),
            original_path: path.to_owned(),
            query: query.map(str::to_owned),
            client_ip: "192.0.2.1".to_owned(),
            route: "route".to_owned(),
            ..RequestData::default()
        };
        let response = ResponseData {
            status: 200,
            from_upstream: true,
            fields: super::fields::Fields::default(),
        };
        Self {
            request: message::Request(RefCell::new(request)),
            response: message::Response(RefCell::new(response)),
        }
    }

    /// A `GET`.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// With another id.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.request_data().id = id.to_owned();
        self
    }

    /// From another client.
    #[must_use]
    pub fn client_ip(mut self, client_ip: &str) -> Self {
        self.request_data().client_ip = client_ip.to_owned();
        self
    }

    /// By https, from a client with this certificate.
    #[must_use]
    pub fn client_certificate(mut self, certificate: ClientCertificate) -> Self {
        let request = self.request_data();
        request.scheme = "https".to_owned();
        request.client_certificate = Some(certificate);
        self
    }

    /// By another scheme.
    #[must_use]
    pub fn scheme(mut self, scheme: &str) -> Self {
        self.request_data().scheme = scheme.to_owned();
        self
    }

    /// To another host.
    #[must_use]
    pub fn authority(mut self, authority: &str) -> Self {
        self.request_data().authority = authority.to_owned();
        self
    }

    /// On another route.
    #[must_use]
    pub fn route(mut self, route: &str) -> Self {
        self.request_data().route = route.to_owned();
        self
    }

    /// With a value for a `{name}` of the route's path.
    #[must_use]
    pub fn param(mut self, name: &str, value: &str) -> Self {
        self.request_data()
            .params
            .push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a value that a plugin before this one has shared.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        self.request_data()
            .attributes
            .push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a header field of the request.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.request_data().fields.push(name, value.as_ref());
        self
    }

    /// With another status of the upstream's response.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.response_data().status = status;
        self
    }

    /// With a header field of the upstream's response.
    #[must_use]
    pub fn response_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.response_data().fields.push(name, value.as_ref());
        self
    }

    /// With a response that another plugin made, instead of the upstream's.
    #[must_use]
    pub fn responded(mut self, response: &LocalResponse) -> Self {
        let data = self.response_data();
        *data = ResponseData {
            status: response.status,
            from_upstream: false,
            fields: super::fields::Fields::default(),
        };
        for header in &response.headers {
            data.fields.push(&header.name, &header.value);
        }
        self
    }

    /// The request, as hooks have left it.
    pub fn request(&self) -> Request<'_> {
        Request::new(&self.request)
    }

    /// The response, as hooks have left it.
    pub fn response(&self) -> Response<'_> {
        Response::new(&self.response)
    }

    /// What the log hook gets of this exchange, with round numbers: it began at 1,700,000,000 s, took 3 ms of which
    /// 2 ms were the upstream's and 1 us a plugin's, and passed 10 bytes up and 20 down.
    pub fn log_entry(&self) -> LogEntry {
        let request = self.request.0.borrow();
        LogEntry {
            id: request.id.clone(),
            started: 1_700_000_000_000_000_000,
            client_ip: request.client_ip.clone(),
            protocol: "HTTP/1.1".to_owned(),
            method: request.method.clone(),
            scheme: request.scheme.clone(),
            authority: request.authority.clone(),
            path: request.original_path.clone(),
            query: request.query.clone(),
            route: Some(request.route.clone()),
            endpoint: Some("127.0.0.1:9001".to_owned()),
            status: self.response.status(),
            failure: None,
            request_bytes: 10,
            response_bytes: 20,
            duration: 3_000_000,
            upstream_duration: Some(2_000_000),
            plugins: vec![PluginTime {
                name: "plugin".to_owned(),
                nanoseconds: 1_000,
            }],
        }
    }

    /// Do what a request hook wants done to the response, or forget it: the answer of the plugin itself does not pass it.
    pub(super) fn edit_response(&self, passes: bool) -> Result<(), EditError> {
        let edits = std::mem::take(&mut self.request.0.borrow_mut().later);
        if passes {
            self.response.0.borrow_mut().fields.edit(&edits)?;
        }
        Ok(())
    }

    fn request_data(&mut self) -> &mut RequestData {
        self.request.0.get_mut()
    }

    fn response_data(&mut self) -> &mut ResponseData {
        self.response.0.get_mut()
    }
}
