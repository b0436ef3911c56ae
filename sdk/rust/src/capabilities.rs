//! What a plugin may call. Each needs its word in the manifest's `capabilities`, and the operator's leave; a plugin that does
//! not call one does not import it. Outside a component they answer from [`testing`](crate::testing).

/// Capability `log`: lines in the server's log, under the plugin's name.
pub mod log {
    /// How much it matters.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[allow(missing_docs, reason = "everybody's words")]
    pub enum Level {
        Debug,
        Info,
        Warn,
        Error,
    }

    /// One line.
    pub fn log(level: Level, message: &str) {
        #[cfg(target_arch = "wasm32")]
        {
            use crate::bindings::imports::wasmgate::plugin::log as host;
            let level = match level {
                Level::Debug => host::Level::Debug,
                Level::Info => host::Level::Info,
                Level::Warn => host::Level::Warn,
                Level::Error => host::Level::Error,
            };
            host::log(level, message);
        }
        #[cfg(not(target_arch = "wasm32"))]
        crate::testing::logged(level, message);
    }

    /// From here on a panic says why in the log, before it ends the call as a fault. For [`Plugin::configure`].
    ///
    /// [`Plugin::configure`]: crate::Plugin::configure
    pub fn panics() {
        std::panic::set_hook(Box::new(|panic| log(Level::Error, &panic.to_string())));
    }

    /// Somebody will ask.
    pub fn info(message: &str) {
        log(Level::Info, message);
    }

    /// Somebody should look.
    pub fn warn(message: &str) {
        log(Level::Warn, message);
    }
}

/// Capability `clock`: the time.
pub mod clock {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn now_milliseconds() -> u64 {
        #[cfg(target_arch = "wasm32")]
        return crate::bindings::imports::wasmgate::plugin::clock::now_milliseconds();
        #[cfg(not(target_arch = "wasm32"))]
        crate::testing::now_milliseconds()
    }
}

/// Capability `random`: random bytes, for names.
pub mod random {
    use crate::lookup::LookupError;

    /// At most 1024.
    pub fn bytes(count: u32) -> Result<Vec<u8>, LookupError> {
        #[cfg(target_arch = "wasm32")]
        return crate::bindings::imports::wasmgate::plugin::random::bytes(count).map_err(Into::into);
        #[cfg(not(target_arch = "wasm32"))]
        Ok(crate::testing::random_bytes(count))
    }

    /// A name's random end, of the letters that upstream uses: no vowels, and no digits that look like them.
    ///
    /// # Panics
    /// Where the host has no random bytes: without them no name is safe to use. A panic is a fault.
    pub fn name_suffix(length: u32) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let bytes = bytes(length).expect("a short name's worth of random bytes");
        bytes.into_iter().map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])).collect()
    }
}

/// Capability `jwt`: the host checks a service-account token's signature with its keys; no key reaches the plugin.
pub mod jwt {
    use crate::json::Json;

    /// What the host found.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Verification {
        /// The signature and the issuer hold. These are the claims; times and audiences are the plugin's to check.
        Claims(Json),
        /// It is no token of this server's: another issuer, or no JWT at all.
        Unknown,
        /// It claims this server's issuer, and its signature does not hold.
        Invalid(String),
    }

    /// Checks a token's signature and issuer.
    pub fn verify(token: &str) -> Verification {
        #[cfg(target_arch = "wasm32")]
        {
            use crate::bindings::imports::wasmgate::plugin::jwt as host;
            match host::verify(token) {
                host::Verification::Claims(claims) => Verification::Claims(crate::glue::json_in(claims)),
                host::Verification::Unknown => Verification::Unknown,
                host::Verification::Invalid(why) => Verification::Invalid(why),
            }
        }
        #[cfg(not(target_arch = "wasm32"))]
        crate::testing::verify(token)
    }

    /// Audiences that this server answers to.
    pub fn audiences() -> Vec<String> {
        #[cfg(target_arch = "wasm32")]
        return crate::bindings::imports::wasmgate::plugin::jwt::audiences();
        #[cfg(not(target_arch = "wasm32"))]
        crate::testing::audiences()
    }
}

/// Capability `authorizer`: what this server's authorizers say of a user, in the order in which they are asked of every request. May be
/// asked in [`admit`] and [`validate`] and nowhere else: an authorizer that asked the authorizers would ask itself. The time that they take
/// counts as the plugin's own.
///
/// [`admit`]: crate::admission::MutatingAdmission::admit
/// [`validate`]: crate::admission::ValidatingAdmission::validate
pub mod authorizer {
    use crate::authorization::{Attributes, Authorization};
    use crate::lookup::LookupError;

    /// May this user do this? Never [`Conditional`](crate::authorization::Decision::Conditional).
    pub fn authorize(attributes: &Attributes) -> Result<Authorization, LookupError> {
        #[cfg(target_arch = "wasm32")]
        return crate::glue::authorize(attributes);
        #[cfg(not(target_arch = "wasm32"))]
        Ok(crate::testing::authorize(attributes))
    }
}

/// Capability `cluster`: look-ups in the watch cache, limited to the resources in the manifest's `reads`, and to the `fields` that it names there.
pub mod cluster {
    use crate::json::Json;
    use crate::lookup::LookupError;

    #[cfg(target_arch = "wasm32")]
    use crate::bindings::imports::wasmgate::plugin::cluster as host;

    #[cfg(target_arch = "wasm32")]
    fn group_resource(group: &str, resource: &str) -> host::GroupResource {
        host::GroupResource { group: group.to_owned(), resource: resource.to_owned() }
    }

    /// One object, or none. `namespace` is empty for cluster-scoped resources.
    pub fn get(group: &str, resource: &str, namespace: &str, name: &str) -> Result<Option<Json>, LookupError> {
        #[cfg(target_arch = "wasm32")]
        return host::get(&group_resource(group, resource), namespace, name)
            .map(|found| found.map(crate::glue::json_in))
            .map_err(Into::into);
        #[cfg(not(target_arch = "wasm32"))]
        Ok(crate::testing::cluster_get(group, resource, namespace, name, false))
    }

    /// Like [`get`], but read from the store and not from the cache: for the rare case that must not miss a fresh object.
    pub fn get_live(group: &str, resource: &str, namespace: &str, name: &str) -> Result<Option<Json>, LookupError> {
        #[cfg(target_arch = "wasm32")]
        return host::get_live(&group_resource(group, resource), namespace, name)
            .map(|found| found.map(crate::glue::json_in))
            .map_err(Into::into);
        #[cfg(not(target_arch = "wasm32"))]
        Ok(crate::testing::cluster_get(group, resource, namespace, name, true))
    }

    /// All objects of a namespace; of all namespaces where it is empty.
    pub fn list(group: &str, resource: &str, namespace: &str) -> Result<Vec<Json>, LookupError> {
        #[cfg(target_arch = "wasm32")]
        return host::list(&group_resource(group, resource), namespace)
            .map(|found| found.into_iter().map(crate::glue::json_in).collect())
            .map_err(Into::into);
        #[cfg(not(target_arch = "wasm32"))]
        Ok(crate::testing::cluster_list(group, resource, namespace))
    }
}
