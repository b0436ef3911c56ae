//! What is wrong with a Service, in upstream's order and words (`pkg/apis/core/validation`).

use std::collections::HashSet;
use std::net::IpAddr;

use apimachinery::validation::ip::parse_ip_sloppy;
use apimachinery::validation::name;
use serde_json::Value;

use crate::Resource;
use crate::core::endpoints::endpoint_ip;
use crate::core::service::defaults::externally_accessible;
use crate::shared::field_value::{self, Errors, FieldValue};
use crate::shared::rules::{self, PROTOCOL, Rule};
use crate::shared::selector::labels;
use crate::shared::validation::{legacy_cidr, legacy_ip, port_num_or_name};
use crate::shared::{metadata, value};

const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
const MODE: &str = "service.kubernetes.io/topology-mode";
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

/// A day.
const AFFINITY_SECONDS_MAX: i64 = 86_400;

/// `ClusterIP: None`
fn is_headless(spec: &Value) -> bool {
    matches!(value::list(spec, "clusterIPs"), [only] if only == "None")
}

fn needs_health_check(spec: &Value) -> bool {
    value::text(spec, "type") == "LoadBalancer" && value::text(spec, "externalTrafficPolicy") == "Local"
}

/// A new service.
pub(crate) fn validate(resource: &Resource, service: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, service, metadata::label, &mut errors);
    validate_service(service, None, &mut errors);
    errors
}

/// A changed service.
pub(crate) fn validate_update(_: &Resource, service: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(service, old, &mut errors);
    let spec = FieldValue::root(service).child("spec");
    let before = FieldValue::root(old).child("spec");
    let external = |spec: &FieldValue<'_>| spec.text_of("type") == "ExternalName";
    if !external(&spec) && !external(&before) {
        cluster_ips_update(&spec, &before, &mut errors);
        families_update(&spec, &before, &mut errors);
    }
    load_balancer_class(&spec, Some(&before), &mut errors);
    if needs_health_check(spec.value) && needs_health_check(before.value) {
        let port = spec.child("healthCheckNodePort");
        if port.value != before.child("healthCheckNodePort").value {
            errors.push(port.forbidden(field_value::IMMUTABLE));
        }
    }
    validate_service(service, Some(old), &mut errors);
    errors
}

fn cluster_ips_update(spec: &FieldValue<'_>, before: &FieldValue<'_>, errors: &mut Errors) {
    if is_headless(spec.value) && is_headless(before.value) {
        return;
    }
    let list = spec.child("clusterIPs");
    let (new, old): (Vec<&str>, Vec<&str>) = (spec.texts("clusterIPs").collect(), before.texts("clusterIPs").collect());
    let first = || FieldValue { value: list.value, path: list.path.index(0) };
    if new.len() == old.len() {
        for i in (0..old.len()).filter(|&i| new[i] != old[i]) {
            errors.push(FieldValue { value: list.value, path: list.path.index(i) }.invalid("may not change once set"));
        }
        return;
    }
    if old.len() > new.len() && new.is_empty() {
        errors.push(first().invalid("primary clusterIP can not be unset"));
    }
    if let (Some(new), Some(old)) = (new.first(), old.first())
        && new != old
    {
        errors.push(first().invalid("may not change once set"));
    }
    if old.len() > new.len() && new.len() == 1 && spec.text_of("ipFamilyPolicy") != "SingleStack" {
        errors.push(spec.child("ipFamilyPolicy").invalid("must be set to 'SingleStack' when releasing the secondary clusterIP"));
    }
}

