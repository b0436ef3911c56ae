//! `cargo xtask clippy` and `cargo xtask deny`: what is judged without being run.
//!
//! What cannot be judged on this machine is said in a line `SKIPPED: why`, as in every suite.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::shell::{self, say};
use crate::stamp;
use crate::test::SKIPPED;
use crate::toolchain::Toolchain;

/// The checks of `deny.toml` that need nothing but the registry.
const OFFLINE_CHECKS: &[&str] = &["licenses", "bans", "sources"];
const CARGO_DENY_VERSION: &str = "0.20.2";
/// A fetch of the advisories that takes longer is taken for one that hangs.
const ADVISORIES_FETCH_SECONDS_MAX: u64 = 60;
/// Where components are: their code behind `cfg(target_arch = "wasm32")` is seen by the compiler for components only.
const GUESTS: &[&str] = &["plugins", "examples/rust", "host/plugin-host/tests/guests", "tests/guests"];

/// Clippy over everything, tests included; then over what becomes components, as components. A warning is an error.
pub fn clippy() -> Result<(), String> {
    let mut host = shell::command("cargo");
    host.args(["clippy", "--quiet", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    shell::output(shell::command("cargo").args(["clippy", "--version"]))
        .map_err(|error| format!("{error}\n  clippy is needed: `rustup component add clippy`"))?;
    shell::run(&mut host)?;
    let Some(mut components) = Toolchain::find()?.clippy() else {
        println!("{SKIPPED}no clippy beside the compiler for components (`apt-get install rust-web-clippy`)");
        println!("1 passed, 0 failed");
        return Ok(());
    };
    for package in crate::plugins::packages(GUESTS)? {
        components.args(["--package", &package]);
    }
    shell::run(components.args(["--", "-D", "warnings"]))?;
    println!("2 passed, 0 failed");
    Ok(())
}

/// Licences, forbidden crates and sources of all dependencies, and what is known against them.
pub fn deny() -> Result<(), String> {
    let program = cargo_deny()?;
    let deny = |arguments: &[&str]| -> Command {
        let mut command = shell::command(&program);
        command.args(["--locked", "--color", "never"]).args(arguments);
        command
    };
    shell::run(deny(&["check", "--hide-inclusion-graph"]).args(OFFLINE_CHECKS))?;
    let fetched = shell::run_within(
        deny(&["--log-level", "off", "fetch", "db"]).stderr(Stdio::null()),
        Duration::from_secs(ADVISORIES_FETCH_SECONDS_MAX),
    );
    let passed = match fetched {
        Ok(()) => {
            shell::run(&mut deny(&["check", "--disable-fetch", "advisories"]))?;
            OFFLINE_CHECKS.len() + 1
        }
        Err(_) => {
            println!("{SKIPPED}the database of advisories is out of reach: dependencies are not checked for known vulnerabilities");
            OFFLINE_CHECKS.len()
        }
    };
    println!("{passed} passed, 0 failed");
    Ok(())
}

/// Built once, from the registry, into `target/tools`.
fn cargo_deny() -> Result<PathBuf, String> {
    let folder = shell::target().join("tools/cargo-deny");
    let program = folder.join("bin/cargo-deny");
    if stamp::is_fresh(&program, CARGO_DENY_VERSION) {
        return Ok(program);
    }
    say(format!("building cargo-deny {CARGO_DENY_VERSION}: about three minutes of one core, once"));
    let build = shell::target().join("tools/download/cargo-deny");
    let mut install = shell::command("cargo");
    install.args(["install", "--quiet", "--locked", "--force", "--version", CARGO_DENY_VERSION, "cargo-deny", "--root"]);
    shell::run(install.arg(&folder).arg("--target-dir").arg(&build))?;
    let _ = std::fs::remove_dir_all(&build);
    stamp::set(&program, CARGO_DENY_VERSION)?;
    Ok(program)
}
