//! Containers: names, images, ports, environment, mounts, probes, lifecycle.

use std::collections::{HashMap, HashSet};

use apimachinery::validation::name;
use serde_json::Value;

use crate::kinds::go_struct;
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::pod::path::{local_descending_path, no_backsteps};
use crate::shared::pod::{field_selector, image, security};
use crate::shared::rules::{self, Field, Format, PROTOCOL, Rule, count, field};
use crate::shared::validation::port_num_or_name;
use crate::shared::{metadata, resources, value};

/// What a container is checked against.
pub(crate) struct ContainerContext<'a> {
    /// Sound volumes by name.
    pub(crate) volumes: HashMap<&'a str, &'a Value>,
    /// The pod's resource claims.
    pub(crate) claims: HashSet<&'a str>,
    /// `terminationGracePeriodSeconds`.
    pub(crate) grace_seconds: Option<i64>,
    /// The pod's `restartPolicy`.
    pub(crate) restart_policy: &'a str,
    /// Whether the pod has the host's users.
    pub(crate) host_users: bool,
}

const RESTART_RULES_MAX: usize = 20;
const NOT_FOR_INIT: &str = "may not be set for init containers without restartPolicy=Always";
const NOT_FOR_EPHEMERAL: &str = "cannot be set for an Ephemeral Container";

/// `containers`
pub(crate) fn containers(spec: &FieldValue<'_>, context: &ContainerContext<'_>, errors: &mut Errors) {
    if spec.is_empty("containers") {
        return errors.push(spec.child("containers").required(""));
    }
    let mut names = HashSet::new();
    for at in spec.items("containers") {
        common(&at, context, errors);
        unique_name(&at, &mut names, errors);
        lifecycle_and_probes(&at, context, errors);
        restart_policy(&at, errors);
    }
    host_ports(spec.items("containers"), errors);
}

/// `initContainers`
pub(crate) fn init_containers(spec: &FieldValue<'_>, context: &ContainerContext<'_>, errors: &mut Errors) {
    let mut names: HashSet<&str> = spec.items("containers").map(|container| container.value["name"].as_str().unwrap_or_default()).collect();
    for at in spec.items("initContainers") {
        common(&at, context, errors);
        restart_policy(&at, errors);
        unique_name(&at, &mut names, errors);
        host_ports(std::iter::once(FieldValue { value: at.value, path: spec.child("initContainers").path.index(0) }), errors);
        if at.text_of("restartPolicy") == "Always" {
            lifecycle_and_probes(&at, context, errors);
            continue;
        }
        for name in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if at.has(name) {
                errors.push(at.child(name).forbidden(NOT_FOR_INIT));
            }
        }
        for policy in at.items("resizePolicy").filter(|policy| policy.text_of("restartPolicy") == "RestartContainer") {
            let detail = "must not be set to 'RestartContainer' for non-sidecar initContainers";
            errors.push(policy.child("restartPolicy").invalid(detail));
        }
    }
}

/// `ephemeralContainers`
pub(crate) fn ephemeral_containers(spec: &FieldValue<'_>, context: &ContainerContext<'_>, errors: &mut Errors) {
    const ALLOWED: [&str; 16] = [
        "name",
        "image",
        "command",
        "args",
        "workingDir",
        "env",
        "envFrom",
        "volumeMounts",
        "volumeDevices",
        "terminationMessagePath",
        "terminationMessagePolicy",
        "imagePullPolicy",
        "securityContext",
        "stdin",
        "stdinOnce",
        "tty",
    ];
    let others: HashSet<&str> =
        ["containers", "initContainers"].iter().flat_map(|list| spec.items(list)).map(|at| text_of(&at, "name")).collect();
    let mut names = others.clone();
    for at in spec.items("ephemeralContainers") {
        common(&at, context, errors);
        unique_name(&at, &mut names, errors);
        let target = at.child("targetContainerName");
        if !target.text().is_empty() && !others.contains(&target.text()) {
            errors.push(target.not_found());
        }
        for field in go_struct::names("io.k8s.api.core.v1.EphemeralContainer") {
            let Some(value) = at.value.get(field) else { continue };
            let empty = match value {
                // `resources` is a struct itself in upstream; all others are pointers, and one that is set is not zero even to what is empty.
                Value::Object(map) => map.is_empty() && matches!(field, "resources"),
                Value::Array(list) => list.is_empty(),
                Value::Null => true,
                _ => false,
            };
            if !empty && !ALLOWED.contains(&field) && field != "targetContainerName" {
                errors.push(at.child(field).forbidden(NOT_FOR_EPHEMERAL));
            }
        }
        for mount in at.items("volumeMounts") {
            for name in ["subPath", "subPathExpr"] {
                if !mount.is_empty(name) {
                    errors.push(mount.child(name).forbidden(NOT_FOR_EPHEMERAL));
                }
            }
        }
    }
}

