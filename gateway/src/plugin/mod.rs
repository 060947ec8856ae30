//! The plugin runtime: sandboxed components, their instances, and the chains that they form.
//!
//! In reading order: the contract's types (`bindings`); what hooks see (`head`, `certificate`, `notes`) and what they answer ([`Interest`],
//! `answer`, `preset`, [`Fault`]); how bytes become a loaded component (`engine`, `cache`, `reexport`, `component`); what
//! a guest can call (`host`, `names`) and how its time is counted and shared (`cpu`, `spinning`); how an instance is made,
//! leased, called and thrown away (`instance`, `stock`, `pool`, `lease`), and a plugin left alone (`suspension`); how plugins
//! stand in a row (`chain`, `step`, `hook`, `body`); what they all share, and the door to it (`runtime`).
//!
//! Promises: a plugin never gets more time, memory or reach than its limits and grants say; an instance counts as
//! spoiled until its call has returned; whatever a plugin hands over is checked before it is used. This is the only
//! place that names wasmtime. It knows neither routes nor upstreams: calls to other services go through [`Fetch`].

mod answer;
mod bindings;
mod body;
mod cache;
mod certificate;
mod chain;
mod component;
mod cpu;
mod engine;
mod fault;
mod head;
mod hook;
mod host;
mod instance;
mod interest;
mod lease;
mod names;
mod notes;
mod pool;
mod preset;
mod reexport;
mod runtime;
mod spinning;
mod step;
mod stock;
mod suspension;

pub use bindings::{LogEntry, PluginTime};
pub use certificate::{ClientCertificate, Unreadable};
pub use chain::{Chain, ChainError, Decision, Hurry, Request, Response, Run};
pub use engine::MAX_COMPONENT_BYTES;
pub use fault::Fault;
pub use head::{Facts, RequestHead, ResponseHead};
pub use host::{Fetch, FetchCall, FetchFailure, FetchReply};
pub use interest::Interest;
pub use pool::{Pool, PoolStatus};
pub use runtime::{LoadError, LoadedComponent, PoolSpec, Runtime, RuntimeParts};
