use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_800_000_000;

fn resource(group: &str, version: &str, plural: &str) -> &'static Resource {
    tables::find(group, version, plural).unwrap_or_else(|| panic!("{group}/{version} {plural}"))
}

/// The cells of an object that was made 5 minutes ago.
fn shown(group: &str, version: &str, plural: &str, mut object: Value) -> Vec<Value> {
    object["metadata"]["name"] = "n".into();
    object["metadata"]["creationTimestamp"] = Time::from_unix(NOW - 300, 0).rfc3339().into();
    if object.get("apiVersion").is_none() {
        object["apiVersion"] = resource(group, version, plural).gvk.api_version().into();
    }
    cells(resource(group, version, plural), &object, NOW)
}

#[test]
fn printers_and_columns_fit_together() {
    for (group, plural, columns) in &generated::COLUMNS {
        let resource = tables::resources().iter().find(|row| (&*row.gvr.group, &*row.gvr.resource) == (*group, *plural));
        let kind = resource.map_or_else(|| super::super::find("autoscaling", "Scale"), super::super::of);
        let cells = Layout::new(columns, kind).printer;
        let cells = cells(&json!({ "metadata": { "name": "n" } }), NOW).len();
        // Upstream's slip: an age without a column.
        let surplus = usize::from(*plural == "ipaddresses");
        assert_eq!(cells, columns.len() + surplus, "{plural}.{group}");
        assert!(!columns.is_empty(), "{plural}.{group}");
        assert_eq!(columns_of(group, plural), Some(*columns), "{plural}.{group}");
    }
}

#[test]
fn every_resource_that_is_listed_has_columns() {
    for resource in tables::resources().iter().filter(|resource| resource.has_verb("list")) {
        assert!(columns_of(&resource.gvr.group, &resource.gvr.resource).is_some(), "{}", resource.gvr);
    }
}

fn pod_cells(spec: Value, status: Value, metadata: Value) -> (String, String, String) {
    let pod = json!({ "metadata": metadata, "spec": spec, "status": status });
    let cells = shown("", "v1", "pods", pod);
    let text = |i: usize| cells[i].as_str().expect("a string").to_owned();
    (text(1), text(2), text(3))
}

