//! `cargo xtask bench`: builds the server and the load generator, and runs them.

use std::path::Path;

use crate::run;
use crate::shell::{self, say};

/// Where distributions put etcd; without it only the embedded store is measured.
const ETCD: &str = "/usr/bin/etcd";

/// Builds and measures; arguments behind `--` are the load generator's.
pub fn bench(arguments: &[String]) -> Result<(), String> {
    run::build()?;
    shell::run(shell::command("cargo").args(["build", "--release", "--package", "wasmgate-bench"]))?;
    let mut command = shell::command(shell::target().join("release/wasmgate-bench"));
    command.arg("--server").arg(shell::target().join("release/wasmgate")).arg("--out").arg(shell::target().join("bench"));
    if Path::new(ETCD).exists() {
        command.args(["--etcd", ETCD]);
    } else {
        say(format!("no {ETCD}: the etcd store is not measured"));
    }
    shell::run(command.args(arguments.iter().skip_while(|argument| *argument == "--")))
}
