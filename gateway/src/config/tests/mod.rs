//! Configurations as users write them, read through the same door as theirs.
//!
//! One file for each part; here are a complete example and what the others share.

mod listeners;
mod plugins;
mod report;
mod routes;
mod secrets;
mod server;
mod tls;

use std::env::VarError;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::check::{Checked, check};
use super::{Config, Route};

/// What README and DESIGN show, with a key of every kind.
const EXAMPLE: &str = r#"
[server]
listen = ["127.0.0.1:8080"]
admin  = "127.0.0.1:9901"

[server.limits]
header-timeout = "5s"

[log]
level = "info,gateway::upstream=debug"
format = "json"

[plugins.key]
component = "stock:api-key"
config    = { header = "x-api-key", keys = { "secret-1" = "alice" } }

[plugins.limit]
component = "stock:rate-limit"
config    = { rate = 5, per = "1s" }
grants    = { limiter = true }
limits    = { time = "5ms", memory = "16MiB" }
on-fault  = "skip"

[upstreams.users]
endpoints = ["http://127.0.0.1:9001", "http://127.0.0.1:9002"]

[[routes]]
path = "/users/*"
upstream = "users"
strip-prefix = "/users"
plugins = ["key", { use = "limit", config = { rate = 100, by = "consumer" } }]

[[routes]]
name = "one user"
hosts = ["Users.example.com", "*.users.example.com"]
path = "/{id}"
methods = ["GET", "HEAD"]
headers = { x-version = "2", x-debug = true }
upstream = "users"
rewrite-path = "/users/{id}"
rewrite-host = "users.internal:8080"
timeout = "1.5s"
max-body = "1MiB"
requests-in-flight = 20
"#;

/// Read with an environment that holds `HOME` and nothing else.
fn read(source: &str) -> Result<Checked, super::ConfigErrors> {
    read_in(Path::new("gateway.toml"), source)
}

fn read_in(file: &Path, source: &str) -> Result<Checked, super::ConfigErrors> {
    check(source, file, &|name| match name {
        "HOME" => Ok("/home/joe".to_owned()),
        "TOKEN" => Ok("hunter2".to_owned()),
        "NESTED" => Ok("${env:TOKEN}".to_owned()),
        _ => Err(VarError::NotPresent),
    })
}

fn good(source: &str) -> Config {
    read(source)
        .unwrap_or_else(|errors| panic!("{errors}\nin{source}"))
        .config
}

/// All problems, one a line, without the name of the file.
fn problems(source: &str) -> Vec<String> {
    let Err(errors) = read(source) else {
        return Vec::new();
    };
    errors
        .iter()
        .map(|error| error.to_string().replace("gateway.toml:", ""))
        .collect()
}

/// Exactly one problem is reported, and it contains a text.
#[track_caller]
fn assert_problem(source: &str, text: &str) {
    let problems = problems(source);
    assert!(
        problems.len() == 1 && problems[0].contains(text),
        "{source}\nexpected {text}\nfound    {problems:#?}"
    );
}

/// A route for `/a/{x}/*` with more lines.
fn with_route(lines: &str) -> String {
    format!("upstreams.u.endpoints = [\"http://u\"]\n[[routes]]\nupstream = \"u\"\n{lines}\n")
}

fn route(lines: &str) -> Route {
    good(&with_route(lines)).routes.remove(0)
}

/// A plugin `p` with more lines, in a route.
fn with_plugin(lines: &str) -> String {
    format!(
        "{}plugins = [\"p\"]\n[plugins.p]\n{lines}\n",
        with_route("path = \"/\"")
    )
}

/// A folder that lives as long as the value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("gateway-config-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in the temporary folder does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}
