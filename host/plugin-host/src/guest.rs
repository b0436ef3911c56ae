//! What a component exports, whichever version of the interface it was built for.
//!
//! The host speaks one language: the types here and in `auth` and `admission`. Version 0.2 of the interface is nearly that (`v0_2.rs`);
//! what was built for 0.1 is adapted to it in one file (`v0_1.rs`).

use apimachinery::GroupResource;
use auth::{Authentication, Authorization, Rules, UserInfo};
use wasmtime::component::InstancePre;
use wasmtime::{Result, Store};

use crate::answer::{RawDenial, RawMutation};
use crate::cluster::Change;
use crate::host::HostState;
use crate::interface::InterfaceVersion;
use crate::limits;
use crate::projection::ProjectedResource;
use crate::request::Subject;
use crate::wanted_exports::WantedExports;
use crate::{v0_1, v0_2};

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
    pub(crate) fn find(version: InterfaceVersion, pre: &InstancePre<HostState>, wanted: &WantedExports) -> Result<Self> {
        Ok(match version {
            InterfaceVersion::V0_1 => Self::V0_1(v0_1::Indices::find(pre, wanted)?),
            InterfaceVersion::V0_2 => Self::V0_2(v0_2::Indices::find(pre, wanted)?),
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

    /// Tells of all objects of a resource.
    pub(crate) async fn tell_all(
        &self,
        store: &mut Store<HostState>,
        resource: &GroupResource,
        objects: &[Change],
        watches: &[ProjectedResource],
    ) -> Result<()> {
        match self {
            // In one piece: this version has no other way.
            Self::V0_1(exports) => {
                let all = Pieces { changes: objects, watches };
                let shown: Vec<_> = objects.iter().map(|change| all.shown(change)).collect();
                exports.reset(store, resource, &shown).await
            }
            Self::V0_2(exports) => {
                exports.reset(store, resource).await?;
                self.tell(store, objects, watches).await
            }
        }
    }

    /// Tells of changes, cut down to what the manifest shows, in pieces: only one of them is in memory at a time.
    pub(crate) async fn tell(&self, store: &mut Store<HostState>, changes: &[Change], watches: &[ProjectedResource]) -> Result<()> {
        let mut pieces = Pieces { changes, watches };
        while let Some(piece) = pieces.next() {
            either!(self, exports => exports.apply(store, &piece).await)?;
        }
        Ok(())
    }
}

/// The pieces in which changes are told: bounded in number and in bytes of what is shown, unless one object alone has more.
struct Pieces<'a> {
    changes: &'a [Change],
    watches: &'a [ProjectedResource],
}

impl Pieces<'_> {
    fn next(&mut self) -> Option<Vec<Change>> {
        let (mut piece, mut bytes) = (Vec::new(), 0);
        while let Some((change, rest)) = self.changes.split_first() {
            let shown = self.shown(change);
            bytes += shown.object.as_ref().map_or(0, bytes::Bytes::len);
            let full = piece.len() == limits::CHANGES_PER_CALL_MAX || bytes > limits::CHANGES_BYTES_PER_CALL_MAX;
            if full && !piece.is_empty() {
                break;
            }
            piece.push(shown);
            self.changes = rest;
        }
        (!piece.is_empty()).then_some(piece)
    }

    /// The object as far as the manifest shows it.
    fn shown(&self, change: &Change) -> Change {
        let watch = self.watches.iter().find(|watch| watch.resource == change.resource);
        let object = change.object.as_ref().map(|object| watch.map_or_else(|| object.clone(), |watch| watch.shown(object)));
        Change { object, ..change.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: usize, bytes: usize) -> Change {
        let object = format!(r#"{{"kept":"{}","gone":"{}"}}"#, "x".repeat(bytes), "y".repeat(1 << 20));
        let name = name.to_string().into();
        Change { resource: GroupResource::of("", "pods"), namespace: "".into(), name, revision: 1, object: Some(object.into()) }
    }

    #[test]
    fn a_piece_is_bounded_by_what_is_shown() {
        let fields = crate::projection::Fields::parse(&["kept"]).expect("a field");
        let watches = [ProjectedResource { resource: GroupResource::of("", "pods"), fields }];
        let third = limits::CHANGES_BYTES_PER_CALL_MAX / 3;
        let sizes = [third, third, third, 1, 2 * limits::CHANGES_BYTES_PER_CALL_MAX, 1, 1];
        let changes: Vec<_> = sizes.iter().enumerate().map(|(name, bytes)| change(name, *bytes)).collect();
        let mut pieces = Pieces { changes: &changes, watches: &watches };
        let told: Vec<Vec<String>> =
            std::iter::from_fn(|| pieces.next()).map(|piece| piece.iter().map(|change| change.name.to_string()).collect()).collect();
        assert_eq!(told, [vec!["0", "1"], vec!["2", "3"], vec!["4"], vec!["5", "6"]]);
        let many: Vec<_> = (0..=limits::CHANGES_PER_CALL_MAX).map(|name| Change { object: None, ..change(name, 0) }).collect();
        let mut pieces = Pieces { changes: &many, watches: &watches };
        let counts: Vec<_> = std::iter::from_fn(|| pieces.next()).map(|piece| piece.len()).collect();
        assert_eq!(counts, [limits::CHANGES_PER_CALL_MAX, 1]);
    }
}
