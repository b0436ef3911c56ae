//! Cases as data: a namespace's quotas, a request, and what is charged or upstream's refusal.

use wasmgate_sdk::admission::Attributes;
use wasmgate_sdk::serde_json::{Map, Value, json};
use wasmgate_sdk::testing;

use super::*;

const NOW_MILLISECONDS: u64 = 100_000;

/// A plugin with this configuration, in a cluster whose namespace `ns` has these quotas, by name.
fn plugin(quotas: &Value, config: Value) -> ResourceQuota {
    testing::set_now_milliseconds(NOW_MILLISECONDS);
    for (name, quota) in quotas.as_object().expect("quotas") {
        let mut object = quota.clone();
        object["metadata"] = json!({"namespace": "ns", "name": name});
        testing::put("", "resourcequotas", object);
    }
    let mut plugin = ResourceQuota::default();
    plugin.configure(Config(Json::from(&config))).expect("a configuration");
    plugin
}

/// A quota that limits all of this, of which nothing is taken.
fn quota(hard: Value) -> Value {
    let used: Map<String, Value> = hard.as_object().expect("limits").keys().map(|name| (name.clone(), json!("0"))).collect();
    json!({"status": {"hard": hard, "used": used}})
}

fn scoped(hard: Value, spec: Value) -> Value {
    let mut quota = quota(hard);
    quota["spec"] = spec;
    quota
}

/// `pods/resize`, `deployments.apps`.
fn attributes(operation: Operation, resource: &str) -> Attributes {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    Attributes {
        operation,
        resource: GroupVersionResource { group: group.to_owned(), version: "v1".to_owned(), resource: resource.to_owned() },
        subresource: subresource.to_owned(),
        namespace: "ns".to_owned(),
        name: "x".to_owned(),
        ..Attributes::default()
    }
}

/// What is charged, by quota, or the refusal. Each has a host of its own, which is a thread's.
fn answer(quotas: Value, config: Value, attributes: Attributes, object: Value, old: Option<Value>) -> Value {
    let answered = move || {
        let request = Request::new(attributes, Some(Object::of(&object)), old.as_ref().map(Object::of));
        if let Err(denial) = plugin(&quotas, config).validate(&request) {
            return match denial {
                Denial::Forbidden(message) => message.into(),
                Denial::Status(status) => status.message().into(),
            };
        }
        let charge = |charge: Charge| {
            assert_eq!((charge.resource, charge.namespace.as_str()), (GroupResource::new("", "resourcequotas"), "ns"));
            (charge.name, charge.amounts.into_iter().map(|(name, amount)| (name, Value::from(amount))).collect::<Map<_, _>>().into())
        };
        Value::Object(request.notes().charges.into_iter().map(charge).collect())
    };
    std::thread::spawn(answered).join().expect("the plugin does not panic")
}

fn created(quotas: Value, resource: &str, object: Value) -> Value {
    answer(quotas, Value::Null, attributes(Operation::Create, resource), object, None)
}

fn updated(quotas: Value, resource: &str, object: Value, old: Value) -> Value {
    answer(quotas, Value::Null, attributes(Operation::Update, resource), object, Some(old))
}

/// Only the amounts of these names, of the only quota.
fn amounts(found: &Value, quota: &str, names: &[&str]) -> Value {
    let of = |name: &&str| Some(((*name).to_owned(), found.get(quota)?.get(*name)?.clone()));
    Value::Object(names.iter().filter_map(of).collect())
}

fn pod(spec: Value) -> Value {
    json!({"metadata": {"name": "x"}, "spec": spec})
}

fn container(name: &str, requests: Value, limits: Value) -> Value {
    json!({"name": name, "resources": {"requests": requests, "limits": limits}})
}

