//! What a component exports, whichever version of the interface it was built for.
//!
//! The host speaks one language: the types here and in `auth` and `admission`. Version 0.2 of the interface is nearly that (`v0_2.rs`);
//! what was built for 0.1 is adapted to it in one file (`v0_1.rs`).

use auth::{Authentication, Authorization, Rules, UserInfo};
use wasmtime::component::{Component, InstancePre};
use wasmtime::{Result, Store};

use crate::cluster::{Change, FeedSnapshot};
use crate::component::{InterfaceVersion, LoadError};
use crate::host::HostState;
use crate::manifest::Manifest;
use crate::request::Subject;
use crate::{v0_1, v0_2};

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

/// Where the exports are; looked up once.
pub(crate) enum Indices {
    V0_1(v0_1::Indices),
    V0_2(v0_2::Indices),
}

/// The exports of an instance.
pub(crate) enum Exports {
    V0_1(v0_1::Exports),
    V0_2(v0_2::Exports),
}

/// Calls a function of whichever version.
macro_rules! either {
    ($self:ident, $exports:ident => $call:expr) => {
        match $self {
            Self::V0_1($exports) => $call,
            Self::V0_2($exports) => $call,
        }
    };
}

impl Indices {
    pub(crate) fn find(
        version: InterfaceVersion,
        component: &Component,
        pre: &InstancePre<HostState>,
        manifest: &Manifest,
    ) -> Result<Self, LoadError> {
        Ok(match version {
            InterfaceVersion::V0_1 => Self::V0_1(v0_1::Indices::find(component, pre, manifest)?),
            InterfaceVersion::V0_2 => Self::V0_2(v0_2::Indices::find(component, pre, manifest)?),
        })
    }

    pub(crate) fn load(&self, store: &mut Store<HostState>, instance: &wasmtime::component::Instance) -> Result<Exports> {
        Ok(match self {
            Self::V0_1(indices) => Exports::V0_1(indices.load(store, instance)?),
            Self::V0_2(indices) => Exports::V0_2(indices.load(store, instance)?),
        })
    }
}

/// Each is `Ok` with what the guest answered, or the engine's error.
impl Exports {
    pub(crate) async fn configure(&self, store: &mut Store<HostState>, config: &[u8]) -> Result<Result<(), String>> {
        either!(self, exports => exports.configure(store, config).await)
    }

    /// `input`: what [`crate::input::Input`] made of the subject.
    pub(crate) async fn authenticate(&self, store: &mut Store<HostState>, subject: &Subject<'_>, input: &[u8]) -> Result<Authentication> {
        either!(self, exports => exports.authenticate(store, subject, input).await)
    }

    /// `None`: a conditional decision, for which nobody asks.
    pub(crate) async fn authorize(
        &self,
        store: &mut Store<HostState>,
        subject: &Subject<'_>,
        input: &[u8],
    ) -> Result<Option<Authorization>> {
        either!(self, exports => exports.authorize(store, subject, input).await)
    }

    /// `None`: it lists no rules.
    pub(crate) async fn rules_for(&self, store: &mut Store<HostState>, user: &UserInfo, namespace: &str) -> Result<Option<Rules>> {
        either!(self, exports => exports.rules_for(store, user, namespace).await)
    }

    pub(crate) async fn admit(&self, store: &mut Store<HostState>, subject: &Subject<'_>, input: &[u8]) -> Result<RawMutation> {
        either!(self, exports => exports.admit(store, subject, input).await)
    }

    pub(crate) async fn validate(&self, store: &mut Store<HostState>, subject: &Subject<'_>, input: &[u8]) -> Result<Option<RawDenial>> {
        either!(self, exports => exports.validate(store, subject, input).await)
    }

    /// Tells of all objects.
    pub(crate) async fn tell_all(&self, store: &mut Store<HostState>, state: &FeedSnapshot) -> Result<()> {
        either!(self, exports => exports.tell_all(store, state).await)
    }

    /// Tells of changes.
    pub(crate) async fn tell(&self, store: &mut Store<HostState>, changes: &[Change]) -> Result<()> {
        either!(self, exports => exports.tell(store, changes).await)
    }
}

/// A role that was not looked up at load: ours, not the guest's, and still no reason to end the server.
pub(crate) fn missing() -> wasmtime::Error {
    wasmtime::format_err!("the role is not exported")
}

/// The pieces in which changes are told: bounded in number and size.
pub(crate) fn pieces(mut changes: &[Change]) -> impl Iterator<Item = &[Change]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |change: &&Change| {
            bytes += change.object.as_ref().map_or(0, bytes::Bytes::len);
            bytes <= crate::limits::CHANGES_BYTES_PER_CALL_MAX
        };
        let count = changes.iter().take(crate::limits::CHANGES_PER_CALL_MAX).take_while(fits).count().max(1);
        let (piece, rest) = changes.split_at_checked(count)?;
        changes = rest;
        Some(piece)
    })
}
