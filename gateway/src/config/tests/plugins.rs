//! `[plugins]` and chains.

use std::time::Duration;

use super::super::{Component, Grants, Isolation, OnFault, PluginLimits};
use super::*;

const PLUGIN: &str = "component = \"stock:headers\"\n";

#[test]
fn a_component_alone_has_no_grants_and_all_limits() {
    let plugin = good(&with_plugin(PLUGIN)).plugins.remove("p").unwrap();
    assert_eq!(plugin.component, Component::Stock("headers".to_owned()));
    assert_eq!(plugin.config.json(), "{}");
    assert_eq!(plugin.grants, Grants::default());
    assert_eq!(plugin.on_fault, OnFault::Deny);
    assert_eq!(plugin.isolation, Isolation::Reuse);
    assert!(!plugin.security);
    assert_eq!(
        plugin.limits,
        PluginLimits {
            time: Duration::from_millis(50),
            wall_time: Duration::from_secs(5),
            init_time: Duration::from_secs(1),
            memory_bytes: 16 << 20,
            instances: 512,
            instance_wait: Duration::from_millis(100),
            host_calls: 1_000,
            log_bytes: 16 << 10,
            fetches: 8,
            buffered_body_bytes: 1 << 20,
            output_bytes: 4 << 20,
        }
    );
}

#[test]
fn every_key_is_read() {
    let source = r#"
        component = "stock:headers"
        config = { a = [1, 2.5, true, 1979-05-27, { b = "${route}" }] }
        grants = { kv = true, limiter = true, http-client = ["https://Login.example.com"], http-client-networks = ["10.0.0.0/8"] }
        on-fault = "skip"
        isolation = "per-request"
        security = false
        [plugins.p.limits]
        time = "1ms"
        wall-time = "1s"
        init-time = "2s"
        memory = "1GiB"
        instances = 1
        instance-wait = "3s"
        host-calls = 2
        log-bytes = "1B"
        fetches = 3
        buffered-body = "2B"
        output = "3B"
    "#;
    let plugin = good(&with_plugin(source)).plugins.remove("p").unwrap();
    assert_eq!(
        plugin.config.json(),
        r#"{"a":[1,2.5,true,"1979-05-27",{"b":"${route}"}]}"#
    );
    assert!(plugin.grants.kv && plugin.grants.limiter);
    assert_eq!(
        plugin.grants.http_client,
        Some(vec!["https://login.example.com".parse().unwrap()])
    );
    assert_eq!(
        plugin.grants.http_client_networks,
        ["10.0.0.0/8".parse().unwrap()]
    );
    assert_eq!(
        (plugin.on_fault, plugin.isolation),
        (OnFault::Skip, Isolation::PerRequest)
    );
    assert_eq!(
        plugin.limits,
        PluginLimits {
            time: Duration::from_millis(1),
            wall_time: Duration::from_secs(1),
            init_time: Duration::from_secs(2),
            memory_bytes: 1 << 30,
            instances: 1,
            instance_wait: Duration::from_secs(3),
            host_calls: 2,
            log_bytes: 1,
            fetches: 3,
            buffered_body_bytes: 2,
            output_bytes: 3,
        }
    );
}

/// Lines of a plugin with the problem that each is.
const WRONG: &[(&str, &str)] = &[
    (
        "config = 1",
        "plugins.p.config: expected a table, the plugin's configuration",
    ),
    (
        "config = { a = nan }",
        "plugins.p.config: JSON has no such number",
    ),
    ("config = { a = [{ b = -inf }] }", "JSON has no such number"),
    (
        "config = { a = 9223372036854775808 }",
        "does not fit in 64 bits",
    ),
    (
        "grants = { kv = 1 }",
        "plugins.p.grants.kv: expected true or false, found the integer 1",
    ),
    (
        "grants = { limitr = true }",
        "plugins.p.grants.limitr: unknown key; did you mean 'limiter'?",
    ),
    ("grants = { http-client = true }", "found a boolean"),
    (
        "grants = { http-client = [\"https://a/b\"] }",
        "http-client[0]: only scheme, host and port",
    ),
    (
        "grants = { http-client-networks = [\"::1\"] }",
        "has no effect without origins",
    ),
    (
        "grants = { http-client = [\"http://a\"], http-client-networks = [\"x\"] }",
        "http-client-networks[0]: expected",
    ),
    (
        "limits = { time = \"0.5ms\" }",
        "plugins.p.limits.time: must be at least 1ms",
    ),
    ("limits = { time = \"2m\" }", "must be at most 1m"),
    ("limits = { wall-time = \"0s\" }", "must be at least 1ms"),
    (
        "limits = { memory = \"2GiB\" }",
        "plugins.p.limits.memory: must be at most 1GiB",
    ),
    ("limits = { memory = \"1KiB\" }", "must be at least 64KiB"),
    ("limits = { instances = 0 }", "must be at least 1"),
    ("limits = { host-calls = 0 }", "must be at least 1"),
    ("limits = { fetches = 0 }", "must be at least 1"),
    ("limits = { log-bytes = \"0B\" }", "must be at least 1B"),
    ("limits = { output = \"16mb\" }", "did you mean \"16MB\"?"),
    (
        "on-fault = \"ignore\"",
        "plugins.p.on-fault: expected \"deny\" or \"skip\", found the string \"ignore\"",
    ),
    (
        "isolation = true",
        "expected \"reuse\" or \"per-request\", found the boolean true",
    ),
    ("security = \"yes\"", "expected true or false"),
    (
        "onfault = \"skip\"",
        "plugins.p.onfault: unknown key; did you mean 'on-fault'?",
    ),
];

