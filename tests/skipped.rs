//! What a test says that cannot run on this machine. Taken in with `#[path]` by the tests that need it.

use std::io::Write as _;

/// Says why a test did not run. Written past the test harness, which shows only what failing tests print: the summary of
/// `cargo xtask test` counts the line and shows it.
pub fn skipped(why: &str) {
    // The harness may have begun a line.
    let _ = writeln!(std::io::stdout().lock(), "\nSKIPPED: {why}");
}
