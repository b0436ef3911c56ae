//! `--plugin-dir`: a manifest and a component dropped in are a plugin; replaced, the next version; removed, gone.
//!
//! The directory is read when it has been quiet for a moment, and what was read counts only if the files are afterwards
//! as they were before: half a file is never taken for a plugin. File systems that do not tell of changes are looked at
//! now and then all the same.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use notify::{RecursiveMode, Watcher};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::limits;
use crate::manifest::Manifest;
use crate::set::{Candidate, PluginSet};

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
    task: tokio::task::JoinHandle<()>,
}

impl Drop for PluginDirectory {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a look at a file tells without reading it.
type Stamp = BTreeMap<PathBuf, (u64, Option<SystemTime>, u64)>;

impl PluginDirectory {
    /// Loads what the directory holds, and follows its changes.
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
        let mut follower = Follower { set, path, changes, seen: Stamp::new(), _watcher: watcher };
        follower.look().await;
        Ok(Self { task: tokio::spawn(follower.follow()) })
    }
}

struct Follower {
    set: Arc<PluginSet>,
    path: PathBuf,
    changes: mpsc::Receiver<()>,
    /// The files as of the last look.
    seen: Stamp,
    _watcher: Option<notify::RecommendedWatcher>,
}

impl Follower {
    async fn follow(mut self) {
        loop {
            match timeout(limits::DIRECTORY_RESCAN, self.changes.recv()).await {
                // Without a watcher nobody sends; then it is looked at as often as time allows.
                Ok(None) => tokio::time::sleep(limits::DIRECTORY_RESCAN).await,
                Ok(Some(())) => self.wait_for_quiet().await,
                Err(_) => {}
            }
            self.look().await;
        }
    }

    async fn wait_for_quiet(&mut self) {
        while let Ok(Some(())) = timeout(limits::DIRECTORY_DEBOUNCE, self.changes.recv()).await {}
    }

    async fn look(&mut self) {
        loop {
            let path = self.path.clone();
            let seen = self.seen.clone();
            let found = tokio::task::spawn_blocking(move || read(&path, &seen)).await;
            match found {
                Ok(Ok(Found::Unchanged)) => return,
                Ok(Ok(Found::Moving)) => tokio::time::sleep(limits::DIRECTORY_DEBOUNCE).await,
                Ok(Ok(Found::Changed(stamp, candidates))) => {
                    self.seen = stamp;
                    return self.set.replace_directory(candidates).await;
                }
                // A directory that is gone for a moment (a remount) must not take its plugins out of force.
                Ok(Err(error)) => {
                    tracing::error!(path = %self.path.display(), "the plugins stay as they are, their directory cannot be read: {error}");
                    return;
                }
                Err(error) => return tracing::error!("reading the plugin directory failed: {error}"),
            }
        }
    }
}

enum Found {
    /// As it was.
    Unchanged,
    /// It changed while it was read.
    Moving,
    /// These are its plugins.
    Changed(Stamp, Vec<Candidate>),
}

fn read(directory: &Path, seen: &Stamp) -> std::io::Result<Found> {
    let before = stamp(directory)?;
    if before == *seen {
        return Ok(Found::Unchanged);
    }
    let mut candidates = Vec::new();
    for path in before.keys().filter(|path| is_manifest(path)) {
        if candidates.len() == limits::DIRECTORY_PLUGINS_MAX {
            tracing::error!(path = %directory.display(), "only the first {} plugins are taken", limits::DIRECTORY_PLUGINS_MAX);
            break;
        }
        candidates.push(candidate(directory, path));
    }
    Ok(if stamp(directory)? == before { Found::Changed(before, candidates) } else { Found::Moving })
}

fn is_manifest(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json")
}

fn stamp(directory: &Path) -> std::io::Result<Stamp> {
    let mut stamp = Stamp::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        // Follows links: a mounted ConfigMap is a directory of them.
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        if metadata.is_file() {
            #[cfg(unix)]
            let identity = std::os::unix::fs::MetadataExt::ino(&metadata);
            #[cfg(not(unix))]
            let identity = 0;
            stamp.insert(path, (metadata.len(), metadata.modified().ok(), identity));
        }
    }
    Ok(stamp)
}

fn candidate(directory: &Path, path: &Path) -> Candidate {
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut digest = Sha256::new();
    let content = content(directory, path, &mut digest);
    if let Err(why) = &content {
        digest.update(why);
    }
    let fingerprint = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Candidate { file, fingerprint, content }
}

fn content(directory: &Path, path: &Path, digest: &mut Sha256) -> Result<(Arc<str>, Arc<[u8]>), String> {
    let text = read_bounded(path, limits::MANIFEST_BYTES_MAX)?;
    digest.update(&text);
    let text = String::from_utf8(text).map_err(|_| "the manifest is not UTF-8".to_owned())?;
    // A manifest that does not hold is reported by whoever loads it, with its words.
    let Ok(manifest) = Manifest::parse(&text) else { return Ok((text.into(), Arc::default())) };
    let component = match manifest.component {
        Some(component) => directory.join(component),
        None => path.with_extension("wasm"),
    };
    let bytes = read_bounded(&component, limits::COMPONENT_BYTES_MAX)?;
    digest.update(&bytes);
    Ok((text.into(), bytes.into()))
}

/// Whether every user of the machine may change the file. Not where it is mounted read-only, as Kubernetes mounts config maps.
fn is_open_to_everybody(file: &std::fs::File) -> std::io::Result<bool> {
    let writable = std::os::unix::fs::MetadataExt::mode(&file.metadata()?) & 0o002 != 0;
    Ok(writable && !rustix::fs::fstatvfs(file)?.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

fn read_bounded(path: &Path, bytes_max: usize) -> Result<Vec<u8>, String> {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let file = std::fs::File::open(path).map_err(|error| format!("{name}: {error}"))?;
    if is_open_to_everybody(&file).map_err(|error| format!("{name}: {error}"))? {
        return Err(format!("{name}: everybody may write to it, and so decide who may do what here (chmod o-w)"));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes).map_err(|error| format!("{name}: {error}"))?;
    if bytes.len() > bytes_max {
        return Err(format!("{name}: more than {bytes_max} bytes"));
    }
    Ok(bytes)
}
