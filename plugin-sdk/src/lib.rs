//! Write gateway plugins in Rust: a trait for each hook, typed configuration, and tests that run without Wasm.
//!
//! # A plugin in five minutes
//!
//! **1. A crate.** A plugin is a library that is compiled to a WebAssembly component:
//!
//! ```toml
//! [package]
//! name = "hello"
//! edition = "2024"
//!
//! [lib]
//! crate-type = ["cdylib"]             # the component; beside "rlib", cargo would leave out `lto`
//!
//! [dependencies]
//! plugin-sdk = { path = "../plugin-sdk" }
//! serde = { version = "1", features = ["derive"] }
//!
//! [profile.release]                   # small: a header-only plugin has some 60 KB, not 2.5 MB
//! lto = true
//! codegen-units = 1
//! panic = "abort"
//! strip = true
//! ```
//!
//! **2. The code.** [`Plugin`] makes an instance from the configuration; each hook is a trait with one method; and
//! [`export!`] says which of them the component has. This one greets, and turns away whom it doesn't know:
//!
//! ```
//! use plugin_sdk::{Decision, Fault, LocalResponse, OnRequest, Plugin, Request};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     greeting: String,
//! }
//!
//! struct Hello(Config);
//!
//! impl Plugin for Hello {
//!     type Config = Config;
//!
//!     fn new(config: Config) -> Result<Self, String> {
//!         if config.greeting.is_empty() {
//!             return Err("`greeting` is empty".to_owned()); // refused at load, with this text
//!         }
//!         Ok(Self(config))
//!     }
//! }
//!
//! impl OnRequest for Hello {
//!     fn on_request(&self, request: &mut Request) -> Result<Decision, Fault> {
//!         let Some(name) = request.header_str("x-name") else {
//!             return Ok(LocalResponse::new(401).body("who are you?").into());
//!         };
//!         plugin_sdk::info!(name = name, "greets");
//!         request.set_header("x-hello", format!("{}, {name}", self.0.greeting))?;
//!         Ok(Decision::Next)
//!     }
//! }
//!
//! plugin_sdk::export!(Hello: OnRequest);
//! # // The next step's test, run here too.
//! # use plugin_sdk::testing::{Exchange, Harness};
//! # let harness = Harness::<Hello>::new(r#"greeting = "hi""#)?;
//! # let exchange = Exchange::get("/").header("x-name", "Ada");
//! # assert_eq!(harness.on_request(&exchange)?, Decision::Next);
//! # assert_eq!(exchange.request().header_str("x-hello").as_deref(), Some("hi, Ada"));
//! # let answer = harness.on_request(&Exchange::get("/"))?;
//! # assert!(matches!(answer, Decision::Respond(response) if response.status == 401));
//! # assert_eq!(Harness::<Hello>::new("").err().as_deref(), Some("`greeting` is missing"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **3. A test.** `cargo test` runs hooks natively against a [`testing::Harness`]:
//!
//! ```ignore
//! use plugin_sdk::testing::{Exchange, Harness};
//!
//! #[test]
//! fn who_gives_a_name_is_greeted() {
//!     let harness = Harness::<Hello>::new(r#"greeting = "hi""#).unwrap();
//!     let exchange = Exchange::get("/").header("x-name", "Ada");
//!     assert_eq!(harness.on_request(&exchange).unwrap(), Decision::Next);
//!     assert_eq!(exchange.request().header_str("x-hello").as_deref(), Some("hi, Ada"));
//! }
//! ```
//!
//! **4. In the gateway.** `rustup target add wasm32-wasip2` once, `cargo build --release --target wasm32-wasip2`, then:
//!
//! ```toml
//! [plugins.hello]
//! component = "hello/target/wasm32-wasip2/release/hello.wasm"
//! config = { greeting = "hi" }
//!
//! [[routes]]
//! path = "/*"
//! upstream = "users"
//! plugins = ["hello"]
//! ```
//!
//! Build again, and the running gateway takes the new component; a configuration that the plugin refuses changes
//! nothing and is in the log.
//!
//! # The smallest plugin
//!
//! ```
//! use plugin_sdk::{Decision, Fault, NoConfig, OnRequest, Plugin, Request};
//! struct Hello;
//! impl Plugin for Hello {
//!     type Config = NoConfig;
//!     fn new(_: NoConfig) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//! }
//! impl OnRequest for Hello {
//!     fn on_request(&self, request: &mut Request) -> Result<Decision, Fault> {
//!         request.set_header("x-hello", "world")?;
//!         Ok(Decision::Next)
//!     }
//! }
//! plugin_sdk::export!(Hello: OnRequest);
//! ```
//!
//! (`opt-level = "s"` is not in the profile above since it makes plugins slower and hardly smaller: most of what is left
//! is the standard library, which is compiled already. What grows a plugin: `SystemTime::now` (in place of [`clock`]),
//! `to_lowercase` (in place of `to_ascii_lowercase`), a text with a fraction and [`List`], 20 to 25 KB each; `{:?}` of a text and
//! [`header::Name`], 10 KB.)
//!
//! # Where to go on
//!
//! | you want to | look at |
//! |---|---|
//! | change the response, or replace it | [`OnResponse`] |
//! | read or rewrite bodies, by chunks or whole | [`OnRequestBody`], [`OnResponseBody`], [`Plugin::interest`] |
//! | note the end of an exchange | [`OnLog`], [`log::access`] |
//! | remember something until the response comes | [`Request::set_state`] |
//! | tell the plugins behind you, and the log | [`Request::set_attribute`] |
//! | refuse a request in the gateway's own form | [`LocalResponse::failure`] |
//! | do the same to many exchanges, at less cost | [`Preset`] |
//! | put what is known of an exchange into a text | [`Template`] |
//! | read a configuration | header names: [`header::Name`]; free keys: [`Table`]; times: [`duration`]; a text or several: [`List`] |
//! | remember something between exchanges | [`kv`], [`limiter`] (each needs its grant in the TOML) |
//! | ask another service | [`http_client`] (needs its grant); a document that it publishes: [`remote`] |
//! | find out who a client is | [`credential`]; signed tokens: `jwt` (a cargo feature); what to answer: [`bearer`]; its certificate: [`Request::client_certificate`] |
//! | remember what was found out | [`memo`] |
//!
//! Errors: a hook returns `Result<_, `[`Fault`]`>`, so `?` works on everything. An `Err`, like a panic, is a fault of
//! the plugin: the exchange is denied with 503, unless the plugin's `on-fault` is `"skip"`. What a client did wrong
//! is no fault: answer it with [`Decision::Respond`].
//!
//! `wasm32-unknown-unknown` works too: the gateway turns the module into a component. It has no randomness,
//! and no clock but [`clock`].
//!
//! # For the reader of this code
//!
//! `hooks` has the traits, `message` what hooks get, `decision` what they answer; `export` joins them with the
//! generated `bindings`. `raw` is the switch between gateway and [`testing`]. Nothing here knows the gateway: the two
//! share the WIT package in `wit/` only.

