//! `--data-dir`: the store, the certificate authority and its key, the administrator's kubeconfig, the cache of compiled plugins.
//!
//! Runs first, before anything in it is read. What must hold afterwards: the directory is this user's, and nobody else can read, write or
//! replace what lies in it. A directory that others could have written to is refused, for what it holds could be theirs. One that others
//! could only read (older versions left some so) is closed to them, and the log says so.

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, OFlags};

use crate::ownership::{self, OTHERS, account, account_name, own_uid};

const DIRECTORY_MODE: u32 = 0o700;
/// What a directory's owner must be able to do.
const OWNER_ALL: u32 = 0o700;

/// Files in the data directory, and directories with all that is in them, that are the server's alone.
const FILES: [&str; 6] = ["store.redb", "store.lock", "store.copy", "store.reserve", "admin.kubeconfig", PLUGIN_CACHE_KEY];
const DIRECTORIES: [&str; 2] = [PKI, PLUGIN_CACHE];

/// Certificates and keys.
pub const PKI: &str = "pki";
/// Compiled code of foreign components.
pub const PLUGIN_CACHE: &str = "plugin-cache";
/// The key that authenticates compiled code. It is not in the cache's directory, so that whoever can write there cannot sign.
pub const PLUGIN_CACHE_KEY: &str = "plugin-cache.key";

/// A data directory that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("--data-dir {}: {why}; {remedy}", path.display())]
pub struct DataDirError {
    path: PathBuf,
    why: String,
    remedy: String,
}

/// Makes the directory where there is none; else checks whose it is, and closes it to others.
pub fn prepare(path: &Path) -> Result<(), DataDirError> {
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => return Err(refuse(path, "is not a directory", ANOTHER)),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path).map_err(|error| cannot("be made", path, &error))?,
        Err(error) => return Err(cannot("be reached", path, &error)),
    }
    check_link(path)?;
    // Opened once, and checked through the open file: whatever somebody puts in its place meanwhile is not what is used.
    let opened = File::options().read(true).custom_flags(OFlags::DIRECTORY.bits() as i32).open(path);
    let directory = opened.map_err(|error| cannot("be read", path, &error))?;
    let metadata = directory.metadata().map_err(|error| cannot("be read", path, &error))?;
    check_owner(path, &metadata)?;
    warn_of_what_is_above(path);
    rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| cannot("be written to", path, &error.into()))?;
    // The files are looked at before the directory is closed: those that others could write to may be theirs.
    let inner = contents(path);
    if metadata.mode() & OTHERS != 0 {
        inner.iter().try_for_each(|inner| refuse_writable(path, inner))?;
        let closed = directory.set_permissions(Permissions::from_mode(DIRECTORY_MODE));
        closed.map_err(|error| cannot("be closed to other users", path, &error))?;
        tracing::warn!("{} could be read by other users (mode {}); it is closed to them now", path.display(), ownership::mode(&metadata));
    }
    inner.iter().try_for_each(|inner| close_to_others(path, inner))
}

/// Those of the server's own files and directories that exist.
fn contents(path: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = FILES.iter().map(|name| path.join(name)).collect();
    for directory in DIRECTORIES.map(|name| path.join(name)) {
        found.extend(fs::read_dir(&directory).into_iter().flatten().flatten().map(|entry| entry.path()));
        found.push(directory);
    }
    found
}

const ANOTHER: &str = "name another directory";

fn refuse(path: &Path, why: impl Into<String>, remedy: impl Into<String>) -> DataDirError {
    DataDirError { path: path.to_owned(), why: why.into(), remedy: remedy.into() }
}

/// Of several directories that are missing each is made private. The process's umask does not count.
fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(DIRECTORY_MODE))
}

/// A link of somebody else's could lead elsewhere at the next start.
fn check_link(path: &Path) -> Result<(), DataDirError> {
    match fs::symlink_metadata(path) {
        Ok(link) if link.is_symlink() && ownership::is_anothers(&link) => {
            let why = format!("is a symbolic link that belongs to {}, who could make it lead elsewhere", account(link.uid()));
            Err(refuse(path, why, "name the directory itself"))
        }
        _ => Ok(()),
    }
}

/// Whoever may rename a directory above this one can put another one in its place. That is for the operator to decide: below `/tmp` or a
/// home directory it is as safe as these are.
fn warn_of_what_is_above(path: &Path) {
    const STICKY: u32 = 0o1000;
    let whole = fs::canonicalize(path).unwrap_or_default();
    for above in whole.ancestors().skip(1) {
        let Ok(metadata) = fs::metadata(above) else { continue };
        let shown = (path.display(), above.display());
        if ownership::is_anothers(&metadata) {
            tracing::warn!(
                "{}: {}, in which it is, belongs to {}, who could put another in its place",
                shown.0,
                shown.1,
                account(metadata.uid())
            );
        } else if metadata.mode() & (0o002 | STICKY) == 0o002 {
            tracing::warn!("{}: everybody may write to {}, in which it is, and put another in its place", shown.0, shown.1);
        }
    }
}

