//! Compiled code of foreign components, kept from start to start: compiling a large one takes seconds.
//!
//! It is native code, and the engine runs it as it is. So every file carries an HMAC over what it is for and what it holds, made with a key
//! that lies elsewhere, and nothing is given to the engine whose HMAC does not hold: whoever can write to the directory can have a component
//! compiled again, and no more. The file is read into memory first, so that what was checked is what is run.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::limits;

const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 32;
/// Binds the HMAC to this use of the key and to this form of the file.
const PURPOSE: &[u8] = b"wasmgate compiled component 1\0";

/// A directory of compiled code, and the key that its files are authenticated with.
#[derive(Clone)]
pub struct CodeCache {
    directory: PathBuf,
    key: hmac::Key,
}

impl CodeCache {
    /// A cache in `directory`, with the key in `key_file`, which is made where there is none that is this user's alone. The key must not lie
    /// where others can write.
    pub fn open(directory: PathBuf, key_file: &Path) -> io::Result<Self> {
        let key = match read_key(key_file) {
            Some(key) => key,
            None => make_key(key_file)?,
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        Ok(Self { directory, key: hmac::Key::new(hmac::HMAC_SHA256, &key) })
    }

    /// What was kept of a component; `None` where nothing was, or nothing that can be trusted.
    pub(crate) fn get(&self, engine: &Engine, wasm: &[u8]) -> Option<Component> {
        let path = self.file(engine, wasm);
        let content = match read_private(&path, limits::COMPILED_BYTES_MAX) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(file = %path.display(), "compiling again, the cached code cannot be read: {error}");
                return None;
            }
        };
        let code = content.split_at_checked(TAG_BYTES).and_then(|(tag, code)| {
            let signed = self.signed(engine, wasm, code);
            hmac::verify(&self.key, &signed, tag).ok().map(|()| code)
        });
        let Some(code) = code else {
            tracing::warn!(file = %path.display(), "compiling again, the cached code was not made by this server or has been changed");
            return None;
        };
        // SAFETY: the HMAC says that this is what this server has compiled from this component.
        match unsafe { Component::deserialize(engine, code) } {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(file = %path.display(), "compiling again, the cached code does not load: {error:#}");
                None
            }
        }
    }

    /// Keeps what was compiled; that it could not be kept is logged, and no more.
    pub(crate) fn put(&self, engine: &Engine, wasm: &[u8], component: &Component) {
        let path = self.file(engine, wasm);
        let kept = component.serialize().map_err(io::Error::other).and_then(|code| {
            let tag = hmac::sign(&self.key, &self.signed(engine, wasm, &code));
            replace(&path, &[tag.as_ref(), &code])
        });
        if let Err(error) = kept {
            tracing::warn!(file = %path.display(), "the compiled component is not kept: {error}");
        }
    }

    /// One file for each component and engine.
    fn file(&self, engine: &Engine, wasm: &[u8]) -> PathBuf {
        let digest: String = Sha256::digest(wasm).iter().map(|byte| format!("{byte:02x}")).collect();
        self.directory.join(format!("{digest}-{:016x}.cwasm", compatibility(engine)))
    }

    /// What the HMAC is over. The code by its digest: it is large, and its digest is as good.
    fn signed(&self, engine: &Engine, wasm: &[u8], code: &[u8]) -> Vec<u8> {
        let parts: [&[u8]; 4] = [PURPOSE, &Sha256::digest(wasm), &compatibility(engine).to_be_bytes(), &Sha256::digest(code)];
        parts.concat()
    }
}

/// Stands for the engine's version and configuration.
fn compatibility(engine: &Engine) -> u64 {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

/// The key, if there is one that nobody else can know.
fn read_key(path: &Path) -> Option<[u8; KEY_BYTES]> {
    let content = match read_private(path, KEY_BYTES) {
        Ok(content) => content,
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(file = %path.display(), "the key of compiled plugins is made anew: {error}");
            }
            return None;
        }
    };
    content.try_into().ok()
}

fn make_key(path: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    SystemRandom::new().fill(&mut key).map_err(|_| io::Error::other("the system gives no random bytes"))?;
    replace(path, &[&key])?;
    Ok(key)
}

