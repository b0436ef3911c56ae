//! `spec.ports[*].nodePort` and `spec.healthCheckNodePort`: which ports of nodes a Service takes and gives back.
//!
//! Which are taken says the cluster's `RangeAllocation` ([`RANGE`]), which is read before a choice and changed in the transaction that
//! writes the Service.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use apimachinery::Status;
use apimachinery::field::{Error, Path};
use objectstore::RangeAllocation;
use registry::range_change::{MISMATCH, RangeChange};
use serde_json::Value;

use crate::invalid::invalid;
use crate::plan::Plan;
use crate::range::{Band, reserved};
use crate::service_ranges::ServiceRanges;
use crate::spec::{has_node_ports, int, list, needs_health_check, spec_mut, text};

/// The name of the range in the store; upstream's.
pub(crate) const RANGE: &str = "servicenodeports";

/// Upstream's `ErrAllocated`.
const ALLOCATED: &str = "provided port is already allocated";

/// What ports there are to give.
pub(crate) struct Pool<'a> {
    range: RangeInclusive<u16>,
    allocation: &'a RangeAllocation,
    allocated_count: usize,
    is_ours: bool,
}

impl<'a> Pool<'a> {
    /// The operator's range, of which those of `allocation` are taken.
    pub(crate) fn new(ranges: &ServiceRanges, allocation: &'a RangeAllocation) -> Self {
        Self {
            range: ranges.node_ports.clone(),
            allocation,
            allocated_count: allocation.taken().count(),
            is_ours: allocation.range == ranges.node_ports_text(),
        }
    }

    fn has(&self, port: u16) -> bool {
        self.allocation.has(usize::from(port - self.range.start()))
    }

    fn given(&self, port: i64, taken: &HashSet<u16>) -> Result<u16, String> {
        let found = u16::try_from(port).ok().filter(|port| self.range.contains(port));
        let port = found.ok_or_else(|| {
            let (first, last) = (self.range.start(), self.range.end());
            format!("provided port is not in the valid range. The range of valid ports is {first}-{last}")
        })?;
        match () {
            () if !self.is_ours => Err(MISMATCH.to_owned()),
            () if self.has(port) || taken.contains(&port) => Err(ALLOCATED.to_owned()),
            () => Ok(port),
        }
    }

    fn any(&self, taken: &HashSet<u16>) -> Result<u16, &'static str> {
        if !self.is_ours {
            return Err(MISMATCH);
        }
        let count = u128::from(self.range.end() - self.range.start()) + 1;
        let band = Band { count, reserved: reserved(count, 32, 16, 128) };
        let port = |offset: u128| self.range.start() + offset as u16;
        let is_taken = |offset| self.has(port(offset)) || taken.contains(&port(offset));
        let random = uuid::Uuid::new_v4().as_u128();
        band.choose(random, self.allocated_count + taken.len(), is_taken).map(port).ok_or("range is full")
    }
}

/// What a write does to the range; none where it takes nothing and gives nothing back.
pub(crate) fn change(ranges: &ServiceRanges, plan: &Plan) -> Option<RangeChange> {
    if plan.ports_taken.is_empty() && plan.ports_released.is_empty() {
        return None;
    }
    let offset = |port: &u16| ranges.node_ports.contains(port).then(|| usize::from(port - ranges.node_ports.start()));
    let taken = plan.ports_taken.iter().filter_map(offset).collect();
    // What another port of the same Service takes at the same time stays.
    let released = plan.ports_released.iter().filter(|port| !plan.ports_taken.contains(port)).filter_map(offset).collect();
    Some(RangeChange { name: RANGE, range: ranges.node_ports_text(), taken, released })
}

