//! Compiles the stock plugins to WebAssembly components, for `src/lib.rs` to include.
//!
//! Promises: all plugins in one cargo run with their own target folder and profile, whatever flags, wrappers and
//! profiles the outer build has (clippy, coverage, another target); a missing wasm target is fetched, or the build ends
//! in one line that says what to type. Leaves out: what is not there to compile them with, such as `wasm-opt`.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const TARGET: &str = "wasm32-wasip2";

/// How long rustup may take to fetch the target before we look for another way.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);

/// Small and fast: without `opt-level = "s"`, which makes these plugins slower and none of them smaller.
const PROFILE: [(&str, &str); 6] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3"),
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_STRIP", "symbols"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "false"),
];

/// Cargo's variables that say where crates come from and how many jobs may run. All others describe the outer build.
const KEPT: [&str; 9] = [
    "CARGO_HOME",
    "CARGO_MAKEFLAGS",
    "CARGO_BUILD_JOBS",
    "CARGO_NET_",
    "CARGO_HTTP_",
    "CARGO_REGISTR",
    "CARGO_SOURCE_",
    "CARGO_TERM_",
    "CARGO_CACHE_",
];

/// Variables without that prefix that would reach into the inner build.
const FOREIGN: [&str; 8] = [
    "RUSTC",
    "RUSTDOC",
    "RUSTC_LINKER",
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "CLIPPY_ARGS",
    "LLVM_PROFILE_FILE",
    "OUT_DIR",
];

/// Why there are no components.
enum Error {
    /// One line says it all.
    Setup(String),
    /// The inner cargo has said it on standard error.
    Compile,
}

impl From<String> for Error {
    fn from(line: String) -> Self {
        Self::Setup(line)
    }
}

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        // The build fails by the line itself; with an exit code cargo would add everything that this script printed.
        Err(Error::Setup(line)) => {
            println!("cargo::error={line}");
            ExitCode::SUCCESS
        }
        Err(Error::Compile) => ExitCode::FAILURE,
    }
}

fn build() -> Result<(), Error> {
    let plugins = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    let root = plugins
        .parent()
        .ok_or_else(|| "the workspace is the parent of this folder".to_owned())?;
    let names =
        names(&plugins).map_err(|error| format!("can't list {}: {error}", plugins.display()))?;
    watch(root, &plugins, &names);
    let built = compile(root, &shared_folder(&out), &names)?;
    let mut source = String::from("static STOCK: &[(&str, &[u8])] = &[\n");
    for name in &names {
        let from = built.join(format!("plugin_{}.wasm", name.replace('-', "_")));
        let component = out.join(name).with_extension("wasm");
        fs::copy(&from, &component).map_err(|error| format!("can't copy {name}: {error}"))?;
        writeln!(source, "    ({name:?}, include_bytes!({component:?})),")
            .map_err(|error| error.to_string())?;
    }
    source.push_str("];\n");
    fs::write(out.join("stock.rs"), source)
        .map_err(|error| format!("can't write stock.rs: {error}"))?;
    Ok(())
}

/// Where the inner cargo builds: beside the profiles of the outer target folder, so that debug, release and clippy
/// share one build of the plugins, which takes a minute.
fn shared_folder(out: &Path) -> PathBuf {
    let mut above = out.ancestors();
    let target = above.find(|folder| folder.join("CACHEDIR.TAG").is_file());
    target.unwrap_or(out).join("stock-plugins")
}

/// The folders that are plugins.
fn names(plugins: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(plugins)? {
        let path = entry?.path();
        if path.join("Cargo.toml").is_file() {
            names.extend(
                path.file_name()
                    .and_then(|name| name.to_str())
                    .map(str::to_owned),
            );
        }
    }
    names.sort();
    Ok(names)
}

/// Just what goes into a component; READMEs and the gateway don't.
fn watch(root: &Path, plugins: &Path, names: &[String]) {
    let shared = [
        "Cargo.toml",
        "Cargo.lock",
        "wit",
        "plugin-sdk/src",
        "plugin-sdk/Cargo.toml",
        "plugins/build.rs",
    ];
    let of_plugins = names
        .iter()
        .flat_map(|name| ["src", "Cargo.toml"].map(|file| plugins.join(name).join(file)));
    for path in shared.iter().map(|path| root.join(path)).chain(of_plugins) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}