fn check_owner(path: &Path, metadata: &Metadata) -> Result<(), DataDirError> {
    let (me, shown) = (account(own_uid()), path.display());
    if !ownership::is_own(metadata) {
        let why = format!(
            "belongs to {}, and this server runs as {me}: its Secrets and private keys would be the owner's to read and to replace",
            account(metadata.uid())
        );
        let name = account_name(own_uid());
        return Err(refuse(path, why, format!("run it as the owner, or give it the directory (chown -R {name} {shown}), or {ANOTHER}")));
    }
    if ownership::is_writable_by_others(metadata) {
        let why = format!(
            "can be written to by other users (mode {}), who could have put keys or code of their own there",
            ownership::mode(metadata)
        );
        return Err(refuse(path, why, format!("look at what it holds, then close it to them (chmod 0700 {shown}), or {ANOTHER}")));
    }
    if metadata.mode() & OWNER_ALL != OWNER_ALL {
        let why = format!("does not let its owner, {me}, read and write (mode {})", ownership::mode(metadata));
        return Err(refuse(path, why, format!("chmod 0700 {shown}")));
    }
    Ok(())
}

/// Refuses a file that others can write to in a directory that they could enter: its content may be theirs.
fn refuse_writable(data_dir: &Path, path: &Path) -> Result<(), DataDirError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_symlink() && ownership::is_writable_by_others(&metadata) => {
            let why = format!("{} in it can be written to by other users (mode {})", path.display(), ownership::mode(&metadata));
            Err(refuse(data_dir, why, format!("look at what it holds, then close it to them (chmod go-rwx {})", path.display())))
        }
        _ => Ok(()),
    }
}

/// Takes every permission of others from something in the data directory. What is not there, and what a link leads to, is left alone.
fn close_to_others(data_dir: &Path, path: &Path) -> Result<(), DataDirError> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if metadata.is_symlink() {
        return Ok(());
    }
    if ownership::is_anothers(&metadata) {
        let why =
            format!("{} in it belongs to {}, and this server runs as {}", path.display(), account(metadata.uid()), account(own_uid()));
        return Err(refuse(data_dir, why, "find out who put it there; remove it, or give it to the user that the server runs as"));
    }
    if metadata.mode() & OTHERS == 0 {
        return Ok(());
    }
    let closed = fs::set_permissions(path, Permissions::from_mode(metadata.mode() & 0o700));
    closed.map_err(|error| cannot(&format!("close {} to other users", path.display()), data_dir, &error))?;
    tracing::info!("{} was open to other users (mode {}); it is closed to them now", path.display(), ownership::mode(&metadata));
    Ok(())
}

/// What the system says, whose the directory is that is in the way, and what to do.
fn cannot(what: &str, path: &Path, error: &io::Error) -> DataDirError {
    let why = format!("can not {what}: {}", words(error));
    let me = account(own_uid());
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let (nearest, metadata) = nearest_existing(path);
            let owner = metadata.map_or_else(
                || "another user".to_owned(),
                |metadata| format!("{} (mode {})", account(metadata.uid()), ownership::mode(&metadata)),
            );
            let remedy = format!(
                "{} belongs to {owner}, and this server runs as {me}: make the directory and give it to that user, or {ANOTHER}",
                nearest.display()
            );
            refuse(path, why, remedy)
        }
        io::ErrorKind::ReadOnlyFilesystem => refuse(path, why, "name a directory on a file system that can be written to"),
        io::ErrorKind::StorageFull => refuse(path, why, "make room, or name a directory on another file system"),
        _ => refuse(path, why, ANOTHER),
    }
}

