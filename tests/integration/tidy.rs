//! House rules as code: who may know whom, how a file begins, how long it is, what does not stand in it.
//!
//! What clippy and rustc can check stands in the workspace's lints; here is what they can't.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each module of the gateway may know of the others. `route`, `plugin` and `upstream` don't know one another; only
/// `proxy` and `snapshot` join them; nobody knows those above.
const MAY_KNOW: [(&str, &[&str]); 16] = [
    ("body", &[]),
    ("worker", &[]),
    ("config", &[]),
    ("state", &["config"]),
    ("observe", &["config", "state", "worker"]),
    ("route", &["config"]),
    ("upstream", &["body", "config", "worker"]),
    ("plugin", &["body", "config", "observe", "state", "worker"]),
    (
        "snapshot",
        &["config", "observe", "plugin", "proxy", "route", "upstream"],
    ),
    (
        "proxy",
        &[
            "body", "config", "observe", "plugin", "route", "snapshot", "upstream", "worker",
        ],
    ),
    ("server", &["body", "config", "observe", "proxy", "worker"]),
    (
        "reload",
        &["config", "observe", "proxy", "server", "snapshot"],
    ),
    (
        "admin",
        &[
            "config", "control", "observe", "plugin", "proxy", "snapshot",
        ],
    ),
    (
        "control",
        &[
            "admin", "config", "gateway", "observe", "plugin", "proxy", "reload", "server",
            "snapshot", "state", "upstream",
        ],
    ),
    (
        "gateway",
        &["config", "control", "observe", "plugin", "server", "worker"],
    ),
    ("cli", &["check", "config", "gateway", "observe", "start"]),
];

/// Names that only certain files of the gateway may use.
const ONLY_IN: [(&str, &[&str]); 8] = [
    ("wasmtime", &["plugin/"]),
    (
        "hyper::server",
        &["server/", "admin/", "cli/demo_service.rs"],
    ),
    ("hyper_util::server", &["server/"]),
    ("hyper::client", &["upstream/client.rs"]),
    ("serde::", &["config/", "admin/"]),
    ("anyhow", &["cli/", "main.rs"]),
    ("clap", &["cli/", "main.rs"]),
    ("notify::", &["reload.rs"]),
];

/// Lines of a file.
const MAX_LINES: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file of the project with one of these endings, with its path from the root and its text.
fn files(endings: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)
            .expect("a folder can be read")
            .flatten()
        {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let short = path
                    .strip_prefix(root())
                    .expect("below the root")
                    .display()
                    .to_string();
                found.push((short, fs::read_to_string(&path).expect("sources are text")));
            }
        }
    }
    found.sort();
    found
}

/// Code without comments and without its unit tests: a module in the file stands last, one in a file of its own is
/// two lines anywhere.
fn code(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut lines = (1..).zip(text.lines()).peekable();
    while let Some((number, line)) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            let next = lines.peek().map_or("", |(_, next)| next.trim());
            if next.starts_with("mod ") && next.ends_with('{') {
                break;
            }
            if next.starts_with("mod ") && next.ends_with(';') {
                lines.next();
                continue;
            }
        }
        if !line.trim_start().starts_with("//") {
            found.push((number, line));
        }
    }
    found
}

fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

#[track_caller]
fn none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn unit_tests_are_no_code_and_what_stands_behind_their_declaration_is() {
    let numbers = |text| -> Vec<usize> { code(text).iter().map(|(number, _)| *number).collect() };
    assert_eq!(numbers("a\n#[cfg(test)]\nmod tests;\n// b\nc\n"), [1, 5]);
    assert_eq!(numbers("a\n#[cfg(test)]\nmod tests {\nb\n}\n"), [1]);
    assert_eq!(numbers("#[cfg(test)]\nfn a() {}\nb\n"), [1, 2, 3]);
}

