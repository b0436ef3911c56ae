//! A guest of version 0.1 of the interface, as it was before 0.2, that does what its `config` says: `{"do": "...", "version": "..."}`. It is written against the bare WIT, so
//! that it can answer what the SDK does not let anybody answer.

#[cfg(target_arch = "wasm32")]
mod guest;
