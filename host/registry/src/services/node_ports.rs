//! `spec.ports[*].nodePort` and `spec.healthCheckNodePort`: which ports of nodes a Service takes and gives back.
//!
//! A port that is taken is a key below the root, in nobody's cache, whose value names the Service.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Mutex;

use apimachinery::Status;
use apimachinery::field::{Error, Path};
use serde_json::{Value, json};
use storage::Operation;

use super::in_use::InUse;
use super::range::{Band, reserved};
use super::spec::{has_node_ports, int, list, needs_health_check, spec_mut, text};
use super::{Plan, invalid, owner_of};
use crate::{Registry, error};

/// Upstream's `ErrAllocated`.
const ALLOCATED: &str = "provided port is already allocated";

/// What a port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The Service's port at this place.
    Port(usize),
    HealthCheck,
}

/// A port that a Service takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) port: u16,
    purpose: Purpose,
    /// The client asked for this very port.
    given: bool,
}

/// The ports that one write of a Service takes.
#[derive(Debug, Default)]
pub(crate) struct TakenPorts {
    list: Vec<Taken>,
    ports: HashSet<u16>,
}

impl TakenPorts {
    fn push(&mut self, taken: Taken) {
        self.ports.insert(taken.port);
        self.list.push(taken);
    }

    fn has(&self, port: u16) -> bool {
        self.ports.contains(&port)
    }

    /// In the order in which they were taken.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Taken> {
        self.list.iter()
    }
}

/// What ports there are to give.
pub(crate) struct Pool<'a> {
    pub(crate) range: RangeInclusive<u16>,
    pub(crate) in_use: &'a InUse,
}

impl Pool<'_> {
    fn given(&self, port: i64, taken: &TakenPorts) -> Result<u16, String> {
        let found = u16::try_from(port).ok().filter(|port| self.range.contains(port));
        let port = found.ok_or_else(|| {
            let (first, last) = (self.range.start(), self.range.end());
            format!("provided port is not in the valid range. The range of valid ports is {first}-{last}")
        })?;
        if self.in_use.has_port(port) || taken.has(port) { Err(ALLOCATED.to_owned()) } else { Ok(port) }
    }

    fn any(&self, taken: &TakenPorts) -> Result<u16, &'static str> {
        let count = u128::from(self.range.end() - self.range.start()) + 1;
        let band = Band { count, reserved: reserved(count, 32, 16, 128) };
        let port = |offset: u128| self.range.start() + offset as u16;
        let is_taken = |offset| self.in_use.has_port(port(offset)) || taken.has(port(offset));
        let random = uuid::Uuid::new_v4().as_u128();
        band.choose(random, self.in_use.port_count() + taken.list.len(), is_taken).map(port).ok_or("range is full")
    }
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
fn take_for_new(pool: &Pool<'_>, service: &mut Value, taken: &mut TakenPorts) -> Result<(), Status> {
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
                    None => take_any(pool, i, taken)?,
                };
                set_node_port(service, i, node_port);
                of_port.insert(number, node_port);
            }
        }
    }
    Ok(())
}

fn take_for_changed(pool: &Pool<'_>, service: &mut Value, old: &Value, taken: &mut TakenPorts) -> Result<(), Status> {
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
            let chosen = take_any(pool, i, taken)?;
            set_node_port(service, i, chosen);
            chosen
        } else {
            if !had.contains(&asked) && !u16::try_from(asked).is_ok_and(|asked| taken.has(asked)) {
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

fn take_given(pool: &Pool<'_>, service: &Value, i: usize, port: i64, taken: &mut TakenPorts) -> Result<(), Status> {
    let port = pool.given(port, taken).map_err(|why| refused(service, i, port, &why))?;
    taken.push(Taken { port, purpose: Purpose::Port(i), given: true });
    Ok(())
}

fn take_any(pool: &Pool<'_>, i: usize, taken: &mut TakenPorts) -> Result<i64, Status> {
    let port = pool.any(taken).map_err(|why| Status::internal(format!("failed to allocate a nodePort: {why}")))?;
    taken.push(Taken { port, purpose: Purpose::Port(i), given: false });
    Ok(port.into())
}

fn take_health_check(pool: &Pool<'_>, service: &mut Value, taken: &mut TakenPorts) -> Result<(), Status> {
    let asked = int(&service["spec"], "healthCheckNodePort");
    let given = asked != 0;
    let port = if given {
        pool.given(asked, taken).map_err(|why| health_check_refused(asked, &why))?
    } else {
        pool.any(taken).map_err(|why| Status::internal(format!("failed to allocate a HealthCheck NodePort 0: {why}")))?
    };
    taken.push(Taken { port, purpose: Purpose::HealthCheck, given });
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

fn store_key(registry: &Registry, port: u16) -> String {
    format!("{}wasmgate.dev/nodeports/{port}", registry.caches().root())
}

/// Writes the port's key. One that a client asks for may have been left behind by a Service that is gone; it is taken over.
pub(crate) async fn creation(
    registry: &Registry,
    service: &Value,
    taken: &Taken,
    range: &RangeInclusive<u16>,
    in_use: &Mutex<InUse>,
) -> Result<Operation, Status> {
    debug_assert!(range.contains(&taken.port), "only ports of the range are given out");
    let key = store_key(registry, taken.port);
    let value = json!({ "service": owner_of(service) }).to_string().into();
    if !taken.given {
        return Ok(Operation::create(key, value));
    }
    let (stored, _) = registry.caches().storage().get(&key).await.map_err(error::read)?;
    let Some(stored) = stored else { return Ok(Operation::create(key, value)) };
    // The index knows all Services up to its cursor, and none of them has the port.
    let known_up_to = in_use.lock().unwrap_or_else(std::sync::PoisonError::into_inner).cursor();
    if stored.mod_revision <= known_up_to {
        return Ok(Operation::update(key, stored.mod_revision, value));
    }
    Err(match taken.purpose {
        Purpose::Port(i) => refused(service, i, taken.port.into(), ALLOCATED),
        Purpose::HealthCheck => health_check_refused(taken.port.into(), ALLOCATED),
    })
}

/// Removes the port's key, if it is this Service's.
pub(crate) async fn release(registry: &Registry, service: &Value, port: u16) -> Result<Option<Operation>, Status> {
    let key = store_key(registry, port);
    let (stored, _) = registry.caches().storage().get(&key).await.map_err(error::read)?;
    let owner = owner_of(service);
    let is_ours = |value: &[u8]| serde_json::from_slice::<Value>(value).is_ok_and(|value| value["service"] == *owner);
    Ok(stored.filter(|stored| is_ours(&stored.value)).map(|stored| Operation::delete(key, stored.mod_revision)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(spec: Value, old: Option<Value>) -> Result<(Vec<i64>, Vec<u16>, Vec<u16>), String> {
        let in_use = InUse::default();
        let pool = Pool { range: 30000..=30003, in_use: &in_use };
        let mut service = json!({ "metadata": { "name": "s" }, "spec": spec });
        let old = old.map(|spec| json!({ "metadata": { "name": "s" }, "spec": spec }));
        let mut done = Plan::default();
        plan(&pool, &mut service, old.as_ref(), &mut done).map_err(|status| status.message)?;
        let taken = done.ports_taken.iter().map(|taken| taken.port).collect();
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
        let (ports, taken, _) = planned(spec("NodePort", json!([{ "port": 1 }, { "port": 2 }])), None).expect("there are four");
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
}
