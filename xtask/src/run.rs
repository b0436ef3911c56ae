//! `cargo xtask build` and `cargo xtask run`.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use crate::shell::{self, say};
use crate::{plugins, setup};

/// Where `cargo xtask run` keeps its data, from the repository's root: the server's own default.
const DATA_FOLDER: &str = "wasmgate-data";

/// `target/release/wasmgate`, with what it needs.
pub fn build() -> Result<(), String> {
    setup::setup()?;
    plugins::plugins()?;
    say("building target/release/wasmgate");
    shell::run(shell::command("cargo").args(["build", "--release", "--package", "wasmgate"]))
}

/// Builds, and becomes the server.
pub fn run(arguments: &[String]) -> Result<(), String> {
    build()?;
    let flags: Vec<&String> = arguments.iter().skip_while(|argument| *argument == "--").collect();
    let folder = flags.iter().enumerate().find_map(|(at, flag)| match flag.strip_prefix("--data-dir") {
        Some("") => flags.get(at + 1).map(PathBuf::from),
        Some(value) => value.strip_prefix('=').map(PathBuf::from),
        None => None,
    });
    let kubeconfig = shell::root().join(folder.unwrap_or_else(|| DATA_FOLDER.into())).join("admin.kubeconfig");
    say("starting a server on the embedded store; Ctrl-C ends it");
    eprintln!(
        "\n    kubeconfig: {0}\n\n    in another terminal:\n\n        export KUBECONFIG={0}\n        kubectl get namespaces\n",
        kubeconfig.display()
    );
    // It becomes the server: Ctrl-C is the server's alone, and its clean end is waited for.
    let error = shell::command(shell::target().join("release/wasmgate")).args(flags).exec();
    Err(format!("target/release/wasmgate: {error}"))
}