#[test]
fn wrong_values_are_refused() {
    for (line, problem) in WRONG {
        assert_problem(&with_plugin(&format!("{PLUGIN}{line}")), problem);
    }
    assert_problem(&with_plugin(""), "plugins.p: 'component' is missing");
    let deep = format!("config = {{ a = {}1{} }}", "[".repeat(40), "]".repeat(40));
    let problem = "plugins.p.config: more than 32 tables and lists within one another";
    assert_problem(&with_plugin(&format!("{PLUGIN}{deep}")), problem);
    assert_problem(
        "plugins.\"a b\".component = \"stock:jwt\"",
        "plugins.\"a b\": a name has 1 to 64",
    );
}

#[test]
fn a_plugin_that_keeps_somebody_out_is_never_skipped() {
    let skip = "on-fault = \"skip\"\n";
    for name in ["api-key", "jwt"] {
        let component = format!("component = \"stock:{name}\"\n");
        assert!(good(&with_plugin(&component)).plugins["p"].security);
        assert_problem(
            &with_plugin(&format!("{component}{skip}")),
            "plugins.p.on-fault: a plugin with 'security'",
        );
        good(&with_plugin(&format!("{component}{skip}security = false")));
    }
    good(&with_plugin(&format!("{PLUGIN}{skip}")));
    assert_problem(
        &with_plugin(&format!("{PLUGIN}{skip}security = true")),
        "a plugin with 'security'",
    );
}

#[test]
fn a_component_file_exists_and_is_watched() {
    let folder = Folder::new();
    let file = folder.0.join("gateway.toml");
    let wasm = folder.write("p.wasm", "");
    let checked =
        read_in(&file, &with_plugin("component = \"./p.wasm\"")).map(|checked| checked.config);
    let config = checked.unwrap();
    assert_eq!(
        config.plugins["p"].component,
        Component::File(folder.0.join("./p.wasm"))
    );
    assert_eq!(config.files, [file.clone(), wasm]);
    for (component, problem) in [
        (
            "missing.wasm",
            "the component \"missing.wasm\" does not exist",
        ),
        (".", "the component \".\" is not a file"),
        ("api_key", "did you mean \"stock:api-key\"?"),
        (
            "stock:api-kee",
            "there is no stock plugin \"api-kee\"; did you mean 'api-key'?",
        ),
        (
            "stock:",
            "known: access-log, api-key, headers, jwt, rate-limit",
        ),
    ] {
        let source = with_plugin(&format!("component = {component:?}"));
        let errors = read_in(&file, &source).err().unwrap();
        assert!(errors.to_string().contains(problem), "{errors}");
    }
}

#[test]
fn an_entry_has_its_own_configuration_over_that_of_the_plugin() {
    let config = good(EXAMPLE);
    let [key, limit] = &config.routes[0].plugins[..] else {
        panic!("two plugins were written");
    };
    assert_eq!(key.plugin, "key");
    assert_eq!(key.config, config.plugins["key"].config);
    assert_eq!(key.origin.key, "plugins.key.config");
    assert_eq!(
        limit.config.json(),
        r#"{"by":"consumer","per":"1s","rate":100}"#
    );
    assert_eq!(limit.origin.key, "routes[0].plugins[1].config");
    assert_eq!(limit.origin.line, 31);
}

#[test]
fn the_chain_of_the_server_stands_in_front_of_every_other() {
    let source = r#"
        server.plugins = ["log"]
        plugins.log.component = "stock:access-log"
        plugins.key.component = "stock:api-key"
        upstreams.u.endpoints = ["http://u"]
        [[routes]]
        path = "/a"
        upstream = "u"
        plugins = ["key", { use = "key" }]
        [[routes]]
        path = "/b"
        upstream = "u"
    "#;
    let config = good(source);
    let chain = |index: usize| -> Vec<&str> {
        config.routes[index]
            .plugins
            .iter()
            .map(|entry| entry.plugin.as_str())
            .collect()
    };
    assert_eq!(chain(0), ["log", "key", "key"]);
    assert_eq!(chain(1), ["log"]);
    assert_eq!(
        config.routes[0].plugins[1].origin.key,
        "routes[0].plugins[0]"
    );
}

#[test]
fn a_wrong_entry_is_refused() {
    for (entry, problem) in [
        (
            "1",
            "routes[0].plugins[0]: expected a plugin's name or a table such as { use = \"name\", config = {} }, found the integer 1",
        ),
        ("{}", "routes[0].plugins[0]: 'use' is missing"),
        ("{ use = true }", "routes[0].plugins[0].use: expected"),
        (
            "{ use = \"q\" }",
            "routes[0].plugins[0].use: there is no plugin \"q\"; known: p",
        ),
        (
            "{ use = \"p\", config = 1 }",
            "routes[0].plugins[0].config: expected a table",
        ),
        (
            "{ use = \"p\", conf = {} }",
            "routes[0].plugins[0].conf: unknown key; did you mean 'config'?",
        ),
    ] {
        let source = format!(
            "plugins.p.{PLUGIN}{}",
            with_route(&format!("path = \"/\"\nplugins = [{entry}]"))
        );
        assert_problem(&source, problem);
    }
}
