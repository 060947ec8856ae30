//! Where clients come in: listeners, connections, workers, and how all of that ends.
//!
//! `listener` binds addresses, one socket for each worker; `worker` is a thread that serves from its sockets with a
//! runtime of its own; `places` are the connections that there may be, `connection` is one client; `opening` is what comes before
//! its first request, by `proxy_protocol` and `tls`; `wire` is its bytes, `io` puts limits on them, `strict` refuses those that are no
//! well-formed request; `frames` limits what an HTTP/2 client sends besides requests, `stream` how long it takes a response;
//! `panic` keeps a defect from taking more than one request with it. This is the only place that names the hyper server.

mod connection;
mod frames;
mod io;
mod listener;
mod opening;
mod panic;
mod places;
mod proxy_protocol;
mod stream;
mod strict;
mod tls;
mod wire;
mod worker;

pub use listener::{BindError, Bound, Listeners, Prepared};
pub use worker::{Orders, Shared, Workers};
