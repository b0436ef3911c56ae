//! What a table shows of a Service (upstream: `pkg/printers/internalversion/printers.go`).

use std::collections::BTreeSet;

use serde_json::Value;

use crate::shared::cell::{self, NONE, age, at, cells, int, items, join, labels, name, or_none, text, text_or};

pub(crate) fn row(service: &Value, now: i64) -> Vec<Value> {
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
        _ => cell::UNKNOWN.to_owned(),
    }
}

/// Addresses and names of the load balancer, sorted.
pub(crate) fn load_balancer(object: &Value) -> String {
    let ingress = items(object, "/status/loadBalancer/ingress").iter();
    let addresses: BTreeSet<&str> =
        ingress.map(|ingress| text_or(ingress, "/ip", text(ingress, "/hostname"))).filter(|a| !a.is_empty()).collect();
    join(addresses, ",")
}
