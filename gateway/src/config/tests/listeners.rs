//! `server.listen`: addresses, and tables.

use std::path::Path;

use super::super::{Listener, TlsVersion};
use super::tls::folder;
use super::*;

pub(super) fn listeners(file: &Path, source: &str) -> Vec<Listener> {
    let checked = read_in(file, source).unwrap_or_else(|errors| panic!("{errors}\nin{source}"));
    checked.config.server.listen
}

#[test]
fn a_listener_is_an_address_or_a_table() {
    let (_folder, file) = folder(&["a.example"]);
    let both = listeners(
        &file,
        r#"
        [server]
        trusted-proxies = ["10.0.0.0/8"]
        listen = [
            "127.0.0.1:8080",
            { address = "127.0.0.1:80", redirect = "https" },
            { address = "127.0.0.1:81", redirect = "https", redirect-port = 8443 },
            { address = "127.0.0.1:82", proxy-protocol = true },
            { address = "127.0.0.1:443", tls = { certificate = "./a.example.pem", key = "./a.example.key" } },
        ]
        "#,
    );
    let redirects: Vec<_> = both.iter().map(|it| it.redirect).collect();
    assert_eq!(redirects, [None, Some(443), Some(8443), None, None]);
    let proxied: Vec<_> = both.iter().map(|it| it.proxy_protocol).collect();
    assert_eq!(proxied, [false, false, false, true, false]);
    let tls = both[4].tls.as_ref().unwrap();
    assert_eq!(tls.certificates[0].names, ["a.example"]);
    assert_eq!((&tls.clients, tls.min_version), (&None, TlsVersion::Tls12));
    assert!(both[..4].iter().all(|listener| listener.tls.is_none()));
}

#[test]
fn wrong_listeners_are_refused() {
    for (listen, problem) in [
        ("[1]", "listen[0]: expected an address such as"),
        ("[{}]", "listen[0]: 'address' is missing"),
        (
            "[{ address = \"a\" }]",
            "listen[0].address: \"a\" is not an address",
        ),
        (
            "[{ address = \"127.0.0.1:1\", adress = 1 }]",
            "unknown key; did you mean 'address'?",
        ),
        (
            "[\"127.0.0.1:1\", { address = \"0.0.0.0:1\" }]",
            "listen[1].address: is the same as, or part of, the listener 127.0.0.1:1",
        ),
        (
            "[{ address = \"127.0.0.1:1\", redirect = \"http\" }]",
            "redirect: expected \"https\", found the string \"http\"",
        ),
        (
            "[{ address = \"127.0.0.1:1\", redirect-port = 1 }]",
            "redirect-port: says nothing without 'redirect'; write redirect = \"https\"",
        ),
        (
            "[{ address = \"127.0.0.1:1\", redirect = \"https\", redirect-port = 65536 }]",
            "redirect-port: must be at most 65535",
        ),
        (
            "[{ address = \"127.0.0.1:1\", proxy-protocol = true }]",
            "listen: 'proxy-protocol' is on, and nobody may speak it; name the balancers in server.trusted-proxies",
        ),
        (
            "[{ address = \"127.0.0.1:1\", tls = true }]",
            "listen[0].tls: expected a table, found a boolean",
        ),
        (
            "[{ address = \"127.0.0.1:1\", tls = {} }]",
            "listen[0].tls: 'certificate' is missing",
        ),
    ] {
        assert_problem(&format!("server.listen = {listen}"), problem);
    }
    let many = |count: usize| {
        let one = |number| format!("\"127.0.0.1:{}\",", 1000 + number);
        format!(
            "server.listen = [{}]",
            (0..count).map(one).collect::<String>()
        )
    };
    assert_eq!(problems(&many(256)), [""; 0]);
    assert_problem(&many(257), "has more than 256 listeners");
}

#[test]
fn tls_and_redirect_exclude_each_other() {
    let (_folder, file) = folder(&["a.example"]);
    let source = "server.listen = [{ address = \"127.0.0.1:1\", redirect = \"https\", \
         tls = { certificate = \"./a.example.pem\", key = \"./a.example.key\" } }]";
    let errors = read_in(&file, source).err().unwrap().to_string();
    assert!(
        errors.contains("clients of a TLS listener are there already"),
        "{errors}"
    );
}
