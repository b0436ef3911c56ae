//! `--plugin-dir`: a manifest and a component dropped in are a plugin; replaced, the next version; removed, gone.
//!
//! The directory is read when it has been quiet for a moment, and what was read counts only if the files are afterwards
//! as they were before: half a file is never taken for a plugin. File systems that do not tell of changes are looked at
//! now and then all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use notify::{RecursiveMode, Watcher};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::limits;
use crate::manifest::Manifest;
use crate::set::PluginSet;
use crate::source::Origin;
use crate::source::{Candidate, Following, Found, PluginSource};

/// A component's file ends so.
const COMPONENT: &str = "wasm";

/// A directory that cannot be watched.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct DirectoryError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// A watched directory. Dropping it ends the watch; its plugins stay as they are.
pub struct PluginDirectory {
    _following: Following,
}

/// What a look at a file tells without reading it.
type Stamp = BTreeMap<PathBuf, (u64, Option<SystemTime>, u64)>;

impl PluginDirectory {
    /// Loads what the directory holds, and follows its changes. What is there has loaded when this returns, or failed to.
    pub async fn open(set: Arc<PluginSet>, path: PathBuf) -> Result<Self, DirectoryError> {
        let failed = |source| DirectoryError { path: path.clone(), source };
        std::fs::read_dir(&path).map_err(failed)?;
        let (changed, changes) = mpsc::channel(1);
        let tell = move |_| {
            // Full means that a change is known of already.
            let _ = changed.try_send(());
        };
        let watcher = notify::recommended_watcher(tell).and_then(|mut watcher| {
            watcher.watch(&path, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        let watcher = watcher
            .inspect_err(|error| tracing::warn!(path = %path.display(), "changes are found by looking now and then only: {error}"))
            .ok();
        let source = DirectorySource { path, changes, seen: Stamp::new(), _watcher: watcher };
        Ok(Self { _following: set.follow(source).await })
    }
}

struct DirectorySource {
    path: PathBuf,
    changes: mpsc::Receiver<()>,
    /// The files as of the last look.
    seen: Stamp,
    _watcher: Option<notify::RecommendedWatcher>,
}

impl DirectorySource {
    async fn wait_for_quiet(&mut self) {
        let quiet = async { while let Ok(Some(())) = timeout(limits::DIRECTORY_DEBOUNCE, self.changes.recv()).await {} };
        // A file that somebody writes to all the time must not keep a plugin in force that was removed.
        let _ = timeout(limits::DIRECTORY_DEBOUNCE_MAX, quiet).await;
    }
}

#[async_trait]
impl PluginSource for DirectorySource {
    fn origin(&self) -> Origin {
        Origin::Directory
    }

    async fn look(&mut self) -> Option<Found> {
        loop {
            let path = self.path.clone();
            let seen = self.seen.clone();
            let found = tokio::task::spawn_blocking(move || read(&path, &seen)).await;
            match found {
                Ok(Ok(Scan::Unchanged)) => return None,
                Ok(Ok(Scan::Moving)) => tokio::time::sleep(limits::DIRECTORY_DEBOUNCE).await,
                Ok(Ok(Scan::Changed(stamp, found))) => {
                    self.seen = stamp;
                    return Some(found);
                }
                // A directory that is gone for a moment (a remount) must not take its plugins out of force.
                Ok(Err(error)) => {
                    tracing::error!(path = %self.path.display(), "the plugins stay as they are, their directory cannot be read: {error}");
                    return None;
                }
                Err(error) => {
                    tracing::error!("reading the plugin directory failed: {error}");
                    return None;
                }
            }
        }
    }

    async fn changed(&mut self, failed: bool) {
        let told = timeout(limits::DIRECTORY_RESCAN, self.changes.recv()).await;
        match told {
            // Without a watcher nobody sends; then it is looked at as often as time allows.
            Ok(None) => tokio::time::sleep(limits::DIRECTORY_RESCAN).await,
            Ok(Some(())) => self.wait_for_quiet().await,
            Err(_) => {}
        }
        // A file's permissions, and a machine that was too busy, change without a trace in the directory.
        if told != Ok(Some(())) && failed {
            self.seen.clear();
        }
    }
}

enum Scan {
    /// As it was.
    Unchanged,
    /// It changed while it was read.
    Moving,
    /// This is what it holds.
    Changed(Stamp, Found),
}

fn read(directory: &Path, seen: &Stamp) -> std::io::Result<Scan> {
    let before = stamp(directory)?;
    if before == *seen {
        return Ok(Scan::Unchanged);
    }
    let owner = std::fs::metadata(directory)?.uid();
    let mut candidates = Vec::new();
    let mut components = BTreeSet::new();
    for path in before.keys().filter(|path| is_manifest(path)) {
        let (candidate, component) = if candidates.len() < limits::DIRECTORY_PLUGINS_MAX {
            candidate(directory, owner, path)
        } else {
            (one_too_many(path), path.with_extension(COMPONENT))
        };
        candidates.push(candidate);
        components.insert(component);
    }
    let is_stray = |path: &&PathBuf| !is_hidden(path) && path.extension().is_some_and(|e| e == COMPONENT) && !components.contains(*path);
    let strays = before.keys().filter(is_stray).map(|path| file_name(path)).collect();
    Ok(if stamp(directory)? == before { Scan::Changed(before, Found { candidates, strays }) } else { Scan::Moving })
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn is_manifest(path: &Path) -> bool {
    !is_hidden(path) && path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json")
}

fn stamp(directory: &Path) -> std::io::Result<Stamp> {
    let mut stamp = Stamp::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        // Follows links: a mounted ConfigMap is a directory of them. One that leads nowhere is a file that cannot be read.
        let Ok(metadata) = std::fs::metadata(&path) else {
            if std::fs::symlink_metadata(&path).is_ok() {
                stamp.insert(path, (0, None, 0));
            }
            continue;
        };
        // What has a manifest's name and is no file is reported when it is read.
        if metadata.is_file() || is_manifest(&path) {
            stamp.insert(path, (metadata.len(), metadata.modified().ok(), metadata.ino()));
        }
    }
    Ok(stamp)
}

/// A manifest and its component, and where the component is. `owner`: the user whose the directory is.
fn candidate(directory: &Path, owner: u32, path: &Path) -> (Candidate, PathBuf) {
    let manifest = read_bounded(path, owner, limits::MANIFEST_BYTES_MAX)
        .and_then(|text| String::from_utf8(text).map_err(|_| "the manifest is not UTF-8".to_owned()));
    // A manifest that does not hold is reported by whoever loads it, with its words.
    let parsed = manifest.as_deref().ok().and_then(|text| Manifest::parse(text).ok());
    let file = match parsed.as_ref().and_then(|manifest| manifest.component.as_deref()) {
        Some(component) => directory.join(component),
        None => path.with_extension(COMPONENT),
    };
    let component = if parsed.is_some() { read_bounded(&file, owner, limits::COMPONENT_BYTES_MAX) } else { Ok(Vec::new()) };
    let candidate = Candidate {
        file: file_name(path),
        fingerprint: fingerprint(&manifest, &component),
        manifest: manifest.map(Into::into),
        component: component.map(Into::into),
    };
    (candidate, file)
}

/// The operator put it there, so that it is not passed over in silence.
fn one_too_many(path: &Path) -> Candidate {
    let why = format!("the directory has more than {} plugins", limits::DIRECTORY_PLUGINS_MAX);
    Candidate { file: file_name(path), fingerprint: why.clone(), manifest: Err(why.clone()), component: Err(why) }
}

fn fingerprint(manifest: &Result<String, String>, component: &Result<Vec<u8>, String>) -> String {
    let mut digest = Sha256::new();
    match manifest {
        Ok(text) | Err(text) => digest.update(text),
    }
    match component {
        Ok(bytes) => digest.update(bytes),
        Err(why) => digest.update(why),
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Who could change the file and has no say in what lies in the directory; nobody, where it is mounted read-only, as Kubernetes mounts
/// config maps. `owner`: the user whose the directory is.
fn stranger_who_may_write(file: &File, metadata: &Metadata, owner: u32) -> std::io::Result<Option<String>> {
    const ROOT: u32 = 0;
    let stranger = match metadata.uid() {
        _ if metadata.mode() & 0o002 != 0 => "everybody may write to it, and so decide who may do what here (chmod o-w)".to_owned(),
        uid if ![ROOT, uzers::get_effective_uid(), owner].contains(&uid) => format!(
            "it belongs to uid {uid}, who may write to it, and so decide who may do what here (chown it to the directory's owner, uid {owner})"
        ),
        _ => return Ok(None),
    };
    Ok((!rustix::fs::fstatvfs(file)?.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY)).then_some(stranger))
}

/// A file's content, following links: what counts is who may write to what they lead to.
fn read_bounded(path: &Path, owner: u32, bytes_max: usize) -> Result<Vec<u8>, String> {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let failed = |error: std::io::Error| format!("{name}: {error}");
    // Opening a pipe would wait for whoever writes to it.
    let file = OpenOptions::new().read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(format!("{name}: it is no regular file"));
    }
    if let Some(stranger) = stranger_who_may_write(&file, &metadata, owner).map_err(failed)? {
        return Err(format!("{name}: {stranger}"));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > bytes_max {
        return Err(format!("{name}: more than {bytes_max} bytes"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    /// Needs root, which alone can give files away: a test that cannot run says so.
    #[test]
    fn a_file_is_the_servers_or_roots_or_the_directorys_owners() {
        if uzers::get_effective_uid() != 0 {
            eprintln!("NOT RUN: only root can make a file that belongs to somebody else");
            return;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let elsewhere = tempfile::tempdir().expect("a directory");
        let (file, target) = (directory.path().join("a.yaml"), elsewhere.path().join("a.yaml"));
        for place in [&file, &target] {
            std::fs::write(place, "name: a").expect("written");
        }
        let read = |path: &Path, owner| read_bounded(path, owner, 1024);
        assert!(read(&file, 0).is_ok());
        for place in [&file, &target] {
            chown(place, Some(4242), None).expect("given away");
        }
        assert!(read(&file, 0).expect_err("refused").starts_with("a.yaml: it belongs to uid 4242"));
        assert!(read(&file, 4242).is_ok(), "whose the directory is decides anyway");
        // Of a link it is what it leads to that counts.
        let link = directory.path().join("b.yaml");
        symlink(&target, &link).expect("linked");
        assert!(read(&link, 0).expect_err("refused").starts_with("b.yaml: it belongs to uid 4242"));
        chown(&target, Some(0), None).expect("taken back");
        assert!(read(&link, 0).is_ok());
        std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o666)).expect("opened");
        assert!(read(&link, 0).expect_err("refused").contains("everybody may write to it"));
    }
}
