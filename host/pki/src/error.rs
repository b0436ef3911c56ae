//! Why there are no certificates to run with, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why there are no certificates to run with.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The file system.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A file is there, but it is not what it should be.
    #[error("{} {why}; {remedy}", path.display())]
    Broken {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A certificate could not be made.
    #[error("a certificate could not be made")]
    Generate(#[from] rcgen::Error),
}

pub(crate) fn io_error(path: &Path, source: io::Error) -> PkiError {
    PkiError::Io { path: path.to_owned(), source }
}