#[test]
fn objects_are_counted() {
    for (resource, names) in [
        ("configmaps", json!({"count/configmaps": "1", "configmaps": "1"})),
        ("secrets", json!({"count/secrets": "1", "secrets": "1"})),
        ("serviceaccounts", json!({"count/serviceaccounts": "1"})),
        ("deployments.apps", json!({"count/deployments.apps": "1"})),
        ("widgets.example.com", json!({"count/widgets.example.com": "1"})),
    ] {
        let hard: Map<String, Value> = names.as_object().unwrap().keys().map(|name| (name.clone(), json!("5"))).collect();
        assert_eq!(created(json!({"q": quota(Value::Object(hard.clone()))}), resource, json!({})), json!({"q": names}), "{resource}");
        let quotas = json!({"q": quota(Value::Object(hard))});
        assert_eq!(updated(quotas, resource, json!({}), json!({})), json!({}), "an update of {resource}");
    }
}

#[test]
fn what_is_not_counted_is_not_charged() {
    let all = json!({"q": quota(json!({"count/events": "1", "count/events.events.k8s.io": "1", "count/bindings": "1", "pods": "1"}))});
    for resource in ["events", "events.events.k8s.io", "bindings", "configmaps", "pods/eviction", "pods/status"] {
        assert_eq!(created(all.clone(), resource, json!({})), json!({}), "{resource}");
    }
    // Before somebody has taken up what a quota says, it limits nothing; and what it limits, somebody must have counted.
    let said = json!({"q": {"spec": {"hard": {"pods": "1"}}}});
    assert_eq!(created(said, "pods", pod(json!({}))), json!({}));
    let uncounted = json!({"q": {"status": {"hard": {"pods": "1", "cpu": "1", "services": "1"}, "used": {"pods": "0"}}}});
    let object = pod(json!({"containers": [container("c", json!({"cpu": "1"}), json!({}))]}));
    assert_eq!(created(uncounted, "pods", object), json!("status unknown for quota: q, resources: cpu,pods"));
}

#[test]
fn what_a_pod_takes() {
    let hard = json!({"pods": "9", "count/pods": "9", "requests.cpu": "9", "limits.memory": "9Gi", "requests.nvidia.com/gpu": "9"});
    let names = ["pods", "count/pods", "cpu", "requests.cpu", "limits.cpu", "limits.memory", "requests.nvidia.com/gpu", "hugepages-2Mi"];
    let container = |requests: Value, limits: Value| json!({"name": "c", "resources": {"requests": requests, "limits": limits}});
    let full = |cpu: &str, memory: &str| container(json!({"cpu": cpu}), json!({"memory": memory}));
    let one = |more: Value| {
        let mut all = json!({"pods": "1", "count/pods": "1"});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let rows = [
        (
            json!({"containers": [full("500m", "1Gi"), full("1", "1Gi")]}),
            one(json!({"cpu": "1500m", "requests.cpu": "1500m", "limits.memory": "2Gi"})),
        ),
        // The hungriest moment.
        (
            json!({"containers": [full("1", "1Gi")], "initContainers": [full("2", "512Mi")]}),
            one(json!({"cpu": "2", "requests.cpu": "2", "limits.memory": "1Gi"})),
        ),
        (
            json!({"containers": [full("1", "1Gi")], "initContainers": [
                {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}}, full("3", "1Gi")]}),
            one(json!({"cpu": "4", "requests.cpu": "4", "limits.memory": "2Gi"})),
        ),
        (
            json!({"containers": [full("1", "1Gi")], "overhead": {"cpu": "100m", "memory": "1Gi"}}),
            one(json!({"cpu": "1100m", "requests.cpu": "1100m", "limits.memory": "2Gi"})),
        ),
        (
            json!({"containers": [{"name": "c"}], "resources": {"requests": {"cpu": "3"}, "limits": {"cpu": "4", "memory": "5Gi"}}}),
            one(json!({"cpu": "3", "requests.cpu": "3", "limits.cpu": "4", "limits.memory": "5Gi"})),
        ),
        (
            json!({"containers": [container(json!({"cpu": "1", "nvidia.com/gpu": "2", "hugepages-2Mi": "4Mi"}), json!({"memory": "1"}))]}),
            one(json!({"cpu": "1", "requests.cpu": "1", "limits.memory": "1", "requests.nvidia.com/gpu": "2", "hugepages-2Mi": "4Mi"})),
        ),
    ];
    for (spec, want) in rows {
        let found = created(json!({"q": quota(hard.clone())}), "pods", pod(spec.clone()));
        assert_eq!(amounts(&found, "q", &names), want, "{spec}: {found}");
    }
}

