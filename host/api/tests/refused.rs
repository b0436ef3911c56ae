//! What kinds refuse, in upstream's words: an object as it is created, or a merge patch of one that was stored before.

#![allow(missing_docs, reason = "a test")]

mod objects;

use objects::{merge, resource_of};
use serde_json::{Value, json};
use wasmgate_api::kinds;

fn words(errors: &[apimachinery::field::Error]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// As the registry does it: the object as it would be stored, and what is wrong with it.
fn create(path: &str, object: &Value) -> (Value, String) {
    let (resource, mut object) = (resource_of(path), object.clone());
    let strategy = kinds::strategy(resource);
    merge(&mut object, &json!({"metadata": {"name": "x", "uid": "u"}}));
    if resource.namespaced() {
        merge(&mut object, &json!({"metadata": {"namespace": "default"}}));
    }
    strategy.default(resource, &mut object);
    strategy.prepare_for_create(resource, &mut object);
    let errors = words(&strategy.validate(resource, &object));
    (object, errors)
}

/// As the registry does it, on an object that is stored, right or wrong.
fn update(path: &str, subresource: &str, old: &Value, patch: &Value) -> (Value, String) {
    let (resource, mut object) = (resource_of(path), old.clone());
    let strategy = kinds::strategy(resource);
    merge(&mut object, patch);
    strategy.default(resource, &mut object);
    let errors = match subresource {
        "" => {
            strategy.prepare_for_update(resource, &mut object, old);
            strategy.validate_update(resource, &object, old)
        }
        subresource => {
            strategy.prepare_for_subresource_update(resource, subresource, &mut object, old);
            strategy.validate_subresource_update(resource, subresource, &object, old)
        }
    };
    let errors = words(&errors);
    (object, errors)
}

fn with(object: &Value, patch: Value) -> Value {
    let mut object = object.clone();
    merge(&mut object, &patch);
    object
}

fn pod(patch: Value) -> Value {
    with(&json!({"spec": {"containers": [{"name": "c", "image": "i"}]}}), json!({"spec": patch}))
}

fn deployment(patch: Value) -> Value {
    let template = with(&pod(patch), json!({"metadata": {"labels": {"a": "b"}}}));
    json!({"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}})
}

fn service(patch: Value) -> Value {
    with(&json!({"spec": {"ports": [{"port": 80}]}}), json!({"spec": patch}))
}

fn policy(block: Value) -> Value {
    json!({"spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": block}]}]}})
}

const ZEROS: &str = "must not have leading 0s";
const MAPPED: &str = "must not be an IPv4-mapped IPv6 address";
const BITS: &str = "must not have bits set beyond the prefix length";

fn invalid(field: &str, value: &str, problem: &str) -> String {
    format!("{field}: Invalid value: \"{value}\": {problem}")
}

#[test]
fn addresses_that_can_be_misread_are_refused() {
    let one = |ip: &str| json!([{ "ip": ip }]);
    let slice = |kind: &str, ip: &str| json!({"addressType": kind, "endpoints": [{"addresses": [ip]}]});
    let rows = [
        ("api/v1/pods", pod(json!({"hostAliases": one("001.2.3.4")})), invalid("spec.hostAliases[0].ip", "001.2.3.4", ZEROS)),
        ("api/v1/pods", pod(json!({"hostAliases": one("::ffff:1.2.3.4")})), invalid("spec.hostAliases[0].ip", "::ffff:1.2.3.4", MAPPED)),
        ("api/v1/pods", pod(json!({"hostAliases": one("FE80:0::1")})), String::new()),
        (
            "apis/apps/v1/deployments",
            deployment(json!({"hostAliases": one("1.2.3.04")})),
            invalid("spec.template.spec.hostAliases[0].ip", "1.2.3.04", ZEROS),
        ),
        (
            "api/v1/pods",
            pod(json!({"dnsConfig": {"nameservers": ["1.2.3.4", "1.02.3.4"]}})),
            invalid("spec.dnsConfig.nameservers[1]", "1.02.3.4", ZEROS),
        ),
        ("api/v1/services", service(json!({"externalIPs": ["010.0.0.1"]})), invalid("spec.externalIPs[0]", "010.0.0.1", ZEROS)),
        (
            "api/v1/services",
            service(json!({"externalIPs": ["::ffff:10.0.0.1"]})),
            invalid("spec.externalIPs[0]", "::ffff:10.0.0.1", MAPPED),
        ),
        (
            "api/v1/services",
            service(json!({"clusterIP": "10.096.0.9", "clusterIPs": ["10.096.0.9"], "internalTrafficPolicy": "Cluster"})),
            invalid("spec.clusterIPs[0]", "10.096.0.9", ZEROS),
        ),
        (
            "api/v1/endpoints",
            json!({"subsets": [{"addresses": one("01.2.3.4"), "notReadyAddresses": one("::ffff:127.0.0.1")}]}),
            [
                invalid("subsets[0].addresses[0].ip", "01.2.3.4", ZEROS),
                invalid("subsets[0].notReadyAddresses[0].ip", "::ffff:127.0.0.1", MAPPED),
                invalid(
                    "subsets[0].notReadyAddresses[0].ip",
                    "::ffff:127.0.0.1",
                    "may not be in the loopback range (127.0.0.0/8, ::1/128)",
                ),
            ]
            .join("\n"),
        ),
        ("apis/discovery.k8s.io/v1/endpointslices", slice("IPv4", "1.2.3.04"), invalid("endpoints[0].addresses[0]", "1.2.3.04", ZEROS)),
        (
            "apis/discovery.k8s.io/v1/endpointslices",
            slice("IPv6", "2001:DB8::1"),
            invalid("endpoints[0].addresses[0]", "2001:DB8::1", "must be in canonical form (\"2001:db8::1\")"),
        ),
    ];
    for (path, object, want) in rows {
        assert_eq!(create(path, &object).1, want, "{path} {object}");
    }
}