fn families_update(spec: &FieldValue<'_>, before: &FieldValue<'_>, errors: &mut Errors) {
    if is_headless(spec.value) != is_headless(before.value) || is_headless(spec.value) {
        return;
    }
    let list = spec.child("ipFamilies");
    let first = FieldValue { value: list.value, path: list.path.index(0) };
    let ips_shown = spec.child("clusterIPs").renamed(first.path.clone());
    let (new, old): (Vec<&str>, Vec<&str>) = (spec.texts("ipFamilies").collect(), before.texts("ipFamilies").collect());
    if new.len() == old.len() {
        for _ in (0..old.len()).filter(|&i| new[i] != old[i]) {
            errors.push(first.invalid("may not change once set"));
        }
        return;
    }
    if old.len() > new.len() && spec.is_empty("clusterIPs") {
        errors.push(first.invalid("primary ipFamily can not be unset"));
    }
    if let (Some(new), Some(old)) = (new.first(), old.first())
        && new != old
    {
        errors.push(ips_shown.invalid("may not change once set"));
    }
    if old.len() > new.len() && new.len() == 1 && spec.text_of("ipFamilyPolicy") != "SingleStack" {
        errors.push(spec.child("ipFamilyPolicy").invalid("must be set to 'SingleStack' when releasing the secondary ipFamily"));
    }
}

fn load_balancer_class(spec: &FieldValue<'_>, before: Option<&FieldValue<'_>>, errors: &mut Errors) {
    let class = spec.child("loadBalancerClass");
    let balanced = spec.text_of("type") == "LoadBalancer";
    if let Some(before) = before.filter(|before| balanced && before.text_of("type") == "LoadBalancer")
        && before.child("loadBalancerClass").value != class.value
    {
        errors.push(class.invalid("may not change once set"));
    }
    if class.value.is_null() {
        return;
    }
    if balanced {
        errors.extend(name::is_qualified_name(class.text()).iter().map(|problem| class.invalid_as(class.text(), problem)));
    } else {
        errors.push(class.forbidden("may only be used when `type` is 'LoadBalancer'"));
    }
}

fn validate_service(service: &Value, old: Option<&Value>, errors: &mut Errors) {
    let root = FieldValue::root(service);
    let annotations = root.child("metadata").child("annotations");
    if let (Some(mode), Some(hints)) = (annotations.some(MODE), annotations.some(HINTS))
        && mode.value != hints.value
    {
        let at = mode.renamed(annotations.path.key(MODE));
        errors.push(at.invalid(&format!("must match annotations[{HINTS}] when both are specified")));
    }
    let spec = root.child("spec");
    let kind = spec.text_of("type");
    let headless = is_headless(spec.value);
    if spec.is_empty("ports") && !headless && kind != "ExternalName" {
        errors.push(spec.child("ports").required(""));
    }
    match kind {
        "LoadBalancer" | "NodePort" if headless => {
            let list = spec.child("clusterIPs");
            let at = FieldValue { value: list.value, path: list.path.index(0) };
            errors.push(at.invalid_as("None", &format!("may not be set to 'None' for {kind} services")));
        }
        "ExternalName" => external_name(&spec, errors),
        _ => {}
    }
    let many = spec.items("ports").count() > 1;
    let mut names = HashSet::new();
    for port in spec.items("ports") {
        service_port(&port, many, &mut names, errors);
    }
    labels(&spec.child("selector"), errors);
    affinity(&spec, errors);
    let before = old.map(|old| FieldValue::root(old).child("spec"));
    cluster_ips(&spec, before.as_ref(), errors);
    let stored: Vec<&str> = before.iter().flat_map(|before| before.texts("externalIPs")).collect();
    for ip in spec.items("externalIPs") {
        let before = errors.len();
        legacy_ip(&ip, &stored, errors);
        if errors.len() == before {
            endpoint_ip(&ip, errors);
        }
    }
    spec.child("type").one_of(&["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"], errors);
    ports_together(&spec, errors);
    source_ranges(&spec, &annotations, old, errors);
    let allocate = spec.child("allocateLoadBalancerNodePorts");
    if !allocate.value.is_null() && kind != "LoadBalancer" {
        errors.push(allocate.forbidden("may only be used when `type` is 'LoadBalancer'"));
    }
    load_balancer_class(&spec, None, errors);
    external_traffic(&spec, errors);
    let internal = spec.child("internalTrafficPolicy");
    if internal.value.is_null() {
        if matches!(kind, "NodePort" | "LoadBalancer" | "ClusterIP") {
            errors.push(internal.required(""));
        }
    } else if !matches!(internal.text(), "Cluster" | "Local") {
        errors.push(internal.unsupported(&["Cluster", "Local"]));
    }
    const DISTRIBUTIONS: [&str; 3] = ["PreferClose", "PreferSameZone", "PreferSameNode"];
    if let Some(distribution) = spec.some("trafficDistribution").filter(|distribution| !DISTRIBUTIONS.contains(&distribution.text())) {
        errors.push(distribution.unsupported(&DISTRIBUTIONS));
    }
}

