//! Certificate files: read, watched, and judged here, so that whoever builds TLS from them can't fail.
//!
//! Every problem stands at the key that names the file. A file that is read is watched, whether or not it is right, so that
//! mending it counts. Messages name files and never what is in them.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::super::Invalid;
use super::super::read::{Item, Section};
use super::super::tls::{
    Authorities, Certificate, ClientAuthentication, Need, Tls, TlsVersion, UpstreamTls, Validity,
};

/// Bytes of a PEM file; every authority of this world is some 200 KiB.
const PEM_BYTES_MAX: u64 = 1 << 20;
/// Certificates of one listener.
const CERTIFICATES_MAX: usize = 1_000;
/// Bytes of a chain; clients give up on handshakes of 64 KiB and more.
const CHAIN_BYTES_MAX: usize = 60 << 10;

/// The table `tls` of a listener.
pub(super) fn of_listener(mut section: Section<'_>) -> Option<Tls> {
    let certificates = certificates(&mut section);
    let clients = clients(&mut section);
    let versions = [("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];
    let min_version = section.choice("min-version", TlsVersion::Tls12, &versions);
    section.finish();
    let certificates = certificates.filter(|certificates| !certificates.is_empty())?;
    Some(Tls {
        certificates,
        clients: clients?,
        min_version,
    })
}

/// The table `tls` of an upstream.
pub(super) fn of_upstream(mut section: Section<'_>) -> Option<UpstreamTls> {
    let authorities = section.take("ca").map(|item| authorities(&item));
    let certificate = own_certificate(&mut section);
    let server_name = section.take("server-name").map(|item| server_name(&item));
    section.finish();
    // A mistake is no default: `None` within `Some` was reported.
    Some(UpstreamTls {
        authorities: authorities.map_or(Some(None), |found| found.map(Some))?,
        certificate: certificate?,
        server_name: server_name.map_or(Some(None), |found| found.map(Some))?,
    })
}

/// One certificate beside the other keys, or a list of them.
fn certificates(section: &mut Section<'_>) -> Option<Vec<Certificate>> {
    let (certificate, key) = (section.take("certificate"), section.take("key"));
    let list = section.take("certificates");
    let Some(list) = list else {
        return match (certificate, key) {
            (Some(certificate), Some(key)) => Some(vec![pair(&certificate, &key)?]),
            (Some(item), None) | (None, Some(item)) => {
                item.invalid(alone());
                None
            }
            (None, None) => {
                section.missing("certificate");
                None
            }
        };
    };
    if let Some(item) = certificate.or(key) {
        let problem = Invalid::new("stands beside 'certificates'");
        item.invalid(problem.hint("put it into the list, first if it is the default"));
    }
    let what = "a list such as [{ certificate = \"./a.pem\", key = \"./a.key\" }]";
    let items = list.filled_list(what, "the first is the default")?;
    if items.len() > CERTIFICATES_MAX {
        list.problem(format!("has more than {CERTIFICATES_MAX} certificates"));
    }
    let mut found = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let Some(mut section) = item.section() else {
            continue;
        };
        let (certificate, key) = (section.required("certificate"), section.required("key"));
        section.finish();
        if let (Some(certificate), Some(key)) = (certificate, key)
            && let Some(pair) = pair(&certificate, &key)
        {
            if index > 0 && pair.names.is_empty() {
                let message = "is for no DNS name, so no client could ask for it";
                certificate.invalid(Invalid::new(message).hint("put it first, as the default"));
            }
            found.push(pair);
        }
    }
    Some(found)
}

/// Who we are to others: `Some(None)` if that is not written.
fn own_certificate(section: &mut Section<'_>) -> Option<Option<Certificate>> {
    match (section.take("certificate"), section.take("key")) {
        (Some(certificate), Some(key)) => pair(&certificate, &key).map(Some),
        (None, None) => Some(None),
        (Some(item), None) | (None, Some(item)) => {
            item.invalid(alone());
            None
        }
    }
}

fn alone() -> Invalid {
    Invalid::new("'certificate' and 'key' belong together").hint("write both")
}

/// `Some(None)` if nobody asks clients for certificates.
fn clients(section: &mut Section<'_>) -> Option<Option<ClientAuthentication>> {
    let ca = section.take("client-ca");
    let need = section.take("client-certificate");
    let words = [("required", Need::Required), ("optional", Need::Optional)];
    let Some(ca) = ca else {
        let Some(need) = need else {
            return Some(None);
        };
        let problem = Invalid::new("says nothing without 'client-ca'");
        need.invalid(problem.hint("name the file of the authority that signs them"));
        return None;
    };
    let need = match need {
        Some(item) => item.choice(&words)?,
        None => Need::Required,
    };
    let authorities = authorities(&ca)?;
    Some(Some(ClientAuthentication { authorities, need }))
}

fn pair(certificate: &Item<'_>, key: &Item<'_>) -> Option<Certificate> {
    // Both are looked at, so that both are reported.
    let chain = chain(certificate);
    let key_der = private_key(key);
    let (chain, key_der) = (chain?, key_der?);
    let leaf = chain.first()?;
    let (names, validity) = read_leaf(leaf)
        .map_err(|problem| certificate.invalid(problem))
        .ok()?;
    let fits = CertifiedKey::from_der(
        chain.clone(),
        key_der.clone_key(),
        &ring::default_provider(),
    );
    match fits {
        Ok(_) => Some(Certificate {
            chain,
            key: Arc::new(key_der),
            names,
            validity,
            place: certificate.place(),
        }),
        Err(rustls::Error::InconsistentKeys(_)) => {
            let file = certificate.string("a file").unwrap_or_default();
            let problem = Invalid::new(format!("is not the key of the certificate in {file:?}"));
            key.invalid(problem.hint("the file's first certificate counts, its chain follows"));
            None
        }
        Err(_) => {
            let problem = Invalid::new("the key is of a kind that can't be used");
            key.invalid(problem.hint("RSA of 2048 to 4096 bits, ECDSA P-256, P-384 or Ed25519"));
            None
        }
    }
}

/// The DNS names and the time that a certificate is for.
fn read_leaf(leaf: &CertificateDer<'_>) -> Result<(Vec<String>, Validity), Invalid> {
    let unreadable = || Invalid::new("the first certificate can't be parsed");
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| unreadable())?;
    let alternative = parsed
        .subject_alternative_name()
        .map_err(|_| unreadable())?
        .map(|extension| extension.value);
    let names = alternative
        .iter()
        .flat_map(|names| &names.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        });
    let validity = Validity {
        not_before: parsed.validity().not_before.timestamp(),
        not_after: parsed.validity().not_after.timestamp(),
    };
    Ok((names.collect(), validity))
}