#[test]
fn the_root_holds_what_it_should_and_nothing_else() {
    let expected = [
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "examples",
        "gateway",
        "plugin-sdk",
        "plugins",
        "rust-toolchain.toml",
        "tests",
        "wit",
    ];
    let entries = fs::read_dir(root())
        .expect("the root can be read")
        .flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let visible: BTreeSet<String> = names
        .filter(|name| !name.starts_with('.') && name != "target")
        .collect();
    assert_eq!(visible, expected.map(str::to_owned).into());
}

#[test]
fn every_file_begins_with_what_it_is_for_and_ends_in_time() {
    let mut found = Vec::new();
    for (path, text) in files(&[".rs"]) {
        if !text.starts_with("//!") && !text.starts_with("#![doc = include_str!") {
            found.push(format!("{path} does not begin with //!"));
        }
        if text.lines().count() > MAX_LINES {
            found.push(format!("{path} has {} lines", text.lines().count()));
        }
    }
    none("files that are not as they should be", &found);
}

#[test]
fn nothing_unfinished_and_no_unwrap_stands_in_the_code() {
    let forbidden = ["unwrap()", "todo!(", "unimplemented!(", "dbg!(", "#[allow("];
    let mut found = Vec::new();
    for (path, text) in files(&[".rs"]).iter().filter(|(path, _)| !is_test(path)) {
        let lines = code(text).into_iter();
        let lines = lines.filter(|(_, line)| forbidden.iter().any(|word| line.contains(word)));
        found.extend(lines.map(|(number, line)| format!("{path}:{number}: {}", line.trim())));
    }
    for (path, text) in files(&[".rs", ".toml", ".wit", ".md"]) {
        let marks = [concat!("TO", "DO"), concat!("FIX", "ME")];
        let lines = text
            .lines()
            .enumerate()
            .filter(|(_, line)| marks.iter().any(|mark| line.contains(mark)));
        found.extend(lines.map(|(number, line)| format!("{path}:{}: {}", number + 1, line.trim())));
    }
    none("unfinished", &found);
}

#[test]
fn modules_of_the_gateway_know_only_those_below() {
    let modules: Vec<&str> = MAY_KNOW.iter().map(|(module, _)| *module).collect();
    let mut found = Vec::new();
    for (path, text) in files(&[".rs"]) {
        let Some(inside) = path.strip_prefix("gateway/src/") else {
            continue;
        };
        let module = inside.split(['/', '.']).next().unwrap_or_default();
        if ["main", "lib"].contains(&module) {
            continue;
        }
        let Some((_, allowed)) = MAY_KNOW.iter().find(|(name, _)| *name == module) else {
            found.push(format!("{path}: nothing says whom '{module}' may know"));
            continue;
        };
        for (number, line) in code(&text) {
            let named = line.split("crate::").skip(1).filter_map(|rest| {
                let end = rest
                    .find(|letter: char| !letter.is_alphanumeric() && letter != '_')
                    .unwrap_or(rest.len());
                Some(&rest[..end]).filter(|name| !name.is_empty())
            });
            let unknown = named.filter(|name| *name != module && !allowed.contains(name));
            found.extend(unknown.map(|name| format!("{path}:{number}: '{module}' knows '{name}'")));
        }
    }
    none("modules that know too much", &found);
    assert!(modules.iter().all(|module| {
        let path = root().join("gateway/src").join(module);
        path.is_dir() || path.with_extension("rs").is_file()
    }));
}