fn external_name(spec: &FieldValue<'_>, errors: &mut Errors) {
    for name in ["clusterIPs", "ipFamilies"] {
        if !spec.is_empty(name) {
            errors.push(spec.child(name).forbidden("may not be set for ExternalName services"));
        }
    }
    if spec.has("ipFamilyPolicy") {
        errors.push(spec.child("ipFamilyPolicy").forbidden("may not be set for ExternalName services"));
    }
    let at = spec.child("externalName");
    let name = at.text().strip_suffix('.').unwrap_or(at.text());
    if name.is_empty() {
        errors.push(at.required(""));
    } else {
        errors.extend(name::is_dns1123_subdomain(name).iter().map(|problem| at.invalid_as(name, problem)));
    }
}

fn service_port<'a>(port: &FieldValue<'a>, require_name: bool, names: &mut HashSet<&'a str>, errors: &mut Errors) {
    let name = port.child("name");
    if !name.text().is_empty() {
        name.dns_label(errors);
        if !names.insert(name.text()) {
            errors.push(name.duplicate());
        }
    } else if require_name {
        errors.push(name.required(""));
    }
    let number = port.child("port");
    errors.extend(name::is_valid_port_num(number.int()).iter().map(|problem| number.invalid_as(number.int(), problem)));
    rules::check(&[PROTOCOL], port, None, errors);
    port_num_or_name(&port.child("targetPort"), errors);
    if let Some(protocol) = port.some("appProtocol") {
        errors.extend(name::is_qualified_name(protocol.text()).iter().map(|problem| protocol.invalid_as(protocol.text(), problem)));
    }
}

fn affinity(spec: &FieldValue<'_>, errors: &mut Errors) {
    let affinity = spec.child("sessionAffinity");
    affinity.one_of(&["ClientIP", "None"], errors);
    let config = spec.child("sessionAffinityConfig");
    match affinity.text() {
        "ClientIP" => {
            let seconds = config.child("clientIP").child("timeoutSeconds");
            if config.value.is_null() {
                errors.push(config.required("when session affinity type is ClientIP"));
            } else if !(1..=AFFINITY_SECONDS_MAX).contains(&seconds.int()) {
                errors.push(seconds.invalid(&format!("must be greater than 0 and less than {AFFINITY_SECONDS_MAX}")));
            }
        }
        "None" if !config.value.is_null() => errors.push(config.forbidden("must not be set when session affinity is None")),
        _ => {}
    }
}

/// What must hold of addresses and families before any is given out.
pub(crate) fn cluster_ip_errors(service: &Value, old: Option<&Value>) -> Errors {
    let mut errors = Errors::new();
    let before = old.map(|old| FieldValue::root(old).child("spec"));
    cluster_ips(&FieldValue::root(service).child("spec"), before.as_ref(), &mut errors);
    errors
}

