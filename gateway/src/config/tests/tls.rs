//! The certificate files of listeners and upstreams.

use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair};

use super::super::{Need, TlsVersion};
use super::listeners::listeners;
use super::*;

/// A folder with `NAME.pem` and `NAME.key` for each of these names; the path of a configuration in it.
pub(super) fn folder(names: &[&str]) -> (Folder, PathBuf) {
    let folder = Folder::new();
    for name in names {
        make(
            &folder,
            name,
            CertificateParams::new([(*name).to_owned()]).unwrap(),
        );
    }
    let file = folder.0.join("gateway.toml");
    (folder, file)
}

fn make(folder: &Folder, name: &str, params: CertificateParams) {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    folder.write(&format!("{name}.pem"), certificate.pem());
    folder.write(&format!("{name}.key"), key.serialize_pem());
}

/// The one problem of `[server.listen.tls]` with these lines.
fn tls_problem(file: &Path, lines: &str) -> String {
    let source =
        format!("[[server.listen]]\naddress = \"127.0.0.1:0\"\n[server.listen.tls]\n{lines}");
    let Err(errors) = read_in(file, &source) else {
        panic!("nothing is wrong with {lines}");
    };
    errors.to_string().replace(&file.display().to_string(), "")
}

#[test]
fn a_listener_may_have_several_certificates_and_ask_for_clients() {
    let (_folder, file) = folder(&["a.example", "*.b.example"]);
    let source = |need: &str| {
        format!(
            r#"
            [[server.listen]]
            address = "127.0.0.1:443"
            [server.listen.tls]
            certificates = [
                {{ certificate = "./a.example.pem", key = "./a.example.key" }},
                {{ certificate = "./*.b.example.pem", key = "./*.b.example.key" }},
            ]
            client-ca = "./a.example.pem"
            min-version = "1.3"
            {need}
            "#
        )
    };
    let needs = [
        ("", Need::Required),
        ("client-certificate = \"required\"", Need::Required),
        ("client-certificate = \"optional\"", Need::Optional),
    ];
    for (written, need) in needs {
        let mut listeners = listeners(&file, &source(written));
        let tls = listeners.remove(0).tls.unwrap();
        assert_eq!(tls.certificates[1].names, ["*.b.example"]);
        assert_eq!(tls.min_version, TlsVersion::Tls13);
        assert_eq!(tls.clients.unwrap().need, need);
    }
}

/// Files of a certificate and a key, and what is said of them.
const WRONG_FILES: &[(&str, &str, &str)] = &[
    (
        "./no.pem",
        "./a.key",
        ":4: server.listen[0].tls.certificate: the file \"./no.pem\" does not exist",
    ),
    (
        "./a.pem",
        "./no.key",
        ":5: server.listen[0].tls.key: the file \"./no.key\" does not exist",
    ),
    (
        "./none.pem",
        "./a.key",
        "certificate: the file holds no certificate; PEM, with",
    ),
    (
        "./a.key",
        "./a.key",
        "certificate: the file holds no certificate",
    ),
    (
        "./broken.pem",
        "./a.key",
        "certificate: the file is not PEM as it should be",
    ),
    (
        "./junk.pem",
        "./a.key",
        "certificate: the first certificate can't be parsed",
    ),
    (
        "./large.pem",
        "./a.key",
        "certificate: the file \"./large.pem\" is larger than 1 MiB",
    ),
    ("./a.pem", "./a.pem", "key: the file holds no private key"),
    (
        "./a.pem",
        "./locked.key",
        "key: the key is encrypted, and nobody is there to ask for the words; decrypt it",
    ),
    (
        "./a.pem",
        "./odd.key",
        "key: the key is of a kind that can't be used; RSA",
    ),
    (
        "./a.pem",
        "./b.key",
        ":5: server.listen[0].tls.key: is not the key of the certificate in \"./a.pem\"",
    ),
];

/// Keys of the table `tls`, and what is said of them.
const WRONG_KEYS: &[(&str, &str)] = &[
    (
        "certificate = \"./a.pem\"",
        "'certificate' and 'key' belong together; write both",
    ),
    (
        "key = \"./a.key\"",
        "'certificate' and 'key' belong together",
    ),
    (
        "certificates = []",
        "certificates: the list is empty; the first is the default",
    ),
    (
        "certificates = [{ certificate = \"./a.pem\" }]",
        "certificates[0]: 'key' is missing",
    ),
    (
        "certificate = \"./a.pem\"\nkey = \"./a.key\"\nclient-certificate = \"optional\"",
        "client-certificate: says nothing without 'client-ca'",
    ),
    (
        "certificate = \"./a.pem\"\nkey = \"./a.key\"\nclient-ca = \"./none.pem\"",
        "client-ca: the file holds no certificate",
    ),
    (
        "certificate = \"./a.pem\"\nkey = \"./a.key\"\nclient-ca = \"./junk.pem\"",
        "client-ca: certificate 1 of the file can't be used as an authority",
    ),
    (
        "certificate = \"./a.pem\"\nkey = \"./a.key\"\nmin-version = \"1.1\"",
        "min-version: expected \"1.2\" or \"1.3\", found the string \"1.1\"",
    ),
];

#[test]
fn every_wrong_file_is_named_with_its_line_and_key() {
    let (folder, file) = folder(&["a", "b"]);
    folder.write("none.pem", "nothing here\n");
    folder.write(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
    );
    folder.write(
        "junk.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    folder.write(
        "locked.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    folder.write(
        "odd.key",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    );
    folder.write("large.pem", vec![b'\n'; (1 << 20) + 1]);
    for (certificate, key, problem) in WRONG_FILES {
        let lines = format!("certificate = {certificate:?}\nkey = {key:?}\n");
        let said = tls_problem(&file, &lines);
        assert!(
            said.contains(problem) && said.lines().count() == 1,
            "{lines}{said}"
        );
    }
    for (lines, problem) in WRONG_KEYS {
        let said = tls_problem(&file, lines);
        assert!(said.contains(problem), "{lines}\n{said}");
    }
}