fn text_of<'a>(at: &FieldValue<'a>, name: &str) -> &'a str {
    value::text(at.value, name)
}

fn unique_name<'a>(at: &FieldValue<'a>, names: &mut HashSet<&'a str>, errors: &mut Errors) {
    let name = at.child("name");
    if !name.text().is_empty() && !names.insert(name.text()) {
        errors.push(name.duplicate());
    }
}

const CONTAINER: [Field; 3] = [
    field("name", &[Rule::Required, Rule::Format(Format::DnsLabel)]),
    field("image", &[Rule::Required]),
    field("terminationMessagePolicy", &[Rule::Required, Rule::Enum(&["File", "FallbackToLogsOnError"])]),
];
const PROBE: [Field; 6] = [
    count("initialDelaySeconds"),
    count("timeoutSeconds"),
    count("periodSeconds"),
    count("successThreshold"),
    count("failureThreshold"),
    field("terminationGracePeriodSeconds", &[Rule::Optional, Rule::Min(1, "must be greater than 0")]),
];

fn common(at: &FieldValue<'_>, context: &ContainerContext<'_>, errors: &mut Errors) {
    rules::check(&CONTAINER, at, None, errors);
    ports(at, errors);
    env(at, errors);
    env_from(at, errors);
    mounts(at, context, errors);
    devices(at, context, errors);
    image::pull_policy(&at.child("imagePullPolicy"), errors);
    resources::requirements(&at.child("resources"), false, &context.claims, errors);
    resize_policy(at, context, errors);
    security::security_context(at, context.host_users, errors);
}

fn ports(at: &FieldValue<'_>, errors: &mut Errors) {
    let mut names: HashSet<&str> = HashSet::new();
    for port in at.items("ports") {
        let name = port.child("name");
        if !name.text().is_empty() {
            let problems = name::is_valid_port_name(name.text());
            if problems.is_empty() && names.contains(&name.text()) {
                errors.push(name.duplicate());
            } else if problems.is_empty() {
                names.insert(name.text());
            }
            name.problems(problems, errors);
        }
        let number = port.child("containerPort");
        if number.int() == 0 {
            errors.push(number.required(""));
        } else {
            number.problems(name::is_valid_port_num(number.int()), errors);
        }
        let host = port.child("hostPort");
        if host.int() != 0 {
            host.problems(name::is_valid_port_num(host.int()), errors);
        }
        rules::check(&[PROTOCOL], &port, None, errors);
    }
}

fn host_ports<'a>(containers: impl Iterator<Item = FieldValue<'a>>, errors: &mut Errors) {
    let mut taken: HashSet<String> = HashSet::new();
    for at in containers {
        for port in at.items("ports").filter(|port| port.child("hostPort").int() != 0) {
            let host = port.child("hostPort");
            let key = format!("{}/{}/{}", port.text_of("protocol"), port.text_of("hostIP"), host.int());
            if taken.contains(&key) {
                errors.push(apimachinery::field::Error::duplicate(&host.path, key));
            } else {
                taken.insert(key);
            }
        }
    }
}

fn env(at: &FieldValue<'_>, errors: &mut Errors) {
    for variable in at.items("env") {
        let name = variable.child("name");
        rules::check_value(&[Rule::Required, Rule::Format(Format::EnvVarName)], &name, None, errors);
        if let Some(source) = variable.some("valueFrom") {
            env_source(&source, variable.text_of("value"), errors);
        }
    }
}

