//! `pods/eviction`: a deletion that asks the pod's disruption budget first (`pkg/registry/core/pod/storage/eviction.go`).

use std::time::Duration;

use apimachinery::options::{DeleteOptions, Preconditions};
use apimachinery::selector::LabelSelector;
use apimachinery::status::{StatusCause, StatusDetails};
use apimachinery::{GroupResource, Status, object};
use cacher::Predicate;
use registry::{ListRequest, ListRevision, Registry, Request};
use serde_json::{Value, json};

use super::super::request_scope::RequestScope;
use super::{PODS, Posted, about, fetch, list, set_pod_condition, success, text, timestamp};
use crate::request::Authorized;
use crate::response::Response;

const BUDGETS: (&str, &str, &str) = ("policy", "v1", "poddisruptionbudgets");
/// Pods of one budget that may be on their way out without its controller having noticed.
const DISRUPTED_PODS_COUNT_MAX: usize = 2000;
/// How often an eviction is tried again because the pod changed meanwhile.
const EVICTION_TRIES_MAX: usize = 20;
const EVICTION_PAUSE: Duration = Duration::from_millis(50);
const REFUSED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";

pub(crate) async fn create(registry: &Registry, scope: &RequestScope, mut request: Authorized) -> Result<Response, Status> {
    let mut posted = Posted::read(scope, &mut request).await?;
    posted.mutate(registry).await?;
    if object::name(&posted.object) != scope.name {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    let options = delete_options(&posted)?;
    posted.validate(registry).await?;
    let pod = Request { dry_run: options.is_dry_run(), ..about(&posted.asked, PODS, &scope.namespace, &scope.name, "delete") };
    let eviction = Eviction { registry, request: &pod, options };
    let status = eviction.run().await?;
    Ok(posted.done(&status))
}

/// Options of the deletion; whether nothing is stored may be said here or in the query.
fn delete_options(posted: &Posted) -> Result<DeleteOptions, Status> {
    let asked = &posted.options.dry_run;
    let mut options = match posted.object.get("deleteOptions").filter(|options| options.is_object()) {
        Some(options) => DeleteOptions::from_json(options)?,
        None => DeleteOptions::default(),
    };
    if options.dry_run.is_empty() {
        options.dry_run.clone_from(asked);
    } else if !asked.is_empty() && *asked != options.dry_run {
        let words =
            format!("Non-matching dry-run options in request and content: [{}] and [{}]", asked.join(" "), options.dry_run.join(" "));
        return Err(Status::unknown(words));
    }
    Ok(options)
}

struct Eviction<'a> {
    registry: &'a Registry,
    /// Of the pod.
    request: &'a Request,
    options: DeleteOptions,
}

