//! Keys as JSON objects (RFC 7517).
//!
//! Promises: a key gets the algorithm that it names, or those of its type, and no others. Leaves out: `x5c`, `x5u` and
//! all other ways to certificates.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use rsa::BoxedUint;
use serde::Deserialize;

use super::key::{Algorithm, Key, KeyKind};

/// A key as it is written. Members that don't matter here are not looked at.
#[derive(Deserialize)]
pub(super) struct Jwk {
    kty: String,
    alg: Option<String>,
    kid: Option<String>,
    #[serde(rename = "use")]
    intended: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
    /// The private part of RSA, EC and Ed25519 keys alike.
    d: Option<serde::de::IgnoredAny>,
}

impl Jwk {
    /// Whether it is a secret.
    pub(super) fn is_secret(&self) -> bool {
        self.kty == "oct"
    }

    /// The keys that it stands for: one for each algorithm that it can be used with, if that is among `allowed`, or
    /// that list is empty. The given id and algorithm count before its own.
    pub(super) fn keys(
        &self,
        kid: Option<&str>,
        algorithm: Option<Algorithm>,
        allowed: &[Algorithm],
    ) -> Result<Vec<Key>, String> {
        if self.d.is_some() {
            return Err("`jwk` is a private key: leave out its private members".to_owned());
        }
        let is_intended = self.intended.as_deref().is_none_or(|it| it == "sig");
        let operations = self.key_ops.as_ref();
        if !is_intended || operations.is_some_and(|all| !all.iter().any(|it| it == "verify")) {
            return Err("`jwk` is not for signatures".to_owned());
        }
        let kid = kid.or(self.kid.as_deref());
        self.algorithms(algorithm)?
            .into_iter()
            .filter(|algorithm| allowed.is_empty() || allowed.contains(algorithm))
            .map(|algorithm| Ok(Key::new(kid.map(str::to_owned), self.kind(algorithm)?)))
            .collect()
    }

    fn algorithms(&self, given: Option<Algorithm>) -> Result<Vec<Algorithm>, String> {
        let own = self.alg.as_deref().map(|name| {
            Algorithm::named(name)
                .ok_or_else(|| format!("the algorithm {name:?} of `jwk` is not known"))
        });
        match (own.transpose()?, given) {
            (Some(own), Some(given)) if own != given => {
                Err("`jwk` is not for the algorithm in `alg`".to_owned())
            }
            (Some(algorithm), _) | (None, Some(algorithm)) => Ok(vec![algorithm]),
            (None, None) => match self.kty.as_str() {
                "RSA" => Ok(vec![Algorithm::Rs256, Algorithm::Ps256]),
                "EC" => Ok(vec![Algorithm::Es256]),
                "OKP" => Ok(vec![Algorithm::EdDsa]),
                _ => Err("`alg` is missing, beside `jwk` or in it".to_owned()),
            },
        }
    }

    fn kind(&self, algorithm: Algorithm) -> Result<KeyKind, String> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (number("n", &self.n)?, number("e", &self.e)?);
                let key = rsa::PublicKey::new(n, e)
                    .map_err(|error| format!("`jwk` is no RSA key: {error}"))?;
                KeyKind::rsa(algorithm, key)
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes("x", &self.x)?, bytes("y", &self.y)?);
                // SEC 1 section 2.3.4: an uncompressed point.
                let point = [&[4], &*x, &*y].concat();
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point)
                    .map_err(|_| "`jwk` is no point on P-256".to_owned())?;
                KeyKind::ec(algorithm, key)
            }
            ("OKP", Some("Ed25519")) => {
                let key = bytes("x", &self.x)?
                    .try_into()
                    .ok()
                    .and_then(|x| ed25519_dalek::VerifyingKey::from_bytes(&x).ok())
                    .ok_or("`jwk` is no Ed25519 key")?;
                KeyKind::ed(algorithm, key)
            }
            ("oct", _) => KeyKind::secret(algorithm, &bytes("k", &self.k)?),
            _ => Err("the type or curve of `jwk` is not known".to_owned()),
        }
    }
}

fn bytes(name: &str, member: &Option<String>) -> Result<Vec<u8>, String> {
    let text = member
        .as_deref()
        .ok_or_else(|| format!("`jwk` lacks `{name}`"))?;
    Base64UrlUnpadded::decode_vec(text).map_err(|_| format!("`{name}` of `jwk` is not base64url"))
}

fn number(name: &str, member: &Option<String>) -> Result<BoxedUint, String> {
    let bytes = bytes(name, member)?;
    let bits = u32::try_from(bytes.len() * 8).unwrap_or(u32::MAX);
    BoxedUint::from_be_slice(&bytes, bits).map_err(|_| format!("`{name}` of `jwk` is too long"))
}
