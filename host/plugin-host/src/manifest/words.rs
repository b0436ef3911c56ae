//! The words of a manifest that choose among a few.

use admission::chain::Round;
use serde::Deserialize;

/// What a plugin does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words of wit/")]
pub enum Role {
    Authenticator,
    Authorizer,
    MutatingAdmission,
    ValidatingAdmission,
}

impl Role {
    /// As in the manifest, and the name of the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authenticator => "authenticator",
            Self::Authorizer => "authorizer",
            Self::MutatingAdmission => "mutating-admission",
            Self::ValidatingAdmission => "validating-admission",
        }
    }

    pub(super) fn of(round: Round) -> Self {
        match round {
            Round::Mutating => Self::MutatingAdmission,
            Round::Validating => Self::ValidatingAdmission,
        }
    }
}

/// What a plugin may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the words of wit/capabilities.wit")]
pub enum Capability {
    Log,
    Clock,
    Random,
    Jwt,
    Cluster,
    Index,
    Http,
    Counters,
    Authorizer,
}

impl Capability {
    /// All there are.
    pub const ALL: [Self; 9] =
        [Self::Log, Self::Clock, Self::Random, Self::Jwt, Self::Cluster, Self::Index, Self::Http, Self::Counters, Self::Authorizer];

    /// As in the manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Clock => "clock",
            Self::Random => "random",
            Self::Jwt => "jwt",
            Self::Cluster => "cluster",
            Self::Index => "index",
            Self::Http => "http",
            Self::Counters => "counters",
            Self::Authorizer => "authorizer",
        }
    }

    /// The interface's name in `wit/capabilities.wit`. The word `authorizer` is there the role's.
    pub fn interface(self) -> &'static str {
        match self {
            Self::Authorizer => "authorization",
            Self::Index => "indexes",
            other => other.as_str(),
        }
    }

    /// Whether version 0.1 of the interface has it.
    pub(crate) fn is_in_0_1(self) -> bool {
        !matches!(self, Self::Index | Self::Http | Self::Counters)
    }
}

/// What an authenticator is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the fields of wit/authenticator.wit")]
pub enum Credential {
    ClientCertificate,
    BearerToken,
}

/// Whether an instance serves one request or many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Instances {
    /// It keeps its memory from call to call.
    Reused,
    /// Every call gets a new one.
    #[default]
    Fresh,
}

/// Whether a mutating plugin is asked again where a later one changed the object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "upstream's words")]
pub enum Reinvocation {
    IfNeeded,
    #[default]
    Never,
}

/// Whether a rule is about a resource in the versions that it names alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "upstream's words")]
pub enum MatchPolicy {
    Exact,
    /// A request in another version or group of the same objects is converted, and matches too.
    #[default]
    Equivalent,
}
