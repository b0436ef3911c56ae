//! Cases as data: a namespace's labels, an object, and upstream's words.

use wasmgate_sdk::admission::{Attributes, GroupVersionKind, GroupVersionResource};
use wasmgate_sdk::serde_json::{Value, json};
use wasmgate_sdk::testing;

use super::*;

fn namespace(labels: &Value) -> Value {
    let labels: wasmgate_sdk::serde_json::Map<String, Value> =
        labels.as_object().expect("labels").iter().map(|(key, value)| (format!("{PREFIX}{key}"), value.clone())).collect();
    json!({"metadata": {"name": "ns", "labels": labels}})
}

fn plugin(labels: &Value) -> PodSecurity {
    let mut plugin = PodSecurity::default();
    plugin.apply(vec![Change::put(GroupResource::new("", "namespaces"), &namespace(labels))]);
    plugin
}

fn attributes(operation: Operation, group: &str, kind: &str, resource: &str) -> Attributes {
    let (group, version) = (group.to_owned(), "v1".to_owned());
    Attributes {
        operation,
        kind: GroupVersionKind { group: group.clone(), version: version.clone(), kind: kind.to_owned() },
        resource: GroupVersionResource { group, version, resource: resource.to_owned() },
        namespace: "ns".to_owned(),
        name: "ns".to_owned(),
        ..Attributes::default()
    }
}

/// The refusal, or the warnings.
fn answer(plugin: &PodSecurity, attributes: Attributes, object: &Value, old: Option<&Value>) -> String {
    answer_to(plugin, "jane", attributes, object, old)
}

fn answer_to(plugin: &PodSecurity, user: &str, attributes: Attributes, object: &Value, old: Option<&Value>) -> String {
    let request = Request::new(attributes, Some(Object::of(object)), old.map(Object::of)).by(UserInfo::new(user));
    match plugin.validate(&request) {
        Ok(()) => request.notes().warnings.join(" | "),
        Err(Denial::Forbidden(message)) => message,
        Err(Denial::Status(status)) => status.message().to_owned(),
    }
}

fn of_pod(labels: Value, pod: &Value) -> String {
    answer(&plugin(&labels), attributes(Operation::Create, "", "Pod", "pods"), pod, None)
}

fn with(context: Value) -> Value {
    json!({"spec": {"containers": [{"name": "c", "image": "i", "securityContext": context}]}})
}

fn hardened() -> Value {
    json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": true,
           "seccompProfile": {"type": "RuntimeDefault"}})
}

/// A hardened container, and another spec around it.
fn around(spec: Value) -> Value {
    let mut pod = with(hardened());
    for (key, value) in spec.as_object().expect("a spec") {
        pod["spec"][key] = value.clone();
    }
    pod
}

const BARE: &str = "allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), \
                    unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != \
                    true (pod or container \"c\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" \
                    must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")";

#[test]
fn baseline() {
    let twice = json!({"spec": {"initContainers": [{"name": "a", "securityContext": {"privileged": true}}],
                                "ephemeralContainers": [{"name": "b", "securityContext": {"privileged": true}}]}});
    let probe = |host: &str| {
        json!({"spec": {"containers": [{"name": "c", "livenessProbe": {"httpGet": {"host": host, "port": 80}},
                                                         "lifecycle": {"preStop": {"tcpSocket": {"host": host}}}}]}})
    };
    let annotated = json!({"metadata": {"annotations": {"container.apparmor.security.beta.kubernetes.io/c": "unconfined"}}, "spec": {}});
    let ports = json!({"spec": {"containers": [{"name": "c", "ports": [{"hostPort": 90}, {"hostPort": 8080}, {"containerPort": 1}]}]}});
    let rows = [
        (with(json!({})), ""),
        (around(json!({"hostIPC": true, "hostPID": true})), "host namespaces (hostPID=true, hostIPC=true)"),
        (
            around(json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}, {"name": "w", "emptyDir": {}}]})),
            "hostPath volumes (volume \"v\")",
        ),
        (ports, "hostPort (container \"c\" uses hostPorts 8080, 90)"),
        (probe("1.2.3.4"), "probe or lifecycle host (container \"c\" uses probe or lifecycle host \"1.2.3.4\")"),
        (probe(""), ""),
        (twice, "privileged (containers \"a\", \"b\" must not set securityContext.privileged=true)"),
        (
            with(json!({"capabilities": {"add": ["SYS_ADMIN", "CHOWN", "NET_ADMIN"]}})),
            "non-default capabilities (container \"c\" must not include \"NET_ADMIN\", \"SYS_ADMIN\" in securityContext.capabilities.add)",
        ),
        (
            with(json!({"appArmorProfile": {"type": "Unconfined"}})),
            "forbidden AppArmor profile (container \"c\" must not set AppArmor profile type to \"Unconfined\")",
        ),
        (
            annotated,
            "forbidden AppArmor profile (annotation must not set AppArmor profile type to \
                     \"container.apparmor.security.beta.kubernetes.io/c=\"unconfined\"\")",
        ),
        (with(json!({"procMount": "Unmasked"})), "procMount (container \"c\" must not set securityContext.procMount to \"Unmasked\")"),
        (
            around(json!({"securityContext": {"seLinuxOptions": {"type": "evil", "user": "u", "role": "r"}}})),
            "seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type \"evil\"; user may not be set; role may not be set)",
        ),
        (
            around(json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}}})),
            "seccompProfile (pod must not set securityContext.seccompProfile.type to \"Unconfined\")",
        ),
        (
            around(json!({"securityContext": {"sysctls": [{"name": "kernel.msgmax"}, {"name": "net.ipv4.tcp_rmem"}]}})),
            "forbidden sysctls (kernel.msgmax)",
        ),
        (
            with(json!({"windowsOptions": {"hostProcess": true}})),
            "hostProcess (container \"c\" must not set securityContext.windowsOptions.hostProcess=true)",
        ),
    ];
    for (pod, want) in rows {
        let want = if want.is_empty() { String::new() } else { format!("violates PodSecurity \"baseline:latest\": {want}") };
        assert_eq!(of_pod(json!({"enforce": "baseline", "warn": "privileged"}), &pod), want, "{pod}");
    }
}

