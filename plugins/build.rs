//! Compiles the stock plugins to WebAssembly components, for `src/lib.rs` to include.

mod wasm_build;

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use wasm_build::{Error, compile, component, run, variable};

fn main() -> ExitCode {
    run(build)
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
    let packages: Vec<String> = names.iter().map(|name| format!("plugin-{name}")).collect();
    compile(root, &out, &packages)?;
    let mut source = String::from("static STOCK: &[(&str, &[u8])] = &[\n");
    for name in &names {
        let component = component(&out, &format!("plugin-{name}"));
        writeln!(source, "    ({name:?}, include_bytes!({component:?})),")
            .map_err(|error| error.to_string())?;
    }
    source.push_str("];\n");
    fs::write(out.join("stock.rs"), source)
        .map_err(|error| format!("can't write stock.rs: {error}"))?;
    Ok(())
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
        "plugins/wasm_build.rs",
    ];
    let of_plugins = names
        .iter()
        .flat_map(|name| ["src", "Cargo.toml"].map(|file| plugins.join(name).join(file)));
    for path in shared.iter().map(|path| root.join(path)).chain(of_plugins) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}
