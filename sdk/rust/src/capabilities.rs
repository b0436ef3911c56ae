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

/// Capability `index`: objects by what they say, in the indexes that the manifest's `indexes` declare. The host holds them, once for all
/// instances of the plugin. All answers of one call are of one state.
pub mod index {
    use crate::json::Json;
    use crate::lookup::LookupError;

    #[cfg(target_arch = "wasm32")]
    use crate::bindings::imports::wasmgate::plugin::indexes as host;

    /// What an index has of an object.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Entry {
        /// Empty for cluster-scoped objects.
        pub namespace: String,
        /// The object's name.
        pub name: String,
        /// The object's resource version.
        pub revision: u64,
        /// As much of the object as the index's `fields` name; none where they name nothing.
        pub object: Option<Json>,
    }

    /// Some of what was found.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Page {
        /// In the order of namespace and name.
        pub entries: Vec<Entry>,
        /// There are more: they are found after the last of these.
        pub more: bool,
    }

    /// An index of the manifest. May be kept from call to call.
    #[derive(Debug)]
    pub struct Index {
        #[cfg(target_arch = "wasm32")]
        handle: host::Index,
        #[cfg(not(target_arch = "wasm32"))]
        name: String,
    }

    impl Index {
        /// The one of this name.
        pub fn open(name: &str) -> Result<Self, LookupError> {
            #[cfg(target_arch = "wasm32")]
            return Ok(Self { handle: host::open(name)? });
            #[cfg(not(target_arch = "wasm32"))]
            Ok(Self { name: name.to_owned() })
        }

        /// The objects that have this key: one text for each part that the manifest's `key` has. Only those of this namespace, where it is
        /// not empty; only those behind `after` (namespace and name). At most 1000 at once.
        pub fn find(&self, namespace: &str, key: &[&str], after: Option<(&str, &str)>) -> Result<Page, LookupError> {
            #[cfg(target_arch = "wasm32")]
            {
                let name = |(namespace, name): (&str, &str)| host::ObjectName { namespace: namespace.to_owned(), name: name.to_owned() };
                let key: Vec<String> = key.iter().map(|&part| part.to_owned()).collect();
                let page = self.handle.find(namespace, &key, after.map(name).as_ref())?;
                let entry = |entry: host::Entry| Entry {
                    namespace: entry.id.namespace,
                    name: entry.id.name,
                    revision: entry.revision,
                    object: (!entry.object.is_empty()).then(|| crate::glue::json_in(entry.object)),
                };
                Ok(Page { entries: page.entries.into_iter().map(entry).collect(), more: page.more })
            }
            #[cfg(not(target_arch = "wasm32"))]
            Ok(crate::testing::index_find(&self.name, namespace, key, after))
        }

        /// Whether there is any such object.
        pub fn any(&self, namespace: &str, key: &[&str]) -> Result<bool, LookupError> {
            #[cfg(target_arch = "wasm32")]
            {
                let key: Vec<String> = key.iter().map(|&part| part.to_owned()).collect();
                self.handle.any(namespace, &key).map_err(Into::into)
            }
            #[cfg(not(target_arch = "wasm32"))]
            Ok(!crate::testing::index_find(&self.name, namespace, key, None).entries.is_empty())
        }

        /// All objects that have this key, page by page. Ends with the first error.
        pub fn all<'a>(&'a self, namespace: &'a str, key: &'a [&'a str]) -> impl Iterator<Item = Result<Entry, LookupError>> + 'a {
            let mut page = Page { entries: Vec::new(), more: true };
            let mut last: Option<(String, String)> = None;
            let mut left = Vec::new().into_iter();
            std::iter::from_fn(move || {
                loop {
                    if let Some(entry) = left.next() {
                        let Entry { namespace, name, .. }: &Entry = &entry;
                        last = Some((namespace.clone(), name.clone()));
                        return Some(Ok(entry));
                    }
                    if !page.more {
                        return None;
                    }
                    let after = last.as_ref().map(|(namespace, name)| (namespace.as_str(), name.as_str()));
                    match self.find(namespace, key, after) {
                        Ok(found) => page = found,
                        Err(error) => {
                            page.more = false;
                            return Some(Err(error));
                        }
                    }
                    left = std::mem::take(&mut page.entries).into_iter();
                }
            })
        }
    }
}

