//! Stock plugin `jwt`: who may pass, by a signed token (RFC 7519), and what the upstream learns from it.
//!
//! Promises: only a request with a token that a known key has signed, for this place and time, passes; header fields
//! made of claims never come from the client. The algorithm is the key's, not the token's. Leaves out: issuing tokens,
//! sessions, revocation before the expiry, encrypted tokens.
//!
//! Reading order: `carrier` (where the token is), `token` (taken apart), `key` (who signed it; `pem`, `jwk`, `jwks`
//! for where keys come from), `claims` (what it must say), `outcome` (what becomes of it), `cache`; `config` and `refusal` at the ends.

mod carrier;
mod token;

mod jwk;
mod jwks;
mod key;
mod pem;

mod cache;
mod claims;
mod config;
mod outcome;
mod refusal;

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::time::{Duration, SystemTime};

use plugin_sdk::{Decision, Fault, Interest, OnRequest, Plugin, Request, clock};

use cache::{Cache, Digest, Pass, Signer, digest};
use carrier::Carriers;
use claims::Rules;
pub use config::Config;
use jwks::Remote;
use key::{Algorithm, Key};
use outcome::Outcome;
use refusal::Refusal;
use token::{TOKEN_BYTES_MAX, Token};

/// Keys that one token is tried with: more than this have the same algorithm only in a set without ids, and each
/// costs up to a millisecond.
const CANDIDATES_MAX: usize = 4;

/// The plugin.
pub struct Jwt {
    keys: Vec<Key>,
    remote: Option<Remote>,
    carriers: Carriers,
    rules: Rules,
    outcome: Outcome,
    realm: String,
    cache: RefCell<Cache>,
    /// The key set that the cache belongs to.
    epoch: Cell<u64>,
}

impl Plugin for Jwt {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        config.check()
    }

    fn interest(&self) -> Interest {
        Interest::REQUEST
    }
}

impl OnRequest for Jwt {
    fn on_request(&self, request: &mut Request) -> Result<Decision, Fault> {
        let admitted = self
            .carriers
            .find(request)
            .and_then(|(token, place)| Ok((self.admit(&token)?, place)));
        let (pass, place) = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => return Ok(refusal.response(&self.realm, request).into()),
        };
        let mut edits = self.carriers.strip(request, place)?;
        edits.extend(pass.edits);
        request.edit_headers(&edits)?;
        if let Some(consumer) = &pass.consumer {
            request.set_attribute("consumer", consumer)?;
        }
        Ok(Decision::Next)
    }
}

plugin_sdk::export!(Jwt: OnRequest);

impl Jwt {
    /// What a token is good for: remembered, or found out.
    fn admit(&self, text: &str) -> Result<Pass, Refusal> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(Refusal::Malformed);
        }
        let now = clock::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let digest = self.cache.borrow().is_on().then(|| digest(text));
        if let Some(digest) = &digest
            && let Some(pass) = self.remembered(digest, now)?
        {
            pass.period.check(now.as_secs_f64())?;
            return Ok(pass);
        }
        let token = Token::parse(text)?;
        let signer = self.signer(&token, now)?;
        let claims = token.claims()?;
        let pass = Pass {
            period: self.rules.check(&claims, now.as_secs_f64())?,
            signer,
            edits: self.outcome.edits(&claims)?,
            consumer: self.outcome.consumer(&claims)?,
        };
        if let Some(digest) = digest {
            self.cache.borrow_mut().insert(digest, pass.clone());
        }
        Ok(pass)
    }

    /// A token that was good before, unless its key was withdrawn since.
    fn remembered(&self, digest: &Digest, now: Duration) -> Result<Option<Pass>, Refusal> {
        let remembered = || self.cache.borrow().get(digest).cloned();
        match (remembered(), &self.remote) {
            (Some(pass), Some(remote)) if pass.signer == Signer::Remote => {
                self.tend(remote, now)?;
                Ok(remembered())
            }
            (pass, _) => Ok(pass),
        }
    }

    /// Whose key has signed it. Those of the configuration come first: they need nobody else to be up.
    fn signer(&self, token: &Token<'_>, now: Duration) -> Result<Signer, Refusal> {
        let algorithm = Algorithm::named(&token.header.alg).ok_or(Refusal::Algorithm)?;
        let configured = attempt(&self.keys, algorithm, token);
        let (Err(refusal), Some(remote)) = (configured, &self.remote) else {
            return configured.map(|()| Signer::Configured);
        };
        self.tend(remote, now)?;
        let from_remote = || remote.with_keys(|keys| attempt(keys, algorithm, token));
        let mut result = from_remote();
        if let Some(kid) = &token.header.kid
            && result.is_err()
            && !remote.knows(kid)
        {
            remote.learn(kid, now);
            self.forget_withdrawn(remote);
            result = from_remote();
        }
        match result {
            // The other refusal may say more: that a signature was looked at.
            Err(Refusal::Key) => Err(refusal),
            result => result.map(|()| Signer::Remote),
        }
    }

    fn tend(&self, remote: &Remote, now: Duration) -> Result<(), Refusal> {
        let tended = remote.tend(now);
        self.forget_withdrawn(remote);
        tended
    }

    /// A key that was withdrawn takes its tokens along.
    fn forget_withdrawn(&self, remote: &Remote) {
        let epoch = remote.epoch();
        if self.epoch.replace(epoch) != epoch {
            self.cache.borrow_mut().clear();
        }
    }
}

/// Try the keys that fit a token.
fn attempt(keys: &[Key], algorithm: Algorithm, token: &Token<'_>) -> Result<(), Refusal> {
    let kid = token.header.kid.as_deref();
    let mut refusal = Refusal::Key;
    for key in keys
        .iter()
        .filter(|key| key.fits(algorithm, kid))
        .take(CANDIDATES_MAX)
    {
        if key.verify(token.message, &token.signature) {
            return Ok(());
        }
        refusal = Refusal::Signature;
    }
    Err(refusal)
}