#[test]
fn networks_that_can_be_misread_are_refused() {
    const IN_CIDR: &str = "must not have leading 0s in IP or prefix length";
    let balanced = |ranges: Value| service(json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ranges}));
    let ranges = "spec.LoadBalancerSourceRanges[0]";
    let block = "spec.ingress[0].from[0].ipBlock";
    let rows = [
        ("api/v1/services", balanced(json!(["1.2.3.4/24"])), invalid(ranges, "1.2.3.4/24", BITS)),
        ("api/v1/services", balanced(json!([" 1.2.3.0/024 "])), invalid(ranges, "1.2.3.0/024", IN_CIDR)),
        ("api/v1/services", balanced(json!([" 1.2.3.0/24 "])), String::new()),
        ("api/v1/nodes", json!({"spec": {"podCIDRs": ["10.0.0.1/24"]}}), invalid("spec.podCIDRs[0]", "10.0.0.1/24", BITS)),
        (
            "apis/networking.k8s.io/v1/networkpolicies",
            policy(json!({"cidr": "10.0.0.1/8", "except": ["10.01.0.0/16", "10.2.0.0/16"]})),
            [invalid(&format!("{block}.cidr"), "10.0.0.1/8", BITS), invalid(&format!("{block}.except[0]"), "10.01.0.0/16", IN_CIDR)]
                .join("\n"),
        ),
        (
            "apis/networking.k8s.io/v1/networkpolicies",
            policy(json!({"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]})),
            invalid(&format!("{block}.except[0]"), "11.0.0.0/16", "must be a strict subset of `cidr`"),
        ),
        (
            "apis/networking.k8s.io/v1/networkpolicies",
            policy(json!({"cidr": "::ffff:10.0.0.0/104"})),
            invalid(&format!("{block}.cidr"), "::ffff:10.0.0.0/104", "must not have an IPv4-mapped IPv6 address"),
        ),
        (
            "apis/networking.k8s.io/v1/servicecidrs",
            json!({"spec": {"cidrs": ["2001:DB8::/64"]}}),
            invalid("spec.cidrs[0]", "2001:DB8::/64", "must be in canonical form (\"2001:db8::/64\")"),
        ),
    ];
    for (path, object, want) in rows {
        assert_eq!(create(path, &object).1, want, "{path} {object}");
    }
}

#[test]
fn what_was_stored_before_the_strict_rules_stays() {
    let labels = json!({"metadata": {"labels": {"touched": "yes"}}});
    let balancer = json!({"spec": {"type": "LoadBalancer", "externalIPs": ["010.0.0.1"], "loadBalancerSourceRanges": ["1.2.3.4/24"],
        "clusterIP": "10.096.0.9", "clusterIPs": ["10.096.0.9"]},
        "status": {"loadBalancer": {"ingress": [{"ip": "01.2.3.4", "ipMode": "VIP"}]}}});
    let balancer = with(&service(json!({})), balancer);
    let network_policy = policy(json!({"cidr": "10.0.0.1/8", "except": ["10.01.0.0/16"]}));
    let endpoints = json!({"subsets": [{"addresses": [{"ip": "01.2.3.4"}]}]});
    let ingress = json!({"status": {"loadBalancer": {"ingress": [{"ip": "01.2.3.4"}]}}});
    let status = |ips: Value| json!({"status": {"loadBalancer": {"ingress": ips}}});
    let running = with(&pod(json!({})), json!({"status": {"podIPs": [{"ip": "01.2.3.4"}], "podIP": "01.2.3.4"}}));
    let policies = "apis/networking.k8s.io/v1/networkpolicies";
    let rows = [
        ("api/v1/services", "", &balancer, labels.clone(), String::new()),
        (
            "api/v1/services",
            "",
            &balancer,
            json!({"spec": {"externalIPs": ["010.0.0.1", "010.0.0.2"]}}),
            invalid("spec.externalIPs[1]", "010.0.0.2", ZEROS),
        ),
        ("api/v1/services", "status", &balancer, labels.clone(), String::new()),
        (
            "api/v1/services",
            "status",
            &balancer,
            status(json!([{"ip": "01.2.3.4", "ipMode": "VIP"}, {"ip": "01.2.3.5", "ipMode": "VIP"}])),
            invalid("status.loadBalancer.ingress[1].ip", "01.2.3.5", ZEROS),
        ),
        (policies, "", &network_policy, labels.clone(), String::new()),
        // A network may move to any place of the policy.
        (
            policies,
            "",
            &network_policy,
            json!({"spec": {"ingress": null, "egress": [{"to": [{"ipBlock": {"cidr": "10.01.0.0/16"}}]}]}}),
            String::new(),
        ),
        (
            policies,
            "",
            &network_policy,
            json!({"spec": {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.2/8"}}]}]}}),
            invalid("spec.ingress[0].from[0].ipBlock.cidr", "10.0.0.2/8", BITS),
        ),
        ("api/v1/endpoints", "", &endpoints, labels.clone(), String::new()),
        (
            "apis/networking.k8s.io/v1/ingresses",
            "status",
            &ingress,
            status(json!([{"ip": "01.2.3.4"}, {"ip": "::ffff:1.2.3.4"}])),
            invalid("status.loadBalancer.ingress[1].ip", "::ffff:1.2.3.4", MAPPED),
        ),
        ("api/v1/pods", "status", &running, json!({"status": {"phase": "Running"}}), String::new()),
        (
            "api/v1/pods",
            "status",
            &running,
            json!({"status": {"podIP": "01.2.3.5", "podIPs": [{"ip": "01.2.3.5"}]}}),
            invalid("status.podIPs[0]", "01.2.3.5", ZEROS),
        ),
        (
            "api/v1/pods",
            "status",
            &running,
            json!({"status": {"hostIP": "1.2.3.4", "hostIPs": [{"ip": "1.2.3.5"}]}}),
            invalid("status.hostIPs[0].ip", "1.2.3.5", "must be equal to `hostIP`"),
        ),
    ];
    for (path, subresource, object, patch, want) in rows {
        let (mut old, _) = create(path, object);
        merge(&mut old, &json!({"status": object["status"]}));
        merge(&mut old, &json!({"metadata": {"resourceVersion": "1"}}));
        assert_eq!(update(path, subresource, &old, &patch).1, want, "{path} {subresource} {patch}");
    }
}

#[test]
fn the_app_armor_annotation_and_the_field_tell_the_same() {
    const KEY: &str = "container.apparmor.security.beta.kubernetes.io/c";
    let template = |annotation: &str, of_pod: Value, of_container: Value, os: &str| {
        let spec = json!({"os": {"name": os}, "securityContext": {"appArmorProfile": of_pod}, "containers":
            [{"name": "c", "image": "i", "securityContext": {"appArmorProfile": of_container}}]});
        json!({"metadata": {"labels": {"a": "b"}, "annotations": {KEY: annotation}}, "spec": spec})
    };
    let localhost = |name: &str| json!({"type": "Localhost", "localhostProfile": name});
    let unconfined = || json!({"type": "Unconfined"});
    let kind = "type: Forbidden: apparmor type in annotation and field must match";
    let profile = "localhostProfile: Forbidden: apparmor profile in annotation and field must match";
    for (annotation, of_pod, of_container, want) in [
        ("unconfined", Value::Null, unconfined(), ""),
        ("runtime/default", Value::Null, json!({"type": "RuntimeDefault"}), ""),
        ("localhost/x", Value::Null, localhost("x"), ""),
        ("runtime/default", Value::Null, unconfined(), kind),
        ("unconfined", Value::Null, localhost("x"), kind),
        ("localhost/y", Value::Null, localhost("x"), profile),
        ("runtime/default", unconfined(), Value::Null, kind),
        ("runtime/default", unconfined(), json!({"type": "RuntimeDefault"}), ""),
    ] {
        let field = "spec.containers[0].securityContext.appArmorProfile";
        let template = template(annotation, of_pod, of_container.clone(), "linux");
        let deployment = json!({"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}});
        let wanted = if want.is_empty() { String::new() } else { format!("spec.template.{field}.{want}") };
        assert_eq!(create("apis/apps/v1/deployments", &deployment).1, wanted, "{template}");
        // Where the container says nothing, a pod gets from the annotation what it is to say.
        let wanted = if want.is_empty() || of_container.is_null() { String::new() } else { format!("{field}.{want}") };
        assert_eq!(create("api/v1/pods", &template).1, wanted, "{template}");
    }
    let windows = template("unconfined", json!({"type": "RuntimeDefault"}), Value::Null, "windows");
    assert!(!create("api/v1/pods", &windows).1.contains("must match"));
}

#[test]
fn sources_behind_gates_that_are_off_are_taken_away() {
    let source = json!({"clusterTrustBundle": {"path": "../bad"}, "podCertificate": {}});
    let volumes = json!([{"name": "v", "projected": {"sources": [source]}}]);
    let (stored, errors) = create("api/v1/pods", &pod(json!({"volumes": volumes})));
    assert_eq!((&stored["spec"]["volumes"][0]["projected"]["sources"], errors.as_str()), (&json!([{}]), ""));
    let (stored, errors) = create("apis/apps/v1/deployments", &deployment(json!({"volumes": volumes})));
    assert_eq!((&stored["spec"]["template"]["spec"]["volumes"][0]["projected"]["sources"], errors.as_str()), (&json!([{}]), ""));
    // What is used already may go on to be used, and is looked at.
    let (mut old, _) = create("apis/apps/v1/deployments", &deployment(json!({})));
    merge(&mut old, &json!({"metadata": {"resourceVersion": "1"}, "spec": {"template": {"spec": {"volumes": volumes}}}}));
    old["spec"]["template"]["spec"]["volumes"][0]["projected"]["sources"][0] = json!({"clusterTrustBundle": {"name": "n", "path": "p"}});
    let patch = json!({"spec": {"template": {"spec": {"volumes": volumes}}}});
    let (stored, errors) = update("apis/apps/v1/deployments", "", &old, &patch);
    let kept = &stored["spec"]["template"]["spec"]["volumes"][0]["projected"]["sources"][0];
    assert!(kept.get("clusterTrustBundle").is_some() && kept.get("podCertificate").is_none(), "{kept}");
    assert!(errors.contains("clusterTrustBundle"), "{errors}");
}

#[test]
fn only_some_volumes_take_mount_options_from_an_annotation() {
    const ANNOTATION: &str = "volume.beta.kubernetes.io/mount-options";
    let volume = |source: Value| {
        let spec = json!({"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]});
        with(&json!({"metadata": {"annotations": {ANNOTATION: "ro"}}, "spec": spec}), json!({"spec": source}))
    };
    let refused = format!("metadata.annotations.{ANNOTATION}: Forbidden: may not specify mount options for this volume type");
    for (source, want) in [
        (json!({"hostPath": {"path": "/a"}}), refused.as_str()),
        (json!({"csi": {"driver": "d", "volumeHandle": "h"}}), refused.as_str()),
        (json!({"nfs": {"server": "s", "path": "/a"}}), ""),
    ] {
        assert_eq!(create("api/v1/persistentvolumes", &volume(source.clone())).1, want, "{source}");
    }
}

#[test]
fn a_pointer_that_is_set_is_not_zero_in_an_ephemeral_container() {
    let (old, _) = create("api/v1/pods", &pod(json!({})));
    for (field, refused) in [("lifecycle", true), ("livenessProbe", true), ("resources", false), ("securityContext", false)] {
        let patch = json!({"spec": {"ephemeralContainers": [{"name": "e", "image": "i", field: {}}]}});
        let errors = update("api/v1/pods", "ephemeralcontainers", &old, &patch).1;
        let found = errors.contains(&format!("spec.ephemeralContainers[0].{field}: Forbidden: cannot be set for an Ephemeral Container"));
        assert_eq!(found, refused, "{field}: {errors}");
    }
}

#[test]
fn the_taints_annotation_of_a_node_is_a_list() {
    const KEY: &str = "scheduler.alpha.kubernetes.io/taints";
    for (text, why) in [
        ("", ""),
        ("[]", ""),
        ("hello", "invalid character 'h' looking for beginning of value"),
        ("{}", "json: cannot unmarshal object into Go value of type []core.Taint"),
    ] {
        let node = json!({"metadata": {"annotations": {KEY: text}}});
        let want = if why.is_empty() { String::new() } else { invalid("metadata.annotations", KEY, why) };
        assert_eq!(create("api/v1/nodes", &node).1, want, "{text}");
    }
}
