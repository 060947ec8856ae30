//! The native counterparts of the contract's two resources, with the same functions and the same refusals.
//!
//! Promises: paths, queries, methods, status codes, state and attributes meet the gateway's checks. Leaves out:
//! normalising a path that is set (dot segments and the like are kept as they are written).

use std::cell::RefCell;

use super::fields::Fields;
use crate::header::is_token;
use crate::{ATTRIBUTE_BYTES_MAX, ClientCertificate, Edit, EditError, Header};

/// Bytes that a plugin may put aside for one exchange.
const STATE_BYTES_MAX: usize = 64 << 10;
/// Attributes of one exchange.
const ATTRIBUTES_MAX: usize = 64;
/// Bytes of a path or query.
const TARGET_BYTES_MAX: usize = 8 << 10;

/// What stands behind [`crate::Request`].
#[derive(Debug)]
pub(crate) struct Request(pub(super) RefCell<RequestData>);

#[derive(Debug, Default)]
pub(super) struct RequestData {
    pub(super) id: String,
    pub(super) method: String,
    pub(super) scheme: String,
    pub(super) authority: String,
    pub(super) path: String,
    pub(super) original_path: String,
    pub(super) query: Option<String>,
    pub(super) client_ip: String,
    pub(super) client_certificate: Option<ClientCertificate>,
    pub(super) route: String,
    pub(super) params: Vec<(String, String)>,
    pub(super) fields: Fields,
    /// For the response, when it comes back.
    pub(super) later: Vec<Edit>,
    pub(super) state: Option<Vec<u8>>,
    pub(super) attributes: Vec<(String, String)>,
}

/// What stands behind [`crate::Response`].
#[derive(Debug)]
pub(crate) struct Response(pub(super) RefCell<ResponseData>);

#[derive(Debug)]
pub(super) struct ResponseData {
    pub(super) status: u16,
    pub(super) from_upstream: bool,
    pub(super) fields: Fields,
}

impl Request {
    pub(crate) fn id(&self) -> String {
        self.0.borrow().id.clone()
    }

    pub(crate) fn method(&self) -> String {
        self.0.borrow().method.clone()
    }

    pub(crate) fn set_method(&self, method: &str) -> Result<(), EditError> {
        match method {
            "CONNECT" | "TRACE" => return Err(EditError::Forbidden),
            _ if !is_token(method) => return Err(EditError::InvalidValue),
            _ => method.clone_into(&mut self.0.borrow_mut().method),
        }
        Ok(())
    }

    pub(crate) fn scheme(&self) -> String {
        self.0.borrow().scheme.clone()
    }

    pub(crate) fn authority(&self) -> String {
        self.0.borrow().authority.clone()
    }

    pub(crate) fn path(&self) -> String {
        self.0.borrow().path.clone()
    }

    pub(crate) fn set_path(&self, path: &str) -> Result<(), EditError> {
        check_target(path)?;
        if !path.starts_with('/') || path.contains('?') {
            return Err(EditError::InvalidValue);
        }
        path.clone_into(&mut self.0.borrow_mut().path);
        Ok(())
    }

    pub(crate) fn original_path(&self) -> String {
        self.0.borrow().original_path.clone()
    }

    pub(crate) fn query(&self) -> Option<String> {
        self.0.borrow().query.clone()
    }

    pub(crate) fn set_query(&self, query: Option<&str>) -> Result<(), EditError> {
        query.map_or(Ok(()), check_target)?;
        self.0.borrow_mut().query = query.map(str::to_owned);
        Ok(())
    }

    pub(crate) fn client_ip(&self) -> String {
        self.0.borrow().client_ip.clone()
    }

    pub(crate) fn client_certificate(&self) -> Option<ClientCertificate> {
        self.0.borrow().client_certificate.clone()
    }

    pub(crate) fn route(&self) -> String {
        self.0.borrow().route.clone()
    }

    pub(crate) fn param(&self, name: &str) -> Option<String> {
        named(&self.0.borrow().params, name)
    }