fn env_source(at: &FieldValue<'_>, value: &str, errors: &mut Errors) {
    let mut sources = 0;
    if let Some(field) = at.some("fieldRef") {
        sources += 1;
        field_selector::field_ref(&field, true, errors);
    }
    if let Some(resource) = at.some("resourceFieldRef") {
        sources += 1;
        field_selector::resource_field_ref(&resource, false, errors);
    }
    for name in ["configMapKeyRef", "secretKeyRef"] {
        let Some(key) = at.some(name) else { continue };
        sources += 1;
        let object = key.child("name");
        errors.extend(metadata::subdomain(object.text(), false).iter().map(|problem| object.invalid_as(object.text(), problem)));
        let key = key.child("key");
        rules::check_value(&[Rule::Required, Rule::Format(Format::ConfigMapKey)], &key, None, errors);
    }
    if let Some(file) = at.some("fileKeyRef") {
        sources += 1;
        file_key_ref(&file, errors);
    }
    if sources == 0 {
        let detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
        errors.push(at.invalid_as("", detail));
    } else if !value.is_empty() {
        errors.push(at.invalid_as("", "may not be specified when `value` is not empty"));
    } else if sources > 1 {
        errors.push(at.invalid_as("", "may not have more than one field specified at a time"));
    }
}

fn file_key_ref(at: &FieldValue<'_>, errors: &mut Errors) {
    let (key, volume, path) = (at.child("key"), at.child("volumeName"), at.child("path"));
    rules::check_value(&[Rule::Required, Rule::Format(Format::EnvVarName)], &key, None, errors);
    rules::check_value(&[Rule::Required, Rule::Format(Format::DnsLabel)], &volume, None, errors);
    if path.text().is_empty() {
        errors.push(path.required(""));
    } else {
        no_backsteps(&path, errors);
    }
}

fn env_from(at: &FieldValue<'_>, errors: &mut Errors) {
    let list = at.child("envFrom");
    for source in at.items("envFrom") {
        let prefix = source.child("prefix");
        if !prefix.text().is_empty() {
            prefix.problems(name::is_relaxed_env_var_name(prefix.text()), errors);
        }
        let mut sources = 0;
        for name in ["configMapRef", "secretRef"] {
            let Some(reference) = source.some(name) else { continue };
            sources += 1;
            let name = reference.child("name");
            if name.text().is_empty() {
                errors.push(name.required(""));
            } else {
                name.problems(metadata::subdomain(name.text(), true), errors);
            }
        }
        match sources {
            0 => errors.push(list.invalid_as("", "must specify one of: `configMapRef` or `secretRef`")),
            1 => {}
            _ => errors.push(list.invalid_as("", "may not have more than one field specified at a time")),
        }
    }
}

fn mounts(at: &FieldValue<'_>, context: &ContainerContext<'_>, errors: &mut Errors) {
    let list = at.child("volumeMounts");
    let devices: HashSet<&str> = at.items("volumeDevices").map(|device| text_of(&device, "name")).collect();
    let device_paths: HashSet<&str> = at.items("volumeDevices").map(|device| text_of(&device, "devicePath")).collect();
    let mut paths: HashSet<&str> = HashSet::new();
    for mount in at.items("volumeMounts") {
        let (name, path) = (mount.child("name"), mount.child("mountPath"));
        rules::check_value(&[Rule::Required], &name, None, errors);
        if !context.volumes.contains_key(name.text()) {
            errors.push(name.not_found());
        }
        rules::check_value(&[Rule::Required], &path, None, errors);
        if paths.contains(&path.text()) {
            errors.push(path.invalid("must be unique"));
        }
        paths.insert(path.text());
        if devices.contains(name.text()) {
            errors.push(name.invalid("must not already exist in volumeDevices"));
        }
        if device_paths.contains(path.text()) {
            errors.push(path.invalid("must not already exist as a path in volumeDevices"));
        }
        let (sub, expression) = (mount.child("subPath"), mount.child("subPathExpr"));
        if !sub.text().is_empty() {
            local_descending_path(&sub.renamed(list.path.child("subPath")), errors);
        }
        if !expression.text().is_empty() {
            if !sub.text().is_empty() {
                errors.push(expression.invalid("subPathExpr and subPath are mutually exclusive"));
            }
            local_descending_path(&expression.renamed(list.path.child("subPathExpr")), errors);
        }
        mount_propagation(at, &mount, &list, errors);
    }
}

