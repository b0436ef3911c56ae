//! `cargo xtask examples`: the examples as components, in `target/examples`, each with its manifest beside it.

use std::path::{Path, PathBuf};

use crate::shell::{self, say};
use crate::stamp::{self, Inputs};
use crate::{component, plugins, setup};

/// What makes components of Python.
const COMPONENTIZE_PY: &str = "componentize-py==0.25.1";

/// Everything under `examples/`.
pub fn examples() -> Result<(), String> {
    let made = shell::target().join("examples");
    plugins::build(&shell::root().join("examples/rust"), &made)?;
    shell::folders(&shell::root().join("examples/python")).iter().try_for_each(|folder| python(folder, &made))
}

/// A folder with `app.py`, `wit/` and a manifest. The folder's name is the world's and the component's.
fn python(folder: &Path, made: &Path) -> Result<(), String> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let path = made.join(&name).with_extension("wasm");
    let wit = shell::root().join("wit");
    let digest = Inputs::default().text(COMPONENTIZE_PY).path(&wit).path(folder).digest();
    if stamp::is_fresh(&path, &digest) {
        return Ok(());
    }
    let tool = componentize_py()?;
    say(format!("building {name} with {COMPONENTIZE_PY}"));
    // The tool wants all interfaces in one folder: the example's world, and what it refers to under `deps`.
    let build = made.join("build").join(&name);
    let _ = std::fs::remove_dir_all(&build);
    copy(&folder.join("wit"), &build.join("wit"))?;
    copy(&wit, &build.join("wit/deps/wasmgate-plugin"))?;
    let partial = build.join("component.wasm");
    let mut command = shell::command(tool);
    command
        .arg("-d")
        .arg(build.join("wit"))
        .args(["-w", &name, "componentize", "--stub-wasi", "-p"])
        .arg(folder)
        .args(["app", "-o"])
        .arg(&partial);
    shell::run(&mut command)?;
    let bytes = shell::read(&partial)?;
    let (imports, exports) = component::interfaces(&name, &bytes)?;
    shell::write(&path, &bytes)?;
    shell::write(&path.with_extension("yaml"), &shell::read(&folder.join("plugin.yaml"))?)?;
    stamp::set(&path, &digest)?;
    say(plugins::line(&name, &bytes, &exports, &imports));
    Ok(())
}

/// In a virtual environment of its own: nothing of the user's Python is touched.
fn componentize_py() -> Result<PathBuf, String> {
    let environment = shell::target().join("python").join(COMPONENTIZE_PY);
    let tool = environment.join("bin/componentize-py");
    if stamp::is_fresh(&tool, COMPONENTIZE_PY) {
        return Ok(tool);
    }
    say(format!("installing {COMPONENTIZE_PY}"));
    shell::run(shell::command(setup::python()?).args(["-m", "venv", "--clear"]).arg(&environment))
        .map_err(|error| format!("{error}\n  Python's venv is needed (`apt-get install python3-venv`)"))?;
    let mut pip = shell::command(environment.join("bin/pip"));
    shell::run(pip.args(["install", "--quiet", "--disable-pip-version-check", COMPONENTIZE_PY]))?;
    stamp::set(&tool, COMPONENTIZE_PY)?;
    Ok(tool)
}

/// Copies the files of a folder.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let entries = std::fs::read_dir(from).map_err(|error| format!("{}: {error}", from.display()))?;
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()) {
        shell::write(&to.join(path.file_name().unwrap_or_default()), &shell::read(&path)?)?;
    }
    Ok(())
}

/// The guests of the plugin host's tests and of the end-to-end tests, to `target/test-guests`.
pub fn guests() -> Result<(), String> {
    for folder in ["host/plugin-host/tests/guests", "tests/guests"] {
        plugins::build(&shell::root().join(folder), &shell::target().join("test-guests"))?;
    }
    Ok(())
}
