//! Stands in the chain for a plugin that the operator wants and that never loaded: every question that is its own is answered by a fault, so
//! that its `failurePolicy` decides and nothing goes undecided.

use admission::Version;
use admission::chain::{AdmissionPlugin, FailurePolicy, Mutation, Round, Verdict};
use async_trait::async_trait;
use auth::{Authentication, Authorization, Credentials, Rules, UserInfo};

use crate::fault::Fault;
use crate::manifest::{Manifest, Unknown};
use crate::metrics::PluginMetrics;

/// A plugin that is not there.
pub(crate) struct Missing {
    manifest: Manifest,
    metrics: PluginMetrics,
}

impl Missing {
    /// In the place of the plugin of this manifest.
    pub(crate) fn new(manifest: Manifest, metrics: PluginMetrics) -> Self {
        Self { manifest, metrics }
    }

    /// What it says of itself.
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Why it did not load is for the log and for `/readyz`, not for clients.
    fn fault(&self) -> auth::Fault {
        self.metrics.fault(Fault::Missing.kind());
        auth::Fault { plugin: self.manifest.name.clone(), reason: Fault::Missing.to_string() }
    }
}

#[async_trait]
impl auth::Authenticator for Missing {
    /// Only for those who show what it would have looked at: everybody else is who they are without it.
    async fn authenticate(&self, credentials: &Credentials) -> Result<Authentication, auth::Fault> {
        if self.manifest.is_shown(credentials) { Err(self.fault()) } else { Ok(Authentication::NoOpinion) }
    }
}

#[async_trait]
impl auth::Authorizer for Missing {
    async fn authorize(&self, _: &auth::Attributes) -> Authorization {
        Authorization::of_fault(&self.fault(), self.manifest.authorizer_failure_policy)
    }

    async fn rules_for(&self, _: &UserInfo, _: &str) -> Rules {
        Rules { incomplete: true, evaluation_error: self.fault().to_string(), ..Rules::default() }
    }
}

#[async_trait]
impl AdmissionPlugin for Missing {
    fn name(&self) -> &str {
        &self.manifest.name
    }

    fn selects(&self, round: Round, attributes: &admission::Attributes, versions: &[Version<'_>]) -> Option<usize> {
        // Whether there is what its rules ask for is not looked up: it would have been asked, as far as anybody knows.
        self.manifest.selects(round, attributes, versions, &Unknown)
    }

    fn failure_policy(&self) -> FailurePolicy {
        self.manifest.failure_policy
    }

    fn reinvoked(&self) -> bool {
        false
    }

    async fn admit(&self, _: &admission::Attributes, _: Version<'_>) -> Result<Mutation, auth::Fault> {
        Err(self.fault())
    }

    async fn validate(&self, _: &admission::Attributes, _: Version<'_>) -> Result<Verdict, auth::Fault> {
        Err(self.fault())
    }

    fn faulted(&self, _: &auth::Fault) {}

    fn ignored(&self, _: &auth::Fault) {
        self.metrics.ignored();
    }
}