#[test]
fn what_a_container_must_say() {
    let limits = json!({"q": quota(json!({"limits.cpu": "9", "memory": "9", "requests.ephemeral-storage": "1"}))});
    let containers = json!([container("b", json!({}), json!({})), container("a", json!({"memory": "1"}), json!({})), {"name": "c"}]);
    let object = pod(json!({"containers": containers, "initContainers": [{"name": "i"}]}));
    assert_eq!(created(limits.clone(), "pods", object), json!("failed quota: q: must specify limits.cpu for: a,b,c,i; memory for: b,c,i"));
    let said = pod(json!({"containers": [container("a", json!({"memory": "1"}), json!({"cpu": "1"}))]}));
    assert!(created(limits.clone(), "pods", said).is_object());
    let of_pod = pod(json!({"containers": [{"name": "a"}], "resources": {"limits": {"cpu": "1"}}}));
    assert!(created(limits, "pods", of_pod).is_object());
}

#[test]
fn a_pod_is_in_scopes() {
    let in_scope = |scope: &str, spec: Value| {
        let quotas = json!({"q": scoped(json!({"pods": "1"}), json!({"scopes": [scope]}))});
        created(quotas, "pods", pod(spec)).get("q").is_some()
    };
    let selected = |scope: Value, spec: Value| {
        let quotas = json!({"q": scoped(json!({"pods": "1"}), json!({"scopeSelector": {"matchExpressions": [scope]}}))});
        created(quotas, "pods", pod(spec)).get("q").is_some()
    };
    let asking = json!({"containers": [container("c", json!({"cpu": "1"}), json!({}))]});
    let idle = json!({"containers": [container("c", json!({"e.com/x": "1", "cpu": "0"}), json!({}))]});
    for (scope, spec, is_in) in [
        ("Terminating", json!({"activeDeadlineSeconds": 0}), true),
        ("Terminating", json!({}), false),
        ("NotTerminating", json!({}), true),
        ("BestEffort", idle.clone(), true),
        ("BestEffort", asking.clone(), false),
        ("NotBestEffort", asking, true),
        ("NotBestEffort", idle, false),
        ("PriorityClass", json!({"priorityClassName": "high"}), true),
        ("PriorityClass", json!({}), false),
        ("VolumeAttributesClass", json!({}), false),
        ("CrossNamespacePodAffinity", json!({}), false),
        (
            "CrossNamespacePodAffinity",
            json!({"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"podAffinityTerm": {"namespaceSelector": {}}}]}}}),
            true,
        ),
        (
            "CrossNamespacePodAffinity",
            json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"namespaces": ["a"]}]}}}),
            true,
        ),
        (
            "CrossNamespacePodAffinity",
            json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"namespaces": []}]}}}),
            false,
        ),
    ] {
        assert_eq!(in_scope(scope, spec.clone()), is_in, "{scope} {spec}");
    }
    let priority = |operator: &str, values: Value| json!({"scopeName": "PriorityClass", "operator": operator, "values": values});
    for (operator, values, of_high, of_none) in [
        ("In", json!(["high", "low"]), true, false),
        ("In", json!(["low"]), false, false),
        ("NotIn", json!(["low"]), true, true),
        ("NotIn", json!(["high"]), false, true),
        ("Exists", json!(null), true, false),
        ("DoesNotExist", json!(null), false, true),
    ] {
        let found = [json!({"priorityClassName": "high"}), json!({})].map(|spec| selected(priority(operator, values.clone()), spec));
        assert_eq!(found, [of_high, of_none], "{operator} {values}");
    }
}

