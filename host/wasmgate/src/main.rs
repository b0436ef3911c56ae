//! `wasmgate`: flags → validated config → run → drain. Wiring only.

mod bootstrap;
mod certificates;
mod cluster;
mod cluster_trust;
mod config;
mod data_dir;
mod flags;
mod kubeconfig;
mod logging;
mod memory;
mod open_files;
mod ownership;
mod run;
mod signals;
mod standard;
mod token_file;
mod token_signer;
mod upstream_flags;
mod values;

use std::process::ExitCode;

use crate::config::Config;
use crate::flags::Flags;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A command line that cannot be run.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let flags = match Flags::parse_arguments(std::env::args_os().skip(1)) {
        Ok(flags) if flags.help => {
            print!("{}", Flags::help_text());
            return ExitCode::SUCCESS;
        }
        Ok(flags) if flags.version => {
            println!("Kubernetes {} (wasmgate v{})", config::KUBERNETES_VERSION, env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Ok(flags) => flags,
        Err(error) => return usage(&error),
    };
    let config = match Config::from_flags(flags) {
        Ok(config) => config,
        Err(error) => return usage(&error),
    };
    logging::start(config.verbosity);
    memory::use_small_pages();
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure(&error),
    };
    match runtime.block_on(run::run(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(&*error),
    }
}

fn usage(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("Error: {error} (see 'wasmgate --help')");
    ExitCode::from(EXIT_USAGE)
}

/// One line, with every cause.
fn failure(error: &dyn std::error::Error) -> ExitCode {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !line.ends_with(&words) {
            line = format!("{line}: {words}");
        }
        cause = error.source();
    }
    eprintln!("Error: {line}");
    ExitCode::FAILURE
}
