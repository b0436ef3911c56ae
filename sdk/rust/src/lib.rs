//! Wasmgate plugins in Rust.
//!
//! A plugin is a type, a trait for each role that it plays, and one macro:
//!
//! ```
//! use wasmgate_sdk::prelude::*;
//!
//! #[derive(Default)]
//! pub struct NoHostNetwork;
//!
//! impl Plugin for NoHostNetwork {}
//!
//! impl ValidatingAdmission for NoHostNetwork {
//!     fn validate(&self, request: &Request) -> Result<(), Denial> {
//!         match request.object().and_then(|pod| pod.get("/spec/hostNetwork")) {
//!             Some(serde_json::Value::Bool(true)) => Err(deny_forbidden("the host's network is not for pods")),
//!             _ => Ok(()),
//!         }
//!     }
//! }
//!
//! wasmgate_sdk::plugin!(NoHostNetwork: validating_admission);
//! ```
//!
//! The host calls one instance from one thread, so state is the type's own fields. A plugin has no effects of its own: the
//! host may call it more than once for one request.
//!
//! Only a component (`target_arch = "wasm32"`) contains the glue to the host. Everywhere else the capabilities answer from
//! [`testing`], so that a plugin's logic has ordinary unit tests.

pub mod admission;
pub mod authentication;
pub mod authorization;
pub mod capabilities;
pub mod changes;
pub mod default_classes;
pub mod json;
pub mod lookup;
pub mod patch;
pub mod quantity;
pub mod quote;
pub mod request;
pub mod signers;
pub mod status;
pub mod user;

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
#[allow(missing_docs, clippy::all, reason = "generated")]
pub mod bindings;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod glue;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use serde;
pub use serde_json;

pub use capabilities::{authorizer, clock, cluster, counters, http, index, jwt, log, random};

/// What most plugins need.
pub mod prelude {
    pub use crate::admission::{Denial, MutatingAdmission, Object, Operation, Request, ValidatingAdmission, deny_forbidden};
    pub use crate::authentication::{Authentication, Authenticator, Credentials, PeerCertificate};
    pub use crate::authorization::{Authorization, Authorizer, Decision, Rules};
    pub use crate::changes::{Change, Changes, GroupResource};
    pub use crate::json::{Config, Json};
    pub use crate::lookup::LookupError;
    pub use crate::patch::Patch;
    pub use crate::status::Status;
    pub use crate::user::UserInfo;
    pub use crate::{Plugin, serde_json};
}

/// Every plugin: how it starts, and how it takes its configuration.
pub trait Plugin: Default + 'static {
    /// Takes the manifest's `config`. Called once on a new instance, before anything else. An error keeps the plugin, or
    /// its new version, out of the chain.
    fn configure(&mut self, config: json::Config) -> Result<(), String> {
        let _ = config;
        Ok(())
    }
}

/// Exports a plugin: its type, a colon, and what it exports of `authenticator`, `authorizer`, `rules`,
/// `mutating_admission`, `validating_admission`, `changes`.
#[macro_export]
macro_rules! plugin {
    ($type:ident : $($interface:ident),+ $(,)?) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Exported;

            impl $crate::glue::Hosted for Exported {
                type Plugin = $type;

                fn with<R>(f: impl FnOnce(&mut $type) -> R) -> R {
                    ::std::thread_local! {
                        static INSTANCE: ::std::cell::RefCell<$type> = ::std::default::Default::default();
                    }
                    INSTANCE.with_borrow_mut(f)
                }
            }

            $crate::bindings::plugin::export!(Exported with_types_in $crate::bindings::plugin);
            $($crate::bindings::$interface::export!(Exported with_types_in $crate::bindings::$interface);)+
        };
    };
}
