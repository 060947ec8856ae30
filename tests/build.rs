//! Compiles the guests in `guests/` to components, for the harness and the benches to include, and the examples, for the
//! tests to run.

#[path = "../plugins/wasm_build.rs"]
mod wasm_build;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use wasm_build::{Error, compile, run, variable};

const PACKAGES: [&str; 5] = [
    "guest-misbehaving",
    "guest-bench",
    "own-plugin",
    "body-rewrite",
    "external-auth",
];

fn main() -> ExitCode {
    run(build)
}

fn build() -> Result<(), Error> {
    let manifest_dir = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    for path in [
        "guests",
        "../examples",
        "../plugin-sdk/src",
        "../wit",
        "../plugins/wasm_build.rs",
        "build.rs",
    ] {
        println!("cargo::rerun-if-changed={path}");
    }
    let root = manifest_dir.parent().unwrap_or(Path::new(".."));
    compile(root, &out, &PACKAGES.map(str::to_owned))
}
