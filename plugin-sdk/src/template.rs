//! [`Template`]: a text with placeholders, such as the header value `${route} via ${client.ip}`.
//!
//! Promises: placeholders are checked when the template is read, at load. What is filled in can stand
//! in a header field: bytes that can't become `?`, so that nothing a client sends makes an edit fail.
//! Leaves out: default values.

use serde::{Deserialize, Deserializer};

use crate::{ClientCertificate, Request, header};

/// A text with placeholders that are filled in for each exchange. It stands in a configuration like a
/// string, and a wrong one is refused at load, by its key.
///
/// | placeholder | stands for |
/// |---|---|
/// | `${request.id}` | the id of the exchange |
/// | `${request.method}`, `${request.path}`, `${request.host}` | method, path, host and port |
/// | `${request.header.NAME}` | the first request field of that name |
/// | `${client.ip}`, `${route}` | the client's address, the name of the route |
/// | `${client.certificate.PART}` | of the client's certificate: `subject`, `issuer`, `serial`, `fingerprint`, or its first `dns`, `email` or `uri` |
/// | `${param.NAME}` | what `{NAME}` in the route's path matched |
/// | `${attribute.NAME}`, `${consumer}` | what another plugin has shared; the attribute `consumer` |
///
/// `$$` is a dollar sign.
///
/// ```
/// use plugin_sdk::{Decision, Fault, OnRequest, Plugin, Request, Template};
///
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Config {
///     greeting: Template,
/// }
///
/// struct Hello(Config);
/// # impl Plugin for Hello {
/// #     type Config = Config;
/// #     fn new(config: Config) -> Result<Self, String> { Ok(Self(config)) }
/// # }
///
/// impl OnRequest for Hello {
///     fn on_request(&self, request: &mut Request) -> Result<Decision, Fault> {
///         if let Some(greeting) = self.0.greeting.fill(request) {
///             request.set_header("x-hello", greeting)?;
///         }
///         Ok(Decision::Next)
///     }
/// }
/// # use plugin_sdk::testing::{Exchange, Harness};
/// let harness = Harness::<Hello>::new("greeting = 'hi, ${consumer}'")?;
/// let exchange = Exchange::get("/").attribute("consumer", "Ada");
/// harness.on_request(&exchange)?;
/// assert_eq!(exchange.request().header_str("x-hello").as_deref(), Some("hi, Ada"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(Placeholder),
}

/// Something that is known of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Placeholder {
    RequestId,
    RequestMethod,
    RequestPath,
    RequestHost,
    RequestHeader(String),
    ClientIp,
    Certificate(Part),
    Route,
    Param(String),
    Attribute(String),
}

/// A part of the client's certificate; of names, the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Subject,
    Issuer,
    Serial,
    Fingerprint,
    Dns,
    Email,
    Uri,
}

