//! The objects that every server starts with, brought up to date before the port opens, and some of them while it serves.
//!
//! What they are is in `api::bootstrap`; here they meet what depends on flags, and the clock.

use std::sync::Arc;
use std::time::Duration;

use api::ResourceRef;
use api::bootstrap;
use apimachinery::Status;
use cacher::{Predicate, Watcher};
use clock::Clock;
use pki::Pki;
use registry::Registry;
use serde_json::Value;

use crate::cluster_trust::{self, ClusterTrust};

/// How often a running server looks at flow schemas, priority levels and system namespaces; upstream's interval.
const INTERVAL: Duration = Duration::from_secs(60);

/// The objects that the server keeps up to date, and the clock by which it does.
pub struct Bootstrap {
    objects: Vec<(ResourceRef, Value)>,
    trust: ClusterTrust,
    clock: Clock,
}

impl Bootstrap {
    /// With the authorities that this server believes in.
    pub fn new(pki: &Pki, clock: Clock) -> Self {
        let trust = ClusterTrust { client_ca: pki.client_ca.clone(), request_header: None };
        let mut objects: Vec<_> = bootstrap::bootstrap_objects().into_iter().map(|(resource, object)| (resource.into(), object)).collect();
        objects.extend(cluster_trust::objects(&trust, clock.now_seconds()));
        Self { objects, trust, clock }
    }

    /// Makes and heals everything; to be called once before the port opens.
    ///
    /// # Errors
    /// As the registry's `ensure`; the server does not start then.
    pub async fn ensure(&self, registry: &Registry) -> Result<(), Status> {
        self.ensure_these(registry, &self.objects).await
    }

    /// Does so for ever with what upstream keeps up while it runs. A failure is logged, and the next turn tries again.
    pub async fn keep_up(self, registry: Arc<Registry>) {
        let is_kept_up = |object: &Value| bootstrap::is_kept_up(object) || cluster_trust::is_one(object);
        let objects: Vec<_> = self.objects.iter().filter(|(_, object)| is_kept_up(object)).cloned().collect();
        let mut trusted = Trusted::watch(&registry, &objects);
        loop {
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = trusted.changed() => {}
            }
            if let Err(status) = self.ensure_these(&registry, &objects).await {
                tracing::warn!(%status, "flow schemas, priority levels, system namespaces or the config maps of authentication are not up to date");
                tokio::time::sleep(INTERVAL).await;
            }
        }
    }

    async fn ensure_these(&self, registry: &Registry, objects: &[(ResourceRef, Value)]) -> Result<(), Status> {
        let now_seconds = self.clock.now_seconds();
        let reconcile = |existing: &Value, wanted: &Value| match cluster_trust::reconcile(&self.trust, existing, wanted, now_seconds) {
            Some(reconciled) => reconciled,
            None => bootstrap::reconcile(existing, wanted),
        };
        let written = registry.ensure(objects, &reconcile, now_seconds).await?;
        let mut removed = 0;
        for kind in ["FlowSchema", "PriorityLevelConfiguration"] {
            let resource = objects.iter().map(|(resource, _)| resource).find(|resource| &*resource.gvk.kind == kind);
            let Some(resource) = resource else { continue };
            removed += registry.remove_outdated(resource, &self.objects, bootstrap::is_outdated).await?;
        }
        tracing::debug!(written, removed, "objects that every server starts with");
        Ok(())
    }
}

/// Changes of the config maps that say how clients are authenticated.
struct Trusted(Vec<Watcher>);

impl Trusted {
    fn watch(registry: &Registry, objects: &[(ResourceRef, Value)]) -> Self {
        let watch = |(resource, object): &(ResourceRef, Value)| {
            let predicate = Predicate {
                namespace: Some(apimachinery::object::namespace(object).into()),
                name: Some(apimachinery::object::name(object).into()),
                ..Predicate::default()
            };
            Some(registry.caches().cacher(&resource.storage_prefix)?.watch_from_now(predicate))
        };
        Self(objects.iter().filter(|(_, object)| cluster_trust::is_one(object)).filter_map(watch).collect())
    }

    /// Waits for the next one.
    async fn changed(&mut self) {
        loop {
            for watcher in &mut self.0 {
                match watcher.take() {
                    Ok(updates) if updates.is_empty() => {}
                    // The config maps themselves are read again, whatever the event says; so a lost watch does no harm either.
                    _ => return,
                }
            }
            futures::future::select_all(self.0.iter_mut().map(|watcher| Box::pin(watcher.ready()))).await;
        }
    }
}
