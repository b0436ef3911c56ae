//! What clients may not set of a Job, and what the server sets (upstream: `pkg/registry/batch/job`).

use serde_json::Value;

use crate::Resource;
use crate::shared::value::{flag, if_nil, if_zero, object_at, set};
use crate::shared::workload::spec_mut;

/// A selector of its own, by its uid.
pub(crate) fn prepare(_: &Resource, object: &mut Value, old: Option<&Value>) {
    if old.is_some() || flag(&object["spec"], "manualSelector") {
        return;
    }
    let name = apimachinery::object::name(object).to_owned();
    let uid = apimachinery::object::uid(object).to_owned();
    // Labels that were taken from the template are one map with it in upstream's memory: what is added there is added here.
    let shared = object.pointer("/metadata/labels") == object.pointer("/spec/template/metadata/labels");
    let spec = spec_mut(object);
    let labels = object_at(object_at(object_at(spec, "template"), "metadata"), "labels");
    if_nil(labels, "job-name", name.clone());
    if_nil(labels, "batch.kubernetes.io/job-name", name);
    if_nil(labels, "controller-uid", uid.clone());
    if_nil(labels, "batch.kubernetes.io/controller-uid", uid.clone());
    let labels = labels.clone();
    if_nil(object_at(object_at(spec, "selector"), "matchLabels"), "batch.kubernetes.io/controller-uid", uid);
    if shared {
        set(object_at(object, "metadata"), "labels", labels);
    } else {
        // What is read back from the store is defaulted once more.
        if_zero(object_at(object, "metadata"), "labels", labels);
    }
}

/// What a deletion of a `Job` is told that does not say what becomes of its pods.
pub(crate) const PODS_STAY: &str = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them \
                                    or set propagationPolicy=Orphan to suppress this warning";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::job;

    #[test]
    fn labels_that_a_job_has_from_its_template_grow_with_them() {
        let resource = crate::tables::find("batch", "v1", "jobs").expect("a resource");
        let labels = |own: Value, template: Value| {
            let mut job = json!({
                "metadata": {"name": "j", "uid": "u", "labels": own},
                "spec": {"template": {"metadata": {"labels": template}, "spec": {}}},
            });
            job::default(resource, &mut job);
            prepare(resource, &mut job, None);
            let names = |labels: &Value| labels.as_object().map_or(0, serde_json::Map::len);
            (names(&job["metadata"]["labels"]), names(&job["spec"]["template"]["metadata"]["labels"]))
        };
        assert_eq!(labels(Value::Null, Value::Null), (4, 4));
        assert_eq!(labels(Value::Null, json!({"a": "b"})), (5, 5));
        assert_eq!(labels(json!({"c": "d"}), json!({"a": "b"})), (1, 5));
    }
}
