//! Plugins that are closures: what decides about requests in a test, without a component.

use std::sync::Arc;

use admission::chain::{AdmissionPlugin, Denial, FailurePolicy, Link, Mutation, Round, Verdict};
use admission::{Attributes, Charges, Objects, Operation, Version};
use async_trait::async_trait;
use auth::{Authentication, Authenticator, Authorization, Authorizer, Credentials, Decision, Fault, Rules, UserInfo};
use parking_lot::Mutex;
use serde_json::Value;

type Mutate = Box<dyn Fn(&Attributes, Objects<'_>) -> Result<Mutation, Fault> + Send + Sync>;
type Validate = Box<dyn Fn(&Attributes, Objects<'_>) -> Result<Verdict, Fault> + Send + Sync>;

/// A call that an admission plugin got.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// In which of its roles.
    pub round: Round,
    /// About what is done.
    pub operation: Operation,
    /// The object as it would be stored.
    pub object: Option<Value>,
    /// The object that it would replace.
    pub old: Option<Value>,
}

/// An admission plugin. It remembers what it was asked.
pub struct ScriptedPlugin {
    name: String,
    resource: String,
    failure_policy: FailurePolicy,
    reinvoked: bool,
    mutate: Option<Mutate>,
    validate: Option<Validate>,
    calls: Mutex<Vec<Call>>,
    faults: Mutex<Vec<String>>,
}

impl ScriptedPlugin {
    /// One that is asked about a resource (`pods`) and has no role yet.
    pub fn new(name: &str, resource: &str) -> Self {
        Self {
            name: name.to_owned(),
            resource: resource.to_owned(),
            failure_policy: FailurePolicy::Fail,
            reinvoked: false,
            mutate: None,
            validate: None,
            calls: Mutex::default(),
            faults: Mutex::default(),
        }
    }

    /// Changes objects so.
    pub fn mutating(self, mutate: impl Fn(&Attributes, Objects<'_>) -> Result<Mutation, Fault> + Send + Sync + 'static) -> Self {
        Self { mutate: Some(Box::new(mutate)), ..self }
    }

    /// Judges objects so.
    pub fn validating(self, validate: impl Fn(&Attributes, Objects<'_>) -> Result<Option<Denial>, Fault> + Send + Sync + 'static) -> Self {
        let verdict = move |attributes: &Attributes, objects: Objects<'_>| {
            validate(attributes, objects).map(|denial| denial.map_or_else(Verdict::admitted, Verdict::Denied))
        };
        Self { validate: Some(Box::new(verdict)), ..self }
    }

    /// Admits everything, and charges so.
    pub fn charging(self, charge: impl Fn(&Attributes, Objects<'_>) -> Charges + Send + Sync + 'static) -> Self {
        Self { validate: Some(Box::new(move |attributes, objects| Ok(Verdict::Admitted(charge(attributes, objects))))), ..self }
    }

    /// Is asked again where a later plugin changed the object.
    pub fn reinvoked(self) -> Self {
        Self { reinvoked: true, ..self }
    }

    /// Is passed over where it fails.
    pub fn ignored_where_it_fails(self) -> Self {
        Self { failure_policy: FailurePolicy::Ignore, ..self }
    }

    /// What it was asked so far, in order; forgotten by being looked at.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock())
    }

    /// What the chain told it of its faults.
    pub fn faults(&self) -> Vec<String> {
        self.faults.lock().clone()
    }

    /// Its place in a chain, where it decides.
    pub fn link(self: &Arc<Self>) -> Link {
        Link::deciding(self.clone())
    }

    fn called(&self, round: Round, attributes: &Attributes, objects: Objects<'_>) {
        let call = Call { round, operation: attributes.operation, object: objects.object.cloned(), old: objects.old.cloned() };
        self.calls.lock().push(call);
    }
}

fn objects<'a>(version: &Version<'a>) -> Objects<'a> {
    Objects { object: version.object.map(|view| view.value()), old: version.old.map(|view| view.value()) }
}

#[async_trait]
impl AdmissionPlugin for ScriptedPlugin {
    fn name(&self) -> &str {
        &self.name
    }

    fn selects(&self, round: Round, attributes: &Attributes, _: &[Version<'_>]) -> Option<usize> {
        let has_role = match round {
            Round::Mutating => self.mutate.is_some(),
            Round::Validating => self.validate.is_some(),
        };
        (has_role && *attributes.resource.resource == *self.resource && attributes.subresource.is_empty()).then_some(0)
    }

    fn failure_policy(&self) -> FailurePolicy {
        self.failure_policy
    }

    fn reinvoked(&self) -> bool {
        self.reinvoked
    }

    async fn admit(&self, attributes: &Attributes, version: Version<'_>) -> Result<Mutation, Fault> {
        self.called(Round::Mutating, attributes, objects(&version));
        self.mutate.as_ref().map_or(Ok(Mutation::Unchanged), |mutate| mutate(attributes, objects(&version)))
    }

    async fn validate(&self, attributes: &Attributes, version: Version<'_>) -> Result<Verdict, Fault> {
        self.called(Round::Validating, attributes, objects(&version));
        self.validate.as_ref().map_or_else(|| Ok(Verdict::admitted()), |validate| validate(attributes, objects(&version)))
    }

    fn faulted(&self, fault: &Fault) {
        self.faults.lock().push(fault.reason.clone());
    }

    fn ignored(&self, fault: &Fault) {
        self.faults.lock().push(fault.reason.clone());
    }
}

/// An authenticator that is a closure.
pub struct ScriptedAuthenticator<F>(pub F);

#[async_trait]
impl<F: Fn(&Credentials) -> Result<Authentication, Fault> + Send + Sync> Authenticator for ScriptedAuthenticator<F> {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Authentication, Fault> {
        (self.0)(credentials)
    }
}

/// An authorizer that is a closure. It knows of no rules.
pub struct ScriptedAuthorizer<F>(pub F);

#[async_trait]
impl<F: Fn(&auth::Attributes) -> Decision + Send + Sync> Authorizer for ScriptedAuthorizer<F> {
    async fn authorize(&self, attributes: &auth::Attributes) -> Authorization {
        Authorization { decision: (self.0)(attributes), reason: String::new(), evaluation_error: None }
    }

    async fn rules_for(&self, _: &UserInfo, _: &str) -> Rules {
        Rules::default()
    }
}