#[test]
fn a_pod_is_charged_again_where_its_scope_changes_or_it_is_resized() {
    let quotas = json!({
        "long": scoped(json!({"pods": "1"}), json!({"scopes": ["NotTerminating"]})),
        "short": scoped(json!({"pods": "1", "requests.cpu": "9"}), json!({"scopes": ["Terminating"]})),
    });
    let of = |cpu: &str, deadline: Value| {
        pod(json!({"activeDeadlineSeconds": deadline, "containers": [container("c", json!({"cpu": cpu}), json!({}))]}))
    };
    let found = updated(quotas.clone(), "pods", of("1", json!(5)), of("1", json!(null)));
    assert_eq!(amounts(&found, "short", &["pods", "requests.cpu"]), json!({"pods": "1", "requests.cpu": "1"}));
    assert_eq!(found.get("long"), None);
    assert_eq!(updated(quotas.clone(), "pods", of("1", json!(6)), of("1", json!(5))), json!({}), "the same scope");
    let bigger = updated(quotas.clone(), "pods/resize", of("3", json!(5)), of("1", json!(5)));
    assert_eq!(bigger, json!({"short": {"cpu": "2", "requests.cpu": "2"}}));
    assert_eq!(updated(quotas, "pods/resize", of("1", json!(5)), of("3", json!(5))), json!({}), "a smaller one gives nothing back");
}

#[test]
fn a_pod_that_has_ended_takes_no_more_than_its_place() {
    let quotas = json!({"q": scoped(json!({"pods": "1", "count/pods": "1"}), json!({"scopes": ["Terminating"]}))});
    let at = |deadline: Value, metadata: Value, status: Value| json!({"metadata": metadata, "spec": {"activeDeadlineSeconds": deadline}, "status": status});
    let deleted = |at: &str| json!({"deletionTimestamp": at, "deletionGracePeriodSeconds": 30});
    for (metadata, status, ended) in [
        (json!({}), json!({"phase": "Running"}), false),
        (json!({}), json!({"phase": "Succeeded"}), true),
        (json!({}), json!({"phase": "Failed"}), true),
        (deleted("1970-01-01T00:01:00Z"), json!({}), true),
        (deleted("1970-01-01T00:01:10Z"), json!({}), false),
    ] {
        let object = at(json!(5), metadata.clone(), status.clone());
        let found = updated(quotas.clone(), "pods", object, at(json!(null), metadata.clone(), status.clone()));
        let want = if ended { json!({"count/pods": "1"}) } else { json!({"count/pods": "1", "pods": "1"}) };
        assert_eq!(found, json!({"q": want}), "{metadata} {status}");
    }
}

#[test]
fn a_running_container_holds_what_it_has_and_what_it_shall_have() {
    let quotas = json!({"q": quota(json!({"requests.cpu": "9"}))});
    let of = |asked: &str, reason: &str| {
        let mut pod = pod(json!({"containers": [container("c", json!({"cpu": asked}), json!({}))]}));
        pod["status"] = json!({
            "containerStatuses": [{"name": "c", "resources": {"requests": {"cpu": "2"}}, "allocatedResources": {"cpu": "3"}}],
            "conditions": [{"type": "PodResizePending", "reason": reason}],
        });
        pod
    };
    let taken = |asked: &str, reason: &str| {
        let found = updated(quotas.clone(), "pods/resize", of(asked, reason), pod(json!({})));
        found["q"]["requests.cpu"].clone()
    };
    assert_eq!((taken("4", "Deferred"), taken("1", "Deferred"), taken("4", "Infeasible")), (json!("4"), json!("3"), json!("3")));
}

