//! Names of API groups, versions, kinds and resources, in upstream's words.

use std::borrow::Cow;
use std::fmt;

/// A string that is a literal for a built-in kind and owned for a custom one.
pub type Text = Cow<'static, str>;

macro_rules! group_names {
    ($($(#[$doc:meta])* $name:ident { $($field:ident),+ })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name {
            $(
                #[doc = concat!("The ", stringify!($field), ".")]
                pub $field: Text,
            )+
        }

        impl $name {
            /// From literals, usable in statics.
            pub const fn of($($field: &'static str),+) -> Self {
                Self { $($field: Text::Borrowed($field)),+ }
            }

            /// From any strings.
            pub fn new($($field: impl Into<Text>),+) -> Self {
                Self { $($field: $field.into()),+ }
            }
        }
    )+};
}

group_names! {
    /// `apps/v1`; the core group is the empty string.
    GroupVersion { group, version }
    /// `Deployment.apps`.
    GroupKind { group, kind }
    /// `deployments.apps`.
    GroupResource { group, resource }
    /// `apps/v1, Kind=Deployment`.
    GroupVersionKind { group, version, kind }
    /// `apps/v1, Resource=deployments`.
    GroupVersionResource { group, version, resource }
}

impl GroupVersion {
    /// Parses an `apiVersion`; `None` where it has more than one slash or is empty.
    pub fn parse(api_version: &str) -> Option<Self> {
        match api_version.split_once('/') {
            None if api_version.is_empty() => None,
            None => Some(Self::new("", api_version.to_owned())),
            Some((_, version)) if version.contains('/') => None,
            Some((group, version)) => Some(Self::new(group.to_owned(), version.to_owned())),
        }
    }

    /// This version with a kind.
    pub fn with_kind(&self, kind: impl Into<Text>) -> GroupVersionKind {
        GroupVersionKind { group: self.group.clone(), version: self.version.clone(), kind: kind.into() }
    }
}

impl GroupVersionKind {
    /// The group and version.
    pub fn group_version(&self) -> GroupVersion {
        GroupVersion { group: self.group.clone(), version: self.version.clone() }
    }

    /// What stands in `apiVersion`: `v1`, or `apps/v1`.
    pub fn api_version(&self) -> String {
        self.group_version().to_string()
    }
}

impl GroupVersionResource {
    /// The group and version.
    pub fn group_version(&self) -> GroupVersion {
        GroupVersion { group: self.group.clone(), version: self.version.clone() }
    }

    /// The group and resource.
    pub fn group_resource(&self) -> GroupResource {
        GroupResource { group: self.group.clone(), resource: self.resource.clone() }
    }
}

impl fmt::Display for GroupVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.group {
            "" => f.write_str(&self.version),
            group => write!(f, "{group}/{}", self.version),
        }
    }
}

/// `deployments.apps`, or `pods` for the core group: the form of upstream's messages.
impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.group {
            "" => f.write_str(&self.resource),
            group => write!(f, "{}.{group}", self.resource),
        }
    }
}

/// `Deployment.apps`, or `Pod` for the core group.
impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.group {
            "" => f.write_str(&self.kind),
            group => write!(f, "{}.{group}", self.kind),
        }
    }
}

/// `apps/v1, Kind=Deployment`, and for the core group `/v1, Kind=Pod`.
impl fmt::Display for GroupVersionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}, Kind={}", self.group, self.version, self.kind)
    }
}

/// `apps/v1, Resource=deployments`.
impl fmt::Display for GroupVersionResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}, Resource={}", self.group, self.version, self.resource)
    }
}