fn cluster_ips(spec: &FieldValue<'_>, before: Option<&FieldValue<'_>>, errors: &mut Errors) {
    if spec.text_of("type") == "ExternalName" {
        return;
    }
    let list = spec.child("clusterIPs");
    let ips: Vec<&str> = spec.texts("clusterIPs").collect();
    match (spec.text_of("clusterIP"), ips.first()) {
        ("", None) => {}
        ("", Some(_)) => errors.push(list.invalid("must be empty when `clusterIP` is not specified")),
        (_, None) => errors.push(list.required("")),
        (ip, Some(first)) if *first != ip => errors.push(list.invalid("first value must match `clusterIP`")),
        _ => {}
    }
    let mut seen: HashSet<&str> = HashSet::new();
    for family in spec.items("ipFamilies") {
        rules::check_value(&[Rule::Enum(&["IPv4", "IPv6"])], &family, None, errors);
        if seen.contains(&family.text()) {
            errors.push(family.duplicate());
        }
        seen.insert(family.text());
    }
    const POLICIES: [&str; 3] = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    if let Some(policy) = spec.some("ipFamilyPolicy").filter(|policy| !POLICIES.contains(&policy.text())) {
        errors.push(policy.unsupported(&POLICIES));
    }
    let stored: Vec<&str> = before.iter().flat_map(|before| before.texts("clusterIPs")).collect();
    let mut bad = false;
    for (i, ip) in spec.items("clusterIPs").enumerate() {
        if i == 0 && ip.text() == "None" {
            if ips.len() > 1 {
                bad = true;
                errors.push(list.invalid("'None' must be the first and only value"));
            }
            continue;
        }
        let before = errors.len();
        legacy_ip(&ip, &stored, errors);
        bad |= errors.len() > before;
    }
    if ips.len() > 2 {
        errors.push(list.invalid("may only hold up to 2 values"));
    }
    if bad {
        return;
    }
    let parsed: Vec<Option<IpAddr>> = ips.iter().map(|ip| parse_ip_sloppy(ip).map(|ip| ip.to_canonical())).collect();
    if ips.len() > 1 {
        let six = parsed.iter().flatten().filter(|ip| ip.is_ipv6()).count();
        if six == 0 || six == ips.len() {
            errors.push(list.invalid("may specify no more than one IP for each IP family"));
        }
    }
    if is_headless(spec.value) {
        return;
    }
    for (i, (ip, family)) in parsed.iter().zip(spec.texts("ipFamilies")).enumerate() {
        let Some(ip) = ip else { continue };
        if (family == "IPv4" && ip.is_ipv6()) || (family == "IPv6" && ip.is_ipv4()) {
            let at = FieldValue { value: list.value, path: list.path.index(i) };
            errors.push(at.invalid_as(ips[i], &format!("expected an {family} value as indicated by `ipFamilies[{i}]`")));
        }
    }
}

fn ports_together(spec: &FieldValue<'_>, errors: &mut Errors) {
    if spec.text_of("type") == "ClusterIP" {
        for port in spec.items("ports").map(|port| port.child("nodePort")).filter(|port| port.int() != 0) {
            errors.push(port.forbidden("may not be used when `type` is 'ClusterIP'"));
        }
    }
    let key = |port: &FieldValue<'_>, name: &str| (port.child("protocol").text().to_owned(), port.child(name).int());
    let mut taken = HashSet::new();
    for port in spec.items("ports").filter(|port| port.child("nodePort").int() != 0) {
        let key = key(&port, "nodePort");
        if taken.contains(&key) {
            errors.push(port.child("nodePort").duplicate());
        }
        taken.insert(key);
    }
    let mut taken = HashSet::new();
    for port in spec.items("ports") {
        let key = key(&port, "port");
        if taken.contains(&key) {
            let shown = format!(
                "{{\"Name\":\"\",\"Protocol\":\"{}\",\"AppProtocol\":null,\"Port\":{},\"TargetPort\":0,\"NodePort\":0}}",
                key.0, key.1
            );
            errors.push(apimachinery::field::Error {
                kind: apimachinery::field::ErrorType::Duplicate,
                field: port.path.to_string(),
                body: format!("Duplicate value: {shown}"),
                value: None,
            });
        }
        taken.insert(key);
    }
}

