//! From core module to component.

use std::path::Path;

use wit_bindgen_core::wit_parser::{Resolve, WorldId};
use wit_component::{ComponentEncoder, DecodedWasm, StringEncoding};

use crate::shell;

/// What a component may import: the plugin interfaces, and nothing of the system around it.
const ALLOWED: &str = "wasmgate:plugin/";
/// What compilers call the system's interface in a core module.
const SYSTEM: &str = "wasi_snapshot_preview1";

/// A world of a folder of WIT.
pub struct World {
    pub resolve: Resolve,
    pub id: WorldId,
}

impl World {
    /// Reads the folder with what it refers to in `deps`.
    pub fn read(wit: &Path, name: &str) -> Result<Self, String> {
        let failed = |error| format!("{}: {error:#}", wit.display());
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_path(wit).map_err(failed)?;
        let id = resolve.select_world(&[package], Some(name)).map_err(failed)?;
        Ok(Self { resolve, id })
    }

    /// Notes in a core module that it is of this world, where its compiler did not.
    pub fn embed(&self, module: &mut Vec<u8>) -> Result<(), String> {
        wit_component::embed_component_metadata(module, &self.resolve, self.id, StringEncoding::UTF8).map_err(|error| format!("{error:#}"))
    }
}

/// Wraps a core module as a component.
pub fn componentize(module: &Path) -> Result<Vec<u8>, String> {
    encode(&shell::read(module)?, None).map_err(|error| format!("{}: {error}", module.display()))
}

/// Wraps a core module as a component. What it wants of the system is answered by `system`, a core module (text or binary).
pub fn encode(module: &[u8], system: Option<&Path>) -> Result<Vec<u8>, String> {
    let failed = |error| format!("{error:#}");
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(module).map_err(failed)?;
    if let Some(path) = system {
        let adapter = wat::parse_file(path).map_err(|error| error.to_string())?;
        encoder.adapter(SYSTEM, &adapter).map_err(failed)?;
    }
    encoder.encode().map_err(failed)
}

/// What a component imports and what it exports. One that imports anything but the plugin interfaces is an error.
pub fn interfaces(name: &str, component: &[u8]) -> Result<(Vec<String>, Vec<String>), String> {
    let decoded = wit_component::decode(component).map_err(|error| format!("{name}: {error:#}"))?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        return Err(format!("{name}: it is a WIT package and no component"));
    };
    let names = |items: Vec<_>| items.into_iter().map(|key| resolve.name_world_key(key)).collect::<Vec<String>>();
    let world = &resolve.worlds[world];
    let (imports, exports) = (names(world.imports.keys().collect()), names(world.exports.keys().collect()));
    match imports.iter().find(|import| !import.starts_with(ALLOWED)) {
        Some(import) => Err(format!("{name}: it imports {import}; here everything imports {ALLOWED}* only")),
        None => Ok((imports, exports)),
    }
}
