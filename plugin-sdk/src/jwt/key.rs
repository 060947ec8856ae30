//! Keys: what verifies a signature, and for which algorithm.
//!
//! Promises: a key has exactly one algorithm, decided when it is loaded; a token only chooses among keys, never how a
//! key is used, so `none` and HMAC with a public key have no code that could run. Everything is parsed at load.
//! Leaves out: signing, and how keys are written (`pem.rs`, `jwk.rs`, `written.rs`).

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use ed25519_dalek::VerifyingKey as EdKey;
use hmac::{Hmac, KeyInit as _, Mac};
use p256::ecdsa::VerifyingKey as EcKey;
use p256::ecdsa::signature::Verifier as _;
use rsa::{pkcs1v15, pss};
use sha2::{Sha256, Sha384, Sha512};

use super::{Token, pem};

/// The names, for messages.
pub(super) const NAMES: &str = "HS256, HS384, HS512, RS256, PS256, ES256 or EdDSA";

/// A signature algorithm (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

/// Bits of an RSA modulus: RFC 7518 section 3.3 asks for the first; more than the second costs a call's time.
const RSA_BITS: RangeInclusive<usize> = 2048..=4096;

impl Algorithm {
    /// The algorithm of that name, as tokens and keys write it.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "HS256" => Self::Hs256,
            "HS384" => Self::Hs384,
            "HS512" => Self::Hs512,
            "RS256" => Self::Rs256,
            "PS256" => Self::Ps256,
            "ES256" => Self::Es256,
            // RFC 9864 gives the Edwards curve that everybody means a name of its own.
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }

    /// Bytes of a secret, at least (RFC 7518 section 3.2); 0 for algorithms without one.
    fn secret_bytes(self) -> usize {
        match self {
            Self::Hs256 => 32,
            Self::Hs384 => 48,
            Self::Hs512 => 64,
            Self::Rs256 | Self::Ps256 | Self::Es256 | Self::EdDsa => 0,
        }
    }
}

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::named(name).ok_or_else(|| format!("{name:?} is not {NAMES}"))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        })
    }
}

/// A key with its id.
pub struct Key {
    pub(super) kid: Option<String>,
    pub(super) algorithm: Algorithm,
    kind: KeyKind,
}

/// What verifies, with all that it needs for it.
pub(super) enum KeyKind {
    Hs256(Hmac<Sha256>),
    Hs384(Hmac<Sha384>),
    Hs512(Hmac<Sha512>),
    Rs256(pkcs1v15::VerifyingKey<Sha256>),
    Ps256(pss::VerifyingKey<Sha256>),
    Es256(EcKey),
    EdDsa(EdKey),
}

impl KeyKind {
    /// For an HMAC algorithm.
    pub(super) fn secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, String> {
        let least = algorithm.secret_bytes();
        if least == 0 {
            return Err("this algorithm takes a public key, not a secret".to_owned());
        }
        if secret.starts_with(b"-----BEGIN") {
            return Err("the secret is a PEM text: a public key is no secret".to_owned());
        }
        if secret.len() < least {
            return Err(format!("the secret is shorter than {least} bytes"));
        }
        let kind = match algorithm {
            Algorithm::Hs256 => Hmac::new_from_slice(secret).map(Self::Hs256),
            Algorithm::Hs384 => Hmac::new_from_slice(secret).map(Self::Hs384),
            _ => Hmac::new_from_slice(secret).map(Self::Hs512),
        };
        kind.map_err(|_| "the secret can't be used".to_owned())
    }

    /// For RS256 or PS256.
    pub(super) fn rsa(algorithm: Algorithm, key: rsa::PublicKey) -> Result<Self, String> {
        use rsa::traits::PublicKeyParts as _;
        let bits = key.n().bit_width_vartime() as usize;
        if !RSA_BITS.contains(&bits) {
            let (least, most) = RSA_BITS.into_inner();
            return Err(format!(
                "the RSA key has {bits} bits; {least} to {most} are accepted"
            ));
        }
        match algorithm {
            Algorithm::Rs256 => Ok(Self::Rs256(pkcs1v15::VerifyingKey::new(key))),
            Algorithm::Ps256 => Ok(Self::Ps256(pss::VerifyingKey::new(key))),
            _ => Err(mismatch("an RSA key")),
        }
    }

    /// For ES256.
    pub(super) fn ec(algorithm: Algorithm, key: EcKey) -> Result<Self, String> {
        match algorithm {
            Algorithm::Es256 => Ok(Self::Es256(key)),
            _ => Err(mismatch("a P-256 key")),
        }
    }

    /// For EdDSA.
    pub(super) fn ed(algorithm: Algorithm, key: EdKey) -> Result<Self, String> {
        match algorithm {
            _ if key.is_weak() => Err("the Ed25519 key is a weak one".to_owned()),
            Algorithm::EdDsa => Ok(Self::EdDsa(key)),
            _ => Err(mismatch("an Ed25519 key")),
        }
    }
}

fn mismatch(what: &str) -> String {
    format!("{what} is not for this algorithm")
}

impl Key {
    /// A key of that kind, which decides its algorithm.
    pub(super) fn new(kid: Option<String>, kind: KeyKind) -> Self {
        let algorithm = match kind {
            KeyKind::Hs256(_) => Algorithm::Hs256,
            KeyKind::Hs384(_) => Algorithm::Hs384,
            KeyKind::Hs512(_) => Algorithm::Hs512,
            KeyKind::Rs256(_) => Algorithm::Rs256,
            KeyKind::Ps256(_) => Algorithm::Ps256,
            KeyKind::Es256(_) => Algorithm::Es256,
            KeyKind::EdDsa(_) => Algorithm::EdDsa,
        };
        Self {
            kid,
            algorithm,
            kind,
        }
    }

    /// A public key in PEM: `PUBLIC KEY` or `RSA PUBLIC KEY`.
    pub fn from_pem(algorithm: Algorithm, pem: &str) -> Result<Self, String> {
        pem::kind(algorithm, pem).map(|kind| Self::new(None, kind))
    }

    /// A secret of at least 32, 48 or 64 bytes, for HS256, HS384 or HS512.
    pub fn from_secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, String> {
        KeyKind::secret(algorithm, secret).map(|kind| Self::new(None, kind))
    }

    /// With an id: it is not tried for tokens with another one.
    #[must_use]
    pub fn with_id(self, kid: &str) -> Self {
        Self {
            kid: Some(kid.to_owned()),
            ..self
        }
    }

    /// Whether it may have signed a token, by what that says. Ids rule out only where both sides have one.
    pub(super) fn fits(&self, token: &Token<'_>) -> bool {
        let kids_differ =
            matches!((&self.kid, &token.kid), (Some(ours), Some(theirs)) if ours != theirs);
        self.algorithm == token.algorithm && !kids_differ
    }

    /// Whether it has made this signature of this message. In constant time for secrets.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.kind {
            KeyKind::Hs256(mac) => check_mac(mac.clone(), message, signature),
            KeyKind::Hs384(mac) => check_mac(mac.clone(), message, signature),
            KeyKind::Hs512(mac) => check_mac(mac.clone(), message, signature),
            KeyKind::Rs256(key) => pkcs1v15::Signature::try_from(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            KeyKind::Ps256(key) => pss::Signature::try_from(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            KeyKind::Es256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            // Strict: signatures that some verifiers accept and others don't are refused.
            KeyKind::EdDsa(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
        }
    }
}

fn check_mac<M: Mac>(mac: M, message: &[u8], signature: &[u8]) -> bool {
    mac.chain_update(message).verify_slice(signature).is_ok()
}
