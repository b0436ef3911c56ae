//! What pods may have in this cluster: set once, when the server starts, as upstream's `capabilities` are.

use std::sync::atomic::{AtomicBool, Ordering};

static ALLOW_PRIVILEGED: AtomicBool = AtomicBool::new(true);

/// `--allow-privileged`. To be called before requests are served.
pub fn set_allow_privileged(allowed: bool) {
    ALLOW_PRIVILEGED.store(allowed, Ordering::Relaxed);
}

/// Whether containers may be privileged.
pub(crate) fn allow_privileged() -> bool {
    ALLOW_PRIVILEGED.load(Ordering::Relaxed)
}
