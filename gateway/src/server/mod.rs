//! Where clients come in: listeners, connections, workers, and how all of that ends.
//!
//! `listener` binds addresses, one socket for each worker; `worker` is a thread that serves from its sockets with a
//! runtime of its own; `connection` is one client; `io` puts time limits on its bytes, `strict` refuses those that are no
//! well-formed request; `panic` keeps a defect from taking more than one request with it. This is the only place that names the hyper server.

mod connection;
mod io;
mod listener;
mod panic;
mod strict;
mod worker;

pub use listener::{BindError, Bound, Listeners};
pub use worker::{Orders, Shared, Workers};