fn source_ranges(spec: &FieldValue<'_>, annotations: &FieldValue<'_>, old: Option<&Value>, errors: &mut Errors) {
    const ONLY: &str = "may only be used when `type` is 'LoadBalancer'";
    let balanced = spec.text_of("type") == "LoadBalancer";
    if !spec.is_empty("loadBalancerSourceRanges") {
        let at = spec.child("LoadBalancerSourceRanges");
        if !balanced {
            errors.push(at.forbidden(ONLY));
        }
        let before = old.map(|old| FieldValue::root(old).child("spec"));
        let stored: Vec<&str> = before.iter().flat_map(|before| before.texts("loadBalancerSourceRanges")).map(str::trim).collect();
        for (i, range) in spec.texts("loadBalancerSourceRanges").enumerate() {
            let value = Value::from(range.trim());
            legacy_cidr(&FieldValue { value: &value, path: at.path.index(i) }, &stored, errors);
        }
    } else if let Some(ranges) = annotations.some(SOURCE_RANGES) {
        let path = annotations.path.key(SOURCE_RANGES);
        if !balanced {
            errors.push(ranges.renamed(path.clone()).forbidden(ONLY));
        }
        let same = old.and_then(|old| old.pointer("/metadata/annotations")).and_then(|old| old.get(SOURCE_RANGES)) == Some(ranges.value);
        for range in ranges.text().trim().split(',').filter(|_| !same && !ranges.text().trim().is_empty()) {
            let value = Value::from(range.trim());
            legacy_cidr(&FieldValue { value: &value, path: path.clone() }, &[], errors);
        }
    }
}

fn external_traffic(spec: &FieldValue<'_>, errors: &mut Errors) {
    let policy = spec.child("externalTrafficPolicy");
    if externally_accessible(spec.value) {
        policy.one_of(&["Cluster", "Local"], errors);
    } else if !policy.text().is_empty() {
        errors.push(policy.invalid("may only be set for externally-accessible services"));
    }
    let port = spec.child("healthCheckNodePort");
    if !needs_health_check(spec.value) {
        if port.int() != 0 {
            errors.push(port.invalid("may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"));
        }
    } else if port.int() != 0 {
        port.problems(name::is_valid_port_num(port.int()), errors);
    }
}

/// A changed status: only what is balanced has ingress points.
pub(crate) fn validate_status(_: &Resource, _: &str, service: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(service, old, &mut errors);
    let root = FieldValue::root(service);
    let at = root.child("status").child("loadBalancer");
    if root.child("spec").text_of("type") != "LoadBalancer" {
        if !at.is_empty("ingress") {
            errors.push(at.child("ingress").forbidden("may only be used when `spec.type` is 'LoadBalancer'"));
        }
        return errors;
    }
    let before = FieldValue::root(old).child("status").child("loadBalancer");
    let stored: Vec<&str> = before.items("ingress").map(|ingress| value::text(ingress.value, "ip")).collect();
    for ingress in at.items("ingress") {
        let (ip, mode, hostname) = (ingress.child("ip"), ingress.child("ipMode"), ingress.child("hostname"));
        if !ip.text().is_empty() {
            legacy_ip(&ip, &stored, &mut errors);
        }
        match (mode.value.is_null(), ip.text().is_empty()) {
            (true, false) => errors.push(mode.required("must be specified when `ip` is set")),
            (false, true) => errors.push(mode.forbidden("may not be specified when `ip` is not set")),
            (false, false) if !matches!(mode.text(), "Proxy" | "VIP") => errors.push(mode.unsupported(&["Proxy", "VIP"])),
            _ => {}
        }
        if !hostname.text().is_empty() {
            hostname.dns_subdomain(&mut errors);
            if parse_ip_sloppy(hostname.text()).is_some() {
                errors.push(hostname.invalid("must be a DNS name, not an IP address"));
            }
        }
    }
    errors
}
