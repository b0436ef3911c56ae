//! What becomes of a plugin, as people and metrics see it.

use crate::source::Origin;

/// Whether a plugin's newest version serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginStatus {
    /// It does.
    Ready,
    /// It is being loaded.
    Loading {
        /// The version before it serves meanwhile.
        still_serving: bool,
    },
    /// It does not load.
    Failed {
        /// Why.
        reason: String,
        /// The version before it does.
        still_serving: bool,
    },
}

impl PluginStatus {
    /// For a metric's label.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Loading { .. } => "loading",
            Self::Failed { still_serving: true, .. } => "failed-still-serving",
            Self::Failed { still_serving: false, .. } => "failed",
        }
    }

    /// Whether a version of the plugin decides.
    pub fn is_in_force(&self) -> bool {
        matches!(self, Self::Ready | Self::Loading { still_serving: true } | Self::Failed { still_serving: true, .. })
    }
}

/// A plugin as `/readyz?verbose`, metrics and the log show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginState {
    /// Its name; the file's where the manifest cannot be read.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// sha256 of the component that serves; empty where none does.
    pub digest: String,
    /// Whether the newest version serves.
    pub status: PluginStatus,
    /// Whether something would go undecided without it.
    pub required: bool,
}