impl Eviction<'_> {
    async fn run(&self) -> Result<Status, Status> {
        let mut tries = 0;
        let pod = loop {
            let pod = self.pod().await?;
            if !needs_no_budget(&pod) {
                break pod;
            }
            // A pod that may become ready meanwhile must be as it was seen.
            let phase = text(&pod["status"], "phase");
            let over = matches!(phase, "Succeeded" | "Failed") || object::is_being_deleted(&pod);
            let seen = (!over && !self.insists()).then(|| object::resource_version(&pod).to_owned());
            match self.delete(seen).await {
                Ok(()) => return Ok(success()),
                Err(status) if status.code == 409 && !self.insists() && tries < EVICTION_TRIES_MAX => {
                    tries += 1;
                    tokio::time::sleep(EVICTION_PAUSE).await;
                }
                Err(status) => return Err(status),
            }
        };
        let mut budgets = self.budgets(&pod).await?;
        if budgets.len() > 1 {
            let words = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
            return Ok(Status::unknown(words));
        }
        let Some(budget) = budgets.pop() else { return self.delete(None).await.map(|()| success()) };
        let seen = if may_go_unhealthy(&pod, &budget) {
            Some(object::resource_version(&pod).to_owned())
        } else {
            self.charge(&budget).await?;
            None
        };
        match self.delete(seen.clone()).await {
            Ok(()) => Ok(success()),
            // It may have become healthy: the client is to ask again.
            Err(status) if status.code == 409 && seen.is_some() && !self.insists() => Err(being_processed(object::name(&budget))),
            Err(status) => Err(status),
        }
    }

    /// The client names the version that it wants to see evicted.
    fn insists(&self) -> bool {
        self.options.preconditions.as_ref().is_some_and(|preconditions| preconditions.resource_version.is_some())
    }

    async fn pod(&self) -> Result<Value, Status> {
        fetch(self.registry, self.request, PODS, &self.request.namespace, &self.request.name).await
    }

    async fn budgets(&self, pod: &Value) -> Result<Vec<Value>, Status> {
        let request = about(self.request, BUDGETS, &self.request.namespace, "", "list");
        let list = ListRequest::all(
            Predicate { namespace: Some(self.request.namespace.as_str().into()), ..Predicate::default() },
            ListRevision::MostRecent,
        );
        let found = self.registry.list(&request, &list).await?;
        let budgets = found.objects.iter().filter_map(|budget| serde_json::from_slice::<Value>(&budget.json()).ok());
        Ok(budgets
            .filter(|budget| LabelSelector::from_object(budget["spec"].get("selector")).is_ok_and(|s| s.matches_object(pod)))
            .collect())
    }

    /// Takes one disruption of what the budget allows.
    async fn charge(&self, budget: &Value) -> Result<(), Status> {
        let request = Request {
            subresource: "status".into(),
            dry_run: self.request.dry_run,
            ..about(self.request, BUDGETS, &self.request.namespace, object::name(budget), "update")
        };
        let now = timestamp(self.request.context.now_seconds());
        let change = |now_stored: Option<&Value>| charged(now_stored.ok_or_else(Status::path_not_found)?, &self.request.name, &now);
        self.registry.modify(&request, &change).await.map(drop)
    }

    /// Says in the pod's status why it goes, and deletes it. `seen`: only in this version.
    async fn delete(&self, seen: Option<String>) -> Result<(), Status> {
        let mut options = self.options.clone();
        if seen.is_some() {
            options.preconditions.get_or_insert_with(Preconditions::default).resource_version = seen;
        }
        if !options.is_dry_run() {
            let now = timestamp(self.request.context.now_seconds());
            let change = |pod: Option<&Value>| {
                let pod = pod.ok_or_else(Status::path_not_found)?;
                check(pod, options.preconditions.as_ref())?;
                let mut pod = pod.clone();
                set_pod_condition(&mut pod, "DisruptionTarget", "EvictionByEvictionAPI", "Eviction API: evicting", &now);
                Ok(pod)
            };
            let marked = self.registry.modify(self.request, &change).await?;
            if let Some(version) = options.preconditions.as_mut().and_then(|preconditions| preconditions.resource_version.as_mut()) {
                // It was this very server that changed it.
                let marked: Value = serde_json::from_slice(&marked).map_err(Status::internal)?;
                *version = object::resource_version(&marked).to_owned();
            }
        }
        self.registry.delete_admitted(self.request, &options).await.map(drop)
    }
}

fn check(pod: &Value, preconditions: Option<&Preconditions>) -> Result<(), Status> {
    let Some(preconditions) = preconditions else { return Ok(()) };
    let refuse = |what: &str, asked: &str, found: &str, why: &str| {
        let words = format!(
            "the {what} in the precondition ({asked}) does not match the {what} in record ({found}). The object might have been {why}"
        );
        Err(Status::conflict(&GroupResource::of("", "Pod"), object::name(pod), &words))
    };
    match (&preconditions.uid, &preconditions.resource_version) {
        (Some(uid), _) if !uid.is_empty() && uid != object::uid(pod) => refuse("UID", uid, object::uid(pod), "deleted and then recreated"),
        (_, Some(version)) if !version.is_empty() && version != object::resource_version(pod) => {
            refuse("ResourceVersion", version, object::resource_version(pod), "modified")
        }
        _ => Ok(()),
    }
}

/// A pod that does not run, or not for long, disrupts nothing.
fn needs_no_budget(pod: &Value) -> bool {
    matches!(text(&pod["status"], "phase"), "Succeeded" | "Failed" | "Pending") || object::is_being_deleted(pod)
}

/// A pod that is not ready does not count as healthy: it may go where the budget says so, or where there are enough others.
fn may_go_unhealthy(pod: &Value, budget: &Value) -> bool {
    let ready = list(&pod["status"], "conditions").iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    let (current, desired) = (int(&budget["status"], "currentHealthy"), int(&budget["status"], "desiredHealthy"));
    !ready && (text(&budget["spec"], "unhealthyPodEvictionPolicy") == "AlwaysAllow" || (current >= desired && desired > 0))
}

fn int(value: &Value, name: &str) -> i64 {
    value.get(name).and_then(Value::as_i64).unwrap_or(0)
}