#[test]
fn status_of_a_pod() {
    let ago = |seconds: i64| Value::from(Time::from_unix(NOW - seconds, 0).rfc3339());
    let one = json!({ "containers": [{ "name": "a" }] });
    let two = json!({ "containers": [{ "name": "a" }, { "name": "b" }] });
    let init = json!({ "initContainers": [{ "name": "i" }, { "name": "j" }], "containers": [{ "name": "a" }] });
    let sidecar = json!({ "initContainers": [{ "name": "s", "restartPolicy": "Always" }], "containers": [{ "name": "a" }] });
    let ready = json!({ "type": "Ready", "status": "True" });
    let running = json!({ "name": "a", "ready": true, "restartCount": 0, "state": { "running": {} } });
    let done = json!({ "name": "b", "restartCount": 1, "state": { "terminated": { "exitCode": 0, "reason": "Completed" } } });
    let deleted = json!({ "deletionTimestamp": ago(1) });
    let no = json!({});
    for (name, spec, status, metadata, want) in [
        ("nothing yet", &one, json!({ "phase": "Pending" }), &no, ("0/1", "Pending", "0")),
        ("evicted", &one, json!({ "phase": "Failed", "reason": "Evicted" }), &no, ("0/1", "Evicted", "0")),
        (
            "gated",
            &one,
            json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "SchedulingGated" }] }),
            &no,
            ("0/1", "SchedulingGated", "0"),
        ),
        ("running", &one, json!({ "phase": "Running", "containerStatuses": [running] }), &no, ("1/1", "Running", "0")),
        (
            "waiting",
            &one,
            json!({ "phase": "Running", "containerStatuses": [{ "name": "a", "restartCount": 7, "state": { "waiting": { "reason": "CrashLoopBackOff" } },
                    "lastState": { "terminated": { "exitCode": 1, "finishedAt": ago(125) } } }] }),
            &no,
            ("0/1", "CrashLoopBackOff", "7 (2m5s ago)"),
        ),
        (
            "signal",
            &one,
            json!({ "phase": "Failed", "containerStatuses": [{ "name": "a", "state": { "terminated": { "exitCode": 137, "signal": 9 } } }] }),
            &no,
            ("0/1", "Signal:9", "0"),
        ),
        (
            "exit code",
            &one,
            json!({ "phase": "Failed", "containerStatuses": [{ "name": "a", "state": { "terminated": { "exitCode": 3 } } }] }),
            &no,
            ("0/1", "ExitCode:3", "0"),
        ),
        (
            "one done, ready",
            &two,
            json!({ "phase": "Running", "conditions": [ready], "containerStatuses": [running, done] }),
            &no,
            ("1/2", "Running", "1"),
        ),
        (
            "one done, not ready",
            &two,
            json!({ "phase": "Running", "containerStatuses": [{ "name": "a", "state": { "terminated": { "exitCode": 0, "reason": "Completed" } } }, running] }),
            &no,
            ("1/2", "NotReady", "0"),
        ),
        (
            "first init container",
            &init,
            json!({ "phase": "Pending", "initContainerStatuses": [{ "name": "i", "restartCount": 2, "state": { "running": {} } }] }),
            &no,
            ("0/1", "Init:0/2", "2"),
        ),
        (
            "second init container failed",
            &init,
            json!({ "phase": "Pending", "initContainerStatuses": [
                { "name": "i", "state": { "terminated": { "exitCode": 0 } } }, { "name": "j", "state": { "terminated": { "exitCode": 2 } } }] }),
            &no,
            ("0/1", "Init:ExitCode:2", "0"),
        ),
        (
            "image of an init container",
            &init,
            json!({ "phase": "Pending", "initContainerStatuses": [{ "name": "i", "state": { "waiting": { "reason": "ErrImagePull" } } }] }),
            &no,
            ("0/1", "Init:ErrImagePull", "0"),
        ),
        (
            "sidecar counts",
            &sidecar,
            json!({ "phase": "Running", "containerStatuses": [running],
                    "initContainerStatuses": [{ "name": "s", "ready": true, "started": true, "restartCount": 3, "state": { "running": {} } }] }),
            &no,
            ("2/2", "Running", "3"),
        ),
        ("deleted", &one, json!({ "phase": "Running", "containerStatuses": [running] }), &deleted, ("1/1", "Terminating", "0")),
        ("deleted when done", &one, json!({ "phase": "Succeeded" }), &deleted, ("0/1", "Succeeded", "0")),
        ("node is lost", &one, json!({ "phase": "Running", "reason": "NodeLost" }), &deleted, ("0/1", "Unknown", "0")),
    ] {
        let (ready, status, restarts) = pod_cells(spec.clone(), status, metadata.clone());
        assert_eq!((ready.as_str(), status.as_str(), restarts.as_str()), want, "{name}");
    }
}

