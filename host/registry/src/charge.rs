//! Charges, committed: what a write takes is added to `status.used` of the objects that limit it, in the transaction of the object itself,
//! so that two writes that both fit alone never both get in.
//!
//! Upstream (`pkg/admission/plugin/resourcequota/controller.go`) counts first and writes the object then, and its quota controller repairs
//! what was counted for objects that never came to be. Here there is nothing to repair.

use std::hash::{DefaultHasher, Hash, Hasher};

use admission::{Amounts, ChargedObject, Charges};
use apimachinery::quantity::Quantity;
use apimachinery::{Status, object};
use cacher::Object;
use serde_json::Value;
use storage::Operation;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::create::encode;
use crate::{Registry, Request, error};

/// Turns that charged objects share; two that share one wait for each other, and no more comes of it.
const TURNS_COUNT: usize = 64;

/// A write that takes something.
pub(crate) struct Charging<'a> {
    pub(crate) request: &'a Request,
    /// The name of the object that is written, for refusals.
    pub(crate) name: &'a str,
    pub(crate) charges: &'a Charges,
}

/// Where a charged object is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadFrom {
    /// The watch cache: enough to commit by, for the commit is guarded by the revision, and not enough to refuse by.
    Cache,
    /// The store: something else was there than the cache knew.
    Store,
}

/// Lets the writes of this process that charge the same objects go one after the other, so that they do not take them from each other.
pub(crate) struct ChargeTurns([Semaphore; TURNS_COUNT]);

impl ChargeTurns {
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| Semaphore::new(1)))
    }

    /// Waits for the turns of all these objects; always in one order, so that nobody waits for each other.
    pub(crate) async fn of(&self, charges: &Charges) -> Vec<SemaphorePermit<'_>> {
        let mut places: Vec<usize> = charges.iter().map(|(charged, _)| place(charged)).collect();
        places.sort_unstable();
        places.dedup();
        let mut permits = Vec::with_capacity(places.len());
        for place in places {
            permits.extend(self.0[place].acquire().await);
        }
        permits
    }
}

fn place(charged: &ChargedObject) -> usize {
    let mut hasher = DefaultHasher::new();
    (&charged.resource.resource, &charged.namespace, &charged.name).hash(&mut hasher);
    hasher.finish() as usize % TURNS_COUNT
}

impl Registry {
    /// Whether the charges fit, as far as can be said without taking them.
    pub(crate) async fn check_charges(&self, charging: &Charging<'_>) -> Result<(), Status> {
        self.charges_to_commit(charging, ReadFrom::Cache).await.map(drop)
    }

    /// The writes of the charged objects. One that is gone limits nothing.
    pub(crate) async fn charges_to_commit(&self, charging: &Charging<'_>, from: ReadFrom) -> Result<Vec<Operation>, Status> {
        let mut operations = Vec::with_capacity(charging.charges.len());
        for (charged, amounts) in charging.charges.iter() {
            operations.extend(self.charge_to_commit(charging, charged, amounts, from).await?);
        }
        Ok(operations)
    }

    async fn charge_to_commit(
        &self,
        charging: &Charging<'_>,
        charged: &ChargedObject,
        amounts: &Amounts,
        from: ReadFrom,
    ) -> Result<Option<Operation>, Status> {
        let Some(cacher) = self.caches().cacher_of(&charged.resource) else { return Ok(None) };
        let key = match charged.namespace.as_str() {
            "" => charged.name.clone(),
            namespace => format!("{namespace}/{}", charged.name),
        };
        let request = charging.request;
        let store_key = self.caches().store_key(cacher.resource(), &key);
        if store_key == self.caches().store_key(&request.resource, &request.key_of(charging.name)) {
            return Err(Status::internal(format!("{} \"{}\" cannot be charged for a change of itself", charged.resource, charged.name)));
        }
        let write = |found: &Object, changed: Value| {
            Ok(Operation::update(&*store_key, found.revision(), encode(&cacher, &store_key, &changed)?.value))
        };
        // Upstream counts a change of a status and does not limit it: it says what is the case already.
        let limited = request.subresource != "status";
        let cached = cacher.get(&key).filter(|_| from == ReadFrom::Cache);
        if let Some(cached) = cached
            && let Ok(changed) = charge(&parsed(&cached)?, amounts, limited)
        {
            return changed.map(|changed| write(&cached, changed)).transpose();
        }
        let found = match from {
            ReadFrom::Cache => self.get_fresh(&cacher, &key).await?,
            ReadFrom::Store => self.get_from_store(&cacher, &key).await?,
        };
        let Some(found) = found else { return Ok(None) };
        let changed =
            charge(&parsed(&found)?, amounts, limited).map_err(|why| Status::forbidden(&request.group_resource(), charging.name, &why))?;
        changed.map(|changed| write(&found, changed)).transpose()
    }
}

fn parsed(object: &Object) -> Result<Value, Status> {
    serde_json::from_slice(&object.json()).map_err(error::corrupt)
}