/// Capability `http`: requests to the origins that the manifest's `http` names, and to nowhere else. Redirects are not followed.
pub mod http {
    /// What to do with what a URL names.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    #[allow(missing_docs, reason = "HTTP's words")]
    pub enum Method {
        #[default]
        Get,
        Head,
        Post,
        Put,
        Patch,
        Delete,
    }

    /// What is sent.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Request {
        /// What to do.
        pub method: Method,
        /// Absolute.
        pub url: String,
        /// Names and values, at most 64.
        pub headers: Vec<(String, String)>,
        /// At most what the manifest grants.
        pub body: Vec<u8>,
        /// How long to wait, where that is less than the manifest and the call allow.
        pub timeout_milliseconds: Option<u32>,
    }

    impl Request {
        /// A GET of this URL.
        pub fn get(url: impl Into<String>) -> Self {
            Self { url: url.into(), ..Self::default() }
        }

        /// A POST of JSON to this URL.
        pub fn post_json(url: impl Into<String>, body: &serde_json::Value) -> Self {
            let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
            Self { method: Method::Post, url: url.into(), headers, body: body.to_string().into_bytes(), timeout_milliseconds: None }
        }
    }

    /// What came back, whatever its status.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Response {
        /// `200`.
        pub status: u16,
        /// Names in lower case, and values.
        pub headers: Vec<(String, String)>,
        /// What came along.
        pub body: Vec<u8>,
    }

    /// The kinds of [`HttpError`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum HttpFailure {
        /// The manifest does not grant the URL's origin.
        NotGranted,
        /// The URL or a header is none.
        Malformed,
        /// The request is larger than what the manifest grants.
        TooLong,
        /// The answer is.
        TooLarge,
        /// Requests are not sent while an instance is told of changes.
        NotNow,
        /// There was no answer in time.
        Timeout,
        /// The name has no address, or nobody answers there.
        Unreachable,
        /// The certificate is not that of somebody who is trusted there.
        Untrusted,
        /// What answers does not speak HTTP, or went away.
        Broken,
    }

    /// Why there is no answer.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct HttpError {
        /// Of which kind.
        pub reason: HttpFailure,
        /// For people.
        pub message: String,
    }

    impl std::fmt::Display for HttpError {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(&self.message)
        }
    }

    impl std::error::Error for HttpError {}

    /// Sends a request, and waits for its answer.
    pub fn send(request: Request) -> Result<Response, HttpError> {
        #[cfg(target_arch = "wasm32")]
        return crate::glue::send(request);
        #[cfg(not(target_arch = "wasm32"))]
        crate::testing::send(&request)
    }
}

/// Capability `counters`: how often something happens, counted for all instances of the plugin together, in memory.
pub mod counters {
    use crate::lookup::LookupError;

    /// A bucket of tokens: it begins full.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Bucket {
        /// Tokens that are added a second.
        pub per_second: f64,
        /// How many it holds.
        pub burst: u32,
    }

    /// Takes tokens from the bucket of this key. False: there are not so many, and none is taken.
    pub fn take(key: &str, tokens: u32, bucket: Bucket) -> Result<bool, LookupError> {
        #[cfg(target_arch = "wasm32")]
        {
            use crate::bindings::imports::wasmgate::plugin::counters as host;
            host::take(key, tokens, host::Bucket { per_second: bucket.per_second, burst: bucket.burst }).map_err(Into::into)
        }
        #[cfg(not(target_arch = "wasm32"))]
        Ok(crate::testing::take(key, tokens, bucket))
    }
}
