//! A guest that does what its `config` says: `{"do": "...", "version": "..."}`. It asks for no capability, so that a plugin
//! directory takes it; and it is written against the bare WIT, so that it can answer what the SDK does not let anybody answer.

#[cfg(target_arch = "wasm32")]
mod guest;
