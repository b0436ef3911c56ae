//! What is up to date: a digest over all that goes into something, kept beside it.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::shell;

/// A digest of inputs.
#[derive(Default)]
pub struct Inputs(Sha256);

impl Inputs {
    /// A word: a version, a flag.
    pub fn text(mut self, text: &str) -> Self {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text);
        self
    }

    /// A file, or a folder with all that is in it but what builds leave there. One that is missing counts as missing.
    pub fn path(mut self, path: &Path) -> Self {
        for file in files(path) {
            self = self.text(&file.to_string_lossy());
            let content = std::fs::read(&file).unwrap_or_default();
            self.0.update((content.len() as u64).to_le_bytes());
            self.0.update(content);
        }
        self
    }

    /// In hex.
    pub fn digest(self) -> String {
        hex(&self.0.finalize())
    }
}

fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_path_buf()];
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let left_out = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with('.') || ["target", "__pycache__", "node_modules"].contains(&name.as_ref())
    };
    let mut entries: Vec<PathBuf> = entries.filter(|path| !left_out(path)).collect();
    entries.sort();
    entries.iter().flat_map(|entry| files(entry)).collect()
}

/// sha256 in hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `made` is there and was made of these inputs.
pub fn is_fresh(made: &Path, digest: &str) -> bool {
    made.exists() && std::fs::read_to_string(stamp(made)).is_ok_and(|known| known == digest)
}

/// Remembers what `made` was made of.
pub fn set(made: &Path, digest: &str) -> Result<(), String> {
    shell::write(&stamp(made), digest.as_bytes())
}

/// Beside the made files, in a folder that nothing else reads.
fn stamp(made: &Path) -> PathBuf {
    let name = made.file_name().unwrap_or_default().to_string_lossy().into_owned();
    made.parent().unwrap_or(Path::new(".")).join(".stamps").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_changes_with_content_and_names() {
        let folder = std::env::temp_dir().join(format!("xtask-stamp-{}", std::process::id()));
        let digest = || Inputs::default().path(&folder).digest();
        let empty = digest();
        shell::write(&folder.join("a/b.txt"), b"1").expect("written");
        let one = digest();
        shell::write(&folder.join("target/made"), b"x").expect("written");
        shell::write(&folder.join(".hidden"), b"x").expect("written");
        let same = digest();
        shell::write(&folder.join("a/b.txt"), b"2").expect("written");
        let changed = digest();
        std::fs::rename(folder.join("a/b.txt"), folder.join("a/c.txt")).expect("renamed");
        let renamed = digest();
        let _ = std::fs::remove_dir_all(&folder);
        assert_eq!(one, same);
        let all = [empty, one, changed, renamed];
        for (at, digest) in all.iter().enumerate() {
            assert!(!all[..at].contains(digest), "{at}");
        }
    }
}