fn mount_propagation(container: &FieldValue<'_>, mount: &FieldValue<'_>, list: &FieldValue<'_>, errors: &mut Errors) {
    if let Some(propagation) = mount.some("mountPropagation") {
        let propagation = propagation.renamed(list.path.child("mountPropagation"));
        const MODES: [&str; 3] = ["Bidirectional", "HostToContainer", "None"];
        if !MODES.contains(&propagation.text()) {
            errors.push(propagation.unsupported(&MODES));
        }
        if propagation.text() == "Bidirectional" && !container.child("securityContext").flag("privileged") {
            errors.push(propagation.forbidden("Bidirectional mount propagation is available only to privileged containers"));
        }
    }
    let Some(recursive) = mount.some("recursiveReadOnly") else { return };
    let recursive = recursive.renamed(list.path.child("recursiveReadOnly"));
    match recursive.text() {
        "Disabled" => {}
        "IfPossible" | "Enabled" => {
            if !mount.flag("readOnly") {
                errors.push(recursive.forbidden("may only be specified when readOnly is true"));
            }
            if !matches!(mount.text_of("mountPropagation"), "" | "None") {
                errors.push(recursive.forbidden("may only be specified when mountPropagation is None or not specified"));
            }
        }
        _ => errors.push(recursive.unsupported(&["Disabled", "Enabled", "IfPossible"])),
    }
}

fn devices(at: &FieldValue<'_>, context: &ContainerContext<'_>, errors: &mut Errors) {
    let mounts: HashSet<&str> = at.items("volumeMounts").map(|mount| text_of(&mount, "name")).collect();
    let mount_paths: HashSet<&str> = at.items("volumeMounts").map(|mount| text_of(&mount, "mountPath")).collect();
    let (mut names, mut paths): (HashSet<&str>, HashSet<&str>) = (HashSet::new(), HashSet::new());
    for device in at.items("volumeDevices") {
        let (name, path) = (device.child("name"), device.child("devicePath"));
        let volume = context.volumes.get(name.text());
        rules::check_value(&[Rule::Required], &name, None, errors);
        if names.contains(&name.text()) {
            errors.push(name.invalid("must be unique"));
        }
        match volume {
            Some(volume) if volume.get("persistentVolumeClaim").is_none() && volume.get("ephemeral").is_none() => {
                errors.push(name.invalid("can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"));
            }
            Some(_) => {}
            None => errors.push(name.not_found()),
        }
        rules::check_value(&[Rule::Required], &path, None, errors);
        if paths.contains(&path.text()) {
            errors.push(path.invalid("must be unique"));
        }
        if path.text().split('/').any(|part| part == "..") {
            errors.push(path.invalid("can not contain backsteps ('..')"));
        } else {
            paths.insert(path.text());
        }
        if mounts.contains(name.text()) {
            errors.push(name.invalid("must not already exist in volumeMounts"));
        }
        if mount_paths.contains(path.text()) {
            errors.push(path.invalid("must not already exist as a path in volumeMounts"));
        }
        if !name.text().is_empty() {
            names.insert(name.text());
        }
    }
}

fn resize_policy(at: &FieldValue<'_>, context: &ContainerContext<'_>, errors: &mut Errors) {
    let list = at.child("resizePolicy");
    let mut seen: HashSet<&str> = HashSet::new();
    for policy in at.items("resizePolicy") {
        let (resource, restart) = (policy.child("resourceName"), policy.child("restartPolicy"));
        if seen.contains(&resource.text()) {
            errors.push(apimachinery::field::Error::duplicate(&policy.path, resource.text()));
        }
        seen.insert(resource.text());
        resource.renamed(list.path.clone()).one_of(&["cpu", "memory"], errors);
        restart.renamed(list.path.clone()).one_of(&["NotRequired", "RestartContainer"], errors);
        if context.restart_policy == "Never" && restart.text() != "NotRequired" {
            errors.push(list.invalid_as(restart.text(), "must be 'NotRequired' when pod `restartPolicy` is 'Never'"));
        }
    }
}

