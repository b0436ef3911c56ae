//! What is true for a whole request: made where its road begins, and handed along from there.

use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use api::Catalogue;
use auth::{Authenticator, Authorizer, UserInfo};

use crate::{Admission, Recorder};

/// All that decides about a request, in one version: a plugin that is replaced meanwhile must not judge what its other version changed.
pub trait DecidingChain: Authenticator + Authorizer + Admission {}

impl<C: Authenticator + Authorizer + Admission + ?Sized> DecidingChain for C {}

/// Knows which chain is in force.
pub trait ChainSource: Send + Sync {
    /// The one now. A request takes it once, and keeps it to its end.
    fn in_force(&self) -> Arc<dyn DecidingChain>;
}

/// What stays the same from a request's first stage to its last.
#[derive(Clone)]
pub struct RequestContext {
    /// The kinds that are served to it.
    pub catalogue: Arc<Catalogue>,
    /// Decides about the request.
    pub chain: Arc<dyn DecidingChain>,
    /// What the request is known by in the log; empty for those that the server makes to itself.
    pub id: Arc<str>,
    /// Who sent it; after impersonation, whom they speak for. Nobody before authentication.
    pub user: Arc<UserInfo>,
    /// Who really sent it, where `user` is impersonated.
    pub original_user: Option<Arc<UserInfo>>,
    /// The time that the request is served at, as objects and answers show it.
    pub now: SystemTime,
    /// The same moment, to measure from.
    pub received: Instant,
    /// When the client stops waiting; `None` for long-running requests, and for those that the server makes to itself.
    pub deadline: Option<Instant>,
    /// Where warnings and audit annotations go, whatever becomes of the request.
    pub recorder: Recorder,
}

impl RequestContext {
    /// A request that begins now, and is served the built-in kinds.
    pub fn new(chain: Arc<dyn DecidingChain>, user: Arc<UserInfo>, now: SystemTime) -> Self {
        Self {
            catalogue: Catalogue::built_in(),
            chain,
            id: Arc::default(),
            user,
            original_user: None,
            now,
            received: Instant::now(),
            deadline: None,
            recorder: Recorder::default(),
        }
    }

    /// What authenticators and authorizers are told of it.
    pub fn asking(&self) -> auth::AskedFor {
        auth::AskedFor {
            id: self.id.clone(),
            original_user: self.original_user.clone(),
            deadline: self.deadline,
            recorder: self.recorder.clone(),
        }
    }

    /// [`Self::now`] in seconds since 1970.
    pub fn now_seconds(&self) -> i64 {
        self.now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
    }
}

impl fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestContext").field("user", &self.user).field("now", &self.now).finish_non_exhaustive()
    }
}
