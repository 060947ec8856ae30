//! [`Verifier`]: everything that a token goes through, and a memory of those that were good, so that a client's next
//! request costs a hash instead of a signature.
//!
//! Promises: only good tokens are remembered, so nobody without a key can fill the memory; it holds digests and what
//! was made of a token, never a token. A key that is withdrawn takes its tokens along, and a token that is remembered
//! expires too. Leaves out: sharing between instances.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use super::token::TOKEN_BYTES_MAX;
use super::{Claims, Error, KeySet, Period, Rules, Token};
use crate::clock;
use crate::memo::Memo;
use crate::remote::Remote;

/// A token that lives a week longer than it says has no expiry worth its name.
const LEEWAY_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Keys and rules, and a memory of tokens that were good with what was made of each, a `T`.
pub struct Verifier<T> {
    keys: KeySet,
    remote: Option<Remote<KeySet>>,
    rules: Rules,
    memo: RefCell<Memo<[u8; 32], Remembered<T>>>,
}

#[derive(Clone)]
struct Remembered<T> {
    made: T,
    period: Period,
    signer: Signer,
}

/// Whose key has signed a token: one of our own, or one of a key set that may have changed since. Weak, so that old sets
/// don't stay in memory.
type Signer = Option<Weak<KeySet>>;

impl<T: Clone> Verifier<T> {
    /// With keys of one's own and others behind a URL, of which there must be some. Own ones come first: they need
    /// nobody else to be up. Nothing is remembered.
    pub fn new(keys: KeySet, remote: Option<Remote<KeySet>>, rules: Rules) -> Result<Self, String> {
        if keys.is_empty() && remote.is_none() {
            return Err("there is no key, so nobody could pass".to_owned());
        }
        if rules.leeway > LEEWAY_MAX {
            return Err("`leeway` is over 7d".to_owned());
        }
        Ok(Self {
            keys,
            remote,
            rules,
            memo: RefCell::new(Memo::new(0)),
        })
    }

    /// Remember so many tokens.
    #[must_use]
    pub fn remembering(self, tokens: usize) -> Self {
        Self {
            memo: RefCell::new(Memo::new(tokens)),
            ..self
        }
    }

    /// What is made of a good token. `make` may refuse its claims too; it is not called for a token that is remembered.
    pub fn verify<E: From<Error>>(
        &self,
        token: &str,
        make: impl FnOnce(&Claims) -> Result<T, E>,
    ) -> Result<T, E> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Error::Malformed.into());
        }
        let now = clock::now();
        let is_remembering = self.memo.borrow().remembers();
        let digest = is_remembering.then(|| Sha256::digest(token).into());
        if let Some(digest) = &digest
            && let Some(known) = self.remembered(digest, now)?
        {
            known.period.check(now)?;
            return Ok(known.made);
        }
        let (claims, signer) = self.claims(&Token::parse(token)?, now)?;
        let period = self.rules.check(&claims, now)?;
        let made = make(&claims)?;
        if let Some(digest) = digest {
            let remembered = Remembered {
                made: made.clone(),
                period,
                signer,
            };
            self.memo.borrow_mut().insert(digest, remembered);
        }
        Ok(made)
    }

    /// A token that was good before, unless its key may have been withdrawn since.
    fn remembered(
        &self,
        digest: &[u8; 32],
        now: SystemTime,
    ) -> Result<Option<Remembered<T>>, Error> {
        let known = self.memo.borrow().get(digest).cloned();
        if let Some(remote) = &self.remote
            && let Some(signer) = known.as_ref().and_then(|known| known.signer.as_ref())
        {
            let current = remote.get_at(now).ok_or(Error::NoKeys)?;
            if !signer.ptr_eq(&Rc::downgrade(&current)) {
                return Ok(None);
            }
        }
        Ok(known)
    }

    /// What a token says, and whose key has signed it.
    fn claims(&self, token: &Token<'_>, now: SystemTime) -> Result<(Claims, Signer), Error> {
        let own = self.keys.verify(token);
        let (Err(error @ (Error::Key | Error::Signature)), Some(remote)) = (&own, &self.remote)
        else {
            return own.map(|claims| (claims, None));
        };
        let mut keys = remote.get_at(now).ok_or(Error::NoKeys)?;
        let mut claims = keys.verify(token);
        // Perhaps the key is new.
        if claims.is_err()
            && let Some(kid) = token.kid()
            && !keys.knows(kid)
        {
            let newer = remote.get_newer_at(now, |keys| keys.knows(kid));
            keys = newer.ok_or(Error::NoKeys)?;
            claims = keys.verify(token);
        }
        match claims {
            // The other error may say more: that a signature was looked at.
            Err(Error::Key) => Err(*error),
            claims => claims.map(|claims| (claims, Some(Rc::downgrade(&keys)))),
        }
    }
}
