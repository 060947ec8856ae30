//! Header values with placeholders: `${request.id}`, `$$` for a dollar sign.
//!
//! Promises: what is filled in can stand in a header field; bytes that can't become `?`, so that nothing a client sends
//! makes an edit fail. Leaves out: default values.

use plugin_sdk::{Request, header};

/// A value in pieces.
#[derive(Debug)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Text(String),
    /// The index of a placeholder.
    Value(usize),
}

/// Something that is known of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Placeholder {
    RequestId,
    RequestMethod,
    RequestPath,
    RequestHost,
    RequestHeader(String),
    ClientIp,
    Route,
    Param(String),
    Attribute(String),
}

impl Template {
    /// Read a template; its placeholders are added to the list, or found there.
    pub(crate) fn parse(text: &str, placeholders: &mut Vec<Placeholder>) -> Result<Self, String> {
        header::check_value(text.as_bytes())
            .map_err(|_| "the value has control characters".to_owned())?;
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
            let placeholder = Placeholder::parse(name)?;
            let index = placeholders
                .iter()
                .position(|known| *known == placeholder)
                .unwrap_or_else(|| {
                    placeholders.push(placeholder);
                    placeholders.len() - 1
                });
            pieces.extend((!plain.is_empty()).then(|| Piece::Text(std::mem::take(&mut plain))));
            pieces.push(Piece::Value(index));
            rest = after;
        }
        plain.push_str(rest);
        pieces.extend((!plain.is_empty()).then_some(Piece::Text(plain)));
        Ok(Self(pieces))
    }

    /// The value, or `None` if it is empty because its placeholders are.
    pub(crate) fn fill(&self, values: &[Vec<u8>]) -> Option<Vec<u8>> {
        let mut filled = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.extend_from_slice(text.as_bytes()),
                Piece::Value(index) => filled.extend_from_slice(&values[*index]),
            }
        }
        if filled.is_empty() && !self.0.is_empty() {
            None
        } else {
            Some(filled)
        }
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
                    "`${{request.header.{name}}}`: {name:?} is no name of a header field"
                ));
            }
            return Ok(Self::RequestHeader(name.to_ascii_lowercase()));
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
                "unknown placeholder `${{{name}}}`; there are request.id, request.method, request.path, \
                 request.host, request.header.NAME, client.ip, consumer, route, param.NAME and attribute.NAME"
            )),
        }
    }

    /// What it stands for; empty if the request has no such thing.
    pub(crate) fn value(&self, request: &Request) -> Vec<u8> {
        let mut value = match self {
            Self::RequestId => request.id().into_bytes(),
            Self::RequestMethod => request.method().into_bytes(),
            Self::RequestPath => request.path().into_bytes(),
            Self::RequestHost => request.authority().into_bytes(),
            Self::RequestHeader(name) => request.header(name).unwrap_or_default(),
            Self::ClientIp => request.client_ip().into_bytes(),
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
