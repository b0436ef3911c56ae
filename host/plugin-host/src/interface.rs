//! The package of the interface, and its versions.

/// The WIT package.
pub(crate) const PACKAGE: &str = "wasmgate:plugin";

/// A version of the interface that this server serves, with all that are compatible with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InterfaceVersion {
    V0_1,
    V0_2,
}

impl InterfaceVersion {
    /// Of `0.2.7`: what counts of a version below 1 is its minor number.
    pub(crate) fn parse(version: &str) -> Option<Self> {
        let mut numbers = version.split('.');
        match (numbers.next()?, numbers.next()?, numbers.next()?, numbers.next()) {
            ("0", "1", _, None) => Some(Self::V0_1),
            ("0", "2", _, None) => Some(Self::V0_2),
            _ => None,
        }
    }

    /// The version as this server's imports and exports carry it; the engine takes compatible ones for it.
    pub(crate) fn number(self) -> &'static str {
        match self {
            Self::V0_1 => "0.1.0",
            Self::V0_2 => "0.2.0",
        }
    }
}

/// `wasmgate:plugin/log@0.1.0` → `log`.
pub(crate) fn our_interface(name: &str) -> Option<(&str, &str)> {
    let (interface, version) = name.strip_prefix(PACKAGE)?.strip_prefix('/')?.split_once('@')?;
    Some((interface, version))
}
