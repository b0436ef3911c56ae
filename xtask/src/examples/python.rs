//! Python: an interpreter with the plugin's modules in it, made by componentize-py.

use super::Example;
use crate::fetch::{self, Wheel};
use crate::{setup, shell};

pub const COMPILER: &str = COMPONENTIZE_PY.requirement;
const COMPONENTIZE_PY: Wheel = Wheel {
    requirement: "componentize-py==0.25.1",
    sha256: &[
        "8623cd8cab8453cb0cd8bf03f3c7103420d06f2f3d360186a280a70a1ca5e89f",
        "7b6a87c520358166843af0daa86d2312d7af4cbcbbf1e598951085cf7f2991ca",
        "a556991534cc496207a9d2ca733c4b0f17ed38ef56a8d6b5f1847fdf1225dd1b",
    ],
};
/// What the package's command does.
const COMMAND: &str = "import sys, componentize_py; sys.exit(componentize_py.script())";

/// `componentize-py`, with stubs for WASI.
pub fn build(example: &Example) -> Result<Vec<u8>, String> {
    let package = fetch::wheel(&COMPONENTIZE_PY)?;
    let component = example.build.join("component.wasm");
    let mut command = shell::command(setup::python()?);
    command.env("PYTHONPATH", package).args(["-B", "-c", COMMAND, "-d"]).arg(example.wit());
    command.args(["-w", &example.name, "componentize", "--stub-wasi", "-p"]).arg(&example.folder);
    shell::run(command.args(["app", "-o"]).arg(&component))?;
    shell::read(&component)
}
