//! Private files, written so that a crash leaves the old one or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::error::{PkiError, io_error};

/// Mode of every file here: certificates are no secrets, but lie in a directory that is closed to others anyway.
const FILE_MODE: u32 = 0o600;

/// Writes a file that is not there yet, and syncs it.
pub(crate) fn write_new(path: &Path, content: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()
}

/// Whether a file must survive a power cut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// Synced to the disk.
    Yes,
    /// Made again at every start.
    No,
}

/// Replaces a file in one step: readers see the old or the new one. It is its owner's alone from the first moment on.
///
/// # Errors
/// [`PkiError::Io`] where the file system fails.
pub fn replace(path: &Path, content: &str, durable: Durable) -> Result<(), PkiError> {
    let parent = path.parent().expect("a file lies in a directory");
    let permissions = fs::Permissions::from_mode(FILE_MODE);
    let write = || -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".new-").permissions(permissions).tempfile_in(parent)?;
        file.write_all(content.as_bytes())?;
        if durable == Durable::Yes {
            file.as_file().sync_all()?;
        }
        file.persist(path).map_err(|error| error.error)?;
        if durable == Durable::Yes { File::open(parent)?.sync_all() } else { Ok(()) }
    };
    write().map_err(|source| io_error(path, source))
}

/// Removes a file, where it is there.
pub(crate) fn remove(path: &Path) -> Result<(), PkiError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(path, error)),
        _ => Ok(()),
    }
}

/// Syncs what a directory lists.
pub(crate) fn sync_dir(path: &Path) -> Result<(), PkiError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(|source| io_error(path, source))
}
