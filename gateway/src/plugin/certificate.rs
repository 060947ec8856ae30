//! The certificate of a client, as plugins see it: read once for a connection, after the handshake has checked it.
//!
//! Names are written as RFC 4514 has it, with everything escaped that could make one name look like another. What can't be
//! parsed is refused: a certificate that two parsers understand differently must not become an identity.

use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use thiserror::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Who a client is, by a certificate whose signature, time and use were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// By RFC 4514, the most specific part first: `CN=alice,O=Example`.
    pub subject: String,
    /// Who signed it, in the same form.
    pub issuer: String,
    /// Its number with the issuer, in lower-case hexadecimal digits.
    pub serial: String,
    /// SHA-256 of the whole certificate, in lower-case hexadecimal digits.
    pub fingerprint: String,
    /// DNS names, lower-case.
    pub dns_names: Vec<String>,
    /// Mail addresses.
    pub emails: Vec<String>,
    /// URIs, such as SPIFFE ids.
    pub uris: Vec<String>,
    /// IP addresses.
    pub addresses: Vec<String>,
    /// The first second in which it is good, since 1970-01-01 UTC.
    pub not_before: i64,
    /// The last one.
    pub not_after: i64,
}

/// A certificate that can't be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the client's certificate can't be parsed")]
pub struct Unreadable;

impl ClientCertificate {
    /// Read a certificate that was checked.
    ///
    /// # Errors
    /// It can't be parsed as a whole, with every name in it.
    pub fn read(der: &CertificateDer<'_>) -> Result<Self, Unreadable> {
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| Unreadable)?;
        if !rest.is_empty() {
            return Err(Unreadable);
        }
        let mut certificate = Self {
            subject: name(parsed.subject()),
            issuer: name(parsed.issuer()),
            serial: hexadecimal(parsed.raw_serial()),
            fingerprint: hexadecimal(&Sha256::digest(der)),
            dns_names: Vec::new(),
            emails: Vec::new(),
            uris: Vec::new(),
            addresses: Vec::new(),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
        };
        let alternative = parsed.subject_alternative_name();
        if let Some(alternative) = alternative.map_err(|_| Unreadable)? {
            for name in &alternative.value.general_names {
                certificate.add(name)?;
            }
        }
        Ok(certificate)
    }

    fn add(&mut self, name: &GeneralName<'_>) -> Result<(), Unreadable> {
        match name {
            GeneralName::DNSName(name) => self.dns_names.push(plain(name)?.to_ascii_lowercase()),
            GeneralName::RFC822Name(name) => self.emails.push(plain(name)?.to_owned()),
            GeneralName::URI(name) => self.uris.push(plain(name)?.to_owned()),
            GeneralName::IPAddress(bytes) => self.addresses.push(address(bytes)?.to_string()),
            GeneralName::Invalid(..) => return Err(Unreadable),
            // Nobody could tell what they mean by their text.
            GeneralName::OtherName(..)
            | GeneralName::X400Address(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EDIPartyName(_)
            | GeneralName::RegisteredID(_) => {}
        }
        Ok(())
    }
}

/// These are IA5 strings; whatever else would be there to deceive whoever reads them.
fn plain(name: &str) -> Result<&str, Unreadable> {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_graphic());
    is_plain.then_some(name).ok_or(Unreadable)
}

fn address(bytes: &[u8]) -> Result<IpAddr, Unreadable> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .map_err(|_| Unreadable)
}

/// RFC 4514 2.1: the last part first, parts of one set joined by `+`.
fn name(name: &X509Name<'_>) -> String {
    let mut sets: Vec<String> = name
        .iter_rdn()
        .map(|set| set.iter().map(attribute).collect::<Vec<_>>().join("+"))
        .collect();
    sets.reverse();
    sets.join(",")
}

/// RFC 4514 2.3 and 2.4: short names for the types of its table, digits for others; values as text, or as bytes in
/// hexadecimal digits where they are none.
fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let kind = attribute.attr_type().to_id_string();
    let short = match kind.as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        other => other,
    };
    match attribute.as_str() {
        Ok(text) => format!("{short}={}", escaped(text)),
        Err(_) => format!("{short}=#{}", hexadecimal(attribute.as_slice())),
    }
}

