//! What can be seen of order by reading the tree: files of a bearable length, nothing left unfinished, nothing of one machine.

#![allow(missing_docs, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines of a file, its tests included. A longer one has more than one noun in it.
const FILE_LINES_MAX: usize = 900;
/// Characters of a line of Rust that rustfmt could not break, such as a text.
const LINE_CHARS_MAX: usize = 200;
/// Files that may be longer, each with its reason.
const LONG_FOR_A_REASON: &[(&str, &str)] = &[];

/// Every file that is in the repository or would be added to it.
fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the repository");
    // Whoever runs the tests may be another user than whoever made the checkout.
    let words = ["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(words).current_dir(root).output();
    let listed = output.expect("git runs");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).expect("names in UTF-8");
    names.split('\0').filter(|name| !name.is_empty()).map(|name| root.join(name)).filter(|path| path.is_file()).collect()
}

fn each_line(mut check: impl FnMut(&Path, usize, &str)) {
    for path in files() {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        text.lines().enumerate().for_each(|(number, line)| check(&path, number + 1, line));
    }
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

#[test]
fn files_are_short() {
    let mut long = Vec::new();
    for path in files().into_iter().filter(|path| is_rust(path)) {
        let lines = std::fs::read_to_string(&path).unwrap_or_default().lines().count();
        if lines > FILE_LINES_MAX && !LONG_FOR_A_REASON.iter().any(|(name, _)| path.ends_with(name)) {
            long.push(format!("{}: {lines} lines", path.display()));
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn lines_can_be_read() {
    let mut long = Vec::new();
    each_line(|path, number, line| {
        if is_rust(path) && line.chars().count() > LINE_CHARS_MAX && !line.contains("https://") && !line.contains('"') {
            long.push(format!("{}:{number}", path.display()));
        }
    });
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn nothing_is_left_unfinished() {
    // Put together, so that this file is not found.
    let marks = [["todo", "!("].concat(), ["unimplemented", "!("].concat(), ["FIX", "ME"].concat(), ["XX", "X "].concat()];
    let mut found = Vec::new();
    each_line(|path, number, line| {
        if is_rust(path) && marks.iter().any(|mark| line.contains(mark.as_str())) {
            found.push(format!("{}:{number}: {}", path.display(), line.trim()));
        }
    });
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_path_is_one_machine_s() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the repository");
    let mut paths = vec![format!("{}/", root.display()), ["/ro", "ot/."].concat(), ["/ho", "me/"].concat(), ["/Us", "ers/"].concat()];
    // A home of `/` would be found everywhere.
    paths.extend(std::env::var("HOME").ok().filter(|home| home.len() > 1).map(|home| format!("{home}/")));
    let mut found = Vec::new();
    each_line(|path, number, line| {
        if paths.iter().any(|mark| line.contains(mark.as_str())) {
            found.push(format!("{}:{number}: {}", path.display(), line.trim()));
        }
    });
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn modules_say_what_they_are() {
    let mut silent = Vec::new();
    // A `tests.rs` says it by its name.
    for path in files().into_iter().filter(|path| is_rust(path) && !path.ends_with("tests.rs")) {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("//!");
        if !first.starts_with("//!") {
            silent.push(path.display().to_string());
        }
    }
    assert!(silent.is_empty(), "files without a first line that says what they are: {silent:#?}");
}