/// Without Rust's `(os error 13)`.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// The path, or the nearest of the directories above it that can be looked at.
fn nearest_existing(path: &Path) -> (PathBuf, Option<Metadata>) {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let found = whole.ancestors().find_map(|ancestor| Some((ancestor.to_owned(), fs::metadata(ancestor).ok()?)));
    found.map_or((whole.clone(), None), |(ancestor, metadata)| (ancestor, Some(metadata)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::symlink_metadata(path).expect("metadata").mode() & 0o7777
    }

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("mode set");
    }

    #[test]
    fn made_private_with_what_is_above_it() {
        let base = tempfile::tempdir().expect("a directory");
        let path = base.path().join("a/b");
        prepare(&path).expect("made");
        assert_eq!((mode_of(&path), mode_of(&base.path().join("a"))), (0o700, 0o700));
        prepare(&path).expect("a second start");
    }

    /// Older versions left the store and `pki` readable.
    #[test]
    fn what_others_could_read_is_closed() {
        let base = tempfile::tempdir().expect("a directory");
        let path = base.path().join("data");
        for inner in ["pki", "plugin-cache"] {
            fs::create_dir_all(path.join(inner)).expect("made");
            set(&path.join(inner), 0o755);
        }
        let files = ["store.redb", "store.copy", "admin.kubeconfig", "pki/ca.key", "pki/ca.crt", "plugin-cache/x.cwasm"];
        for file in files.iter().chain(&["notes.txt"]) {
            fs::write(path.join(file), "x").expect("written");
            set(&path.join(file), 0o644);
        }
        set(&path, 0o755);
        prepare(&path).expect("closed");
        for directory in ["", "pki", "plugin-cache"] {
            assert_eq!(mode_of(&path.join(directory)), 0o700, "{directory}");
        }
        for file in files {
            assert_eq!(mode_of(&path.join(file)), 0o600, "{file}");
        }
        assert_eq!(mode_of(&path.join("notes.txt")), 0o644, "not the server's");
    }

    /// A directory that was closed kept others out, whatever the modes inside; one that was open did not.
    #[test]
    fn what_others_could_have_replaced_is_refused() {
        let base = tempfile::tempdir().expect("a directory");
        let path = base.path().join("data");
        fs::create_dir_all(path.join("pki")).expect("made");
        fs::write(path.join("pki/ca.key"), "x").expect("written");
        for (inner, mode) in [("pki", 0o777), ("pki/ca.key", 0o666), ("pki/ca.key", 0o620)] {
            set(&path.join("pki"), 0o700);
            set(&path.join("pki/ca.key"), 0o600);
            set(&path.join(inner), mode);
            set(&path, 0o755);
            let error = prepare(&path).expect_err("refused").to_string();
            assert!(error.contains(&format!("{inner} in it can be written to by other users (mode {mode:04o})")), "{error}");
            assert_eq!(mode_of(&path), 0o755, "left as it was");
            set(&path, 0o700);
            prepare(&path).expect("it was closed");
            assert_eq!(mode_of(&path.join(inner)) & 0o077, 0, "{inner}");
        }
    }

    #[test]
    fn what_others_could_write_to_is_refused() {
        let base = tempfile::tempdir().expect("a directory");
        for mode in [0o777, 0o1777, 0o770, 0o775, 0o720, 0o702, 0o2770] {
            set(base.path(), mode);
            let error = prepare(base.path()).expect_err("refused").to_string();
            assert!(error.contains("can be written to by other users") && error.contains("chmod 0700"), "{mode:o}: {error}");
            assert_eq!(mode_of(base.path()), mode, "left as it was");
        }
        set(base.path(), 0o700);
        prepare(base.path()).expect("closed by its owner");
        for mode in [0o500, 0o600, 0o400] {
            set(base.path(), mode);
            let error = prepare(base.path()).expect_err("refused").to_string();
            assert!(error.contains("chmod 0700") || error.contains("Permission denied"), "{mode:o}: {error}");
        }
        set(base.path(), 0o700);
    }

    #[test]
    fn what_is_in_the_way_is_named() {
        let base = tempfile::tempdir().expect("a directory");
        let file = base.path().join("file");
        fs::write(&file, "").expect("written");
        std::os::unix::fs::symlink(base.path().join("nowhere"), base.path().join("dangling")).expect("linked");
        for (path, want) in [("file", "is not a directory"), ("file/data", "Not a directory"), ("dangling", "can not be made")] {
            let error = prepare(&base.path().join(path)).expect_err(path).to_string();
            assert!(error.contains(want) && error.ends_with("name another directory"), "{path}: {error}");
        }
        // A link of one's own is followed.
        let real = base.path().join("real");
        prepare(&real).expect("made");
        std::os::unix::fs::symlink(&real, base.path().join("link")).expect("linked");
        prepare(&base.path().join("link")).expect("followed");
    }

    /// Needs root, which alone can give files away: a test that cannot run says so.
    #[test]
    fn what_is_anothers_is_refused() {
        if own_uid() != 0 {
            eprintln!("NOT RUN: only root can make a directory that belongs to somebody else");
            return;
        }
        let base = tempfile::tempdir().expect("a directory");
        let path = base.path().join("data");
        prepare(&path).expect("made");
        std::os::unix::fs::chown(&path, Some(4242), None).expect("given away");
        let error = prepare(&path).expect_err("refused").to_string();
        assert!(error.contains("belongs to uid 4242, and this server runs as root (uid 0)") && error.contains("chown -R root"), "{error}");
        std::os::unix::fs::chown(&path, Some(0), None).expect("taken back");
        fs::write(path.join("store.redb"), "").expect("written");
        std::os::unix::fs::chown(path.join("store.redb"), Some(4242), None).expect("given away");
        let error = prepare(&path).expect_err("refused").to_string();
        assert!(error.contains("store.redb in it belongs to uid 4242"), "{error}");
        fs::remove_file(path.join("store.redb")).expect("removed");
        let link = base.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("linked");
        std::os::unix::fs::lchown(&link, Some(4242), None).expect("given away");
        let error = prepare(&link).expect_err("refused").to_string();
        assert!(error.contains("symbolic link that belongs to uid 4242"), "{error}");
    }
}
