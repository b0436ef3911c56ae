//! The request that a call belongs to, in every role: what may be said and asked of it beside the question.

use crate::user::UserInfo;

#[cfg(target_arch = "wasm32")]
pub(crate) mod current {
    use std::cell::{Cell, RefCell};
    use std::ptr::NonNull;

    use crate::glue::HostRequest;

    thread_local! {
        static CURRENT: Cell<Option<NonNull<HostRequest>>> = const { Cell::new(None) };
        static INPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }

    /// Makes a request the current one for as long as `call` runs.
    pub(crate) fn during<R>(request: &HostRequest, input: Vec<u8>, call: impl FnOnce() -> R) -> R {
        CURRENT.set(Some(NonNull::from(request)));
        INPUT.set(input);
        let answer = call();
        CURRENT.set(None);
        answer
    }

    /// What came with the call.
    pub(crate) fn input() -> Vec<u8> {
        INPUT.take()
    }

    pub(crate) fn with<R>(f: impl FnOnce(&HostRequest) -> R) -> Option<R> {
        // SAFETY: `during` holds the borrow for as long as the pointer is there; a panic ends the instance.
        CURRENT.get().map(|request| f(unsafe { request.as_ref() }))
    }
}

/// The client gets this as a Warning header, whatever is decided.
pub fn warn(message: &str) {
    #[cfg(target_arch = "wasm32")]
    current::with(|request| request.warn(message));
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::warned(message);
}

/// The audit event gets this, under the plugin's own name.
pub fn annotate(key: &str, value: &str) {
    #[cfg(target_arch = "wasm32")]
    current::with(|request| request.annotate(key, value));
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::annotated(key, value);
}

/// What the manifest's `input` hands over with a call of an authenticator or authorizer, as a type of your own, in the words of upstream's
/// TokenReview and SubjectAccessReview; once. At admission it is [`Request::input`](crate::admission::Request::input).
pub fn input<T: serde::de::DeserializeOwned>() -> Result<T, String> {
    #[cfg(target_arch = "wasm32")]
    let input = current::input();
    #[cfg(not(target_arch = "wasm32"))]
    let input = crate::testing::input();
    serde_json::from_slice(&input).map_err(|error| format!("the plugin's input: {error}"))
}

/// The request's audit id; empty for what the server asks of itself, and in a test.
pub fn id() -> String {
    #[cfg(target_arch = "wasm32")]
    return current::with(|request| request.id()).unwrap_or_default();
    #[cfg(not(target_arch = "wasm32"))]
    String::new()
}

/// Who really sent it, where its user is impersonated.
pub fn original_user() -> Option<UserInfo> {
    #[cfg(target_arch = "wasm32")]
    return current::with(|request| request.original_user()).flatten().map(crate::glue::user_in);
    #[cfg(not(target_arch = "wasm32"))]
    None
}