#[test]
fn names_that_belong_in_one_place_stay_there() {
    let mut found = Vec::new();
    for (path, text) in files(&[".rs"]) {
        let Some(inside) = path.strip_prefix("gateway/src/") else {
            continue;
        };
        for (name, places) in ONLY_IN {
            if places.iter().any(|place| inside.starts_with(place)) {
                continue;
            }
            // A path begins there: `tower_serde::` would be another crate.
            let uses = |line: &str| {
                line.match_indices(name).any(|(at, _)| {
                    !line[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_')
                })
            };
            let lines = code(&text).into_iter();
            let lines = lines.filter(|(_, line)| uses(line) && !line.contains('"'));
            found.extend(lines.map(|(number, line)| format!("{path}:{number}: {}", line.trim())));
        }
    }
    none("names out of place", &found);
}

#[test]
fn unsafe_code_stands_in_one_file_of_the_gateway() {
    let mut found = Vec::new();
    for (path, text) in files(&[".rs"]) {
        let exempt = ["gateway/src/plugin/cache.rs"].contains(&path.as_str())
            || path.starts_with("tests/guests/");
        let lines = code(&text).into_iter().filter(|(_, line)| {
            !exempt && (line.contains("unsafe {") || line.contains("unsafe fn"))
        });
        found.extend(lines.map(|(number, line)| format!("{path}:{number}: {}", line.trim())));
    }
    none(
        "unsafe code",
        &found
            .into_iter()
            .filter(|line| !line.starts_with("tests/integration/tidy.rs"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn plugins_and_their_sdk_know_the_contract_and_not_the_gateway() {
    let mut found = Vec::new();
    for (path, text) in files(&["Cargo.toml"]) {
        let is_of_plugins = ["plugin-sdk/", "plugins/", "examples/", "tests/guests/"]
            .iter()
            .any(|folder| path.starts_with(folder));
        let lines = text.lines().filter(|line| {
            line.starts_with("gateway ")
                || line.starts_with("gateway=")
                || line.contains("/gateway\"")
        });
        if is_of_plugins && path != "plugins/Cargo.toml" {
            found.extend(lines.map(|line| format!("{path}: {line}")));
        }
    }
    none("dependencies on the gateway", &found);
}

#[test]
fn no_path_of_a_machine_stands_in_any_file() {
    let paths = ["/root", "/work"].map(|folder| format!("{folder}/"));
    let mut found = Vec::new();
    for (path, text) in files(&[".rs", ".toml", ".md", ".wit", ".lock"]) {
        let lines = text
            .lines()
            .enumerate()
            .filter(|(_, line)| paths.iter().any(|machine| line.contains(machine)));
        found.extend(lines.map(|(number, line)| format!("{path}:{}: {}", number + 1, line.trim())));
    }
    none("paths of a machine", &found);
}

#[test]
fn files_have_no_names_that_say_nothing() {
    let words = ["manager", "helper", "util", "middleware", "misc", "common"];
    let paths = files(&[".rs"]).into_iter().map(|(path, _)| path);
    let found: Vec<String> = paths
        .filter(|path| words.iter().any(|word| path.to_lowercase().contains(word)))
        .collect();
    none("names that say nothing", &found);
}

#[test]
fn every_plugin_and_example_is_explained_and_a_stock_plugin_is_short() {
    let mut found = Vec::new();
    for folder in ["plugins", "examples"] {
        for entry in fs::read_dir(root().join(folder))
            .expect("it is there")
            .flatten()
        {
            let path = entry.path();
            let is_one = path.join("Cargo.toml").is_file() || path.join("gateway.toml").is_file();
            if is_one && !path.join("README.md").is_file() {
                found.push(format!("{} has no README.md", path.display()));
            }
        }
    }
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    for (path, text) in files(&[".rs"]) {
        let plugin = path
            .strip_prefix("plugins/")
            .and_then(|rest| rest.split_once("/src/"))
            .filter(|(_, file)| !file.starts_with("tests"));
        if let Some((plugin, _)) = plugin {
            *lines.entry(plugin.to_owned()).or_default() += text.lines().count();
        }
    }
    assert!(lines.len() >= 5, "{lines:?}");
    let long = lines.into_iter().filter(|(_, lines)| *lines > 250);
    found.extend(long.map(|(plugin, lines)| format!("{plugin}: {lines} lines")));
    none("plugins that are not as they should be", &found);
}