#[test]
fn what_a_service_takes() {
    let hard = json!({"services": "9", "services.nodeports": "9", "services.loadbalancers": "9"});
    let ports = json!([{"port": 1, "nodePort": 30001}, {"port": 2}]);
    let of = |kind: &str, allocate: Value| json!({"spec": {"type": kind, "ports": ports, "allocateLoadBalancerNodePorts": allocate}});
    for (object, node_ports, load_balancers) in [
        (of("ClusterIP", json!(null)), Value::Null, Value::Null),
        (of("NodePort", json!(null)), json!("2"), Value::Null),
        (of("LoadBalancer", json!(null)), json!("2"), json!("1")),
        (of("LoadBalancer", json!(false)), json!("1"), json!("1")),
    ] {
        let found = created(json!({"q": quota(hard.clone())}), "services", object.clone());
        let taken = ["services", "services.nodeports", "services.loadbalancers"].map(|name| found["q"][name].clone());
        assert_eq!(taken, [json!("1"), node_ports, load_balancers], "{object}");
    }
    let more = updated(json!({"q": quota(hard)}), "services", of("LoadBalancer", json!(null)), of("NodePort", json!(null)));
    assert_eq!(more, json!({"q": {"services.loadbalancers": "1"}}));
}

#[test]
fn what_a_claim_takes() {
    let hard = json!({
        "persistentvolumeclaims": "9", "requests.storage": "9Gi", "gold.storageclass.storage.k8s.io/requests.storage": "9Gi",
        "gold.storageclass.storage.k8s.io/persistentvolumeclaims": "9",
    });
    let of = |class: &str, storage: &str, status: Value| json!({"spec": {"storageClassName": class, "resources": {"requests": {"storage": storage}}}, "status": status});
    let gold = |what: &str| format!("gold.storageclass.storage.k8s.io/{what}");
    let found = created(json!({"q": quota(hard.clone())}), "persistentvolumeclaims", of("gold", "1.5", json!({})));
    let want = json!({
        "persistentvolumeclaims": "1", "count/persistentvolumeclaims": "1", "requests.storage": "2", gold("persistentvolumeclaims"): "1",
        gold("requests.storage"): "2",
    });
    assert_eq!(found, json!({"q": want}));
    let quotas = json!({"q": quota(hard)});
    let grown = updated(quotas.clone(), "persistentvolumeclaims", of("gold", "3Gi", json!({})), of("gold", "1Gi", json!({})));
    assert_eq!(grown, json!({"q": {"requests.storage": "2Gi", gold("requests.storage"): "2Gi"}}));
    let allocated = of("", "1Gi", json!({"allocatedResources": {"storage": "2Gi"}}));
    assert_eq!(
        updated(quotas, "persistentvolumeclaims/status", allocated, of("", "1Gi", json!({}))),
        json!({"q": {"requests.storage": "1Gi"}})
    );
    let mut annotated = of("silver", "1Gi", json!({}));
    annotated["metadata"] = json!({"annotations": {"volume.beta.kubernetes.io/storage-class": "gold"}});
    let quotas = json!({"q": quota(json!({gold("persistentvolumeclaims"): "1"}))});
    assert!(created(quotas.clone(), "persistentvolumeclaims", annotated).get("q").is_some());
    assert_eq!(created(quotas, "persistentvolumeclaims", of("silver", "1Gi", json!({}))), json!({}));
}

#[test]
fn a_claim_is_in_scopes() {
    let scope = |operator: &str, values: Value| {
        let requirement = json!({"scopeName": "VolumeAttributesClass", "operator": operator, "values": values});
        json!({"q": scoped(json!({"persistentvolumeclaims": "1"}), json!({"scopeSelector": {"matchExpressions": [requirement]}}))})
    };
    let claim = json!({"spec": {"volumeAttributesClassName": "slow"}, "status": {"modifyVolumeStatus": {"targetVolumeAttributesClassName": "fast"}}});
    for (operator, values, with, without) in [
        ("In", json!(["fast"]), true, false),
        ("In", json!(["other"]), false, false),
        ("Exists", json!(null), true, false),
        ("DoesNotExist", json!(null), false, true),
        ("NotIn", json!(["slow"]), true, true),
    ] {
        let found = [claim.clone(), json!({})]
            .map(|claim| created(scope(operator, values.clone()), "persistentvolumeclaims", claim).get("q").is_some());
        assert_eq!(found, [with, without], "{operator} {values}");
    }
}

