//! Signed tokens (RFC 7519) in a plugin of your own: keys, signatures, claims. Needs the cargo feature `jwt`.
//!
//! Promises: an algorithm belongs to a key, never to a token, so `none` and HMAC with a public key have no code that
//! could run; claims are only to be had from a token whose signature is good. HS256, HS384, HS512, RS256, PS256, ES256
//! and EdDSA, by RustCrypto: no C and no randomness. Leaves out: issuing tokens, encrypted ones, and revocation before
//! the expiry.
//!
//! ```
//! use plugin_sdk::jwt::{Error, KeySet, Rules, Verifier};
//! use plugin_sdk::{Decision, Fault, List, LocalResponse, OnRequest, Plugin, Request};
//!
//! #[derive(serde::Deserialize)]
//! struct Config {
//!     keys: KeySet, // keys = [{ alg = "HS256", secret = "${env:SECRET}" }]
//!     issuer: List<String>,
//! }
//!
//! struct Staff(Verifier<String>);
//!
//! impl Plugin for Staff {
//!     type Config = Config;
//!
//!     fn new(config: Config) -> Result<Self, String> {
//!         let rules = Rules { issuers: config.issuer.0, ..Rules::default() };
//!         Ok(Self(Verifier::new(config.keys, None, rules)?))
//!     }
//! }
//!
//! impl OnRequest for Staff {
//!     fn on_request(&self, request: &mut Request) -> Result<Decision, Fault> {
//!         let token = request.header_str("x-token").unwrap_or_default();
//!         let name = self.0.verify(&token, |claims| claims.text("sub").ok_or(Error::Claims));
//!         let Ok(name) = name else {
//!             return Ok(LocalResponse::failure(401, "no-staff", request).into());
//!         };
//!         request.set_header("x-name", name)?;
//!         Ok(Decision::Next)
//!     }
//! }
//! # use plugin_sdk::testing::{Exchange, Harness};
//! # let harness = Harness::<Staff>::new(
//! #     "keys = [{ alg = 'HS256', secret = 'a secret of at least 32 bytes 012345' }]\nissuer = 'us'"
//! # )?;
//! # let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJBZGEiLCJpc3MiOiJ1cyIsImV4cCI6NDEwMjQ0NDgwMH0.NqWVZnD8dR0JWXs4zkhXRci0R2-k0B1zcRj1dxlPu_M";
//! # let exchange = Exchange::get("/").header("x-token", token);
//! # assert_eq!(harness.on_request(&exchange)?, Decision::Next);
//! # assert_eq!(exchange.request().header_str("x-name").as_deref(), Some("Ada"));
//! # let refused = harness.on_request(&Exchange::get("/").header("x-token", token.replace("eyJz", "eyJy")))?;
//! # assert!(matches!(refused, Decision::Respond(response) if response.status == 401));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Keys from an issuer's URL are a [`Remote`](crate::remote::Remote)`<KeySet>`, given to the [`Verifier`]; where a
//! request has its token is a matter of [`credential`](crate::credential), and what to say about a bad one of
//! [`bearer`](crate::bearer), which knows every [`Error`]. `stock:jwt` is made of these four.
//!
//! Reading order: `token` (taken apart), `key` (what verifies a signature; `pem` and `jwk` for how it is written),
//! `key_set` (which key it is; `written` for the configuration), `claims` and `rules` (what it must say), `verifier`.

mod token;

mod jwk;
mod key;
mod key_set;
mod pem;
mod written;

mod claims;
mod rules;
mod verifier;

mod error;

#[cfg(test)]
mod tests;

pub use claims::Claims;
pub use error::Error;
pub use key::{Algorithm, Key};
pub use key_set::KeySet;
pub use rules::{Period, RequiredClaim, RequiredClaims, Rules};
pub use token::Token;
pub use verifier::Verifier;