mod hooks;
mod message;

mod decision;
pub mod header;
pub mod json;
mod preset;
pub mod query;
mod template;

pub mod bearer;
pub mod credential;
#[cfg(feature = "jwt")]
pub mod jwt;
pub mod memo;
pub mod remote;

pub mod clock;
pub mod http_client;
pub mod kv;
pub mod limiter;
pub mod log;

mod config;
pub mod duration;
mod error;
mod export;
mod text;

#[doc(hidden)]
pub mod bindings;
mod raw;

#[cfg(not(target_family = "wasm"))]
pub mod testing;

use std::time::Duration;

#[doc(inline)]
pub use bindings::imports::gateway::plugin::types::{
    ChunkDecision, ClientCertificate, Edit, Header, Interest, LocalResponse, LogEntry, PluginTime,
};
pub use config::Table;
pub use decision::{BodyDecision, Decision};
pub use error::EditError;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub use export::component;
pub use hooks::{
    Fault, NoConfig, OnLog, OnRequest, OnRequestBody, OnResponse, OnResponseBody, Plugin,
};
pub use message::{ATTRIBUTE_BYTES_MAX, Request, Response};
pub use preset::Preset;
pub use template::{Template, TemplateValues};
pub use text::List;

/// Whole milliseconds, as the contract counts time.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
