//! The gateway as a library, for its own binary and for the tests. This is the map; what it shows follows.
#![doc = ""]
#![doc = include_str!("../ARCHITECTURE.md")]

// In reading order: the doors, then a request's way through, then what it stands on.
pub mod cli;
pub mod gateway;

mod control;

pub mod reload;
pub mod snapshot;

pub mod server;

pub mod proxy;

pub mod plugin;
pub mod route;
pub mod upstream;

pub mod config;
pub mod state;

pub mod admin;
pub mod observe;

pub mod body;
pub mod worker;

pub use gateway::{Gateway, StartError, StartOptions, check, start};
