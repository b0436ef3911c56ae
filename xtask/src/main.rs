//! `cargo xtask`: sets the repository up, builds the plugins and the server, runs and tests them.
//!
//! Each command is a module. Everything that is made goes to `target/`; what is up to date by its content is not made again.

mod bench;
mod component;
mod examples;
mod fetch;
mod lint;
mod plugins;
mod run;
mod setup;
mod shell;
mod stamp;
mod test;
mod toolchain;
mod tools;

use std::process::ExitCode;

/// What a command does with its arguments.
type Run = fn(&[String]) -> Result<(), String>;

/// The commands, in the order of the help.
const COMMANDS: &[(&str, &str, Run)] = &[
    ("setup", "fetch Kubernetes' type information, find a compiler for components", |_| setup::setup()),
    ("plugins", "build the standard plugins to target/plugins", |_| plugins::plugins()),
    ("examples", "build the examples to target/examples; names of languages to build only those", examples::examples),
    ("guests", "build the guests of the plugin host's tests to target/test-guests", |_| examples::guests()),
    ("build", "set up, build the plugins and target/release/wasmgate", |_| run::build()),
    ("run", "build, and start a server; flags behind `--` are the server's", run::run),
    ("kubectl", "fetch kubectl and helm to target/tools/bin", |_| tools::kubectl()),
    ("bench", "measure the server; flags behind `--` are the load generator's", bench::bench),
    ("clippy", "clippy over the workspace and the components", |_| lint::clippy()),
    ("deny", "check licences, sources and advisories of the dependencies", |_| lint::deny()),
    ("test", "everything; names of suites to run only those", test::test),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let wanted = arguments.first().map(String::as_str);
    let Some((_, _, command)) = COMMANDS.iter().find(|(name, _, _)| Some(*name) == wanted) else {
        eprintln!("usage: cargo xtask <command>\n");
        for (name, about, _) in COMMANDS {
            eprintln!("  {name:<10} {about}");
        }
        return ExitCode::from(2);
    };
    match command(&arguments[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