#[test]
fn restricted() {
    let mut added = hardened();
    added["capabilities"]["add"] = json!(["NET_BIND_SERVICE", "CHOWN"]);
    let mut root = hardened();
    root["runAsUser"] = json!(0);
    root["runAsNonRoot"] = json!(false);
    let mut unmasked = hardened();
    unmasked["procMount"] = json!("Unmasked");
    let mut own_users = with(unmasked);
    own_users["spec"]["hostUsers"] = json!(false);
    let by_pod = json!({"spec": {"securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "Localhost"}},
        "containers": [{"name": "c", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}});
    let windows = json!({"spec": {"os": {"name": "windows"}, "securityContext": {"runAsNonRoot": true}, "containers": [{"name": "c"}]}});
    let rows = [
        (with(hardened()), ""),
        (by_pod, ""),
        (windows, ""),
        (with(json!(null)), BARE),
        (with(added), "unrestricted capabilities (container \"c\" must not include \"CHOWN\" in securityContext.capabilities.add)"),
        (
            with(root),
            "runAsNonRoot != true (container \"c\" must not set securityContext.runAsNonRoot=false), runAsUser=0 (container \
                      \"c\" must not set runAsUser=0)",
        ),
        (own_users, "procMount (container \"c\" must not set securityContext.procMount to \"Unmasked\")"),
        (
            around(json!({"volumes": [{"name": "v", "nfs": {}}, {"name": "w", "hostPath": {}}, {"name": "x", "secret": {}}]})),
            "restricted volume types (volumes \"v\", \"w\" use restricted volume types \"hostPath\", \"nfs\")",
        ),
        (around(json!({"hostNetwork": true})), "host namespaces (hostNetwork=true)"),
    ];
    for (pod, want) in rows {
        let want = if want.is_empty() { String::new() } else { format!("violates PodSecurity \"restricted:latest\": {want}") };
        assert_eq!(of_pod(json!({"enforce": "restricted"}), &pod), want, "{pod}");
    }
}

#[test]
fn versions_and_modes() {
    let bare = with(json!({}));
    let without_capabilities = "allowPrivilegeEscalation != false (container \"c\" must set \
        securityContext.allowPrivilegeEscalation=false), runAsNonRoot != true (pod or container \"c\" must set \
        securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \
        \"RuntimeDefault\" or \"Localhost\")";
    let rows = [
        (json!({}), String::new()),
        (
            json!({"enforce": "restricted", "enforce-version": "v1.21"}),
            format!("violates PodSecurity \"restricted:v1.21\": {without_capabilities}"),
        ),
        (json!({"enforce": "restricted", "enforce-version": "v1.99"}), format!("violates PodSecurity \"restricted:v1.99\": {BARE}")),
        (json!({"enforce": "baseline", "warn": "restricted"}), format!("would violate PodSecurity \"restricted:latest\": {BARE}")),
        (json!({"warn": "restricted"}), format!("would violate PodSecurity \"restricted:latest\": {BARE}")),
        (json!({"audit": "restricted"}), String::new()),
        // A label that went bad is the strictest.
        (json!({"enforce": "frob"}), format!("violates PodSecurity \"restricted:latest\": {BARE}")),
    ];
    for (labels, want) in rows {
        assert_eq!(of_pod(labels.clone(), &bare), want, "{labels}");
    }
    let audit = Request::new(attributes(Operation::Create, "", "Pod", "pods"), Some(Object::of(&bare)), None);
    assert_eq!(plugin(&json!({"audit": "restricted"})).validate(&audit), Ok(()));
    let annotations = audit.notes().audit_annotations;
    let of = |key: &str, value: String| (format!("{PREFIX}{key}"), value);
    let words = format!("would violate PodSecurity \"restricted:latest\": {BARE}");
    assert_eq!(annotations, [of("enforce-policy", "privileged:latest".to_owned()), of("audit-violations", words)]);
}

#[test]
fn templates_are_warned_of() {
    let template = with(json!({}));
    let rows = [
        ("apps", "Deployment", "deployments", json!({"spec": {"template": template}}), true),
        ("", "ReplicationController", "replicationcontrollers", json!({"spec": {"template": null}}), false),
        ("", "ReplicationController", "replicationcontrollers", json!({"spec": {"template": template}}), true),
        ("", "PodTemplate", "podtemplates", json!({"template": template}), true),
        ("batch", "Job", "jobs", json!({"spec": {"template": template}}), true),
        ("batch", "CronJob", "cronjobs", json!({"spec": {"jobTemplate": {"spec": {"template": template}}}}), true),
    ];
    for (group, kind, resource, object, warned) in rows {
        let found = answer(&plugin(&json!({"enforce": "restricted"})), attributes(Operation::Create, group, kind, resource), &object, None);
        let want = if warned { format!("would violate PodSecurity \"restricted:latest\": {BARE}") } else { String::new() };
        assert_eq!(found, want, "{kind}");
    }
}

#[test]
fn updates_of_pods() {
    let image = |image: &str| json!({"spec": {"containers": [{"name": "c", "image": image}]}});
    let ephemeral = |names: &[&str]| {
        let mut pod = image("i");
        pod["spec"]["ephemeralContainers"] = names.iter().map(|name| json!({"name": name, "image": "e"})).collect();
        pod
    };
    let rows = [
        (image("i"), image("i"), false),
        (image("i"), image("j"), true),
        (image("i"), ephemeral(&["e"]), true),
        (ephemeral(&["e"]), ephemeral(&["e"]), false),
        (ephemeral(&["e"]), image("i"), false),
    ];
    for (old, new, refused) in rows {
        let attributes = attributes(Operation::Update, "", "Pod", "pods");
        let found = answer(&plugin(&json!({"enforce": "restricted"})), attributes, &new, Some(&old));
        assert_eq!(found.starts_with("violates PodSecurity"), refused, "{old} {new} {found}");
    }
}

#[test]
fn labels_of_namespaces() {
    let bad = |labels: &str| format!("Namespace \"ns\" is invalid: {labels}");
    let level = |label: &str, value: &str| {
        format!("metadata.labels[{PREFIX}{label}]: Invalid value: {value:?}: must be one of privileged, baseline, restricted")
    };
    let two = format!("[{}, {}]", level("enforce", "frob"), level("warn", ""));
    let rows = [
        (None, json!({"enforce": "frob"}), bad(&level("enforce", "frob"))),
        (None, json!({"enforce": "frob", "warn": ""}), bad(&two)),
        (Some(json!({})), json!({"enforce": "frob"}), bad(&level("enforce", "frob"))),
        // What was bad before may stay.
        (Some(json!({"enforce": "frob"})), json!({"enforce": "frob"}), String::new()),
        (None, json!({"enforce": "restricted", "enforce-version": "v1.99"}), String::new()),
    ];
    for (old, new, want) in rows {
        let operation = if old.is_some() { Operation::Update } else { Operation::Create };
        let attributes = attributes(operation, "", "Namespace", "namespaces");
        let (new, old) = (namespace(&new), old.as_ref().map(namespace));
        assert_eq!(answer(&PodSecurity::default(), attributes, &new, old.as_ref()), want, "{new}");
    }
}

#[test]
fn pods_that_are_already_there() {
    let put = |name: &str, owner: &str, context: Value| {
        let mut pod = with(context);
        pod["metadata"] = json!({"namespace": "ns", "name": name, "ownerReferences": [{"uid": owner, "controller": true}]});
        testing::put("", "pods", pod);
    };
    for (name, owner) in [("b", "1"), ("a", "1"), ("c", "2")] {
        put(name, owner, json!({"seccompProfile": {"type": "Unconfined"}}));
    }
    put("p", "3", json!({"privileged": true, "seccompProfile": {"type": "Unconfined"}}));
    put("good", "4", hardened());
    let existing = "existing pods in namespace \"ns\" violate the new PodSecurity enforce level \"baseline:latest\" | a (and 2 other \
                    pods): seccompProfile | p: privileged, seccompProfile";
    let rows = [
        (json!({}), json!({"enforce": "baseline"}), existing),
        (json!({"enforce": "restricted"}), json!({"enforce": "baseline"}), ""),
        (json!({"enforce": "baseline"}), json!({"enforce": "baseline", "warn": "restricted"}), ""),
        (json!({"enforce": "baseline"}), json!({"enforce": "privileged"}), ""),
    ];
    for (old, new, want) in rows {
        let attributes = attributes(Operation::Update, "", "Namespace", "namespaces");
        assert_eq!(answer(&PodSecurity::default(), attributes, &namespace(&new), Some(&namespace(&old))), want, "{old} {new}");
    }
}

/// More warnings than the host takes would be a fault, and the namespace could not be changed.
#[test]
fn warnings_are_bounded() {
    const KINDS: usize = 100;
    for kind in 1..=KINDS {
        let set = |bit: usize| kind >> bit & 1 == 1;
        let context = json!({"privileged": set(0), "procMount": set(1).then_some("Unmasked"),
            "windowsOptions": {"hostProcess": set(2)}, "capabilities": {"add": set(3).then_some(["ALL"])}});
        let mut pod = with(context);
        pod["spec"]["hostPID"] = json!(set(4));
        pod["spec"]["volumes"] = json!([{"name": "v", "hostPath": set(5).then_some("/")}]);
        pod["spec"]["securityContext"] = json!({"sysctls": [{"name": if set(6) { "x" } else { "net.ipv4.tcp_rmem" }}]});
        pod["metadata"] = json!({"namespace": "ns", "name": format!("p{kind}")});
        testing::put("", "pods", pod);
    }
    let (old, new) = (namespace(&json!({})), namespace(&json!({"enforce": "baseline"})));
    let attributes = attributes(Operation::Update, "", "Namespace", "namespaces");
    let found = answer(&PodSecurity::default(), attributes, &new, Some(&old));
    assert_eq!(found.split(" | ").count(), 62);
    assert!(found.ends_with("40 more kinds of violations are left out"), "{found}");
}

#[test]
fn exemptions() {
    let mut exempting = plugin(&json!({"enforce": "restricted"}));
    let config = json!({"exemptions": {"usernames": ["root"], "namespaces": ["system"], "runtimeClasses": ["vm"]}});
    exempting.configure(config.into()).expect("a good configuration");
    let rows =
        [("ns", "jane", None, true), ("ns", "root", None, false), ("system", "jane", None, false), ("ns", "jane", Some("vm"), false)];
    for (namespace, user, class, refused) in rows {
        let mut attributes = attributes(Operation::Create, "", "Pod", "pods");
        attributes.namespace = namespace.to_owned();
        let mut pod = with(json!({}));
        pod["spec"]["runtimeClassName"] = json!(class);
        let found = answer_to(&exempting, user, attributes, &pod, None);
        assert_eq!(!found.is_empty(), refused, "{namespace} {user} {class:?} {found}");
    }
    assert!(exempting.configure(json!({"defaults": {"enforce": "frob"}}).into()).is_err());
    assert!(exempting.configure(json!({"defaults": {"enforced": "baseline"}}).into()).is_err());
    exempting.configure(json!({"defaults": {"enforce": "baseline"}}).into()).expect("a good configuration");
    let defaults = exempting.settings.defaults;
    assert_eq!(
        [defaults.enforce.level, defaults.audit.level, defaults.warn.level],
        [Level::Baseline, Level::Privileged, Level::Privileged]
    );
}

#[test]
fn a_namespace_that_the_feed_has_not_shown() {
    let plugin = PodSecurity::default();
    let create = || attributes(Operation::Create, "", "Pod", "pods");
    let lost = "Internal error occurred: failed to lookup namespace \"ns\"";
    assert_eq!(answer(&plugin, create(), &with(json!({})), None), lost);
    testing::put_live("", "namespaces", namespace(&json!({"enforce": "restricted"})));
    assert!(answer(&plugin, create(), &with(json!({})), None).starts_with("violates"));
}
