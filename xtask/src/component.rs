//! From core module to component.

use std::path::Path;

use wit_component::{ComponentEncoder, DecodedWasm};

use crate::shell;

/// What a component may import: the plugin interfaces, and nothing of the system around it.
const ALLOWED: &str = "wasmgate:plugin/";

/// Wraps a core module as a component.
pub fn componentize(module: &Path) -> Result<Vec<u8>, String> {
    let bytes = shell::read(module)?;
    let failed = |error| format!("{}: {error:#}", module.display());
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(&bytes).map_err(failed)?;
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
        Some(import) => Err(format!("{name}: it imports {import}; a standard plugin imports {ALLOWED}* only")),
        None => Ok((imports, exports)),
    }
}
