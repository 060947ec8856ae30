//! What stands on the other side: the gateway in a component, the test harness in a native build.
//!
//! Promises: both have the same functions, so everything above is written once.

#[cfg(target_family = "wasm")]
pub(crate) use crate::bindings::imports::gateway::plugin::types::{Request, Response};
#[cfg(target_family = "wasm")]
pub(crate) use crate::bindings::imports::gateway::plugin::{
    http_client, kv, limiter, log, presets,
};

#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::testing::host::{http_client, kv, limiter, log};
#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::testing::message::{Request, Response};
#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::testing::presets;
