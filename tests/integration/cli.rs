//! The command line: what it prints, and the exit codes that scripts rely on.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use gateway_tests::process::{Process, run};
use gateway_tests::{Client, Setup, Upstream, eventually, get};

use crate::expect;

const PROGRAM: &str = env!("CARGO_BIN_EXE_gateway-under-test");

fn file(setup: &Setup) -> String {
    setup.write();
    setup.file().display().to_string()
}

#[test]
fn it_tells_its_version_and_its_use() {
    let version = run(PROGRAM, &["--version"]);
    assert_eq!(version.code, Some(0));
    assert!(
        version.stdout.starts_with("gateway ") && version.stdout.contains('.'),
        "{version:?}"
    );
    let help = run(PROGRAM, &["--help"]);
    assert!(
        help.code == Some(0)
            && ["run", "check", "demo"]
                .iter()
                .all(|word| help.stdout.contains(word)),
        "{help:?}"
    );
    for wrong in [
        &["no-such-command"][..],
        &["run"],
        &[],
        &["check", "a", "b"],
    ] {
        assert_eq!(run(PROGRAM, wrong).code, Some(2), "{wrong:?}");
    }
}

#[test]
fn a_level_in_the_environment_that_is_none_is_refused() {
    let gateway = Command::new(PROGRAM)
        .args(["check", "no-such-file.toml"])
        .env("GATEWAY_LOG", "loud")
        .output()
        .expect("the gateway starts");
    let said = String::from_utf8_lossy(&gateway.stderr).into_owned();
    assert_eq!(gateway.status.code(), Some(1), "{said}");
    assert!(
        said.contains("GATEWAY_LOG: \"loud\" is not a level"),
        "{said}"
    );
}

#[test]
fn check_says_ok_of_what_would_start() {
    let up = Upstream::echo();
    let setup = Setup::to(&up, "plugins = [\"m\"]").acts("m", &crate::plugins::mark("m"));
    let checked = run(PROGRAM, &["check", &file(&setup)]);
    assert_eq!(
        (checked.code, checked.stdout.as_str()),
        (Some(0), "ok: 1 route, 1 plugin, 1 upstream\n"),
        "{checked:?}"
    );
    assert_eq!(checked.stderr, "");
}

#[test]
fn check_finds_every_mistake_at_once_with_file_line_key_and_what_would_be_right() {
    let setup = Setup::new();
    setup.write_text(
        r#"[server]
lisen = ["127.0.0.1:0"]
workers = 0

[plugins.limit]
component = "stock:rate-limt"
limits = { tme = "5ms", wall-time = 5 }

[upstreams.up]
endpoints = ["127.0.0.1:9001"]

[[routes]]
path = "users/*"
upstream = "upp"
plugins = ["limitt"]
"#,
    );
    let checked = run(PROGRAM, &["check", &setup.file().display().to_string()]);
    assert_eq!(
        (checked.code, checked.stdout.as_str()),
        (Some(1), ""),
        "{checked:?}"
    );
    for (line, key, hint) in [
        (2, "server.lisen", "'listen'"),
        (3, "server.workers", ""),
        (6, "plugins.limit.component", "rate-limit"),
        (7, "plugins.limit.limits.tme", "'time'"),
        (7, "plugins.limit.limits.wall-time", "\"5ms\""),
        (10, "upstreams.up.endpoints", "http://"),
        (13, "routes[0].path", ""),
        (14, "routes[0].upstream", "up"),
        (15, "routes[0].plugins", "limit"),
    ] {
        let place = format!("gateway.toml:{line}: {key}");
        let found = checked.stderr.lines().find(|said| said.contains(&place));
        assert!(
            found.is_some_and(|said| said.contains(hint)),
            "{place} {hint} is not in:\n{}",
            checked.stderr
        );
    }
}

#[test]
fn check_asks_the_plugins_too_and_serves_nothing() {
    let up = Upstream::echo();
    let keys = format!(
        "config = {{ init = {{ refuse = \"not this colour\" }} }}\n{}",
        gateway_tests::guests::EVERY_GRANT
    );
    let setup =
        Setup::to(&up, "plugins = [\"p\"]").plugin("p", gateway_tests::guests::MISBEHAVING, &keys);
    let checked = run(PROGRAM, &["check", &file(&setup)]);
    assert_eq!(checked.code, Some(1));
    assert!(
        checked.stderr.contains("not this colour") && checked.stderr.contains("gateway.toml:"),
        "{checked:?}"
    );
    let missing = run(PROGRAM, &["check", "/no/such/file.toml"]);
    assert!(
        missing.code == Some(1) && missing.stderr.contains("/no/such/file.toml"),
        "{missing:?}"
    );
}

#[test]
fn a_run_that_cannot_start_exits_with_1_and_says_why() {
    let up = Upstream::echo();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let setup = Setup::to(&up, "").server(&format!("listen = [\"{address}\"]"));
    let ended = run(PROGRAM, &["run", &file(&setup)]);
    assert!(
        ended.code == Some(1) && ended.stderr.contains(&address.to_string()),
        "{ended:?}"
    );
    let setup = Setup::to(&up, "").server(&format!("admin = \"{address}\""));
    let ended = run(PROGRAM, &["run", &file(&setup)]);
    assert!(
        ended.code == Some(1) && ended.stderr.contains("server.admin"),
        "{ended:?}"
    );
    setup.write_text("nonsense");
    let ended = run(PROGRAM, &["run", &setup.file().display().to_string()]);
    assert!(
        ended.code == Some(1) && ended.stderr.contains("gateway.toml:1"),
        "{ended:?}"
    );
}