#[test]
fn what_a_resource_claim_takes() {
    let devices = |class: &str| format!("{class}.deviceclass.resource.k8s.io/devices");
    let quotas = json!({"q": quota(json!({devices("gpu"): "99", devices("nic"): "99"}))});
    let wanted = |class: &str, mode: &str, count: i64| json!({"deviceClassName": class, "allocationMode": mode, "count": count});
    let requests = json!([
        {"name": "a", "exactly": wanted("gpu", "ExactCount", 2)},
        {"name": "b", "exactly": wanted("nic", "All", 0)},
        {"name": "c", "firstAvailable": [wanted("gpu", "ExactCount", 3), wanted("gpu", "ExactCount", 1), wanted("nic", "ExactCount", 1)]},
    ]);
    let found = created(quotas, "resourceclaims.resource.k8s.io", json!({"spec": {"devices": {"requests": requests}}}));
    let want = json!({"count/resourceclaims.resource.k8s.io": "1", devices("gpu"): "5", devices("nic"): "33"});
    assert_eq!(found, json!({"q": want}));
}

#[test]
fn each_quota_is_charged() {
    let quotas = json!({"a": quota(json!({"pods": "1"})), "b": quota(json!({"count/pods": "1"})), "c": quota(json!({"services": "1"}))});
    let found = created(quotas, "pods", pod(json!({})));
    let pod = json!({"count/pods": "1", "pods": "1"});
    assert_eq!(found, json!({"a": pod, "b": pod}));
}

#[test]
fn what_is_limited_needs_a_quota() {
    let config = json!({"limitedResources": [
        {"resource": "pods", "matchContains": ["requests.cpu"], "matchScopes": [
            {"scopeName": "PriorityClass", "operator": "In", "values": ["critical", "high"]}]},
        {"apiGroup": "apps", "resource": "deployments", "matchContains": ["count/"]},
    ]});
    let limited = |quotas: Value, resource: &str, object: Value| {
        answer(quotas, config.clone(), attributes(Operation::Create, resource), object, None)
    };
    let asking = pod(json!({"containers": [container("c", json!({"cpu": "1"}), json!({}))]}));
    assert_eq!(limited(json!({}), "pods", asking.clone()), json!("insufficient quota to consume: requests.cpu"));
    assert!(limited(json!({"q": quota(json!({"requests.cpu": "1"}))}), "pods", asking).is_object());
    let other = "insufficient quota to consume: count/deployments.apps";
    assert_eq!(limited(json!({}), "deployments.apps", json!({})), json!(other));
    assert_eq!(limited(json!({}), "configmaps", json!({})), json!({}));
    let high = pod(json!({"priorityClassName": "high"}));
    let uncovered = "insufficient quota to match these scopes: [{PriorityClass In [critical high]}]";
    assert_eq!(limited(json!({"x": quota(json!({"services": "1"}))}), "pods", high.clone()), json!(uncovered));
    let scope = json!({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}});
    let covered = limited(json!({"y": scoped(json!({"pods": "1"}), scope)}), "pods", high);
    assert!(covered.get("y").is_some(), "{covered}");
}

#[test]
fn less_than_nothing_is_refused() {
    let quotas = json!({"q": quota(json!({"requests.storage": "1"}))});
    let claim = json!({"spec": {"resources": {"requests": {"storage": "-1"}}}});
    let why = "quota usage is negative for resource(s): requests.storage";
    assert_eq!(created(quotas, "persistentvolumeclaims", claim), json!(why));
}
