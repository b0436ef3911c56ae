//! The file below redb, and the room that is kept beside it.
//!
//! redb gives up for good after one failed write, reads included. So a full disk must not reach it: a reserve of real blocks
//! lies beside the file, and when the disk is full the reserve is given up and the write tried again. The committer sees that
//! the reserve is gone and refuses writes until it can be laid up again; what was begun ends well, and reads never stop.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::ops::Bound;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};
use storage::Error;

use crate::error::is_no_space;

/// Where the store's files are: a directory, or in tests a disk that fails on purpose.
pub trait Disk: Send + Sync + 'static {
    /// Whether there is a store.
    fn exists(&self) -> bool;

    /// Opens the store's file, which must exist. Called again after a failure.
    fn open(&self) -> io::Result<Box<dyn StorageBackend>>;

    /// Opens an empty second file beside the first.
    fn open_other(&self) -> io::Result<Box<dyn StorageBackend>>;

    /// Puts the second file in the first one's place. Survives a power cut once it has returned.
    fn adopt_other(&self) -> io::Result<()>;

    /// Removes the second file.
    fn discard_other(&self) -> io::Result<()>;

    /// Makes the reserve: a file of [`RESERVE_BYTES`](crate::limits::RESERVE_BYTES), whose blocks [`release`](Self::release) gives back.
    fn reserve(&self) -> io::Result<()>;

    /// Gives the blocks of the reserve back to the disk.
    fn release(&self) -> io::Result<()>;

    /// The size of the store's file, in bytes.
    fn size_bytes(&self) -> io::Result<u64>;

    /// The name of the store's file in messages.
    fn name(&self) -> String;
}

/// A data directory. It is locked against other processes for as long as this lives.
pub(crate) struct Directory {
    _lock: File,
    dir: PathBuf,
    file: PathBuf,
    other: PathBuf,
    reserve: PathBuf,
    reserve_bytes: usize,
}

impl Directory {
    /// Makes the directory where there is none, and locks it. redb locks its own file only; the copy and the reserve beside it have to be
    /// protected as well.
    pub(crate) fn new(dir: &Path, file_name: &str, reserve_bytes: usize) -> Result<Self, Error> {
        let failed = |error: io::Error| Error::Unavailable(format!("{}: {error}", dir.display()));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let lock = private_file().write(true).create(true).truncate(false).open(dir.join("store.lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let dir = dir.display();
                let words = format!("{dir} is in use by another process; stop that one, or take another data directory");
                return Err(Error::Unavailable(words));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        Ok(Self {
            _lock: lock,
            dir: dir.to_owned(),
            file: dir.join(file_name),
            other: dir.join("store.copy"),
            reserve: dir.join("store.reserve"),
            reserve_bytes,
        })
    }
}

/// Options for files that their owner alone may read: the store holds Secrets.
fn private_file() -> std::fs::OpenOptions {
    let mut options = File::options();
    options.mode(0o600);
    options
}

impl Disk for Directory {
    fn exists(&self) -> bool {
        self.file.exists()
    }

    fn open(&self) -> io::Result<Box<dyn StorageBackend>> {
        let file = File::options().read(true).write(true).open(&self.file)?;
        // The directory entry must be on disk, too: without it a power cut would take the whole file, and every acknowledged write.
        File::open(&self.dir)?.sync_all()?;
        Ok(Box::new(FileBackend::new(file).map_err(io::Error::other)?))
    }

    fn open_other(&self) -> io::Result<Box<dyn StorageBackend>> {
        // The file becomes the store. One that a crash has left may have been made with other permissions, so it is removed first.
        match self.discard_other() {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = private_file().read(true).write(true).create_new(true).open(&self.other)?;
        Ok(Box::new(FileBackend::new(file).map_err(io::Error::other)?))
    }

    fn adopt_other(&self) -> io::Result<()> {
        std::fs::rename(&self.other, &self.file)?;
        File::open(&self.dir)?.sync_all()
    }

    fn discard_other(&self) -> io::Result<()> {
        std::fs::remove_file(&self.other)
    }

    fn reserve(&self) -> io::Result<()> {
        if std::fs::metadata(&self.reserve).is_ok_and(|metadata| metadata.len() == self.reserve_bytes as u64) {
            return Ok(());
        }
        let lay_up = || {
            let mut file = private_file().write(true).create(true).truncate(true).open(&self.reserve)?;
            // Random bytes, since a file system that compresses, or stores no zeros, would set no blocks aside for a regular pattern.
            let mut state = 0x9e37_79b9_7f4a_7c15_u64;
            let mut block = vec![0; 1 << 16];
            for _ in 0..self.reserve_bytes / block.len() {
                for word in block.chunks_exact_mut(8) {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    word.copy_from_slice(&state.to_le_bytes());
                }
                file.write_all(&block)?;
            }
            file.flush()
        };
        lay_up().inspect_err(|_| _ = self.release())
    }

    fn release(&self) -> io::Result<()> {
        File::options().write(true).open(&self.reserve)?.set_len(0)
    }

    fn size_bytes(&self) -> io::Result<u64> {
        Ok(std::fs::metadata(&self.file)?.len())
    }

    fn name(&self) -> String {
        self.file.display().to_string()
    }
}

/// Knows whether the reserve is there, and gives it up when a write finds the disk full.
pub(crate) struct Reserve {
    disk: Arc<dyn Disk>,
    laid_up: AtomicBool,
}

impl Reserve {
    pub(crate) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, laid_up: AtomicBool::new(false) }
    }

    pub(crate) fn is_laid_up(&self) -> bool {
        self.laid_up.load(Ordering::Acquire)
    }

    pub(crate) fn lay_up(&self) -> io::Result<()> {
        self.disk.reserve()?;
        self.laid_up.store(true, Ordering::Release);
        Ok(())
    }

    /// Runs `run`. Where the disk is full, gives the reserve up and runs it once more.
    fn with_room(&self, run: impl Fn() -> io::Result<()>) -> io::Result<()> {
        match run() {
            Err(error) if is_no_space(&error) => {
                self.laid_up.store(false, Ordering::Release);
                tracing::warn!(%error, "the disk is full; the reserve is used");
                self.disk.release().map_err(|_| error)?;
                run()
            }
            result => result,
        }
    }
}

/// redb's file. A write that finds the disk full takes the reserve, so that redb never sees it fail.
pub(crate) struct Guarded {
    inner: Box<dyn StorageBackend>,
    reserve: Arc<Reserve>,
}

impl Guarded {
    pub(crate) fn new(inner: Box<dyn StorageBackend>, reserve: Arc<Reserve>) -> Self {
        Self { inner, reserve }
    }
}

impl std::fmt::Debug for Guarded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

impl StorageBackend for Guarded {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.reserve.with_room(|| self.inner.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        // Not tried again: the kernel may have dropped the pages that a failed sync did not write, and a second sync would not say so.
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.reserve.with_room(|| self.inner.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}