/// The object with these amounts added to `status.used`; none where it limits nothing of the kind. The error says why that cannot be, in
/// upstream's words.
fn charge(charged: &Value, amounts: &Amounts, limited: bool) -> Result<Option<Value>, String> {
    let name = object::name(charged);
    let list = |list: &str| charged.pointer("/status").and_then(|status| status.get(list));
    let (hard, used) = (list("hard"), list("used"));
    let quantity = |list: Option<&Value>, name: &str| list.and_then(|list| list.get(name)).and_then(Quantity::of_json);
    let counted: Vec<_> = amounts.iter().filter(|(name, _)| hard.is_some_and(|hard| hard.get(name.as_str()).is_some())).collect();
    let mut sums = Vec::with_capacity(counted.len());
    let (mut unknown, mut exceeded) = (Vec::new(), Vec::new());
    for (resource, amount) in counted {
        let (Some(most), Some(before)) = (quantity(hard, resource), quantity(used, resource)) else {
            unknown.push(resource.as_str());
            continue;
        };
        let mut sum = before.clone();
        sum.add(amount);
        if sum > most && limited {
            exceeded.push((resource.as_str(), amount, before, most));
        } else {
            sums.push((resource, sum));
        }
    }
    if !unknown.is_empty() {
        return Err(format!("status unknown for quota: {name}, resources: {}", unknown.join(",")));
    }
    if !exceeded.is_empty() {
        let requested = texts(exceeded.iter().map(|(resource, amount, ..)| (*resource, *amount)));
        let before = texts(exceeded.iter().map(|(resource, _, before, _)| (*resource, before)));
        let most = texts(exceeded.iter().map(|(resource, .., most)| (*resource, most)));
        return Err(format!("exceeded quota: {name}, requested: {requested}, used: {before}, limited: {most}"));
    }
    let mut changed = charged.clone();
    for (resource, sum) in sums {
        changed["status"]["used"][resource] = sum.to_string().into();
    }
    Ok((changed != *charged).then_some(changed))
}

/// `cpu=1,pods=2`: upstream's `prettyPrint`.
fn texts<'a>(amounts: impl Iterator<Item = (&'a str, &'a Quantity)>) -> String {
    amounts.map(|(resource, amount)| format!("{resource}={amount}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn amounts(list: &Value) -> Amounts {
        let list = list.as_object().expect("amounts");
        list.iter().map(|(name, amount)| (name.clone(), Quantity::of_json(amount).expect("a quantity"))).collect()
    }

    fn charged(status: Value, taken: &Value, limited: bool) -> Result<Option<Value>, String> {
        let quota = json!({ "metadata": { "name": "q" }, "status": status });
        charge(&quota, &amounts(taken), limited).map(|changed| changed.map(|changed| changed["status"]["used"].clone()))
    }

    #[test]
    fn amounts_are_added_where_there_is_a_limit() {
        let used = |used: Value| Ok(Some(used));
        let status = json!({ "hard": { "pods": "2", "cpu": "1" }, "used": { "pods": "1", "cpu": "500m", "left": "7" } });
        for (taken, want) in [
            (json!({ "pods": "1" }), used(json!({ "pods": "2", "cpu": "500m", "left": "7" }))),
            (json!({ "pods": "1", "cpu": "500m", "memory": "1Gi" }), used(json!({ "pods": "2", "cpu": "1", "left": "7" }))),
            (json!({ "left": "1" }), Ok(None)),
            (json!({ "pods": "0" }), Ok(None)),
        ] {
            assert_eq!(charged(status.clone(), &taken, true), want, "{taken}");
        }
        for nothing in [json!(null), json!({}), json!({ "hard": {} }), json!({ "hard": null, "used": null })] {
            assert_eq!(charged(nothing, &json!({ "pods": "1" }), true), Ok(None));
        }
        let memory = json!({ "hard": { "memory": "1Gi" }, "used": { "memory": "0" } });
        assert_eq!(charged(memory, &json!({ "memory": "512Mi" }), true), used(json!({ "memory": "512Mi" })));
    }

    #[test]
    fn what_is_beyond_the_limit_is_refused_in_upstreams_words() {
        let status = json!({ "hard": { "pods": "5", "cpu": "1", "a": "9" }, "used": { "pods": "5", "cpu": "900m", "a": "1" } });
        let both = "exceeded quota: q, requested: cpu=200m,pods=1, used: cpu=900m,pods=5, limited: cpu=1,pods=5";
        let taken = json!({ "pods": "1", "cpu": "200m", "a": "1" });
        assert_eq!(charged(status.clone(), &taken, true), Err(both.into()));
        let counted = json!({ "pods": "6", "cpu": "1100m", "a": "2" });
        assert_eq!(charged(status.clone(), &taken, false), Ok(Some(counted)), "counted all the same");
        let one = "exceeded quota: q, requested: pods=1, used: pods=5, limited: pods=5";
        assert_eq!(charged(status, &json!({ "pods": "1", "cpu": "100m" }), true), Err(one.into()));
    }

    #[test]
    fn what_nobody_has_counted_is_refused() {
        for used in [json!({}), json!(null), json!({ "pods": "x" })] {
            let status = json!({ "hard": { "pods": "5", "cpu": "1" }, "used": used });
            let why = "status unknown for quota: q, resources: cpu,pods";
            assert_eq!(charged(status, &json!({ "pods": "1", "cpu": "200m" }), true), Err(why.into()));
        }
    }
}
