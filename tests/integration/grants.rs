//! What a plugin may use is what it was granted; anything else is refused at load, by name (THREATS 23).

use gateway_tests::guests::{MISBEHAVING, Raw};
use gateway_tests::{Setup, Upstream};

/// Why a gateway with that plugin does not start.
#[track_caller]
fn refused(component: &[u8], keys: &str) -> String {
    let up = Upstream::echo();
    let setup = Setup::to(&up, "plugins = [\"p\"]").plugin("p", component, keys);
    setup.try_start().err().expect("it must not load")
}

/// A raw plugin that imports a function of its own interface.
fn importing(interface: &str) -> Vec<u8> {
    let (package, name) = interface
        .split_once('/')
        .expect("a package and an interface");
    let (name, version) = name.split_once('@').expect("with a version");
    Raw::new()
        .packages(&format!(
            "package {package}@{version} {{ interface {name} {{ reach: func(); }} }}"
        ))
        .world(&format!("import {interface};"))
        .import(&format!("(import \"{interface}\" \"reach\" (func $reach))"))
        .handle("(call $reach) (unreachable)")
        .component()
}

#[test]
fn each_interface_must_be_granted_and_the_error_names_it_and_the_key() {
    let all = [
        "kv = true",
        "limiter = true",
        "http-client = [\"http://a.example\"]",
    ];
    for (missing, interface) in [
        (0, "gateway:plugin/kv"),
        (1, "gateway:plugin/limiter"),
        (2, "gateway:plugin/http-client"),
    ] {
        let granted: Vec<&str> = all
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != missing)
            .map(|(_, key)| *key)
            .collect();
        let error = refused(
            MISBEHAVING,
            &format!("grants = {{ {} }}", granted.join(", ")),
        );
        assert!(error.contains(interface), "{error}");
        let key = all[missing].split(' ').next().expect("a key");
        assert!(error.contains(&format!("grants.{key}")), "{error}");
        assert!(
            error.contains("gateway.toml:") && error.contains("plugins.p"),
            "{error}"
        );
    }
    let up = Upstream::echo();
    let setup = Setup::to(&up, "plugins = [\"p\"]");
    drop(
        setup
            .plugin(
                "p",
                MISBEHAVING,
                &format!("grants = {{ {} }}", all.join(", ")),
            )
            .start(),
    );
}

#[test]
fn the_network_and_whatever_else_is_not_the_contract_is_refused_by_name() {
    for interface in [
        "wasi:sockets/tcp@0.2.6",
        "wasi:sockets/tcp-create-socket@0.2.6",
        "wasi:sockets/ip-name-lookup@0.2.6",
        "wasi:http/outgoing-handler@0.2.6",
        "wasi:keyvalue/store@0.2.0",
        "evil:things/backdoor@1.0.0",
        "gateway:secret/keys@0.1.0",
    ] {
        let error = refused(&importing(interface), "");
        assert!(error.contains(interface), "{interface}: {error}");
        assert!(error.contains("plugins.p"), "{error}");
    }
}

#[test]
fn another_version_of_the_contract_is_refused() {
    let error = refused(&importing("gateway:plugin/types@0.9.0"), "");
    assert!(
        error.contains("gateway:plugin/types@0.9.0") && error.contains("0.1.0"),
        "{error}"
    );
}

#[test]
fn a_plugin_finds_no_file_no_argument_and_no_variable() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "plugins = [\"p\"]")
        .acts("p", "{ hook = \"request\", act = \"look-around\" }")
        .start();
    let answer = gateway.get("/");
    let seen = answer.echoed("x-around").unwrap_or_default();
    assert_eq!(
        seen,
        "variables 0, arguments 0, files 0, clock true",
        "{}",
        answer.text()
    );
}
