//! `[server]` and `[log]`.

use std::time::Duration;

use super::super::{AccessLog, ClientLimits, FieldNames, Listener, LogFormat, PathNormalisation};
use super::*;

#[test]
fn an_empty_file_is_all_defaults() {
    let config = good("");
    let server = &config.server;
    assert_eq!(
        server.listen,
        [Listener::plain("127.0.0.1:8080".parse().unwrap())]
    );
    assert_eq!(server.admin, None);
    assert!(server.workers >= 1);
    assert_eq!(server.cache_dir, Some("/home/joe/.cache/gateway".into()));
    assert_eq!(server.access_log, AccessLog::Stdout);
    assert_eq!(
        (server.path_normalisation, server.field_names),
        (PathNormalisation::Repair, FieldNames::Plain)
    );
    assert_eq!(server.kv_memory_bytes, 64 << 20);
    assert_eq!(
        server.limits,
        ClientLimits {
            connections: 10_000,
            connections_per_listener: None,
            connections_per_address: 256,
            exempt_addresses: vec!["127.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()],
            requests_per_connection: None,
            requests_in_flight: 20_000,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(30),
            min_rate: 240,
            headers: 100,
            header_bytes: 65_536,
            uri_bytes: 8_192,
            streams: 100,
            resets: 100,
            control_frames: 1_000,
            drain_timeout: Duration::from_secs(30),
        }
    );
    assert_eq!(
        (config.log.level.as_str(), config.log.format),
        ("info", LogFormat::Text)
    );
    assert_eq!(good("[server]\n[server.limits]\n[log]\n"), config);
}

#[test]
fn every_key_is_read() {
    let config = good(
        r#"
        [server]
        listen = ["0.0.0.0:80", "[::]:80", "127.0.0.1:0", "127.0.0.1:0"]
        admin = "[::1]:9901"
        workers = 3
        cache-dir = "cache"
        access-log = "./access.log"
        trusted-proxies = ["10.0.0.0/8", "::1"]
        path-normalisation = "strict"
        field-names = "any"
        kv-memory = "1GiB"
        [log]
        level = "warn,gateway=trace"
        format = "json"
        "#,
    );
    let server = &config.server;
    let here = std::env::current_dir().unwrap();
    assert_eq!(server.listen.len(), 4);
    assert_eq!(server.admin, "[::1]:9901".parse().ok());
    assert_eq!(server.workers, 3);
    assert_eq!(server.cache_dir, Some(here.join("cache")));
    assert_eq!(
        server.access_log,
        AccessLog::File(here.join("./access.log"))
    );
    assert_eq!(
        server.trusted_proxies,
        ["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()]
    );
    assert_eq!(
        (server.path_normalisation, server.field_names),
        (PathNormalisation::Strict, FieldNames::Any)
    );
    assert_eq!(server.kv_memory_bytes, 1 << 30);
    assert_eq!(
        (config.log.level.as_str(), config.log.format),
        ("warn,gateway=trace", LogFormat::Json)
    );
    assert_eq!(good("server.cache-dir = false").server.cache_dir, None);
    assert_eq!(
        good("server.access-log = \"off\"").server.access_log,
        AccessLog::Off
    );
    assert_eq!(
        good("server.access-log = \"stderr\"").server.access_log,
        AccessLog::Stderr
    );
}

#[test]
fn every_limit_is_read() {
    let config = good(
        r#"
        [server.limits]
        connections = 1
        connections-per-listener = 2
        connections-per-address = 3
        exempt-addresses = ["192.0.2.0/24"]
        requests-per-connection = 4
        requests-in-flight = 5
        min-rate = "0B"
        resets = 6
        control-frames = 7
        header-timeout = "1ms"
        idle-timeout = "24h"
        body-timeout = "1m"
        headers = 1_000
        header-bytes = "8KiB"
        uri-bytes = "1KiB"
        streams = 1_000
        drain-timeout = "1.5s"
        "#,
    );
    let limits = &config.server.limits;
    assert_eq!(
        (limits.connections, limits.headers, limits.streams),
        (1, 1_000, 1_000)
    );
    assert_eq!((limits.header_bytes, limits.uri_bytes), (8_192, 1_024));
    assert_eq!(limits.connections_per_listener, Some(2));
    assert_eq!(limits.connections_per_address, 3);
    assert_eq!(limits.exempt_addresses, ["192.0.2.0/24".parse().unwrap()]);
    assert_eq!(limits.requests_per_connection, Some(4));
    assert_eq!((limits.requests_in_flight, limits.min_rate), (5, 0));
    assert_eq!((limits.resets, limits.control_frames), (6, 7));
    assert_eq!(limits.header_timeout, Duration::from_millis(1));
    assert_eq!(limits.idle_timeout, Duration::from_secs(86_400));
    assert_eq!(limits.body_timeout, Duration::from_secs(60));
    assert_eq!(limits.drain_timeout, Duration::from_millis(1_500));
}

/// Lines of `[server]` with the problem that each is.
const WRONG: &[(&str, &str)] = &[
    (
        "listen = []",
        "listen: the list is empty; leave the key out",
    ),
    (
        "listen = \"127.0.0.1:80\"",
        "expected a list of addresses such as [\"127.0.0.1:8080\"], found a string",
    ),
    (
        "listen = [8080]",
        "listen[0]: expected an address such as \"127.0.0.1:8080\" or a table with 'address', found the integer 8080",
    ),
    ("listen = [\":8080\"]", "did you mean \"127.0.0.1:8080\"?"),
    (
        "listen = [\"localhost:80\"]",
        "did you mean \"127.0.0.1:80\"?",
    ),
    (
        "listen = [\"1.2.3.4:80\", \"1.2.3.4:80\"]",
        "listen[1]: is the same as, or part of, the listener 1.2.3.4:80",
    ),
    (
        "listen = [\"0.0.0.0:80\", \"1.2.3.4:80\"]",
        "listen[1]: is the same as, or part of, the listener 0.0.0.0:80",
    ),
    ("admin = \"127.0.0.1:8080\"", "admin: is the same as"),
    ("admin = false", "found the boolean false"),
    ("workers = 0", "workers: must be at least 1"),
    ("workers = -1", "workers: must be at least 1"),
    (
        "workers = 99999999999999999999",
        "workers: must be at most 1024",
    ),
    (
        "workers = \"2\"",
        "expected a number such as 100, found the string \"2\"",
    ),
    ("workers = 1.5", "found the float 1.5"),
    (
        "cache-dir = true",
        "expected a folder, or false for no cache, found the boolean true",
    ),
    ("access-log = \"stdot\"", "did you mean 'stdout'?"),
    (
        "access-log = \"./no/such/folder/log\"",
        "is not a file in a folder that exists",
    ),
    (
        "access-log = \"..\"",
        "is not a file in a folder that exists",
    ),
    (
        "trusted-proxies = [\"10.0.0.1/8\"]",
        "did you mean \"10.0.0.0/8\"?",
    ),
    (
        "trusted-proxies = [true]",
        "trusted-proxies[0]: expected a range",
    ),
    (
        "kv-memory = 64",
        "kv-memory: expected a size such as \"64KiB\" or \"16MiB\", found the integer 64",
    ),
    ("kv-memory = \"1KiB\"", "must be at least 64KiB"),
    (
        "plugins = \"key\"",
        "plugins: expected a list of plugins such as [\"name\"], found a string",
    ),
    (
        "limits = { connections = 0 }",
        "server.limits.connections: must be at least 1",
    ),
    ("limits = { headers = 0 }", "must be at least 1"),
    (
        "limits = { connections-per-address = 0 }",
        "must be at least 1",
    ),
    (
        "limits = { connections-per-listener = 2_000_000 }",
        "must be at most 1000000",
    ),
    (
        "limits = { requests-per-connection = 0 }",
        "must be at least 1",
    ),
    ("limits = { requests-in-flight = 0 }", "must be at least 1"),
    ("limits = { resets = 0 }", "must be at least 1"),
    (
        "limits = { control-frames = 2_000_000 }",
        "must be at most 1000000",
    ),
    ("limits = { min-rate = 240 }", "found the integer 240"),
    ("limits = { min-rate = \"2MiB\" }", "must be at most 1MiB"),
    (
        "limits = { exempt-addresses = [\"10.0.0.1/8\"] }",
        "did you mean \"10.0.0.0/8\"?",
    ),
    (
        "limits = { exempt-addresses = \"10.0.0.0/8\" }",
        "expected a list with a range",
    ),
    ("limits = { headers = 1001 }", "must be at most 1000"),
    ("limits = { streams = 0 }", "must be at least 1"),
    (
        "limits = { header-timeout = \"0s\" }",
        "must be at least 1ms",
    ),
    ("limits = { drain-timeout = \"25h\" }", "must be at most 1d"),
    (
        "limits = { idle-timeout = \"5\" }",
        "units are us, ms, s, m, h, d",
    ),
    (
        "limits = { header-bytes = \"4KiB\" }",
        "must be at least 8KiB",
    ),
    (
        "limits = { uri-bytes = \"64KiB\" }",
        "must be at most 65534B",
    ),
    (
        "limits = { uri_bytes = \"1KiB\" }",
        "server.limits.uri_bytes: unknown key; did you mean 'uri-bytes'?",
    ),
];

#[test]
fn wrong_values_are_refused() {
    for (line, problem) in WRONG {
        assert_problem(&format!("[server]\n{line}\n"), problem);
    }
}

#[test]
fn log_levels_are_levels() {
    for level in ["off", "ERROR", "info", "gateway=debug,warn", "a::b=trace"] {
        good(&format!("log.level = {level:?}"));
    }
    assert_problem(
        "log.level = \"inof\"",
        "1: log.level: \"inof\" is not a level; did you mean 'info'?",
    );
    assert_problem("log.level = \"gateway\"", "\"gateway\" is not a level");
    assert_problem("log.level = \"a=b=c=info\"", "is not a filter");
    assert_problem("log.level = 3", "found the integer 3");
    assert_problem(
        "log.format = \"xml\"",
        "expected \"text\" or \"json\", found the string \"xml\"",
    );
    assert_problem("log.colour = true", "unknown key");
}

#[test]
fn the_cache_folder_follows_the_environment() {
    let cache = |variables: &[(&str, &str)]| {
        let checked = check("", Path::new("gateway.toml"), &|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found
                .map(|(_, value)| (*value).to_owned())
                .ok_or(VarError::NotPresent)
        });
        checked
            .map(|checked| checked.config.server.cache_dir)
            .unwrap()
    };
    assert_eq!(
        cache(&[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")]),
        Some("/c/gateway".into())
    );
    assert_eq!(
        cache(&[("XDG_CACHE_HOME", "c"), ("HOME", "/h")]),
        Some("/h/.cache/gateway".into())
    );
    assert_eq!(cache(&[]), None);
}