/// Compile the plugins; the folder that has them.
fn compile(root: &Path, target_dir: &Path, names: &[String]) -> Result<PathBuf, Error> {
    let mut cargo = match Toolchain::find()? {
        Toolchain::Ours => Command::new(variable("CARGO")?),
        Toolchain::Other(name) => {
            let mut rustup = Command::new("rustup");
            // It may be older than the workspace asks for, and still fit for the plugins.
            rustup
                .args(["run", &name, "cargo"])
                .env_remove("RUSTUP_TOOLCHAIN");
            rustup
        }
    };
    cargo.args([
        "build",
        "--release",
        "--locked",
        "--ignore-rust-version",
        "--target",
        TARGET,
        "--target-dir",
    ]);
    cargo.arg(target_dir).current_dir(root);
    cargo.args(
        names
            .iter()
            .flat_map(|name| ["-p".to_owned(), format!("plugin-{name}")]),
    );
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let is_cargo_s =
            text.starts_with("CARGO_") && !KEPT.iter().any(|kept| text.starts_with(kept));
        if is_cargo_s || FOREIGN.contains(&&*text) {
            cargo.env_remove(&name);
        }
    }
    // Empty, they also override what configuration files say.
    cargo
        .env("RUSTC_WRAPPER", "")
        .env("RUSTC_WORKSPACE_WRAPPER", "")
        .envs(PROFILE);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", remapped_paths(root));
    let status = cargo
        .stdout(Stdio::null())
        .status()
        .map_err(|error| format!("can't run cargo: {error}"))?;
    if status.success() {
        Ok(target_dir.join(TARGET).join("release"))
    } else {
        Err(Error::Compile)
    }
}

/// Flags that keep this machine's folders out of the components' panic messages.
fn remapped_paths(root: &Path) -> String {
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from).or(home);
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let flags = [
        Some(remap(root, ".")),
        cargo_home.map(|from| remap(&from, "cargo")),
    ];
    flags
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("\u{1f}")
}

/// Which toolchain can compile for [`TARGET`].
enum Toolchain {
    Ours,
    /// By its name in rustup.
    Other(String),
}

impl Toolchain {
    fn find() -> Result<Self, String> {
        let rustc = || Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        if has_target(rustc()) || (fetch_target() && has_target(rustc())) {
            return Ok(Self::Ours);
        }
        let list = Command::new("rustup").args(["toolchain", "list"]).output();
        let list = list
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_default();
        let names = list
            .lines()
            .filter_map(|line| line.split_whitespace().next());
        let other = names.map(str::to_owned).find(|name| {
            let mut rustc = Command::new("rustup");
            rustc
                .args(["run", name, "rustc"])
                .env_remove("RUSTUP_TOOLCHAIN");
            has_target(rustc)
        });
        other.map(Self::Other).ok_or_else(|| {
            format!(
                "the stock plugins need Rust's {TARGET} target; type: rustup target add {TARGET}"
            )
        })
    }
}

/// Whether this compiler has a standard library for the target.
fn has_target(mut rustc: Command) -> bool {
    let Ok(output) = rustc
        .args(["--print", "target-libdir", "--target", TARGET])
        .stderr(Stdio::null())
        .output()
    else {
        return false;
    };
    let Ok(files) = fs::read_dir(String::from_utf8_lossy(&output.stdout).trim()) else {
        return false;
    };
    files
        .flatten()
        .any(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
}

/// Let rustup fetch the target; whether it has.
fn fetch_target() -> bool {
    let mut rustup = Command::new("rustup");
    rustup
        .args(["target", "add", TARGET])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let Ok(mut child) = rustup.spawn() else {
        return false;
    };
    let deadline = Instant::now() + FETCH_TIMEOUT;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(100)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
        }
    }
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("cargo sets {name} for build scripts"))
}