fn restart_policy(at: &FieldValue<'_>, errors: &mut Errors) {
    let policy = at.child("restartPolicy");
    if policy.value.is_null() {
        if !at.is_empty("restartPolicyRules") {
            errors.push(policy.required("must specify restartPolicy when restart rules are used"));
        }
        return;
    }
    rules::check_value(&[Rule::Enum(&["Always", "Never", "OnFailure"])], &policy, None, errors);
    rules::check(&[field("restartPolicyRules", &[Rule::MaxItems(RESTART_RULES_MAX)])], at, None, errors);
    for rule in at.items("restartPolicyRules") {
        let action = rule.child("action");
        rules::check_value(&[Rule::Enum(&["Restart", "RestartAllContainers"])], &action, None, errors);
        let Some(codes) = rule.some("exitCodes") else {
            errors.push(rule.child("exitCodes").required("must be specified"));
            continue;
        };
        let operator = codes.child("operator");
        rules::check_value(&[Rule::Enum(&["In", "NotIn"])], &operator, None, errors);
    }
}

fn lifecycle_and_probes(at: &FieldValue<'_>, context: &ContainerContext<'_>, errors: &mut Errors) {
    if let Some(lifecycle) = at.some("lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(hook) = lifecycle.some(hook) {
                handler(&hook, context, errors);
            }
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(at) = at.some(name) else { continue };
        probe(&at, context, errors);
        let (success, grace) = (at.child("successThreshold"), at.child("terminationGracePeriodSeconds"));
        if name == "readinessProbe" {
            if !grace.value.is_null() {
                errors.push(grace.invalid("must not be set for readinessProbes"));
            }
        } else if success.int() != 1 {
            errors.push(success.invalid("must be 1"));
        }
    }
}

fn probe(at: &FieldValue<'_>, context: &ContainerContext<'_>, errors: &mut Errors) {
    handler(at, context, errors);
    rules::check(&PROBE, at, None, errors);
}

fn handler(at: &FieldValue<'_>, context: &ContainerContext<'_>, errors: &mut Errors) {
    let mut found = 0;
    for name in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        let Some(action) = at.some(name) else { continue };
        if found > 0 {
            errors.push(action.forbidden("may not specify more than 1 handler type"));
            continue;
        }
        found += 1;
        match name {
            "exec" if action.is_empty("command") => errors.push(action.child("command").required("")),
            "httpGet" => http_get(&action, errors),
            "tcpSocket" => port_num_or_name(&action.child("port"), errors),
            "grpc" => {
                let port = action.child("port");
                errors.extend(name::is_valid_port_num(port.int()).iter().map(|problem| port.invalid_as(port.int(), problem)));
            }
            "sleep" => {
                let seconds = action.child("seconds").int();
                if let Some(grace) = context.grace_seconds.filter(|grace| !(0..=*grace).contains(&seconds)) {
                    let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
                    errors.push(action.invalid_as(seconds, &detail));
                }
            }
            _ => {}
        }
    }
    if found == 0 {
        errors.push(at.required("must specify a handler type"));
    }
}

fn http_get(at: &FieldValue<'_>, errors: &mut Errors) {
    if at.is_empty("path") {
        errors.push(at.child("path").required(""));
    }
    port_num_or_name(&at.child("port"), errors);
    let scheme = at.child("scheme");
    rules::check_value(&[Rule::Enum(&["HTTP", "HTTPS"])], &scheme, None, errors);
    for header in at.items("httpHeaders") {
        let header_name = header.child("name");
        let list = at.child("httpHeaders");
        errors.extend(name::is_http_header_name(header_name.text()).iter().map(|problem| list.invalid_as(header_name.text(), problem)));
    }
}

/// File references need a volume that the pod can write.
pub(crate) fn file_key_volumes(spec: &FieldValue<'_>, errors: &mut Errors) {
    let mut volumes: HashMap<&str, FieldValue<'_>> = HashMap::new();
    for volume in spec.items("volumes") {
        volumes.entry(text_of(&volume, "name")).or_insert(volume);
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in spec.items(list) {
            for variable in container.items("env") {
                let name = variable.child("valueFrom").child("fileKeyRef").child("volumeName");
                if name.value.is_null() {
                    continue;
                }
                match volumes.get(name.text()) {
                    None => errors.push(name.not_found()),
                    Some(volume) if !volume.has("emptyDir") => errors.push(name.invalid("referenced volume must be of type emptyDir")),
                    Some(_) => {}
                }
            }
        }
    }
}