/// The budget with one disruption less, or why there is none.
fn charged(budget: &Value, pod: &str, now: &str) -> Result<Value, Status> {
    let name = object::name(budget);
    let status = &budget["status"];
    let forbidden = |why: &str| Err(Status::forbidden(&GroupResource::of("policy", "poddisruptionbudget"), name, why));
    if int(status, "observedGeneration") < int(&budget["metadata"], "generation") {
        return Err(being_processed(name));
    }
    let allowed = int(status, "disruptionsAllowed");
    if allowed < 0 {
        return forbidden("pdb disruptions allowed is negative");
    }
    if status.get("disruptedPods").and_then(Value::as_object).is_some_and(|pods| pods.len() > DISRUPTED_PODS_COUNT_MAX) {
        return forbidden("DisruptedPods map too big - too many evictions not confirmed by PDB controller");
    }
    if allowed == 0 {
        let (desired, current) = (int(status, "desiredHealthy"), int(status, "currentHealthy"));
        return Err(too_many(&format!("The disruption budget {name} needs {desired} healthy pods and has {current} currently"), None));
    }
    let mut budget = budget.clone();
    let status = &mut budget["status"];
    status["disruptionsAllowed"] = (allowed - 1).into();
    if allowed == 1 {
        exhaust(status, now);
    }
    if !status["disruptedPods"].is_object() {
        status["disruptedPods"] = json!({});
    }
    status["disruptedPods"][pod] = now.into();
    Ok(budget)
}

/// Says in a budget's status that it allows nothing any more.
fn exhaust(status: &mut Value, now: &str) {
    let mut condition = json!({
        "type": "DisruptionAllowed",
        "status": "False",
        "reason": "InsufficientPods",
        "message": "",
        "lastTransitionTime": now,
    });
    let observed = int(status, "observedGeneration");
    if observed != 0 {
        condition["observedGeneration"] = observed.into();
    }
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    let Some(conditions) = status["conditions"].as_array_mut() else { return };
    match conditions.iter_mut().find(|old| old["type"] == "DisruptionAllowed") {
        Some(old) => {
            if old["status"] == "False" {
                condition["lastTransitionTime"] = old["lastTransitionTime"].clone();
            }
            *old = condition;
        }
        None => conditions.push(condition),
    }
}

/// Seconds after which to ask again while a budget's controller has not seen its last change.
const PROCESSING_SECONDS: u32 = 10;

fn being_processed(budget: &str) -> Status {
    too_many(&format!("The disruption budget {budget} is still being processed by the server."), Some(PROCESSING_SECONDS))
}

fn too_many(why: &str, retry_after_seconds: Option<u32>) -> Status {
    let cause = StatusCause { reason: "DisruptionBudget".into(), message: why.to_owned(), field: String::new() };
    let details = StatusDetails { causes: vec![cause], retry_after_seconds, ..StatusDetails::default() };
    Status::too_many_requests(REFUSED, 0).with_details(details)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(status: Value) -> Value {
        json!({ "metadata": { "name": "b", "generation": 1 }, "spec": {}, "status": status })
    }

    #[test]
    fn a_budget_pays_or_refuses() {
        let paid = charged(&budget(json!({ "observedGeneration": 1, "disruptionsAllowed": 1 })), "p", "now").expect("one is allowed");
        assert_eq!(paid["status"]["disruptionsAllowed"], 0);
        assert_eq!(paid["status"]["disruptedPods"], json!({ "p": "now" }));
        assert_eq!(paid["status"]["conditions"][0]["reason"], "InsufficientPods");
        for (status, code, why) in [
            (json!({}), 429, "The disruption budget b is still being processed by the server."),
            (
                json!({ "observedGeneration": 1, "desiredHealthy": 2, "currentHealthy": 1 }),
                429,
                "The disruption budget b needs 2 healthy pods and has 1 currently",
            ),
            (json!({ "observedGeneration": 1, "disruptionsAllowed": -1 }), 403, "pdb disruptions allowed is negative"),
        ] {
            let refused = charged(&budget(status.clone()), "p", "now").expect_err("nothing is allowed");
            let cause =
                refused.details.as_ref().and_then(|details| details.causes.first()).map_or(&refused.message, |cause| &cause.message);
            assert!(refused.code == code && cause.ends_with(why), "{status} {refused:?}");
        }
    }

    #[test]
    fn unhealthy_pods() {
        let pod = |ready: &str| json!({ "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": ready }] } });
        let enough = budget(json!({ "currentHealthy": 2, "desiredHealthy": 2 }));
        let few = budget(json!({ "currentHealthy": 1, "desiredHealthy": 2 }));
        let mut always = few.clone();
        always["spec"]["unhealthyPodEvictionPolicy"] = "AlwaysAllow".into();
        for (ready, budget, goes) in
            [("True", &enough, false), ("False", &enough, true), ("False", &few, false), ("False", &always, true), ("True", &always, false)]
        {
            assert_eq!(may_go_unhealthy(&pod(ready), budget), goes, "{ready} {budget}");
        }
    }
}
