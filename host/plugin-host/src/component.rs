//! From bytes to a linked component: is it one, does it import only what it was granted, does it export what its roles
//! need. Everything is found out here, once, so that making an instance later cannot fail for such a reason.

use std::collections::BTreeSet;
use std::ptr::NonNull;
use std::time::Instant;

use sha2::{Digest, Sha256};
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Engine, Precompiled};

use crate::code_cache::CodeCache;
use crate::code_pages;
use crate::engine::PluginEngine;
use crate::fault::Fault;
use crate::guest::Indices;
use crate::host::HostState;
use crate::interface::{InterfaceVersion, PACKAGE, our_interface};
use crate::manifest::{self, Capability, Manifest};
use crate::wanted_exports::{MissingExport, WantedExports};
use crate::{limits, v0_1, v0_2};

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
    #[error("it was built for {found}; this server has {PACKAGE}@0.1 and {PACKAGE}@0.2")]
    OtherVersion { found: String },
    #[error("it was built for two versions of {PACKAGE} at once: {one} and {other}")]
    TwoVersions { one: String, other: String },
    #[error("it does not export {PACKAGE}/{interface}, which {needed_by} needs")]
    MissingExport { interface: &'static str, needed_by: String },
    #[error("what it imports or exports is not of the type that the interface says: {0}")]
    WrongType(String),
    #[error("spec.{field} names {resource}, which this server does not serve")]
    UnknownResource { field: &'static str, resource: String },
    #[error("spec.http: {0}")]
    Http(String),
    #[error("it refuses its configuration: {0}")]
    Refused(String),
    #[error("its first instance does not start: {0}")]
    Start(Fault),
    #[error("the name {name} belongs to {owner}")]
    NameTaken { name: String, owner: String },
}

impl LoadError {
    pub(crate) fn wrong_type(error: wasmtime::Error) -> Self {
        Self::WrongType(format!("{error:#}"))
    }

    /// Whether the same files may load at another time: what a busy machine did not start in time.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Start(_))
    }
}

/// A component, in the form in which it came.
#[derive(Clone, Copy)]
pub(crate) enum Artifact<'a> {
    /// From [`PluginEngine::precompile`], in the pages of this binary, where it is run if it can be.
    Embedded(&'static [u8]),
    /// From [`PluginEngine::precompile`]: native code, so only ever what this program made itself.
    Precompiled(&'a [u8]),
    /// A component from anywhere.
    Wasm(&'a [u8]),
}

/// sha256 of a component's bytes, in lower-case hex.
pub(crate) fn digest(component: &[u8]) -> String {
    hex(&Sha256::digest(component))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A component that can be instantiated.
pub(crate) struct Linked {
    pub(crate) pre: InstancePre<HostState>,
    pub(crate) exports: Indices,
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
        Artifact::Embedded(bytes) if code_pages::fits(bytes) => run_in_place(engine, bytes)?,
        Artifact::Embedded(bytes) | Artifact::Precompiled(bytes) => deserialize(engine, bytes)?,
        Artifact::Wasm(bytes) => compile(engine, &manifest.name, bytes, cache)?,
    };
    let version = interface_version(engine, &component)?;
    check_imports(engine, &component, version, &manifest.capabilities)?;
    let linker = linker(engine, version, &manifest.capabilities).map_err(LoadError::wrong_type)?;
    let pre = linker.instantiate_pre(&component).map_err(LoadError::wrong_type)?;
    let wanted = WantedExports::of(&component, manifest, version)
        .map_err(|MissingExport { interface, needed_by }| LoadError::MissingExport { interface, needed_by })?;
    let exports = Indices::find(version, &pre, &wanted).map_err(LoadError::wrong_type)?;
    Ok(Linked { pre, exports })
}

fn run_in_place(engine: &Engine, bytes: &'static [u8]) -> Result<Component, LoadError> {
    // SAFETY: as below, and a static is never changed nor freed.
    let component = unsafe { Component::deserialize_raw(engine, NonNull::from(bytes)) };
    component.or_else(|error| {
        // Such as a system that lets no page of a file become executable.
        tracing::debug!("an embedded plugin's code is copied: {error:#}");
        deserialize(engine, bytes)
    })
}

fn deserialize(engine: &Engine, bytes: &[u8]) -> Result<Component, LoadError> {
    // SAFETY: it is what this program has compiled itself; the engine itself refuses another version or configuration.
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

/// For which version of the interface it was built, as its imports and exports say. One that has none of ours is told what it lacks.
fn interface_version(engine: &Engine, component: &Component) -> Result<InterfaceVersion, LoadError> {
    let ty = component.component_type();
    let imports = ty.imports(engine).map(|(name, _)| name.to_owned());
    let mut known: Option<(InterfaceVersion, String)> = None;
    for name in imports.chain(ty.exports(engine).map(|(name, _)| name.to_owned())) {
        let Some((_, version)) = our_interface(&name) else { continue };
        let Some(version) = InterfaceVersion::parse(version) else { return Err(LoadError::OtherVersion { found: name }) };
        match &known {
            Some((other, _)) if *other == version => {}
            Some((_, other)) => return Err(LoadError::TwoVersions { one: other.clone(), other: name }),
            None => known = Some((version, name)),
        }
    }
    Ok(known.map_or(InterfaceVersion::V0_2, |(version, _)| version))
}

fn check_imports(
    engine: &Engine,
    component: &Component,
    version: InterfaceVersion,
    granted: &BTreeSet<Capability>,
) -> Result<(), LoadError> {
    let common: &[&str] = match version {
        InterfaceVersion::V0_1 => &["types", "objects", "admission-types", "authorization-types"],
        InterfaceVersion::V0_2 => &["types", "requests", "admission-types"],
    };
    for (name, _) in component.component_type().imports(engine) {
        match our_interface(name) {
            Some((interface, _)) if common.contains(&interface) => {}
            Some((interface, _)) => match known_capability(version, interface) {
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

/// The capability that an interface belongs to, where this version has it.
fn known_capability(version: InterfaceVersion, interface: &str) -> Option<Capability> {
    let known = |capability: &Capability| version == InterfaceVersion::V0_2 || capability.is_in_0_1();
    Capability::ALL.into_iter().filter(known).find(|capability| capability.interface() == interface)
}

/// What is granted, and the interfaces that grant nothing.
fn linker(engine: &Engine, version: InterfaceVersion, granted: &BTreeSet<Capability>) -> wasmtime::Result<Linker<HostState>> {
    let mut linker = Linker::<HostState>::new(engine);
    match version {
        InterfaceVersion::V0_1 => {
            v0_1::link_common(&mut linker)?;
            granted.iter().try_for_each(|capability| v0_1::link(&mut linker, *capability))?;
        }
        InterfaceVersion::V0_2 => {
            v0_2::link_common(&mut linker)?;
            granted.iter().try_for_each(|capability| v0_2::link(&mut linker, *capability))?;
        }
    }
    Ok(linker)
}