    pub(crate) fn edit_response_headers(&self, edits: &[Edit]) -> Result<(), EditError> {
        let mut checked = Fields::default();
        for edit in edits {
            checked.edit(std::slice::from_ref(edit))?;
            self.0.borrow_mut().later.push(edit.clone());
        }
        Ok(())
    }

    pub(crate) fn state(&self) -> Option<Vec<u8>> {
        self.0.borrow().state.clone()
    }

    pub(crate) fn set_state(&self, state: &[u8]) -> Result<(), EditError> {
        if state.len() > STATE_BYTES_MAX {
            return Err(EditError::TooLarge);
        }
        self.0.borrow_mut().state = Some(state.to_vec());
        Ok(())
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<String> {
        named(&self.0.borrow().attributes, name)
    }

    pub(crate) fn set_attribute(&self, name: &str, value: &str) -> Result<(), EditError> {
        check_attribute(name, value)?;
        let attributes = &mut self.0.borrow_mut().attributes;
        let known = attributes.iter().position(|(known, _)| known == name);
        if known.is_none() && attributes.len() >= ATTRIBUTES_MAX {
            return Err(EditError::TooLarge);
        }
        match known {
            Some(index) => value.clone_into(&mut attributes[index].1),
            None => attributes.push((name.to_owned(), value.to_owned())),
        }
        Ok(())
    }
}

impl Response {
    pub(crate) fn status(&self) -> u16 {
        self.0.borrow().status
    }

    pub(crate) fn set_status(&self, status: u16) -> Result<(), EditError> {
        check_status(status)?;
        self.0.borrow_mut().status = status;
        Ok(())
    }

    #[expect(clippy::wrong_self_convention, reason = "the contract's word")]
    pub(crate) fn from_upstream(&self) -> bool {
        self.0.borrow().from_upstream
    }
}

macro_rules! header_access {
    ($message:ident) => {
        impl $message {
            pub(crate) fn header(&self, name: &str) -> Option<Vec<u8>> {
                self.0.borrow().fields.first(name)
            }

            pub(crate) fn header_values(&self, name: &str) -> Vec<Vec<u8>> {
                self.0.borrow().fields.values(name)
            }

            pub(crate) fn headers(&self) -> Vec<Header> {
                self.0.borrow().fields.all()
            }

            pub(crate) fn set_header(&self, name: &str, value: &[u8]) -> Result<(), EditError> {
                self.0.borrow_mut().fields.set(name, value)
            }

            pub(crate) fn append_header(&self, name: &str, value: &[u8]) -> Result<(), EditError> {
                self.0.borrow_mut().fields.append(name, value)
            }

            pub(crate) fn remove_header(&self, name: &str) -> Result<(), EditError> {
                self.0.borrow_mut().fields.remove(name)
            }

            pub(crate) fn edit_headers(&self, edits: &[Edit]) -> Result<(), EditError> {
                self.0.borrow_mut().fields.edit(edits)
            }
        }
    };
}

header_access!(Request);
header_access!(Response);

/// An attribute, but for the room that the exchange has.
pub(super) fn check_attribute(name: &str, value: &str) -> Result<(), EditError> {
    if name.is_empty() {
        Err(EditError::InvalidName)
    } else if name.len() + value.len() > ATTRIBUTE_BYTES_MAX {
        Err(EditError::TooLarge)
    } else {
        Ok(())
    }
}

/// A status that a plugin may choose.
pub(super) fn check_status(status: u16) -> Result<(), EditError> {
    if (200..=599).contains(&status) {
        Ok(())
    } else {
        Err(EditError::InvalidValue)
    }
}

/// What may stand in a request line (RFC 9112 3.2), as far as a path and a query have in common.
fn check_target(text: &str) -> Result<(), EditError> {
    if text.len() > TARGET_BYTES_MAX {
        return Err(EditError::TooLarge);
    }
    let is_fit = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if is_fit {
        Ok(())
    } else {
        Err(EditError::InvalidValue)
    }
}

fn named(pairs: &[(String, String)], name: &str) -> Option<String> {
    pairs
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.clone())
}
