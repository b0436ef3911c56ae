//! Rust types of the WIT interfaces, generated from `wit/`.
#![allow(missing_docs, unused, nonstandard_style, clippy::all, reason = "generated; wit/ has the words")]

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package wasmgate:host;

        world host {
            include wasmgate:plugin/capabilities@0.2.0;
            export wasmgate:plugin/plugin@0.2.0;
            export wasmgate:plugin/authenticator@0.2.0;
            export wasmgate:plugin/authorizer@0.2.0;
            export wasmgate:plugin/rules@0.2.0;
            export wasmgate:plugin/mutating-admission@0.2.0;
            export wasmgate:plugin/validating-admission@0.2.0;
            export wasmgate:plugin/changes@0.2.0;
        }
    ",
    world: "wasmgate:host/host",
    imports: {
        "wasmgate:plugin/cluster.get-live": async | trappable,
        "wasmgate:plugin/authorization.authorize": async | trappable,
        "wasmgate:plugin/http.send": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    ownership: Borrowing { duplicate_if_necessary: true },
    with: {
        "wasmgate:plugin/requests.request": crate::request::RequestHandle,
        "wasmgate:plugin/indexes.index": crate::index::IndexHandle,
    },
});