/// RFC 4514 2.4. Control characters are escaped, too: the text may end up in a header field or a log.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (index, letter) in text.chars().enumerate() {
        match letter {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => escaped.extend(['\\', letter]),
            '#' if index == 0 => escaped.push_str("\\#"),
            ' ' if index == 0 || index == last => escaped.push_str("\\ "),
            control if control.is_control() => {
                let mut bytes = [0; 4];
                for byte in control.encode_utf8(&mut bytes).bytes() {
                    escaped.push_str(&format!("\\{byte:02x}"));
                }
            }
            plain => escaped.push(plain),
        }
    }
    escaped
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|half| DIGITS[usize::from(half)]);
    bytes.iter().flat_map(digits).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::string::Ia5String;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

    use super::*;

    fn made(parts: &[(DnType, &str)], names: Vec<SanType>) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        let mut subject = DistinguishedName::new();
        for (kind, value) in parts {
            subject.push(kind.clone(), *value);
        }
        params.distinguished_name = subject;
        params.subject_alt_names = names;
        params.serial_number = Some(0x0123_4567_u64.into());
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn every_kind_of_name_is_read() {
        let text = |text: &str| Ia5String::try_from(text).unwrap();
        let der = made(
            &[
                (DnType::OrganizationName, "Example"),
                (DnType::CommonName, "alice"),
            ],
            vec![
                SanType::DnsName(text("Alice.Example.com")),
                SanType::Rfc822Name(text("alice@example.com")),
                SanType::URI(text("spiffe://example/alice")),
                SanType::IpAddress("192.0.2.1".parse().unwrap()),
                SanType::IpAddress("2001:db8::1".parse().unwrap()),
            ],
        );
        let read = ClientCertificate::read(&der).unwrap();
        assert_eq!(read.subject, "CN=alice,O=Example");
        assert_eq!(read.issuer, read.subject);
        assert_eq!(read.serial, "01234567");
        assert_eq!(read.dns_names, ["alice.example.com"]);
        assert_eq!(read.emails, ["alice@example.com"]);
        assert_eq!(read.uris, ["spiffe://example/alice"]);
        assert_eq!(read.addresses, ["192.0.2.1", "2001:db8::1"]);
        assert_eq!(read.fingerprint.len(), 64);
        assert_eq!(read.fingerprint, hexadecimal(&Sha256::digest(&der)));
        assert!(read.not_before < read.not_after);
    }

    #[test]
    fn no_value_can_look_like_another_part_of_the_name() {
        let hostile = [
            ("alice,O=Admin", "CN=alice\\,O\\=Admin"),
            ("alice+UID=root", "CN=alice\\+UID\\=root"),
            ("a\\", "CN=a\\\\"),
            ("#04", "CN=\\#04"),
            (" a ", "CN=\\ a\\ "),
            ("a\r\nx: y", "CN=a\\0d\\0ax: y"),
            ("a\u{85}b", "CN=a\\c2\\85b"),
            ("a\0b", "CN=a\\00b"),
        ];
        for (value, expected) in hostile {
            let der = made(&[(DnType::CommonName, value)], Vec::new());
            let read = ClientCertificate::read(&der).unwrap();
            assert_eq!(read.subject, expected, "{value:?}");
        }
    }

    #[test]
    fn names_with_control_bytes_or_bytes_behind_the_end_are_refused() {
        let name = Ia5String::try_from("alice\0.example.com").unwrap();
        let der = made(&[], vec![SanType::DnsName(name)]);
        assert_eq!(ClientCertificate::read(&der), Err(Unreadable));
        let mut longer = made(&[], Vec::new()).to_vec();
        longer.push(0);
        assert_eq!(ClientCertificate::read(&longer.into()), Err(Unreadable));
        assert_eq!(
            ClientCertificate::read(&vec![0x30, 0x03, 1, 2].into()),
            Err(Unreadable)
        );
    }
}