#[test]
fn a_certificate_without_names_can_only_be_the_first() {
    let (folder, file) = folder(&["a"]);
    make(&folder, "nameless", CertificateParams::default());
    let list = |first: &str, second: &str| {
        let one = |name| format!("{{ certificate = \"./{name}.pem\", key = \"./{name}.key\" }}");
        format!("certificates = [{}, {}]", one(first), one(second))
    };
    let said = tls_problem(&file, &list("a", "nameless"));
    assert!(
        said.contains("certificates[1].certificate: is for no DNS name"),
        "{said}"
    );
    let head = "[[server.listen]]\naddress = \"127.0.0.1:0\"\n[server.listen.tls]\n";
    assert_eq!(
        listeners(&file, &format!("{head}{}", list("nameless", "a"))).len(),
        1
    );
}

#[test]
fn certificate_files_are_watched_also_those_that_are_wrong() {
    let (folder, file) = folder(&["a"]);
    let source = "server.listen = [{ address = \"127.0.0.1:1\", tls = \
         { certificate = \"./a.pem\", key = \"./no.key\", client-ca = \"./ca.pem\" } }]";
    let errors = read_in(&file, source).err().unwrap();
    for name in ["gateway.toml", "./a.pem", "./no.key", "./ca.pem"] {
        let path = folder.0.join(name);
        assert!(
            errors.files().contains(&path),
            "{name} {:?}",
            errors.files()
        );
    }
}

#[test]
fn a_certificate_whose_time_has_not_come_or_is_over_is_a_warning() {
    let (folder, file) = folder(&[]);
    let day = Duration::from_secs(86_400);
    let at = |time: SystemTime| time.into();
    let mut old = CertificateParams::new(["old".to_owned()]).unwrap();
    old.not_after = at(SystemTime::now() - 3 * day - day / 2);
    make(&folder, "old", old);
    let mut early = CertificateParams::new(["early".to_owned()]).unwrap();
    early.not_before = at(SystemTime::now() + 2 * day + day / 2);
    make(&folder, "early", early);
    let source = r#"
        [[server.listen]]
        address = "127.0.0.1:0"
        tls = { certificate = "./old.pem", key = "./old.key" }
        [upstreams.u]
        endpoints = ["https://u"]
        tls = { certificate = "./early.pem", key = "./early.key" }
        [[routes]]
        path = "/"
        upstream = "u"
    "#;
    let warnings = read_in(&file, source).unwrap().warnings;
    let warnings: Vec<String> = warnings
        .iter()
        .map(|warning| warning.to_string().replace(&file.display().to_string(), ""))
        .collect();
    assert_eq!(
        warnings,
        [
            ":4: server.listen[0].tls.certificate: the certificate expired 3 days ago",
            ":7: upstreams.u.tls.certificate: the certificate becomes valid in 2 days",
        ]
    );
}

#[test]
fn an_upstream_may_have_an_authority_a_name_and_a_certificate() {
    let (_folder, file) = folder(&["a", "b"]);
    let source = |endpoint: &str, tls: &str| {
        format!("[upstreams.u]\nendpoints = [\"{endpoint}\"]\ntls = {{ {tls} }}")
    };
    let whole = "ca = \"./a.pem\", server-name = \"U.internal\", certificate = \"./b.pem\", key = \"./b.key\"";
    let config = read_in(&file, &source("https://u", whole)).unwrap().config;
    let tls = &config.upstreams["u"].tls;
    assert_eq!(tls.server_name.as_deref(), Some("u.internal"));
    assert_eq!(tls.authorities.as_ref().map(|found| found.0.len()), Some(1));
    assert_eq!(tls.certificate.as_ref().map(|it| &*it.names[0]), Some("b"));
    for (endpoint, tls, problem) in [
        (
            "http://u",
            "ca = \"./a.pem\"",
            "upstreams.u.tls: no endpoint speaks TLS; write https://",
        ),
        (
            "https://u",
            "ca = \"./no.pem\"",
            "tls.ca: the file \"./no.pem\" does not exist",
        ),
        (
            "https://u",
            "server-name = \"a b\"",
            "tls.server-name: expected a name such as",
        ),
        ("https://u", "key = \"./b.key\"", "belong together"),
        (
            "https://u",
            "certificate = \"./a.pem\", key = \"./b.key\"",
            "tls.key: is not the key of the certificate in \"./a.pem\"",
        ),
        ("https://u", "cas = 1", "unknown key; did you mean 'ca'?"),
    ] {
        let errors = read_in(&file, &source(endpoint, tls)).err().unwrap();
        let said = errors.to_string();
        assert!(
            said.contains(problem) && said.lines().count() == 1,
            "{tls}\n{said}"
        );
    }
}

#[test]
fn equal_bytes_are_equal_certificates_wherever_they_are_written() {
    let (folder, file) = folder(&["a"]);
    let one = "server.listen = [{ address = \"127.0.0.1:1\", tls = { certificate = \"./a.pem\", key = \"./a.key\" } }]";
    let before = listeners(&file, one);
    assert_eq!(listeners(&file, &format!("\n\n{one}")), before);
    make(
        &folder,
        "a",
        CertificateParams::new(["a".to_owned()]).unwrap(),
    );
    assert_ne!(listeners(&file, one), before);
    assert!(!format!("{before:?}").contains("PRIVATE"));
}