#[test]
fn as_many_files_may_be_open_as_the_system_allows() {
    let up = Upstream::echo();
    let setup = Setup::to(&up, "");
    let config = file(&setup);
    let low = "ulimit -Sn 64 && exec \"$0\" run \"$1\"";
    let gateway = Process::start("sh", &["-c", low, PROGRAM, &config]);
    eventually("it serves", || gateway.output().contains(" started"));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.id()));
    let limits = limits.expect("the system tells a process's limits");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let values: Vec<&str> = line.expect("there is one").split_whitespace().collect();
    assert_eq!(values[3], values[4], "soft and hard");
    assert_ne!(values[3], "64");
}

#[test]
fn secrets_come_from_files_and_variables_and_are_never_shown() {
    let up = Upstream::echo();
    let setup = Setup::to(&up, "plugins = [\"key\"]").plugin_from(
        "key",
        "stock:api-key",
        "config = { keys = { \"${file:./secret}\" = \"alice\" }, no-such-key = \"${file:./secret}\" }",
    );
    std::fs::write(setup.folder().join("secret"), "t0p-s3cret\n")
        .expect("the folder can be written");
    let checked = run(PROGRAM, &["check", &file(&setup)]);
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert!(checked.stderr.contains("no-such-key"), "{checked:?}");
    assert!(
        !checked.stderr.contains("t0p-s3cret") && !checked.stdout.contains("t0p-s3cret"),
        "{checked:?}"
    );
}

#[test]
fn the_demo_does_what_it_prints() {
    let mut demo = Process::start(PROGRAM, &["demo"]);
    eventually("it prints what to try", || {
        demo.output().contains("hot reload")
            || !demo.output().is_empty() && demo.output().contains("can't")
    });
    eventually("the last line is there", || {
        demo.output().contains("sed -i")
    });
    let text = demo.output();
    let value = |name: &str| {
        text.lines()
            .find_map(|line| line.trim().strip_prefix(name))
            .expect("printed")
            .trim()
            .to_owned()
    };
    let clients: SocketAddr = value("gateway   http://").parse().expect("an address");
    let ask = |path: &str, key: &str| {
        Client::connect(clients).request(&get(path).header("x-api-key", key))
    };
    let good = ask("/users/7", "secret-1");
    expect::ok(&good);
    assert_eq!(good.header("x-greeting"), Some("hello alice"));
    assert_eq!(ask("/users/7", "wrong").status, 401);
    assert_eq!(ask("/nowhere", "secret-1").status, 404);
    let statuses: Vec<u16> = (0..7).map(|_| ask("/users/7", "secret-2").status).collect();
    assert!(
        statuses.starts_with(&[200; 5]) && statuses.contains(&429),
        "{statuses:?}"
    );
    let file = value("file      ");
    let config = std::fs::read_to_string(&file).expect("the file is there");
    std::fs::write(&file, config.replace("hello", "good day")).expect("it can be edited");
    // alice has five requests in ten seconds as well; a reload with the same limit does not give her more.
    eventually("it greets in another way", || {
        let answer = ask("/users/7", "secret-1");
        answer.status == 200 && answer.header("x-greeting") == Some("good day alice")
    });
    demo.signal("INT");
    assert_eq!(demo.end().code(), Some(0), "{}", demo.output());
    assert!(
        !std::path::Path::new(&file).exists(),
        "it leaves nothing behind"
    );
}

#[test]
fn check_reports_what_the_text_the_routes_and_the_plugins_have_wrong_in_one_go_by_line() {
    use gateway_tests::guests::MISBEHAVING;
    let setup = Setup::new();
    std::fs::write(setup.file().with_file_name("m.wasm"), MISBEHAVING).unwrap();
    setup.write_text(
        r#"[server]
lisen = ["127.0.0.1:0"]

[plugins.ungranted]
component = "m.wasm"

[plugins.limit]
component = "stock:rate-limit"
grants = { limitr = true }
config = { rat = 5 }

[plugins.key]
component = "stock:api-key"
config = { keys = {}, hedaer = "x" }

[upstreams.up]
endpoints = ["http://127.0.0.1:9001"]

[[routes]]
path = "/a/{x}"
upstream = "upp"
plugins = ["ungranted", "limit", { use = "gone" }]

[[routes]]
path = "/a/{y}"
upstream = "up"

[[routes]]
path = "b"
upstream = "up"
plugins = ["key"]
"#,
    );
    let checked = run(PROGRAM, &["check", &setup.file().display().to_string()]);
    assert_eq!(checked.code, Some(1), "{checked:?}");
    let said: Vec<&str> = checked.stderr.lines().collect();
    let expected = [
        (2, "server.lisen", "'listen'"),
        (
            4,
            "plugins.ungranted",
            "`grants.kv = true` and `grants.limiter = true` and `grants.http-client",
        ),
        (9, "plugins.limit.grants.limitr", "'limiter'"),
        (14, "plugins.key", "hedaer"),
        (21, "routes[0].upstream", "'up'"),
        (22, "routes[0].plugins[2].use", "\"gone\""),
        (24, "routes[1]", "/a/{x}"),
        (29, "routes[2].path", ""),
    ];
    assert_eq!(said.len(), expected.len(), "{}", checked.stderr);
    for ((line, key, part), said) in expected.into_iter().zip(said) {
        assert!(
            said.contains(&format!("gateway.toml:{line}: {key}")) && said.contains(part),
            "{line} {key} {part}: {said}"
        );
    }
}
