//! Compiled components on disk, so that a start takes milliseconds.
//!
//! Keyed by the component's SHA-256, the version of what is done to it before it is compiled, and the engine's
//! compatibility hash. Loading machine code means trusting it, so a file is used only if this user owns it and its folder,
//! nobody else can write either, and its checksum fits; otherwise it is compiled again. A cache that can't be written costs
//! time, never correctness.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::reexport;

/// Compiled components that are kept.
const MAX_FILES: usize = 128;

/// After this, who began to write a file aside has been killed meanwhile: writing takes well below a second.
const MAX_ASIDE_AGE: Duration = Duration::from_secs(600);

/// How a file is named that is being written aside.
const ASIDE: &str = "tmp";

/// SHA-256 of a component's bytes as they were given.
pub(super) type Digest = [u8; 32];

/// SHA-256 of some bytes.
pub(super) fn digest(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

/// Lower-case hexadecimal.
pub(super) fn hex(digest: &Digest) -> String {
    use std::fmt::Write as _;
    digest
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// A folder of compiled components.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    folder: Option<PathBuf>,
}

impl Cache {
    /// A cache in that folder; none without.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// The component, from the cache or compiled and put there.
    pub(super) fn load(
        &self,
        engine: &Engine,
        digest: &Digest,
        compile: impl FnOnce() -> wasmtime::Result<Component>,
    ) -> wasmtime::Result<Component> {
        let Some(folder) = &self.folder else {
            return compile();
        };
        let path = folder.join(file_name(engine, digest));
        if let Some(component) = read(engine, folder, &path) {
            return Ok(component);
        }
        let component = compile()?;
        if let Err(error) = write(folder, &path, &component.serialize()?) {
            tracing::debug!(path = %path.display(), %error, "compiled component not cached");
        }
        Ok(component)
    }
}

fn file_name(engine: &Engine, digest: &Digest) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    reexport::VERSION.hash(&mut hasher);
    format!("{}-{:016x}.cwasm", hex(digest), hasher.finish())
}

fn read(engine: &Engine, folder: &Path, path: &Path) -> Option<Component> {
    if !path.exists() || !is_ours(folder) || !is_ours(path) {
        return None;
    }
    let bytes = fs::read(path).ok()?;
    let (code, checksum) = bytes.split_at_checked(bytes.len().checked_sub(size_of::<Digest>())?)?;
    if digest(code) != *checksum {
        tracing::warn!(path = %path.display(), "cached component is damaged; compiling it again");
        return None;
    }
    #[expect(
        unsafe_code,
        reason = "the only way to load compiled code; owner, mode and checksum were checked above"
    )]
    // SAFETY: the file was written by `write` below: it belongs to this user, nobody else could write it or its
    // folder, and it is whole.
    let component = unsafe { Component::deserialize(engine, code) };
    component.ok()
}

fn write(folder: &Path, path: &Path, code: &[u8]) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    if !is_ours(folder) {
        return Err(io::Error::other("others can write to the folder"));
    }
    // Written aside and renamed, so that nobody ever reads a half; by a name of its own, since two processes may
    // compile the same component, and as a new file, so that no link is followed.
    let aside = path.with_extension(format!("{}.{ASIDE}", std::process::id()));
    let _ = fs::remove_file(&aside);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&aside)?;
    file.write_all(code)?;
    file.write_all(&digest(code))?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    evict(folder)
}

/// Remove what was written longest ago, so that a plugin that is built all day does not fill the disk; and what a killed
/// process has left half-written.
fn evict(folder: &Path) -> io::Result<()> {
    let files: Vec<_> = fs::read_dir(folder)?
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    let of_kind = |kind| {
        files
            .iter()
            .filter(move |(_, path)| path.extension().is_some_and(|its| its == kind))
    };
    let left_behind = of_kind(ASIDE)
        .filter(|(written, _)| written.elapsed().is_ok_and(|age| age > MAX_ASIDE_AGE));
    let mut whole: Vec<_> = of_kind("cwasm").collect();
    whole.sort();
    let surplus = whole.len().saturating_sub(MAX_FILES);
    left_behind
        .chain(whole.into_iter().take(surplus))
        .try_for_each(|(_, path)| fs::remove_file(path))
}

/// Whether this user owns it and nobody else can write to it.
fn is_ours(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| {
        !meta.is_symlink()
            && meta.uid() == rustix::process::geteuid().as_raw()
            && meta.mode() & 0o022 == 0
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("gateway-cache-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn cached_file(folder: &Path) -> PathBuf {
        fs::read_dir(folder)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path()
    }

    #[test]
    fn a_compiled_component_is_read_back_only_if_whole_and_ours() {
        let engine = super::super::engine::new_engine().unwrap();
        let folder = folder("own");
        let cache = Cache::new(Some(folder.clone()));
        let digest = digest(EMPTY_COMPONENT);
        let compile = || Component::new(&engine, EMPTY_COMPONENT);
        cache.load(&engine, &digest, compile).unwrap();
        let path = cached_file(&folder);
        assert!(read(&engine, &folder, &path).is_some());

        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(
            read(&engine, &folder, &path).is_none(),
            "others could have written it"
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();

        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(
            read(&engine, &folder, &path).is_none(),
            "others could have replaced it"
        );
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();

        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(read(&engine, &folder, &path).is_none(), "it is damaged");
        cache.load(&engine, &digest, compile).unwrap();
        assert!(
            read(&engine, &folder, &path).is_some(),
            "it was compiled again"
        );
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_a_killed_process_left_half_written_is_removed_and_what_is_being_written_is_not() {
        let engine = super::super::engine::new_engine().unwrap();
        let folder = folder("aside");
        fs::DirBuilder::new().mode(0o700).create(&folder).unwrap();
        let aside = |name: &str, age: Duration| {
            let path = folder.join(name);
            let file = fs::File::create(&path).unwrap();
            file.set_modified(std::time::SystemTime::now() - age)
                .unwrap();
            path
        };
        let left = aside("a.1.tmp", MAX_ASIDE_AGE + Duration::from_secs(60));
        let fresh = aside("b.2.tmp", MAX_ASIDE_AGE - Duration::from_secs(60));
        let digest = digest(EMPTY_COMPONENT);
        let compile = || Component::new(&engine, EMPTY_COMPONENT);
        let cache = Cache::new(Some(folder.clone()));
        cache.load(&engine, &digest, compile).unwrap();
        assert!(!left.exists() && fresh.exists());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
        fs::remove_dir_all(&folder).unwrap();
    }
}
