//! The log: lines on stderr, with UTC times. Started once, right after the flags are understood.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// The filter that stands for one of klog's levels (`-v`). A directive names the beginning of a target, so `wasmgate` stands for all of our crates.
fn directives(verbosity: u32) -> &'static str {
    match verbosity {
        0 | 1 => "warn,wasmgate=info",
        2 | 3 => "info",
        4 | 5 => "info,wasmgate=debug",
        6 | 7 => "info,wasmgate=trace",
        8 | 9 => "debug,wasmgate=trace",
        _ => "trace",
    }
}

/// From here on, events go to stderr.
pub fn start(verbosity: u32) {
    let filter = EnvFilter::builder().parse(directives(verbosity)).expect("the directives above are valid");
    let stderr = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    // A second start (in a test) changes nothing.
    let _ = stderr.try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_has_valid_directives() {
        for verbosity in 0..12 {
            assert!(EnvFilter::builder().parse(directives(verbosity)).is_ok(), "{verbosity}");
        }
    }
}