/// What placeholders stand for in one hook call, for several templates: each is looked up once, since
/// that is a call to the gateway.
#[derive(Debug)]
pub struct TemplateValues<'t, 'r> {
    request: &'r Request<'r>,
    known: Vec<(&'t Placeholder, Vec<u8>)>,
}

impl Template {
    /// Read a template.
    pub fn parse(text: &str) -> Result<Self, String> {
        header::check_value(text.as_bytes()).map_err(|_| {
            "the value has control characters, or white space at its ends".to_owned()
        })?;
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            plain.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                plain.push('$');
                rest = after;
                continue;
            }
            let inner = after
                .strip_prefix('{')
                .and_then(|after| after.split_once('}'));
            let (name, after) =
                inner.ok_or("`$` begins `${name}`; a dollar sign is written `$$`")?;
            pieces.extend((!plain.is_empty()).then(|| Piece::Text(std::mem::take(&mut plain))));
            pieces.push(Piece::Value(Placeholder::parse(name)?));
            rest = after;
        }
        plain.push_str(rest);
        pieces.extend((!plain.is_empty()).then_some(Piece::Text(plain)));
        Ok(Self(pieces))
    }

    /// The text, if there is no placeholder in it: the same for each exchange, so prepare it.
    pub fn fixed(&self) -> Option<&str> {
        match &*self.0 {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text for this exchange, or `None` if it is empty because its placeholders are.
    pub fn fill(&self, request: &Request) -> Option<Vec<u8>> {
        self.fill_from(&mut TemplateValues::of(request))
    }

    /// The same for one of several templates in a hook call.
    pub fn fill_from<'t>(&'t self, values: &mut TemplateValues<'t, '_>) -> Option<Vec<u8>> {
        let mut filled = Vec::new();
        for piece in &self.0 {
            filled.extend_from_slice(match piece {
                Piece::Text(text) => text.as_bytes(),
                Piece::Value(placeholder) => values.value(placeholder),
            });
        }
        // What a placeholder brought must not make the field one that can't be sent.
        let filled = filled.trim_ascii();
        (!filled.is_empty() || self.0.is_empty()).then(|| filled.to_vec())
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl<'t, 'r> TemplateValues<'t, 'r> {
    /// Those of this request; nothing is looked up yet.
    pub fn of(request: &'r Request<'_>) -> Self {
        Self {
            request,
            known: Vec::new(),
        }
    }

    fn value(&mut self, placeholder: &'t Placeholder) -> &[u8] {
        let known = self.known.iter().position(|(it, _)| *it == placeholder);
        let index = known.unwrap_or_else(|| {
            self.known
                .push((placeholder, placeholder.value(self.request)));
            self.known.len() - 1
        });
        &self.known[index].1
    }
}

impl Placeholder {
    fn parse(name: &str) -> Result<Self, String> {
        let after = |prefix| {
            name.strip_prefix(prefix)
                .filter(|rest: &&str| !rest.is_empty())
                .map(str::to_owned)
        };
        if let Some(name) = after("request.header.") {
            if !header::is_token(&name) {
                return Err(format!(
                    "`${{request.header.{name}}}`: \"{name}\" is no name of a header field"
                ));
            }
            return Ok(Self::RequestHeader(name.to_ascii_lowercase()));
        }
        if let Some(part) = name
            .strip_prefix("client.certificate.")
            .and_then(Part::parse)
        {
            return Ok(Self::Certificate(part));
        }
        if let Some(placeholder) = after("param.")
            .map(Self::Param)
            .or(after("attribute.").map(Self::Attribute))
        {
            return Ok(placeholder);
        }
        match name {
            "request.id" => Ok(Self::RequestId),
            "request.method" => Ok(Self::RequestMethod),
            "request.path" => Ok(Self::RequestPath),
            "request.host" => Ok(Self::RequestHost),
            "client.ip" => Ok(Self::ClientIp),
            "route" => Ok(Self::Route),
            "consumer" => Ok(Self::Attribute("consumer".to_owned())),
            _ => Err(format!(
                "unknown placeholder `${{{name}}}`; there are request.id, request.method, \
                 request.path, request.host, request.header.NAME, client.ip, \
                 client.certificate.PART, consumer, route, param.NAME and attribute.NAME"
            )),
        }
    }

    /// What it stands for; empty if the request has no such thing.
    fn value(&self, request: &Request) -> Vec<u8> {
        let mut value = match self {
            Self::RequestId => request.id().into_bytes(),
            Self::RequestMethod => request.method().into_bytes(),
            Self::RequestPath => request.path().into_bytes(),
            Self::RequestHost => request.authority().into_bytes(),
            Self::RequestHeader(name) => request.header(name).unwrap_or_default(),
            Self::ClientIp => request.client_ip().into_bytes(),
            Self::Certificate(part) => {
                let certificate = request.client_certificate();
                let value = certificate.map(|certificate| part.of(certificate));
                value.unwrap_or_default().into_bytes()
            }
            Self::Route => request.route().into_bytes(),
            Self::Param(name) => request.param(name).unwrap_or_default().into_bytes(),
            Self::Attribute(name) => request.attribute(name).unwrap_or_default().into_bytes(),
        };
        for byte in value
            .iter_mut()
            .filter(|byte| !header::is_value_byte(**byte))
        {
            *byte = b'?';
        }
        value
    }
}

impl Part {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "subject" => Self::Subject,
            "issuer" => Self::Issuer,
            "serial" => Self::Serial,
            "fingerprint" => Self::Fingerprint,
            "dns" => Self::Dns,
            "email" => Self::Email,
            "uri" => Self::Uri,
            _ => return None,
        })
    }

    /// Empty if the certificate has none.
    fn of(self, certificate: ClientCertificate) -> String {
        let first = |names: Vec<String>| names.into_iter().next().unwrap_or_default();
        match self {
            Self::Subject => certificate.subject,
            Self::Issuer => certificate.issuer,
            Self::Serial => certificate.serial,
            Self::Fingerprint => certificate.fingerprint,
            Self::Dns => first(certificate.dns_names),
            Self::Email => first(certificate.emails),
            Self::Uri => first(certificate.uris),
        }
    }
}

#[cfg(test)]
mod tests;
