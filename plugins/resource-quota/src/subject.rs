//! The object of a request, as quotas see it: what may be limited of its kind, in which scopes it is, and what it takes.

use wasmgate_sdk::admission::Object;
use wasmgate_sdk::prelude::Operation;
use wasmgate_sdk::quantity::Quantity;
use wasmgate_sdk::serde::de::DeserializeOwned;

use crate::amounts::ResourceList;
use crate::claim::{self, Claim};
use crate::pod::{self, Pod};
use crate::quota::ScopeRequirement;
use crate::resource_claim::{self, ResourceClaim};
use crate::service::{self, Service};

/// What is not counted: virtual resources that nobody stores, and events.
const IGNORED: [(&str, &str); 10] = [
    ("", "bindings"),
    ("", "componentstatuses"),
    ("", "events"),
    ("events.k8s.io", "events"),
    ("authentication.k8s.io", "tokenreviews"),
    ("authentication.k8s.io", "selfsubjectreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "localsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
];
/// What is counted by its own name, too, as before there was `count/`.
const ALSO_COUNTED_AS: [&str; 4] = ["configmaps", "resourcequotas", "replicationcontrollers", "secrets"];

/// How objects of a resource are measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A pod.
    Pod,
    /// A Service.
    Service,
    /// A PersistentVolumeClaim.
    Claim,
    /// A ResourceClaim.
    ResourceClaim,
    /// By its number alone, under these names.
    Counted(Vec<String>),
}

/// An object of a kind.
pub enum Subject {
    /// A pod.
    Pod(Box<Pod>),
    /// A Service.
    Service(Service),
    /// A PersistentVolumeClaim.
    Claim(Claim),
    /// A ResourceClaim.
    ResourceClaim(ResourceClaim),
    /// Whatever else.
    Counted,
}

impl Kind {
    /// Of a resource; none where its objects are not counted.
    pub fn of(group: &str, resource: &str) -> Option<Self> {
        match (group, resource) {
            ignored if IGNORED.contains(&ignored) => None,
            ("", "pods") => Some(Self::Pod),
            ("", "services") => Some(Self::Service),
            ("", "persistentvolumeclaims") => Some(Self::Claim),
            ("resource.k8s.io", "resourceclaims") => Some(Self::ResourceClaim),
            ("", _) => {
                let also = ALSO_COUNTED_AS.contains(&resource).then(|| resource.to_owned());
                Some(Self::Counted(std::iter::once(format!("count/{resource}")).chain(also).collect()))
            }
            _ => Some(Self::Counted(vec![format!("count/{resource}.{group}")])),
        }
    }

    /// Whether a request can change what is taken.
    pub fn is_concerned(&self, operation: Operation, subresource: &str, object: &Subject, old: Option<&Subject>) -> bool {
        let (create, update) = (operation == Operation::Create, operation == Operation::Update);
        match (self, subresource) {
            (Self::Pod, "resize") => update,
            (Self::Pod, "") if update => match (object, old) {
                (Subject::Pod(pod), Some(Subject::Pod(old))) => pod.is_terminating() != old.is_terminating(),
                _ => false,
            },
            (Self::Claim, "status") => update,
            (Self::Claim | Self::Service | Self::ResourceClaim, "") => create || update,
            (Self::Pod | Self::Counted(_), "") => create,
            _ => false,
        }
    }

    /// Whether this is an object's of the kind to take.
    pub fn limits(&self, name: &str) -> bool {
        match self {
            Self::Pod => pod::limits(name),
            Self::Service => service::limits(name),
            Self::Claim => claim::limits(name),
            Self::ResourceClaim => resource_claim::limits(name),
            Self::Counted(names) => names.iter().any(|one| one == name),
        }
    }

    /// Reads an object of the kind, as far as it counts.
    pub fn read(&self, object: &Object<'_>) -> Result<Subject, String> {
        fn part<T: DeserializeOwned + Default>(object: &Object<'_>, fields: &[&str]) -> Result<T, String> {
            object.pick_as("", fields).unwrap_or_else(|| Ok(T::default()))
        }
        Ok(match self {
            Self::Pod => Subject::Pod(Box::new(part(object, pod::FIELDS)?)),
            Self::Service => Subject::Service(part(object, service::FIELDS)?),
            Self::Claim => Subject::Claim(part(object, claim::FIELDS)?),
            Self::ResourceClaim => Subject::ResourceClaim(part(object, resource_claim::FIELDS)?),
            Self::Counted(_) => Subject::Counted,
        })
    }

    /// What an object of the kind takes.
    pub fn usage(&self, subject: &Subject, now_milliseconds: u64) -> ResourceList {
        match (self, subject) {
            (_, Subject::Pod(pod)) => pod.usage(now_milliseconds),
            (_, Subject::Service(service)) => service.usage(),
            (_, Subject::Claim(claim)) => claim.usage(),
            (_, Subject::ResourceClaim(claim)) => claim.usage(),
            (Self::Counted(names), Subject::Counted) => names.iter().map(|name| (name.clone(), Quantity::whole(1))).collect(),
            _ => ResourceList::new(),
        }
    }
}

impl Subject {
    /// Whether a scope is the object's.
    pub fn is_in(&self, scope: &ScopeRequirement) -> bool {
        match self {
            Self::Pod(pod) => pod.is_in(scope),
            Self::Claim(claim) => claim.is_in(scope),
            _ => false,
        }
    }

    /// What it must say and does not, for those limits.
    pub fn missing(&self, limited: &[&str]) -> Option<String> {
        match self {
            Self::Pod(pod) => pod.missing(limited),
            _ => None,
        }
    }

    /// Whether its kind knows scopes: only then one that is limited may lack a quota that covers it.
    pub fn has_scopes(&self) -> bool {
        matches!(self, Self::Pod(_) | Self::Claim(_))
    }
}