/// A file's content, if it is a file of this user's that nobody else may read or write. Links are not followed.
fn read_private(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags as i32).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.uid() != uzers::get_effective_uid() || metadata.mode() & 0o077 != 0 {
        return Err(io::Error::other("it is not this user's alone"));
    }
    let mut content = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut content)?;
    if content.len() > bytes_max {
        return Err(io::Error::other(format!("it has more than {bytes_max} bytes")));
    }
    Ok(content)
}

/// Another server with the same directory sees the whole file or none, and nobody else sees it at all.
fn replace(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let write = || {
        let mut file = create_private(&temporary)?;
        parts.iter().try_for_each(|part| file.write_all(part))?;
        fs::rename(&temporary, path)
    };
    write().inspect_err(|_| _ = fs::remove_file(&temporary))
}

fn create_private(path: &Path) -> io::Result<File> {
    let create = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match create() {
        // A crash has left it, or somebody has laid it there: what it is does not matter.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            create()
        }
        created => created,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::engine::PluginEngine;

    /// A component without content, and another one.
    const WASM: &[u8] = b"\0asm\x0d\0\x01\0";
    const OTHER: &[u8] = b"\0asm\x0d\0\x01\0\0\x02\x01x";

    fn only_file(directory: &Path) -> PathBuf {
        let mut files: Vec<PathBuf> = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    }

    #[test]
    fn only_what_this_server_made_is_run() {
        let base = tempfile::tempdir().expect("a directory");
        let (directory, key) = (base.path().join("cache"), base.path().join("key"));
        let host = PluginEngine::new().expect("an engine");
        let engine = host.inner();
        let component = Component::new(engine, WASM).expect("a component");
        let cache = || CodeCache::open(directory.clone(), &key).expect("a cache");
        cache().put(engine, WASM, &component);
        assert!(cache().get(engine, WASM).is_some(), "kept over a start");
        assert!(cache().get(engine, OTHER).is_none(), "nothing was kept of it");
        let mode = |path: &Path| fs::metadata(path).expect("metadata").mode() & 0o777;
        let path = only_file(&directory);
        assert_eq!((mode(&directory), mode(&path), mode(&key)), (0o700, 0o600, 0o600));

        let whole = fs::read(&path).expect("content");
        let tampered = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut content = whole.clone();
            change(&mut content);
            fs::write(&path, content).expect("written");
            cache().get(engine, WASM).is_none()
        };
        assert!(!tampered(&|_| {}), "as it was");
        assert!(tampered(&|content| *content.last_mut().expect("a byte") ^= 1), "the code");
        assert!(tampered(&|content| content[0] ^= 1), "the tag");
        assert!(tampered(&|content| content.truncate(TAG_BYTES)), "no code");
        assert!(tampered(&|content| content.truncate(3)), "no tag");
        assert!(tampered(&|content| drop(content.drain(..TAG_BYTES))), "code without a tag, as older versions kept it");

        // Code that this server made, but of another component.
        fs::write(&path, &whole).expect("written");
        let of_other = cache().file(engine, OTHER);
        fs::copy(&path, &of_other).expect("copied");
        assert!(cache().get(engine, OTHER).is_none(), "another component's code");
        fs::remove_file(of_other).expect("removed");

        // A file that others could have written, and one that is a link.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("opened");
        assert!(cache().get(engine, WASM).is_none(), "writable by others");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("closed");
        fs::rename(&path, base.path().join("elsewhere")).expect("moved");
        std::os::unix::fs::symlink(base.path().join("elsewhere"), &path).expect("linked");
        assert!(cache().get(engine, WASM).is_none(), "a link");
    }

    #[test]
    fn a_key_that_others_could_know_is_made_anew() {
        let base = tempfile::tempdir().expect("a directory");
        let (directory, key) = (base.path().join("cache"), base.path().join("key"));
        let open = || drop(CodeCache::open(directory.clone(), &key).expect("a cache"));
        open();
        let first = fs::read(&key).expect("a key");
        open();
        assert_eq!(fs::read(&key).expect("a key"), first, "kept");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("opened");
        open();
        let second = fs::read(&key).expect("a key");
        assert_ne!(second, first, "it could be read");
        for content in [&second[..5], &[second.as_slice(), b"x"].concat()] {
            fs::write(&key, content).expect("written");
            open();
            assert_eq!(fs::read(&key).expect("a key").len(), KEY_BYTES);
        }
    }
}
