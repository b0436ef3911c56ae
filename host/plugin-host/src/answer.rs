//! What a guest answered, before it is judged.

/// A mutating plugin's answer, before it is judged.
pub(crate) enum RawMutation {
    Unchanged,
    /// A JSON Patch, it says.
    Patch(Vec<u8>),
    Denied(RawDenial),
}

/// A refusal, before it is judged.
pub(crate) enum RawDenial {
    Forbidden(String),
    /// A `Status`, it says.
    Status(Vec<u8>),
}

/// A role that was not looked up at load: ours, not the guest's, and still no reason to end the server.
pub(crate) fn missing() -> wasmtime::Error {
    wasmtime::format_err!("the role is not exported")
}
