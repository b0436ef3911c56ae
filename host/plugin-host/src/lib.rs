//! Runs plugins: the only crate that knows wasmtime.
//!
//! From a manifest and a component ([`manifest`], [`component`](LoadError)) comes a [`Plugin`], from all plugins in
//! force a [`Chain`], which is what the server asks: it implements the traits of `auth` and `admission`. [`PluginSet`]
//! holds the chain and replaces it while requests run; [`PluginDirectory`] feeds it from `--plugin-dir`.
//!
//! **Architecture invariants:** a guest reaches what [`host::Services`] offers and its manifest and the operator grant,
//! and nothing else. A fault is never an allow. No lock is held across a call. An instance that faulted is dropped.

mod bindings;
pub mod cluster;
mod code_cache;
mod component;
pub mod dir;
mod engine;
mod fault;
pub mod host;
mod instance;
pub mod limits;
pub mod manifest;
mod metrics;
mod missing;
mod object;
mod pick;
mod plugin;
mod pool;
pub mod set;
pub mod token;

pub use cluster::{Change, Changes, ClusterView, EmptyCluster, Feed, FeedSnapshot};
pub use code_cache::CodeCache;
pub use component::LoadError;
pub use dir::{DirectoryError, PluginDirectory};
pub use engine::{EngineError, PluginEngine};
pub use fault::Fault;
pub use host::Services;
pub use manifest::{Capability, Manifest, Role};
pub use metrics::Metrics;
pub use plugin::{Loader, Origin, Plugin};
pub use set::{Candidate, Chain, PluginSet, PluginState, PluginStatus, Standard, StandardError};
pub use token::{KeyError, NoTokens, TokenVerifier, Tokens, Verification};