fn chain(item: &Item<'_>) -> Option<Vec<CertificateDer<'static>>> {
    let pem = read(item)?;
    let chain = certificates_in(item, &pem)?;
    let bytes: usize = chain.iter().map(|certificate| certificate.len()).sum();
    if bytes > CHAIN_BYTES_MAX {
        item.problem(format!(
            "the chain has {bytes} bytes; clients take at most {CHAIN_BYTES_MAX}"
        ));
    }
    Some(chain)
}

fn certificates_in(item: &Item<'_>, pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Some(found),
        Ok(_) => {
            let problem = Invalid::new("the file holds no certificate");
            item.invalid(problem.hint("PEM, with -----BEGIN CERTIFICATE-----"));
            None
        }
        Err(_) => {
            item.problem("the file is not PEM as it should be");
            None
        }
    }
}

fn private_key(item: &Item<'_>) -> Option<PrivateKeyDer<'static>> {
    let pem = read(item)?;
    if let Ok(key) = PrivateKeyDer::from_pem_slice(&pem) {
        return Some(key);
    }
    let is_encrypted = pem
        .windows(b"ENCRYPTED".len())
        .any(|part| part == b"ENCRYPTED");
    item.invalid(if is_encrypted {
        let problem =
            Invalid::new("the key is encrypted, and nobody is there to ask for the words");
        problem.hint("decrypt it with openssl pkey")
    } else {
        let problem = Invalid::new("the file holds no private key");
        problem.hint("PEM, with -----BEGIN PRIVATE KEY-----")
    });
    None
}

fn authorities(item: &Item<'_>) -> Option<Authorities> {
    let pem = read(item)?;
    let found = certificates_in(item, &pem)?;
    let mut roots = RootCertStore::empty();
    for (index, certificate) in found.iter().enumerate() {
        if roots.add(certificate.clone()).is_err() {
            let number = index + 1;
            item.problem(format!(
                "certificate {number} of the file can't be used as an authority"
            ));
            return None;
        }
    }
    Some(Authorities(found))
}

fn server_name(item: &Item<'_>) -> Option<String> {
    let what = "a name such as \"internal.example.com\"";
    let name = item.string(what)?;
    let is_name = ServerName::try_from(name).is_ok();
    if !is_name {
        item.expected(what);
    }
    is_name.then(|| name.to_ascii_lowercase())
}

fn read(item: &Item<'_>) -> Option<Vec<u8>> {
    let name = item.string("a file such as \"./example.pem\"")?;
    let refused = |why: String| item.problem(format!("the file {name:?} {why}"));
    let path = item.reader.resolve(name);
    item.reader.watch(&path);
    if !path.is_file() {
        refused("does not exist or is not a file".to_owned());
        return None;
    }
    let mut bytes = Vec::new();
    let read =
        File::open(&path).and_then(|file| file.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) if bytes.len() as u64 > PEM_BYTES_MAX => {
            refused("is larger than 1 MiB".to_owned());
            None
        }
        Ok(_) => Some(bytes),
        Err(error) => {
            refused(format!("can't be read: {error}"));
            None
        }
    }
}
