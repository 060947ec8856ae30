//! Public keys as PEM texts: `PUBLIC KEY` (RFC 5280), and `RSA PUBLIC KEY` (RFC 8017).
//!
//! Promises: a text that holds something else is refused with the way to what is needed. Leaves out: certificates,
//! whose validity nobody here would check.

use ed25519_dalek::pkcs8::DecodePublicKey as _;
use rsa::pkcs1::DecodeRsaPublicKey as _;

use super::key::{Algorithm, KeyKind};

/// The key in a PEM text, for that algorithm.
pub(super) fn kind(algorithm: Algorithm, pem: &str) -> Result<KeyKind, String> {
    let pem = pem.trim();
    let label = pem
        .strip_prefix("-----BEGIN ")
        .and_then(|rest| rest.split_once("-----"));
    match label.map(|(label, _)| label) {
        Some("PUBLIC KEY" | "RSA PUBLIC KEY") => {}
        Some("CERTIFICATE") => {
            return Err(
                "`pem` is a certificate: take its key, `openssl x509 -pubkey -noout`".to_owned(),
            );
        }
        Some(label) if label.ends_with("PRIVATE KEY") => {
            return Err(
                "`pem` is a private key: take its public half, `openssl pkey -pubout`".to_owned(),
            );
        }
        _ => return Err("`pem` is no text that begins with -----BEGIN PUBLIC KEY-----".to_owned()),
    }
    let kind = match algorithm {
        Algorithm::Rs256 | Algorithm::Ps256 => rsa::PublicKey::from_public_key_pem(pem)
            .ok()
            .or_else(|| rsa::PublicKey::from_pkcs1_pem(pem).ok())
            .map(|key| KeyKind::rsa(algorithm, key)),
        Algorithm::Es256 => p256::ecdsa::VerifyingKey::from_public_key_pem(pem)
            .ok()
            .map(|key| KeyKind::ec(algorithm, key)),
        Algorithm::EdDsa => ed25519_dalek::VerifyingKey::from_public_key_pem(pem)
            .ok()
            .map(|key| KeyKind::ed(algorithm, key)),
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
            return Err("this algorithm takes a `secret`, not a public key".to_owned());
        }
    };
    kind.unwrap_or_else(|| Err("`pem` holds no public key that fits this algorithm".to_owned()))
}
