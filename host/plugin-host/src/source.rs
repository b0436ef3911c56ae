//! Where plugins come from: a directory today, objects of the API one day. A source says what there is; loading it, and what becomes of the
//! version before, is [`PluginSet`](crate::PluginSet)'s.

use std::sync::Arc;

use async_trait::async_trait;

/// Where a plugin comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Built into the binary.
    Embedded,
    /// From `--plugin-dir`.
    Directory,
}

impl Origin {
    /// For a metric's label and for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Directory => "directory",
        }
    }
}

/// Tells the sources of a set apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SourceId(pub(crate) u32);

/// What a source holds under one manifest's name.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The manifest's file name: what the plugin is known by from one look at its source to the next.
    pub file: String,
    /// Changes when the manifest or the component does.
    pub fingerprint: String,
    /// The manifest's text, or why it cannot be read.
    pub manifest: Result<Arc<str>, String>,
    /// The component, or why it cannot be read.
    pub component: Result<Arc<[u8]>, String>,
}

/// All that a source holds.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Its plugins.
    pub candidates: Vec<Candidate>,
    /// Components without a manifest.
    pub strays: Vec<String>,
}

/// Where plugins come from.
#[async_trait]
pub trait PluginSource: Send + 'static {
    /// What its plugins are said to be from.
    fn origin(&self) -> Origin;

    /// All that it holds now; `None` where that is what it held at the last look, or cannot be told.
    async fn look(&mut self) -> Option<Found>;

    /// Returns when another look may find something else. `failed`: something of it does not load, and the same may load at another time.
    async fn changed(&mut self, failed: bool);
}

/// A source that is followed. Dropping it ends that.
pub struct Following(pub(crate) tokio::task::JoinHandle<()>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}
