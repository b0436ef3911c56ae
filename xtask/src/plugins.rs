//! `cargo xtask plugins`: the standard plugins as components, compiled ahead for this machine.

use std::path::{Path, PathBuf};

use crate::component;
use crate::shell::{self, say};
use crate::stamp::{self, Inputs};
use crate::toolchain::Toolchain;

/// A crate that becomes a component.
struct Guest {
    /// The folder's name is the component's.
    name: String,
    folder: PathBuf,
    package: String,
}

/// Everything under `plugins/`, to `target/plugins`.
pub fn plugins() -> Result<(), String> {
    let made = build(&shell::root().join("plugins"), &shell::target().join("plugins"))?;
    precompile(&made)
}

/// Builds every crate under `sources` into `<made>/<name>.wasm`, its manifest beside it. Gives the components' paths.
pub fn build(sources: &Path, made: &Path) -> Result<Vec<PathBuf>, String> {
    let guests = guests(sources)?;
    if guests.is_empty() {
        return Ok(Vec::new());
    }
    let toolchain = Toolchain::find()?;
    let root = shell::root();
    let inputs = ["wit", "sdk/rust", "Cargo.toml", "Cargo.lock", "xtask/src/component.rs"]
        .iter()
        .fold(Inputs::default(), |inputs, path| inputs.path(&root.join(path)));
    let digest = inputs.path(sources).text(&toolchain.version()?).digest();
    let component = |guest: &Guest| made.join(&guest.name).with_extension("wasm");
    let paths: Vec<PathBuf> = guests.iter().map(component).collect();
    if paths.iter().all(|path| stamp::is_fresh(path, &digest)) {
        return Ok(paths);
    }
    say(format!("building {} components from {}", guests.len(), sources.display()));
    let mut cargo = toolchain.build();
    for guest in &guests {
        cargo.args(["--package", &guest.package]);
    }
    shell::run(&mut cargo)?;
    let modules = shell::target().join("wasm/wasm32-unknown-unknown/plugin");
    for (guest, path) in guests.iter().zip(&paths) {
        let module = modules.join(guest.package.replace('-', "_")).with_extension("wasm");
        let bytes = component::componentize(&module)?;
        let (imports, exports) = component::interfaces(&guest.name, &bytes)?;
        shell::write(path, &bytes)?;
        shell::write(&path.with_extension("yaml"), &shell::read(&guest.folder.join("plugin.yaml"))?)?;
        stamp::set(path, &digest)?;
        say(line(&guest.name, &bytes, &exports, &imports));
    }
    Ok(paths)
}

/// The packages of all components under the folders.
pub fn packages(folders: &[&str]) -> Result<Vec<String>, String> {
    let mut packages = Vec::new();
    for folder in folders {
        packages.extend(guests(&shell::root().join(folder))?.into_iter().map(|guest| guest.package));
    }
    Ok(packages)
}

fn guests(sources: &Path) -> Result<Vec<Guest>, String> {
    let folders = shell::folders(sources).into_iter().filter(|folder| folder.join("Cargo.toml").exists());
    folders.map(guest).collect()
}

fn guest(folder: PathBuf) -> Result<Guest, String> {
    let manifest = String::from_utf8_lossy(&shell::read(&folder.join("Cargo.toml"))?).into_owned();
    let quoted = |line: &str| line.strip_prefix("name = \"")?.split('"').next().map(str::to_owned);
    let package = manifest.lines().find_map(quoted).ok_or_else(|| format!("{}: no package name", folder.display()))?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Guest { name, folder, package })
}

/// What was made: one line.
pub fn line(name: &str, component: &[u8], exports: &[String], imports: &[String]) -> String {
    format!("{name:<28} {:>5} kB  exports {}  imports {}", component.len() / 1024, short(exports), short(imports))
}

/// `wasmgate:plugin/authorizer@0.1.0` is `authorizer`.
fn short(interfaces: &[String]) -> String {
    let name = |interface: &String| {
        let name = interface.rsplit('/').next().unwrap_or(interface);
        name.split('@').next().unwrap_or(name).to_owned()
    };
    interfaces.iter().map(name).collect::<Vec<_>>().join(",")
}

/// `<name>.wasm` to `<name>.cwasm`, by the engine of the server that will load it. Left out where there is no such program yet.
fn precompile(components: &[PathBuf]) -> Result<(), String> {
    const PROGRAM: &str = "wasmgate-precompile";
    if !shell::root().join("host/plugin-host/src/bin").join(PROGRAM).with_extension("rs").exists() {
        say(format!("no {PROGRAM}: the components stay as they are"));
        return Ok(());
    }
    shell::run(shell::command("cargo").args(["build", "--quiet", "--release", "--package", "wasmgate-plugin-host", "--bin", PROGRAM]))?;
    let program = shell::target().join("release").join(PROGRAM);
    let engine = stamp::sha256(&shell::read(&program)?);
    for component in components {
        let made = component.with_extension("cwasm");
        let digest = Inputs::default().text(&engine).path(component).digest();
        if !stamp::is_fresh(&made, &digest) {
            say(format!("compiling {}", made.display()));
            shell::run(shell::command(&program).arg(component).arg(&made))?;
            stamp::set(&made, &digest)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn interfaces_by_their_last_name() {
        let interfaces = ["wasmgate:plugin/authorizer@0.1.0", "wasmgate:plugin/rules@0.1.0", "other"].map(str::to_owned);
        assert_eq!(super::short(&interfaces), "authorizer,rules,other");
    }
}
