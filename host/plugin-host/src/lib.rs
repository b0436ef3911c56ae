//! Runs plugins: the only crate that knows wasmtime.
//!
//! From a manifest and a component ([`manifest`], [`component`](LoadError)) comes a [`Plugin`], from all plugins in
//! force a [`Chain`], which is what the server asks: it implements the traits of `auth` and `admission`. [`PluginSet`]
//! holds the chain and replaces it while requests run; [`PluginDirectory`] feeds it from `--plugin-dir`.
//!
//! **Architecture invariants:** a guest reaches what [`host::Services`] offers and its manifest and the operator grant,
//! and nothing else. A fault is never an allow. No lock is held across a call. An instance that faulted is dropped.

mod answer;
mod bindings;
pub mod cluster;
mod code_cache;
mod code_pages;
mod component;
mod counters;
pub mod dir;
mod engine;
mod fault;
mod guest;
pub mod host;
mod index;
mod input;
mod instance;
mod interface;
pub mod limits;
mod lookup;
pub mod manifest;
mod memo;
mod metrics;
mod missing;
mod nested;
mod plugin;
mod pool;
mod projection;
mod request;
pub mod set;
pub mod source;
mod state;
pub mod token;
mod v0_1;
mod v0_2;
mod wanted_exports;

pub use cluster::{Change, Changes, ClusterView, EmptyCluster, Feed, FeedSnapshot};
pub use code_cache::CodeCache;
pub use code_pages::PageAligned;
pub use component::LoadError;
pub use dir::{DirectoryError, PluginDirectory};
pub use engine::{EngineError, PluginEngine};
pub use fault::Fault;
pub use host::Services;
pub use index::IndexSpec;
pub use input::{Input, Lookup};
pub use manifest::{Capability, Manifest, Role};
pub use metrics::Metrics;
pub use plugin::{Loader, Plugin};
pub use projection::{Fields, ProjectedResource};
pub use set::{Chain, PluginSet, Standard, StandardError};
pub use source::{Candidate, Following, Found, Origin, PluginSource};
pub use state::{PluginState, PluginStatus};
pub use token::{KeyError, NoTokens, TokenVerifier, Tokens, Verification};
