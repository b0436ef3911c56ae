//! What wit-bindgen makes of `wit/`: one module of imports and shared types, and one world per exported interface.
//!
//! A component exports the union of the worlds whose `export!` its [`plugin!`](crate::plugin) calls: each world leaves its
//! own type section, and wit-component merges them. So roles combine without a world for each combination. Imports that a
//! plugin does not call are dropped from the component.

/// Capabilities, and the types that several interfaces share.
pub mod imports {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package wasmgate:sdk-imports;
            world imports {
                include wasmgate:plugin/capabilities@0.2.0;
                import wasmgate:plugin/requests@0.2.0;
                import wasmgate:plugin/admission-types@0.2.0;
            }
        ",
        world: "wasmgate:sdk-imports/imports",
        generate_all,
    });
}

/// One world: exports one interface, and finds the types that it uses in [`imports`].
macro_rules! world {
    ($module:ident, $inline:literal, $world:literal, { $($interface:literal: $types:ident),+ }) => {
        #[doc = $world]
        pub mod $module {
            wit_bindgen::generate!({
                path: "../../wit",
                inline: $inline,
                world: $world,
                pub_export_macro: true,
                with: { $($interface: crate::bindings::imports::wasmgate::plugin::$types),+ },
            });
        }
    };
}

world!(
    plugin,
    "package wasmgate:sdk-plugin; world sdk-plugin { include wasmgate:plugin/capabilities@0.2.0; export wasmgate:plugin/plugin@0.2.0; }",
    "wasmgate:sdk-plugin/sdk-plugin",
    { "wasmgate:plugin/types@0.2.0": types, "wasmgate:plugin/log@0.2.0": log, "wasmgate:plugin/clock@0.2.0": clock, "wasmgate:plugin/random@0.2.0": random, "wasmgate:plugin/jwt@0.2.0": jwt, "wasmgate:plugin/cluster@0.2.0": cluster, "wasmgate:plugin/indexes@0.2.0": indexes, "wasmgate:plugin/http@0.2.0": http, "wasmgate:plugin/counters@0.2.0": counters, "wasmgate:plugin/authorization@0.2.0": authorization, "wasmgate:plugin/requests@0.2.0": requests }
);

world!(
    authenticator,
    "package wasmgate:sdk-authenticator; world sdk-authenticator { export wasmgate:plugin/authenticator@0.2.0; }",
    "wasmgate:sdk-authenticator/sdk-authenticator",
    { "wasmgate:plugin/types@0.2.0": types, "wasmgate:plugin/requests@0.2.0": requests }
);

world!(
    authorizer,
    "package wasmgate:sdk-authorizer; world sdk-authorizer { export wasmgate:plugin/authorizer@0.2.0; }",
    "wasmgate:sdk-authorizer/sdk-authorizer",
    { "wasmgate:plugin/types@0.2.0": types, "wasmgate:plugin/requests@0.2.0": requests }
);

world!(
    rules,
    "package wasmgate:sdk-rules; world sdk-rules { export wasmgate:plugin/rules@0.2.0; }",
    "wasmgate:sdk-rules/sdk-rules",
    { "wasmgate:plugin/types@0.2.0": types }
);

world!(
    changes,
    "package wasmgate:sdk-changes; world sdk-changes { export wasmgate:plugin/changes@0.2.0; }",
    "wasmgate:sdk-changes/sdk-changes",
    { "wasmgate:plugin/types@0.2.0": types }
);

world!(
    mutating_admission,
    "package wasmgate:sdk-mutating-admission; world sdk-mutating-admission { export wasmgate:plugin/mutating-admission@0.2.0; }",
    "wasmgate:sdk-mutating-admission/sdk-mutating-admission",
    { "wasmgate:plugin/types@0.2.0": types, "wasmgate:plugin/requests@0.2.0": requests, "wasmgate:plugin/admission-types@0.2.0": admission_types }
);

world!(
    validating_admission,
    "package wasmgate:sdk-validating-admission; world sdk-validating-admission { export wasmgate:plugin/validating-admission@0.2.0; }",
    "wasmgate:sdk-validating-admission/sdk-validating-admission",
    { "wasmgate:plugin/types@0.2.0": types, "wasmgate:plugin/requests@0.2.0": requests, "wasmgate:plugin/admission-types@0.2.0": admission_types }
);