/// Ports that a Service has been given.
pub(crate) fn held(service: &Value) -> Vec<u16> {
    let spec = &service["spec"];
    let mut ports: Vec<u16> = node_ports(spec).into_iter().filter_map(|port| u16::try_from(port).ok()).collect();
    if needs_health_check(spec) {
        ports.extend(u16::try_from(int(spec, "healthCheckNodePort")).ok().filter(|port| *port != 0));
    }
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn node_ports(spec: &Value) -> Vec<i64> {
    list(spec, "ports").iter().map(|port| int(port, "nodePort")).filter(|port| *port != 0).collect()
}

/// Fills in node ports, and says what is taken and given back.
pub(crate) fn plan(pool: &Pool<'_>, service: &mut Value, old: Option<&Value>, plan: &mut Plan) -> Result<(), Status> {
    let old = old.map(|old| &old["spec"]);
    if has_node_ports(&service["spec"]) {
        match old {
            None => take_for_new(pool, service, &mut plan.ports_taken)?,
            Some(old) => take_for_changed(pool, service, old, &mut plan.ports_taken)?,
        }
    }
    let spec = &service["spec"];
    if let Some(old) = old {
        let kept: HashSet<i64> = if has_node_ports(spec) { node_ports(spec).into_iter().collect() } else { HashSet::new() };
        let gone = node_ports(old).into_iter().filter(|port| has_node_ports(old) && !kept.contains(port));
        plan.ports_released.extend(gone.filter_map(|port| u16::try_from(port).ok()));
    }
    let needed = old.is_some_and(needs_health_check);
    if needs_health_check(spec) && !needed {
        take_health_check(pool, service, &mut plan.ports_taken)?;
    } else if let (true, false, Some(old)) = (needed, needs_health_check(spec), old) {
        plan.ports_released.extend(u16::try_from(int(old, "healthCheckNodePort")).ok().filter(|port| *port != 0));
    }
    plan.ports_released.sort_unstable();
    plan.ports_released.dedup();
    Ok(())
}

fn allocates(spec: &Value) -> bool {
    text(spec, "type") == "NodePort" || spec.get("allocateLoadBalancerNodePorts").and_then(Value::as_bool).unwrap_or(true)
}

/// Ports of one number (of two protocols) share a node port.
fn take_for_new(pool: &Pool<'_>, service: &mut Value, taken: &mut HashSet<u16>) -> Result<(), Status> {
    let allocates = allocates(&service["spec"]);
    let mut of_port: HashMap<i64, i64> = HashMap::new();
    let mut requested: HashMap<i64, i64> = HashMap::new();
    for port in list(&service["spec"], "ports").iter().filter(|port| int(port, "nodePort") != 0) {
        requested.entry(int(port, "port")).or_insert(int(port, "nodePort"));
    }
    for i in 0..list(&service["spec"], "ports").len() {
        let ports = list(&service["spec"], "ports");
        let (number, asked) = (int(&ports[i], "port"), int(&ports[i], "nodePort"));
        if asked == 0 && !allocates {
            continue;
        }
        match of_port.get(&number) {
            Some(shared) if asked == 0 => set_node_port(service, i, *shared),
            Some(shared) if *shared == asked => {}
            Some(_) => take_given(pool, service, i, asked, taken)?,
            None => {
                let node_port = match requested.get(&number).copied() {
                    Some(requested) => {
                        take_given(pool, service, i, requested, taken)?;
                        requested
                    }
                    None => take_any(pool, taken)?,
                };
                set_node_port(service, i, node_port);
                of_port.insert(number, node_port);
            }
        }
    }
    Ok(())
}

fn take_for_changed(pool: &Pool<'_>, service: &mut Value, old: &Value, taken: &mut HashSet<u16>) -> Result<(), Status> {
    let allocates = allocates(&service["spec"]);
    let had: HashSet<i64> = if has_node_ports(old) { node_ports(old).into_iter().collect() } else { HashSet::new() };
    let mut seen: HashSet<(String, i64)> = HashSet::new();
    for i in 0..list(&service["spec"], "ports").len() {
        let port = &list(&service["spec"], "ports")[i];
        let (protocol, asked) = (text(port, "protocol").to_owned(), int(port, "nodePort"));
        if asked == 0 && !allocates {
            continue;
        }
        let node_port = if asked == 0 {
            let chosen = take_any(pool, taken)?;
            set_node_port(service, i, chosen);
            chosen
        } else {
            if !had.contains(&asked) && !u16::try_from(asked).is_ok_and(|asked| taken.contains(&asked)) {
                take_given(pool, service, i, asked, taken)?;
            }
            asked
        };
        if !seen.insert((protocol.clone(), node_port)) {
            return Err(Status::unknown(format!("duplicate nodePort: {{{protocol} {node_port}}}")));
        }
    }
    Ok(())
}

fn take_given(pool: &Pool<'_>, service: &Value, i: usize, port: i64, taken: &mut HashSet<u16>) -> Result<(), Status> {
    let port = pool.given(port, taken).map_err(|why| refused(service, i, port, &why))?;
    taken.insert(port);
    Ok(())
}

fn take_any(pool: &Pool<'_>, taken: &mut HashSet<u16>) -> Result<i64, Status> {
    let port = pool.any(taken).map_err(|why| Status::internal(format!("failed to allocate a nodePort: {why}")))?;
    taken.insert(port);
    Ok(port.into())
}

fn take_health_check(pool: &Pool<'_>, service: &mut Value, taken: &mut HashSet<u16>) -> Result<(), Status> {
    let asked = int(&service["spec"], "healthCheckNodePort");
    let port = if asked != 0 {
        pool.given(asked, taken).map_err(|why| health_check_refused(asked, &why))?
    } else {
        pool.any(taken).map_err(|why| Status::internal(format!("failed to allocate a HealthCheck NodePort 0: {why}")))?
    };
    taken.insert(port);
    spec_mut(service).insert("healthCheckNodePort".into(), port.into());
    Ok(())
}

fn set_node_port(service: &mut Value, i: usize, port: i64) {
    service["spec"]["ports"][i]["nodePort"] = port.into();
}

fn refused(service: &Value, i: usize, port: i64, why: &str) -> Status {
    invalid(service, &[Error::invalid(&Path::new("spec").child("ports").index(i).child("nodePort"), port, why)])
}

fn health_check_refused(port: i64, why: &str) -> Status {
    Status::internal(format!("failed to allocate requested HealthCheck NodePort {port}: {why}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn planned(spec: Value, old: Option<Value>) -> Result<(Vec<i64>, Vec<u16>, Vec<u16>), String> {
        planned_of(&RangeAllocation::new("30000-30003"), spec, old)
    }

    fn planned_of(allocation: &RangeAllocation, spec: Value, old: Option<Value>) -> Result<(Vec<i64>, Vec<u16>, Vec<u16>), String> {
        let ranges = ServiceRanges::new(["10.0.0.0/24"], 30000..=30003).expect("a network");
        let pool = Pool::new(&ranges, allocation);
        let mut service = json!({ "metadata": { "name": "s" }, "spec": spec });
        let old = old.map(|spec| json!({ "metadata": { "name": "s" }, "spec": spec }));
        let mut done = Plan::default();
        plan(&pool, &mut service, old.as_ref(), &mut done).map_err(|status| status.message)?;
        let mut taken: Vec<u16> = done.ports_taken.into_iter().collect();
        taken.sort_unstable();
        Ok((node_ports(&service["spec"]), taken, done.ports_released))
    }

    #[test]
    fn ports_are_taken_and_given_back() {
        let spec = |kind: &str, ports: Value| json!({ "type": kind, "ports": ports });
        let given = spec("NodePort", json!([{ "port": 80, "nodePort": 30001, "protocol": "TCP" }]));
        let moved = spec("NodePort", json!([{ "port": 80, "nodePort": 30002, "protocol": "TCP" }]));
        let shared = spec("NodePort", json!([{ "port": 53, "protocol": "TCP" }, { "port": 53, "nodePort": 30003, "protocol": "UDP" }]));
        let off = json!({ "type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "ports": [{ "port": 80 }] });
        for (spec, old, ports, taken, released) in [
            (given.clone(), None, vec![30001], vec![30001], vec![]),
            (shared, None, vec![30003, 30003], vec![30003], vec![]),
            (off, None, vec![], vec![], vec![]),
            (spec("ClusterIP", json!([{ "port": 80 }])), None, vec![], vec![], vec![]),
            (moved, Some(given.clone()), vec![30002], vec![30002], vec![30001]),
            (given.clone(), Some(given.clone()), vec![30001], vec![], vec![]),
            (spec("ClusterIP", json!([{ "port": 80 }])), Some(given.clone()), vec![], vec![], vec![30001]),
            (given.clone(), Some(spec("ClusterIP", json!([{ "port": 80 }]))), vec![30001], vec![30001], vec![]),
        ] {
            assert_eq!(planned(spec.clone(), old.clone()), Ok((ports, taken, released)), "{spec} {old:?}");
        }
        let (mut ports, taken, _) = planned(spec("NodePort", json!([{ "port": 1 }, { "port": 2 }])), None).expect("there are four");
        ports.sort_unstable();
        assert_eq!(ports, taken.iter().map(|port| i64::from(*port)).collect::<Vec<_>>());
        assert_ne!(ports[0], ports[1]);
    }

    #[test]
    fn ports_are_refused_in_upstreams_words() {
        let ports = |list: Value| json!({ "type": "NodePort", "ports": list });
        let invalid =
            |i: usize, port: i64, why: &str| format!("Service \"s\" is invalid: spec.ports[{i}].nodePort: Invalid value: {port}: {why}");
        let range = "provided port is not in the valid range. The range of valid ports is 30000-30003";
        for (spec, want) in [
            (ports(json!([{ "port": 80, "nodePort": 80 }])), invalid(0, 80, range)),
            (ports(json!([{ "port": 80, "nodePort": -1 }])), invalid(0, -1, range)),
            (ports(json!([{ "port": 80, "nodePort": 70000 }])), invalid(0, 70000, range)),
            (ports(json!([{ "port": 80, "nodePort": 30001 }, { "port": 81, "nodePort": 30001 }])), invalid(1, 30001, ALLOCATED)),
            (
                ports(json!([{ "port": 1 }, { "port": 2 }, { "port": 3 }, { "port": 4 }, { "port": 5 }])),
                "Internal error occurred: failed to allocate a nodePort: range is full".to_owned(),
            ),
        ] {
            assert_eq!(planned(spec.clone(), None), Err(want), "{spec}");
        }
    }

    #[test]
    fn what_the_cluster_has_given_out_is_taken() {
        let ports = |list: Value| json!({ "type": "NodePort", "ports": list });
        let mut allocation = RangeAllocation::new("30000-30003");
        [0, 1, 3].into_iter().for_each(|offset| allocation.take(offset));
        assert_eq!(planned_of(&allocation, ports(json!([{ "port": 80 }])), None), Ok((vec![30002], vec![30002], vec![])));
        let invalid = |port: i64, why: &str| Err(format!("Service \"s\" is invalid: spec.ports[0].nodePort: Invalid value: {port}: {why}"));
        assert_eq!(planned_of(&allocation, ports(json!([{ "port": 80, "nodePort": 30001 }])), None), invalid(30001, ALLOCATED));
        let others = RangeAllocation::new("20000-20003");
        assert_eq!(planned_of(&others, ports(json!([{ "port": 80, "nodePort": 30001 }])), None), invalid(30001, MISMATCH));
        let internal = format!("Internal error occurred: failed to allocate a nodePort: {MISMATCH}");
        assert_eq!(planned_of(&others, ports(json!([{ "port": 80 }])), None), Err(internal));
    }

    #[test]
    fn a_port_that_moves_within_a_service_is_not_given_back() {
        let ranges = ServiceRanges::new(["10.0.0.0/24"], 30000..=30003).expect("a network");
        let plan = Plan { ports_taken: [30001, 30002].into(), ports_released: vec![30001, 30003, 80], ..Plan::default() };
        let change = change(&ranges, &plan).expect("something changes");
        assert_eq!((change.taken.len(), change.released), (2, vec![3]));
        assert_eq!(super::change(&ranges, &Plan::default()), None);
    }
}
