//! Compiles packages of this workspace to WebAssembly components, from within a build script. Included by the build
//! scripts of the stock plugins and of the tests' guests.
//!
//! Promises: one cargo run with its own target folder and profile, whatever flags, wrappers and profiles the outer
//! build has (clippy, coverage, another target); a missing wasm target is fetched, or the build ends in one line that
//! says what to type. Leaves out: what is not there to compile them with, such as `wasm-opt`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const TARGET: &str = "wasm32-wasip2";

/// How long rustup may take to fetch the target before we look for another way.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);

/// Small and fast: `opt-level = "s"` would save a twentieth of the bytes, and cost hooks a tenth more instructions.
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
pub(crate) enum Error {
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

/// What the build script's `main` is.
pub(crate) fn run(build: fn() -> Result<(), Error>) -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        // The build fails by the line itself; with an exit code cargo would add everything that the script printed.
        Err(Error::Setup(line)) => {
            println!("cargo::error={line}");
            ExitCode::SUCCESS
        }
        Err(Error::Compile) => ExitCode::FAILURE,
    }
}

/// Compile these packages of the workspace in `root` and put their components into `out`, as [`component`] names them.
///
/// The inner target folder lies beside the profiles of the outer one, so that debug, release and clippy builds share the
/// minute that this takes.
pub(crate) fn compile(root: &Path, out: &Path, packages: &[String]) -> Result<(), Error> {
    let mut above = out.ancestors();
    let outer = above.find(|folder| folder.join("CACHEDIR.TAG").is_file());
    let target_dir = outer.unwrap_or(out).join("wasm");
    run_cargo(root, &target_dir, packages)?;
    for package in packages {
        let to = component(out, package);
        let name = to
            .file_name()
            .ok_or_else(|| format!("'{package}' is no package name"))?;
        let from = target_dir.join(TARGET).join("release").join(name);
        fs::copy(&from, &to).map_err(|error| format!("can't copy {}: {error}", from.display()))?;
    }
    Ok(())
}

/// Where the component of a package lies after [`compile`].
pub(crate) fn component(out: &Path, package: &str) -> PathBuf {
    out.join(format!("{}.wasm", package.replace('-', "_")))
}

fn run_cargo(root: &Path, target_dir: &Path, packages: &[String]) -> Result<(), Error> {
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
    cargo.args(packages.iter().flat_map(|package| ["-p", package]));
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
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(root));
    let status = cargo
        .stdout(Stdio::null())
        .status()
        .map_err(|error| format!("can't run cargo: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::Compile)
    }
}

/// Flags that keep this machine's folders out of the components' panic messages, and write each number of a function or
/// an address in as many bytes as it needs, not in five.
fn flags(root: &Path) -> String {
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from).or(home);
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let flags = [
        Some(remap(root, ".")),
        cargo_home.map(|from| remap(&from, "cargo")),
        Some("-Clink-arg=--compress-relocations".to_owned()),
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

/// A variable that cargo sets for build scripts.
pub(crate) fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("cargo sets {name} for build scripts"))
}
