//! Chains that are never replaced: of parts that stand for themselves, and of nothing.

use std::sync::Arc;

use apimachinery::Status;
use async_trait::async_trait;
use auth::{Authentication, Authenticator, Authorization, Authorizer, Credentials, Decision, Fault, Rules, UserInfo};
use serde_json::Value;

use crate::{Admission, Attributes, ChainSource, Charges, DecidingChain, ObjectInterfaces, Objects};

/// A chain of three parts.
#[derive(Clone)]
#[allow(missing_docs, reason = "its parts")]
pub struct FixedChain {
    pub authenticator: Arc<dyn Authenticator>,
    pub authorizer: Arc<dyn Authorizer>,
    pub admission: Arc<dyn Admission>,
}

impl ChainSource for FixedChain {
    fn in_force(&self) -> Arc<dyn DecidingChain> {
        Arc::new(self.clone())
    }
}

#[async_trait]
impl Authenticator for FixedChain {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Authentication, Fault> {
        self.authenticator.authenticate(credentials).await
    }
}

#[async_trait]
impl Authorizer for FixedChain {
    async fn authorize(&self, attributes: &auth::Attributes) -> Authorization {
        self.authorizer.authorize(attributes).await
    }

    async fn rules_for(&self, user: &UserInfo, namespace: &str) -> Rules {
        self.authorizer.rules_for(user, namespace).await
    }
}

#[async_trait]
impl Admission for FixedChain {
    async fn mutate(
        &self,
        attributes: &Attributes,
        interfaces: &dyn ObjectInterfaces,
        object: Option<&mut Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        self.admission.mutate(attributes, interfaces, object, old).await
    }

    async fn validate(&self, attributes: &Attributes, interfaces: &dyn ObjectInterfaces, objects: Objects<'_>) -> Result<Charges, Status> {
        self.admission.validate(attributes, interfaces, objects).await
    }
}

/// The chain without plugins: it knows nobody, has no opinion, and admits what was authorized.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmptyChain;

#[async_trait]
impl Authenticator for EmptyChain {
    async fn authenticate(&self, _: &Credentials) -> Result<Authentication, Fault> {
        Ok(Authentication::NoOpinion)
    }
}

#[async_trait]
impl Authorizer for EmptyChain {
    async fn authorize(&self, _: &auth::Attributes) -> Authorization {
        Authorization { decision: Decision::NoOpinion, reason: String::new(), evaluation_error: None }
    }

    async fn rules_for(&self, _: &UserInfo, _: &str) -> Rules {
        Rules::default()
    }
}

#[async_trait]
impl Admission for EmptyChain {
    async fn mutate(&self, _: &Attributes, _: &dyn ObjectInterfaces, _: Option<&mut Value>, _: Option<&Value>) -> Result<(), Status> {
        Ok(())
    }

    async fn validate(&self, _: &Attributes, _: &dyn ObjectInterfaces, _: Objects<'_>) -> Result<Charges, Status> {
        Ok(Charges::default())
    }
}
