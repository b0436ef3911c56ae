//! `cargo xtask setup`: what the build needs and the repository does not carry.

use std::path::{Path, PathBuf};

use crate::shell::{self, say};
use crate::stamp;
use crate::toolchain::Toolchain;

/// Kubernetes' published type definitions, as this package carries them.
const PACKAGE: &str = "kubernetes-validate==1.37.0";
const PACKAGE_SHA256: &str = "85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9";
const DEFINITIONS: &str = "kubernetes_validate/kubernetes-json-schema/v1.36.0-local/_definitions.json";

/// A program of the machine's: what people call it, a command that succeeds where it is there, and the Debian package that has it.
type Program = (&'static str, &'static [&'static str], &'static str);

/// What the build calls.
const FOR_BUILDING: &[Program] =
    &[("a C compiler", &["cc", "--version"], "build-essential"), ("Python's pip", &["python3", "-m", "pip", "--version"], "python3-pip")];
/// What the suites call, besides.
const FOR_TESTING: &[Program] = &[
    ("Python's venv", &["python3", "-m", "ensurepip", "--version"], "python3-venv"),
    ("etcd", &["etcd", "--version"], "etcd-server"),
    ("npm", &["npm", "--version"], "npm"),
    ("openssl", &["openssl", "version"], "openssl"),
];

/// Does what is missing.
pub fn setup() -> Result<(), String> {
    programs(FOR_BUILDING)?;
    protoc()?;
    definitions()?;
    let toolchain = Toolchain::find()?;
    say(format!("components are compiled by {}", toolchain.version()?));
    Ok(())
}

/// What only tests need. A suite that does without says so: what cannot be installed is named, and no reason to stop.
pub fn for_testing() {
    if let Err(missing) = programs(FOR_TESTING) {
        say(missing);
    }
}

/// What is missing is installed where that needs nobody's password, and else named in one line with the command that installs it.
fn programs(programs: &[Program]) -> Result<(), String> {
    let works = |probe: &[&str]| shell::output(shell::command(probe[0]).args(&probe[1..])).is_ok();
    let missing: Vec<_> = programs.iter().filter(|(_, probe, _)| !works(probe)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let what = missing.iter().map(|(what, _, _)| *what).collect::<Vec<_>>().join(", ");
    let packages: Vec<&str> = missing.iter().flat_map(|(_, _, packages)| packages.split(' ')).collect();
    install(&packages).map_err(|how| format!("missing: {what}; {how}"))
}

/// The compiler of protobuf's definitions that etcd's client is built with, to `target/tools/protoc`; `xtask/protoc` finds it there.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
fn protoc() -> Result<(), String> {
    #[cfg(target_arch = "aarch64")]
    use protoc_bin_vendored_linux_aarch_64 as vendored;
    #[cfg(target_arch = "x86_64")]
    use protoc_bin_vendored_linux_x86_64 as vendored;

    // The version is a part of the path of the unpacked crate.
    let source = vendored::protoc_bin_path();
    let version = source.display().to_string();
    let folder = shell::target().join("tools/protoc");
    let made = folder.join("bin/protoc");
    if stamp::is_fresh(&made, &version) {
        return Ok(());
    }
    let copy = |from: &Path, to: &Path| {
        let copied = to.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::copy(from, to));
        copied.map(|_| ()).map_err(|error| format!("{}: {error}", to.display()))
    };
    // It looks for protobuf's own definitions beside the folder that it lies in.
    const DEFINITIONS: &str = "include/google/protobuf";
    let definitions = vendored::include_path().join("google/protobuf");
    let entries = std::fs::read_dir(&definitions).map_err(|error| format!("{}: {error}", definitions.display()))?;
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|extension| extension == "proto")) {
        copy(&path, &folder.join(DEFINITIONS).join(path.file_name().unwrap_or_default()))?;
    }
    copy(&source, &made)?;
    stamp::set(&made, &version)
}

/// On other machines the distribution's.
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
fn protoc() -> Result<(), String> {
    programs(&[("protoc", &["protoc", "--version"], "protobuf-compiler libprotobuf-dev")])
}

/// Installs Debian packages as root; else says how.
pub fn install(packages: &[&str]) -> Result<(), String> {
    let by_hand = format!("`sudo apt-get install {}`", packages.join(" "));
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
        .map_err(|error| format!("{error}; {by_hand}"))
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
    shell::run(pip.arg(&folder).arg("--requirement").arg(&requirement))
        .map_err(|error| format!("{error}: Python's package registry has to be within reach, once"))?;
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

fn shell_glob(folder: &Path, suffix: &str) -> Result<PathBuf, String> {
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
