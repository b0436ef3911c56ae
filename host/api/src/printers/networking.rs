//! Services and what leads to them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::cell::{NONE, UNSET, age, at, cells, first_three, int, items, join, labels, name, or_none, selector, some, text, text_or};

const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";
const HOSTS_SHOWN: usize = 3;

pub(super) fn service(service: &Value, now: i64) -> Vec<Value> {
    let port = |port: &Value| {
        let (number, protocol) = (int(port, "/port"), text(port, "/protocol"));
        match int(port, "/nodePort") {
            node_port @ 1.. => format!("{number}:{node_port}/{protocol}"),
            _ => format!("{number}/{protocol}"),
        }
    };
    let ports: Vec<String> = items(service, "/spec/ports").iter().map(port).collect();
    cells![
        name(service),
        text(service, "/spec/type"),
        at(service, "/spec/clusterIPs/0").as_str().unwrap_or(NONE),
        external_address(service),
        or_none(ports.join(",")),
        age(service, now),
        labels(service, "/spec/selector"),
    ]
}

fn external_address(service: &Value) -> String {
    let given = join(items(service, "/spec/externalIPs").iter().filter_map(Value::as_str), ",");
    match text(service, "/spec/type") {
        "ClusterIP" | "NodePort" => or_none(given),
        "LoadBalancer" => match (load_balancer(service), given) {
            (balancer, given) if balancer.is_empty() && given.is_empty() => "<pending>".to_owned(),
            (balancer, given) if given.is_empty() => balancer,
            (balancer, given) if balancer.is_empty() => given,
            (balancer, given) => format!("{balancer},{given}"),
        },
        "ExternalName" => text(service, "/spec/externalName").to_owned(),
        _ => super::cell::UNKNOWN.to_owned(),
    }
}

/// Addresses and names of the load balancer, sorted.
fn load_balancer(object: &Value) -> String {
    let ingress = items(object, "/status/loadBalancer/ingress").iter();
    let addresses: BTreeSet<&str> =
        ingress.map(|ingress| text_or(ingress, "/ip", text(ingress, "/hostname"))).filter(|a| !a.is_empty()).collect();
    join(addresses, ",")
}

pub(super) fn endpoints(endpoints: &Value, now: i64) -> Vec<Value> {
    let subsets = items(endpoints, "/subsets");
    let mut addresses = Vec::new();
    for subset in subsets {
        let ips = || items(subset, "/addresses").iter().map(|address| text(address, "/ip"));
        match items(subset, "/ports") {
            // A headless service needs no ports.
            [] => addresses.extend(ips().map(str::to_owned)),
            ports => addresses.extend(ports.iter().flat_map(|port| ips().map(|ip| host_and_port(ip, int(port, "/port"))))),
        }
    }
    let shown = if subsets.is_empty() { NONE.to_owned() } else { first_three(&addresses) };
    cells![name(endpoints), shown, age(endpoints, now)]
}

fn host_and_port(host: &str, port: i64) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

pub(super) fn endpoint_slice(slice: &Value, now: i64) -> Vec<Value> {
    let port = |port: &Value| match (at(port, "/port").as_i64(), at(port, "/name").as_str()) {
        (Some(number), _) => number.to_string(),
        (None, Some(name)) => name.to_owned(),
        (None, None) => "*".to_owned(),
    };
    let ports: Vec<String> = items(slice, "/ports").iter().map(port).collect();
    let addresses = items(slice, "/endpoints").iter().flat_map(|endpoint| items(endpoint, "/addresses"));
    let addresses: Vec<String> = addresses.filter_map(Value::as_str).map(str::to_owned).collect();
    let or_unset = |shown: String| if shown.is_empty() { UNSET.to_owned() } else { shown };
    cells![name(slice), text(slice, "/addressType"), or_unset(first_three(&ports)), or_unset(first_three(&addresses)), age(slice, now)]
}

pub(super) fn ingress(ingress: &Value, now: i64) -> Vec<Value> {
    cells![
        name(ingress),
        at(ingress, "/spec/ingressClassName").as_str().unwrap_or(NONE),
        hosts(items(ingress, "/spec/rules")),
        load_balancer(ingress),
        if items(ingress, "/spec/tls").is_empty() { "80" } else { "80, 443" },
        age(ingress, now),
    ]
}

/// Upstream counts rules, not hosts, for what is left out.
fn hosts(rules: &[Value]) -> String {
    let mut shown = Vec::new();
    let mut more = false;
    for rule in rules {
        more |= shown.len() == HOSTS_SHOWN;
        match text(rule, "/host") {
            "" => {}
            host if !more => shown.push(host),
            _ => {}
        }
    }
    match shown.join(",") {
        hosts if hosts.is_empty() => "*".to_owned(),
        hosts if more => format!("{hosts} + {} more...", rules.len() - HOSTS_SHOWN),
        hosts => hosts,
    }
}

pub(super) fn ingress_class(class: &Value, now: i64) -> Vec<Value> {
    let is_default = at(class, "/metadata/annotations").get(DEFAULT_CLASS).is_some_and(|value| value == "true");
    let shown = if is_default { format!("{} (default)", name(class)) } else { name(class).to_owned() };
    let parameters = some(class, "/spec/parameters").map_or_else(
        || NONE.to_owned(),
        |parameters| {
            let kind = text(parameters, "/kind");
            match at(parameters, "/apiGroup").as_str() {
                Some(group) => format!("{kind}.{group}/{}", text(parameters, "/name")),
                None => format!("{kind}/{}", text(parameters, "/name")),
            }
        },
    );
    cells![shown, text(class, "/spec/controller"), parameters, age(class, now)]
}

pub(super) fn network_policy(policy: &Value, now: i64) -> Vec<Value> {
    cells![name(policy), selector(policy, "/spec/podSelector"), age(policy, now)]
}

pub(super) fn service_cidr(range: &Value, now: i64) -> Vec<Value> {
    cells![name(range), join(items(range, "/spec/cidrs").iter().filter_map(Value::as_str), ","), age(range, now)]
}

/// The age has no column: upstream's slip, which clients can see.
pub(super) fn ip_address(address: &Value, now: i64) -> Vec<Value> {
    let parent = some(address, "/spec/parentRef").map_or_else(
        || NONE.to_owned(),
        |parent| {
            let mut shown = text(parent, "/resource").to_owned();
            for (before, part) in [(".", "/group"), ("/", "/namespace")] {
                match text(parent, part) {
                    "" => {}
                    part => shown = format!("{shown}{before}{part}"),
                }
                if part == "/group" {
                    shown = shown.to_lowercase();
                }
            }
            format!("{shown}/{}", text(parent, "/name"))
        },
    );
    cells![name(address), parent, age(address, now)]
}
