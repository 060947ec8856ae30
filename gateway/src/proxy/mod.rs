//! The walk of a request, from the client's head to the client's last byte.
//!
//! `handler` is the walk itself. `exchange` keeps what is known of a request and tells log and metrics when it ends,
//! however it ends. `failure` is the one list of what can go wrong with a request, with its status and reason.
//! `target` reads what the client asks for, `matching` finds the route for it, `fields` and `forwarded` decide which
//! header fields pass and which are added, `body` watches what flows, `patience` is how long it may take, `activity` and
//! `taking` tell the server whether something does and whether the client takes it. `client` and `secure` say who is at the
//! other end, `redirect` sends clients to https. `fetch` lets plugins call other services through our own connections.
//!
//! Promises: what the plugins checked, the route matched and the upstream receives is one and the same message; every
//! request ends in exactly one log entry; a client never sees an inner detail.

mod activity;
mod body;
mod client;
mod exchange;
mod failure;
mod fetch;
mod fields;
mod forwarded;
mod handler;
mod ids;
mod matching;
mod patience;
mod redirect;
mod secure;
pub mod taking;
mod target;

pub use crate::plugin::ClientCertificate;
pub use activity::Activity;
pub use client::Client;
pub use exchange::{Ended, LogQueue};
pub use failure::Failure;
pub use fetch::GrantedFetch;
pub use handler::{Proxy, handle};
pub use patience::{Grace, Patience, Timer};
pub use secure::{Names, Secure};
