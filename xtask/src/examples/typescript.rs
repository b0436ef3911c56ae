//! TypeScript: checked and turned into JavaScript by its compiler, put beside a QuickJS by componentize-qjs.

use std::path::PathBuf;

use super::Example;
use crate::shell::{self, say};
use crate::stamp::{self, Inputs};

pub const COMPILER: &str = "the tools of examples/typescript/package-lock.json";

/// `examples/typescript/build.mjs`.
pub fn build(example: &Example) -> Result<Vec<u8>, String> {
    let tools = tools()?;
    let component = example.build.join("component.wasm");
    let mut node = shell::command("node");
    node.arg(tools.join("build.mjs")).arg(&example.folder).arg(example.wit()).arg(&example.name).arg(&example.build).arg(&component);
    shell::run(&mut node)?;
    shell::read(&component)
}

/// What the lock file names, by version and hash, in a folder under `target`.
fn tools() -> Result<PathBuf, String> {
    let source = shell::root().join("examples/typescript");
    let folder = shell::target().join("tools/typescript");
    let digest = ["package.json", "package-lock.json"].iter().fold(Inputs::default(), |inputs, file| inputs.path(&source.join(file)));
    let digest = digest.digest();
    let marker = folder.join("package-lock.json");
    shell::copy(&source, &folder)?;
    if stamp::is_fresh(&marker, &digest) {
        return Ok(folder);
    }
    say("installing examples/typescript/package-lock.json");
    let mut npm = shell::command("npm");
    npm.current_dir(&folder).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]);
    shell::run(&mut npm)
        .map_err(|error| format!("{error}\n  npm is needed once, with its registry within reach (`apt-get install npm`)"))?;
    stamp::set(&marker, &digest)?;
    Ok(folder)
}