#[test]
fn cells_of_other_kinds() {
    let condition = |kind: &str, status: &str| json!({ "type": kind, "status": status });
    for (group, version, plural, object, want) in [
        ("", "v1", "configmaps", json!({ "data": { "a": "" }, "binaryData": { "b": "" } }), json!(["n", 2, "5m"])),
        ("", "v1", "limitranges", json!({}), json!(["n", "2027-01-15T07:55:00Z"])),
        (
            "",
            "v1",
            "services",
            json!({ "spec": { "type": "LoadBalancer", "clusterIPs": ["10.0.0.9"], "ports": [{ "port": 80, "nodePort": 30080, "protocol": "TCP" }], "externalIPs": ["192.0.2.9"] },
            "status": { "loadBalancer": { "ingress": [{ "hostname": "b" }, { "ip": "a" }] } } }),
            json!(["n", "LoadBalancer", "10.0.0.9", "a,b,192.0.2.9", "80:30080/TCP", "5m", "<none>"]),
        ),
        (
            "",
            "v1",
            "services",
            json!({ "spec": { "type": "LoadBalancer", "selector": { "a": "1", "a-b": "2" } } }),
            json!(["n", "LoadBalancer", "<none>", "<pending>", "<none>", "5m", "a-b=2,a=1"]),
        ),
        ("", "v1", "endpoints", json!({}), json!(["n", "<none>", "5m"])),
        (
            "",
            "v1",
            "endpoints",
            json!({ "subsets": [{ "addresses": [{ "ip": "::1" }, { "ip": "b" }], "ports": [{ "port": 1 }, { "port": 2 }] }] }),
            json!(["n", "[::1]:1,b:1,[::1]:2 + 1 more...", "5m"]),
        ),
        (
            "",
            "v1",
            "resourcequotas",
            json!({ "status": { "hard": { "pods": "4", "limits.cpu": "2", "requests.cpu": "1" }, "used": { "pods": "1" } } }),
            json!(["n", "pods: 1/4, requests.cpu: 0/1", "limits.cpu: 0/2", "5m"]),
        ),
        (
            "",
            "v1",
            "persistentvolumeclaims",
            json!({ "metadata": { "deletionTimestamp": "2027-01-15T08:00:00Z" }, "spec": { "volumeName": "v", "storageClassName": "c" },
            "status": { "phase": "Bound", "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteMany", "ReadWriteOnce"] } }),
            json!(["n", "Terminating", "v", "1Gi", "RWO,RWX", "c", "<unset>", "5m", "<unset>"]),
        ),
        (
            "",
            "v1",
            "nodes",
            json!({ "metadata": { "labels": { "node-role.kubernetes.io/worker": "", "kubernetes.io/role": "edge", "node-role.kubernetes.io/": "" } },
            "spec": { "unschedulable": true }, "status": { "conditions": [condition("Ready", "Unknown")], "nodeInfo": { "kernelVersion": "6.1", "architecture": "arm64" } } }),
            json!([
                "n",
                "NotReady,SchedulingDisabled",
                "edge,worker",
                "5m",
                "",
                "<none>",
                "<none>",
                "<unknown>",
                "6.1 (arm64)",
                "<unknown>"
            ]),
        ),
        (
            "",
            "v1",
            "events",
            json!({ "involvedObject": { "kind": "Pod", "name": "p" }, "type": "Normal", "reason": "R", "message": " m\n", "eventTime": "2027-01-15T07:59:00.000000Z",
            "reportingComponent": "c", "reportingInstance": "i", "series": { "count": 4, "lastObservedTime": "2027-01-15T07:59:50.000000Z" } }),
            json!(["10s", "Normal", "R", "pod/p", "", "c, i", "m", "60s", 4, "n"]),
        ),
        (
            "events.k8s.io",
            "v1",
            "events",
            json!({ "regarding": { "kind": "Node" }, "note": "m", "deprecatedSource": { "component": "c" }, "deprecatedCount": 3,
            "deprecatedFirstTimestamp": "2027-01-15T07:58:00Z", "deprecatedLastTimestamp": "2027-01-15T07:59:59Z" }),
            json!(["1s", "", "", "node", "", "c", "m", "2m", 3, "n"]),
        ),
        (
            "apps",
            "v1",
            "deployments",
            json!({ "spec": { "replicas": 3, "selector": {}, "template": { "spec": { "containers": [{ "name": "a", "image": "x" }, { "name": "b", "image": "y" }] } } },
            "status": { "readyReplicas": 2, "updatedReplicas": 1, "availableReplicas": 2 } }),
            json!(["n", "2/3", 1, 2, "5m", "a,b", "x,y", ""]),
        ),
        ("apps", "v1", "replicasets", json!({ "spec": { "selector": {} } }), json!(["n", 0, 0, 0, "5m", "", "", "<none>"])),
        (
            "apps",
            "v1",
            "controllerrevisions",
            json!({ "revision": 2, "metadata": { "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "controller": true }] } }),
            json!(["n", "daemonset.apps/d", 2, "5m"]),
        ),
        (
            "batch",
            "v1",
            "jobs",
            json!({ "spec": { "completions": 2 }, "status": { "succeeded": 2, "conditions": [condition("Complete", "True")], "startTime": "2027-01-15T07:00:00Z", "completionTime": "2027-01-15T07:01:30Z" } }),
            json!(["n", "Complete", "2/2", "90s", "5m", "", "", "<none>"]),
        ),
        (
            "batch",
            "v1",
            "cronjobs",
            json!({ "spec": { "schedule": "@daily", "timeZone": "UTC" }, "status": { "active": [{}], "lastScheduleTime": "2027-01-14T08:00:00Z" } }),
            json!(["n", "@daily", "UTC", "<unset>", 1, "24h", "5m", "", "", "<none>"]),
        ),
        (
            "policy",
            "v1",
            "poddisruptionbudgets",
            json!({ "spec": { "minAvailable": "50%" }, "status": { "disruptionsAllowed": 1 } }),
            json!(["n", "50%", "N/A", 1, "5m"]),
        ),
        (
            "networking.k8s.io",
            "v1",
            "ingresses",
            json!({ "spec": { "tls": [{}], "rules": [{ "host": "a" }, {}, { "host": "b" }, { "host": "c" }, { "host": "d" }] } }),
            json!(["n", "<none>", "a,b,c + 2 more...", "", "80, 443", "5m"]),
        ),
        (
            "networking.k8s.io",
            "v1",
            "ingressclasses",
            json!({ "metadata": { "annotations": { "ingressclass.kubernetes.io/is-default-class": "true" } },
            "spec": { "controller": "c", "parameters": { "apiGroup": "g", "kind": "K", "name": "p" } } }),
            json!(["n (default)", "c", "K.g/p", "5m"]),
        ),
        (
            "networking.k8s.io",
            "v1",
            "ipaddresses",
            json!({ "spec": { "parentRef": { "resource": "services", "namespace": "ns", "name": "s" } } }),
            json!(["n", "services/ns/s", "5m"]),
        ),
        (
            "discovery.k8s.io",
            "v1",
            "endpointslices",
            json!({ "addressType": "IPv4", "ports": [{ "name": "a" }, {}] }),
            json!(["n", "IPv4", "a,*", "<unset>", "5m"]),
        ),
        (
            "flowcontrol.apiserver.k8s.io",
            "v1",
            "prioritylevelconfigurations",
            json!({ "spec": { "type": "Limited", "limited": { "nominalConcurrencyShares": 5, "limitResponse": { "type": "Reject" } } } }),
            json!(["n", "Limited", 5, "<none>", "<none>", "<none>", "5m"]),
        ),
        (
            "rbac.authorization.k8s.io",
            "v1",
            "clusterrolebindings",
            json!({ "roleRef": { "kind": "ClusterRole", "name": "r" }, "subjects": [{ "kind": "User", "name": "u" }, { "kind": "ServiceAccount", "namespace": "x", "name": "s" }, { "kind": "User", "name": "v" }] }),
            json!(["n", "ClusterRole/r", "5m", "u, v", "", "x/s"]),
        ),
        (
            "certificates.k8s.io",
            "v1",
            "certificatesigningrequests",
            json!({ "spec": { "signerName": "s", "username": "u", "expirationSeconds": 7200 }, "status": { "conditions": [condition("Approved", "True"), condition("Failed", "True")], "certificate": "eA==" } }),
            json!(["n", "5m", "s", "u", "120m", "Approved,Failed,Issued"]),
        ),
        (
            "admissionregistration.k8s.io",
            "v1",
            "validatingadmissionpolicybindings",
            json!({ "spec": { "policyName": "p", "paramRef": { "selector": { "matchLabels": { "a": "b" }, "matchExpressions": [{ "key": "k", "operator": "In", "values": ["x", "y"] }] } } } }),
            json!([
                "n",
                "p",
                "&LabelSelector{MatchLabels:map[string]string{a: b,},MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:k,Operator:In,Values:[x y],},},}",
                "5m"
            ]),
        ),
        (
            "resource.k8s.io",
            "v1",
            "resourceclaims",
            json!({ "status": { "allocation": {}, "reservedFor": [{}] } }),
            json!(["n", "allocated,reserved", "5m"]),
        ),
        (
            "apiregistration.k8s.io",
            "v1",
            "apiservices",
            json!({ "spec": { "service": { "namespace": "a", "name": "b" } }, "status": { "conditions": [{ "type": "Available", "status": "False", "reason": "X" }] } }),
            json!(["n", "a/b", "False (X)", "5m"]),
        ),
        (
            "storage.k8s.io",
            "v1",
            "csidrivers",
            json!({ "spec": { "attachRequired": false, "tokenRequests": [{ "audience": "a" }, { "audience": "b" }], "volumeLifecycleModes": ["Persistent", "Ephemeral"] } }),
            json!(["n", false, false, false, "a,b", false, "Persistent,Ephemeral", "5m"]),
        ),
    ] {
        assert_eq!(Value::from(shown(group, version, plural, object.clone())), want, "{plural}.{group} {object}");
    }
}

#[test]
fn metrics_of_an_autoscaler() {
    let specs = json!([
        { "type": "External", "external": { "target": { "averageValue": "5" } } },
        { "type": "Pods", "pods": { "target": { "averageValue": "100m" } } },
        { "type": "Object", "object": { "target": { "value": "7" } } },
        { "type": "Resource", "resource": { "name": "cpu", "target": { "averageUtilization": 80 } } },
        { "type": "ContainerResource", "containerResource": { "name": "memory", "target": { "averageValue": "1Gi" } } },
        { "type": "Resource", "resource": { "name": "cpu", "target": {} } },
        { "type": "Other" },
    ]);
    let statuses = json!([
        { "type": "External", "external": { "current": { "averageValue": "4" } } },
        { "type": "Pods", "pods": { "current": { "averageValue": "50m" } } },
        { "type": "Object", "object": { "current": {} } },
        { "type": "Resource", "resource": { "current": { "averageUtilization": 3, "averageValue": "1m" } } },
    ]);
    let wanted = ["4/5 (avg)", "50m/100m", "<nil>/7", "cpu: 3%/80%", "memory: <unknown>/1Gi", "cpu: <unknown>/<auto>", "<unknown type>"];
    for (i, want) in wanted.into_iter().enumerate() {
        let of = |list: &Value| list.get(i).cloned().into_iter().collect::<Vec<_>>();
        let autoscaler = json!({ "spec": { "metrics": of(&specs), "maxReplicas": 3 }, "status": { "currentMetrics": of(&statuses) } });
        assert_eq!(shown("autoscaling", "v2", "horizontalpodautoscalers", autoscaler)[2], want);
    }
    let all = json!({ "spec": { "metrics": specs }, "status": { "currentMetrics": statuses } });
    assert_eq!(shown("autoscaling", "v2", "horizontalpodautoscalers", all)[2], "4/5 (avg), 50m/100m + 5 more...");
    let v1 = json!({
        "metadata": { "annotations": {
            "autoscaling.alpha.kubernetes.io/metrics": r#"[{"type":"Pods","pods":{"metricName":"m","targetAverageValue":"10"}}]"#,
            "autoscaling.alpha.kubernetes.io/current-metrics":
                r#"[{"type":"Pods","pods":{"metricName":"m","currentAverageValue":"4"}},{"type":"Resource","resource":{"name":"cpu","currentAverageUtilization":7,"currentAverageValue":"0"}}]"#,
        } },
        "spec": { "targetCPUUtilizationPercentage": 60, "minReplicas": 2 },
    });
    let cells = shown("autoscaling", "v1", "horizontalpodautoscalers", v1.clone());
    assert_eq!((&cells[2], &cells[3]), (&json!("4/10, cpu: 7%/60%"), &json!("2")));
    let mut partial = v1;
    partial["kind"] = "HorizontalPodAutoscaler".into();
    partial["apiVersion"] = "autoscaling/v1".into();
    assert_eq!(partial_object_metadata(&partial)["metadata"], json!({}));
}

#[test]
fn tables_of_objects() {
    let pods = resource("", "v1", "pods");
    let pod = json!({ "kind": "Pod", "apiVersion": "v1", "metadata": { "name": "p" }, "status": { "phase": "Succeeded" } });
    for (include, want) in [
        (IncludeObject::None, Value::Null),
        (IncludeObject::Object, pod.clone()),
        (IncludeObject::Metadata, json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": { "name": "p" } })),
    ] {
        let mut table = table(pods, std::slice::from_ref(&pod), json!({ "resourceVersion": "1" }), include, NOW);
        assert_eq!(table["rows"][0]["object"], want);
        assert_eq!(table["rows"][0]["conditions"][0]["reason"], "Succeeded");
        assert_eq!((&table["kind"], &table["metadata"]), (&json!("Table"), &json!({ "resourceVersion": "1" })));
        assert_eq!(table["columnDefinitions"][8]["priority"], 1);
        to_v1beta1(&mut table);
        assert_eq!(table["apiVersion"], "meta.k8s.io/v1beta1");
        assert_eq!(table["rows"][0]["object"]["apiVersion"] == "meta.k8s.io/v1beta1", include == IncludeObject::Metadata);
    }
    let empty = |group, plural| table(resource(group, "v1", plural), &[], json!({}), IncludeObject::Metadata, NOW)["rows"].clone();
    assert_eq!(empty("", "pods"), json!([]));
    assert_eq!(empty("", "limitranges"), Value::Null);
    let schema = |name: &str, order: i64| json!({ "metadata": { "name": name }, "spec": { "matchingPrecedence": order } });
    let schemas = [schema("c", 9), schema("b", 1), schema("a", 9)];
    let table = table(resource("flowcontrol.apiserver.k8s.io", "v1", "flowschemas"), &schemas, json!({}), IncludeObject::None, NOW);
    let order: Vec<&Value> = table["rows"].as_array().expect("rows").iter().map(|row| &row["cells"][0]).collect();
    assert_eq!(order, ["b", "a", "c"]);
}

#[test]
fn what_is_no_resource_or_not_built_in() {
    let deployments = resource("apps", "v1", "deployments");
    let scale = json!({ "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": { "name": "d" }, "spec": { "replicas": 3 }, "status": { "replicas": 2 } });
    let shown = table(deployments, &[scale], json!({}), IncludeObject::None, NOW);
    assert_eq!(shown["rows"][0]["cells"], json!(["d", 3, 2, "<unknown>"]));
    assert_eq!(shown["columnDefinitions"][1]["name"], "Desired");
    let custom = custom_columns();
    assert_eq!((custom[0].name, custom[0].format, custom[1].name, custom[1].kind), ("Name", "name", "Age", "date"));
}
