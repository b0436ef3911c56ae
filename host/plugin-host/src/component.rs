//! From bytes to a linked component: is it one, does it import only what it was granted, does it export what its roles
//! need. Everything is found out here, once, so that making an instance later cannot fail for such a reason.

use std::collections::BTreeSet;
use std::time::Instant;

use sha2::{Digest, Sha256};
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};
use wasmtime::{Engine, Precompiled};

use crate::bindings::exports::wasmgate::plugin as exports;
use crate::bindings::wasmgate::plugin as imports;
use crate::code_cache::CodeCache;
use crate::engine::PluginEngine;
use crate::fault::Fault;
use crate::host::HostState;
use crate::limits;
use crate::manifest::{self, Capability, Manifest, Role};

const PACKAGE: &str = "wasmgate:plugin";
const VERSION: &str = "0.1.0";

/// Why a plugin does not load.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum LoadError {
    #[error("manifest: {0}")]
    Manifest(#[from] manifest::Error),
    #[error("{0}")]
    File(String),
    #[error("the component has {bytes} bytes, more than {}", limits::COMPONENT_BYTES_MAX)]
    TooLarge { bytes: usize },
    #[error("this is not a WebAssembly component: {0}")]
    NotAComponent(String),
    #[error("the component does not compile: {0}")]
    Compile(String),
    #[error("it was compiled for another version or configuration of the engine: {0}")]
    Incompatible(String),
    #[error("it imports {import}, which needs the capability {} in the manifest's spec.capabilities", capability.as_str())]
    CapabilityNotAskedFor { capability: Capability, import: String },
    #[error("it asks for the capability {}, which is not allowed here", capability.as_str())]
    CapabilityNotAllowed { capability: Capability },
    #[error("it imports {0}: WASI is not supported; build the component without it, or with stubs (see the plugin author's guide)")]
    Wasi(String),
    #[error("it imports {0}, which this server does not have")]
    UnknownImport(String),
    #[error("it was built for {found}; this server has {PACKAGE}@{VERSION}")]
    OtherVersion { found: String },
    #[error("it does not export {PACKAGE}/{interface}, which {needed_by} needs")]
    MissingExport { interface: &'static str, needed_by: String },
    #[error("what it imports or exports is not of the type that the interface says: {0}")]
    WrongType(String),
    #[error("spec.{field} names {resource}, which this server does not serve")]
    UnknownResource { field: &'static str, resource: String },
    #[error("it refuses its configuration: {0}")]
    Refused(String),
    #[error("its first instance does not start: {0}")]
    Start(Fault),
    #[error("the name {name} belongs to {owner}")]
    NameTaken { name: String, owner: String },
}

impl LoadError {
    /// Whether the same files may load at another time: what a busy machine did not start in time.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Start(_))
    }
}

/// A component's bytes.
#[derive(Clone, Copy)]
pub(crate) enum Artifact<'a> {
    /// From [`PluginEngine::precompile`]: native code, so only ever what was built into this binary.
    Precompiled(&'a [u8]),
    /// A component from anywhere.
    Wasm(&'a [u8]),
}

impl<'a> Artifact<'a> {
    fn bytes(self) -> &'a [u8] {
        match self {
            Self::Precompiled(bytes) | Self::Wasm(bytes) => bytes,
        }
    }

    /// Lower-case hex of sha256.
    pub(crate) fn digest(self) -> String {
        hex(&Sha256::digest(self.bytes()))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A component that can be instantiated.
pub(crate) struct Linked {
    pub(crate) pre: InstancePre<HostState>,
    pub(crate) exports: Exports,
}

/// Where the exports are; looked up once.
pub(crate) struct Exports {
    pub(crate) plugin: exports::plugin::GuestIndices,
    pub(crate) authenticator: Option<exports::authenticator::GuestIndices>,
    pub(crate) authorizer: Option<exports::authorizer::GuestIndices>,
    pub(crate) rules: Option<exports::rules::GuestIndices>,
    pub(crate) mutating: Option<exports::mutating_admission::GuestIndices>,
    pub(crate) validating: Option<exports::validating_admission::GuestIndices>,
    pub(crate) changes: Option<exports::changes::GuestIndices>,
}

/// Compiles and links. Takes seconds for a large foreign component: not for a worker of the runtime.
pub(crate) fn link(
    engine: &PluginEngine,
    artifact: Artifact<'_>,
    manifest: &Manifest,
    allowed: &BTreeSet<Capability>,
    cache: Option<&CodeCache>,
) -> Result<Linked, LoadError> {
    if let Some(&capability) = manifest.capabilities.difference(allowed).next() {
        return Err(LoadError::CapabilityNotAllowed { capability });
    }
    let engine = engine.inner();
    let component = match artifact {
        Artifact::Precompiled(bytes) => deserialize(engine, bytes)?,
        Artifact::Wasm(bytes) => compile(engine, &manifest.name, bytes, cache)?,
    };
    check_imports(engine, &component, &manifest.capabilities)?;
    let wrong = |error: wasmtime::Error| LoadError::WrongType(format!("{error:#}"));
    let pre = linker(engine, &manifest.capabilities).and_then(|linker| linker.instantiate_pre(&component)).map_err(wrong)?;
    let exports = find_exports(&component, &pre, manifest)?;
    Ok(Linked { pre, exports })
}

/// Lets the system take back the memory that holds these bytes of the binary. The engine has its own copy of the code; whoever reads them
/// again has them read from the file.
#[cfg(target_os = "linux")]
pub(crate) fn give_back_pages(code: &'static [u8]) {
    let page = rustix::param::page_size();
    let start = code.as_ptr().align_offset(page);
    let Some(whole) = code.len().checked_sub(start).map(|rest| rest - rest % page).filter(|whole| *whole > 0) else { return };
    let address = code[start..].as_ptr().cast_mut().cast();
    // SAFETY: whole pages of read-only data of the binary's own file, which come back with the same content.
    if let Err(error) = unsafe { rustix::mm::madvise(address, whole, rustix::mm::Advice::LinuxDontNeed) } {
        tracing::debug!(%error, "the pages of a compiled plugin stay in memory");
    }
}

/// Other systems keep them.
#[cfg(not(target_os = "linux"))]
pub(crate) fn give_back_pages(_: &'static [u8]) {}

fn deserialize(engine: &Engine, bytes: &[u8]) -> Result<Component, LoadError> {
    // SAFETY: `Precompiled` is what this binary carries; the engine itself refuses another version or configuration.
    unsafe { Component::deserialize(engine, bytes) }.map_err(|error| LoadError::Incompatible(format!("{error:#}")))
}

fn compile(engine: &Engine, plugin: &str, bytes: &[u8], cache: Option<&CodeCache>) -> Result<Component, LoadError> {
    if bytes.len() > limits::COMPONENT_BYTES_MAX {
        return Err(LoadError::TooLarge { bytes: bytes.len() });
    }
    check_header(bytes)?;
    if let Some(component) = cache.and_then(|cache| cache.get(engine, bytes)) {
        return Ok(component);
    }
    tracing::info!(plugin, bytes = bytes.len(), "a plugin is being compiled");
    let started = Instant::now();
    let component = Component::new(engine, bytes).map_err(|error| LoadError::Compile(format!("{error:#}")))?;
    tracing::info!(plugin, took_ms = started.elapsed().as_millis() as u64, "a plugin is compiled");
    if let Some(cache) = cache {
        cache.put(engine, bytes, &component);
    }
    Ok(component)
}

/// Says what the bytes are instead, in words that help.
fn check_header(bytes: &[u8]) -> Result<(), LoadError> {
    let no = |words: &str| Err(LoadError::NotAComponent(words.to_owned()));
    match bytes {
        [] => no("the file is empty"),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => no("it is a core module; make a component of it (`wasm-tools component new`)"),
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        _ if Engine::detect_precompiled(bytes) == Some(Precompiled::Component) => {
            no("it is precompiled code, which cannot be sandboxed; give the .wasm that it was made from")
        }
        _ if bytes.starts_with(b"(") => no("it is text; components are taken in binary form"),
        _ => no("it does not begin as one"),
    }
}

/// `wasmgate:plugin/log@0.1.0` → `log`.
fn our_interface(name: &str) -> Option<(&str, &str)> {
    let (interface, version) = name.strip_prefix(PACKAGE)?.strip_prefix('/')?.split_once('@')?;
    Some((interface, version))
}

fn check_imports(engine: &Engine, component: &Component, granted: &BTreeSet<Capability>) -> Result<(), LoadError> {
    for (name, _) in component.component_type().imports(engine) {
        match our_interface(name) {
            Some((_, version)) if version != VERSION => return Err(LoadError::OtherVersion { found: name.to_owned() }),
            Some(("types" | "objects" | "admission-types" | "authorization-types", _)) => {}
            Some((interface, _)) => match Capability::ALL.into_iter().find(|capability| capability.interface() == interface) {
                Some(capability) if granted.contains(&capability) => {}
                Some(capability) => return Err(LoadError::CapabilityNotAskedFor { capability, import: name.to_owned() }),
                None => return Err(LoadError::UnknownImport(name.to_owned())),
            },
            None if name.starts_with("wasi:") => return Err(LoadError::Wasi(name.to_owned())),
            None => return Err(LoadError::UnknownImport(name.to_owned())),
        }
    }
    Ok(())
}

/// What is granted, and the interfaces that grant nothing.
fn linker(engine: &Engine, granted: &BTreeSet<Capability>) -> wasmtime::Result<Linker<HostState>> {
    type Own = HasSelf<HostState>;
    let mut linker = Linker::<HostState>::new(engine);
    imports::types::add_to_linker::<HostState, Own>(&mut linker, |state| state)?;
    imports::objects::add_to_linker::<HostState, Own>(&mut linker, |state| state)?;
    imports::admission_types::add_to_linker::<HostState, Own>(&mut linker, |state| state)?;
    imports::authorization_types::add_to_linker::<HostState, Own>(&mut linker, |state| state)?;
    for capability in granted {
        match capability {
            Capability::Log => imports::log::add_to_linker::<HostState, Own>(&mut linker, |state| state)?,
            Capability::Clock => imports::clock::add_to_linker::<HostState, Own>(&mut linker, |state| state)?,
            Capability::Random => imports::random::add_to_linker::<HostState, Own>(&mut linker, |state| state)?,
            Capability::Jwt => imports::jwt::add_to_linker::<HostState, Own>(&mut linker, |state| state)?,
            Capability::Cluster => imports::cluster::add_to_linker::<HostState, Own>(&mut linker, |state| state)?,
            Capability::Authorizer => imports::authorization::add_to_linker::<HostState, Own>(&mut linker, |state| state)?,
        }
    }
    Ok(linker)
}

fn find_exports(component: &Component, pre: &InstancePre<HostState>, manifest: &Manifest) -> Result<Exports, LoadError> {
    let exported = |interface: &str| component.get_export_index(None, format!("{PACKAGE}/{interface}@{VERSION}").as_str()).is_some();
    let wrong = |error: wasmtime::Error| LoadError::WrongType(format!("{error:#}"));
    let require = |interface: &'static str, needed_by: String| match exported(interface) {
        true => Ok(()),
        false => Err(LoadError::MissingExport { interface, needed_by }),
    };
    require("plugin", "every plugin".into())?;
    for role in &manifest.roles {
        require(role.as_str(), format!("the role {}", role.as_str()))?;
    }
    if !manifest.watches.is_empty() {
        require("changes", "spec.watches".into())?;
    }
    /// The indices of an interface, where a condition holds.
    macro_rules! indices {
        ($interface:ident if $wanted:expr) => {
            match $wanted {
                true => Some(exports::$interface::GuestIndices::new(pre).map_err(wrong)?),
                false => None,
            }
        };
    }
    let has = |role| manifest.roles.contains(&role);
    Ok(Exports {
        plugin: exports::plugin::GuestIndices::new(pre).map_err(wrong)?,
        authenticator: indices!(authenticator if has(Role::Authenticator)),
        authorizer: indices!(authorizer if has(Role::Authorizer)),
        rules: indices!(rules if has(Role::Authorizer) && exported("rules")),
        mutating: indices!(mutating_admission if has(Role::MutatingAdmission)),
        validating: indices!(validating_admission if has(Role::ValidatingAdmission)),
        changes: indices!(changes if !manifest.watches.is_empty()),
    })
}
