//! `spec.clusterIP` and `spec.clusterIPs`: which addresses a Service takes and gives back, and the IPAddress objects that stand for them.

use std::net::IpAddr;

use apimachinery::Status;
use apimachinery::field::{Error, Path};
use apimachinery::object;
use apimachinery::validation::ip::parse_ip_sloppy;
use registry::{Registry, Request, error, timestamp};
use serde_json::{Value, json};
use storage::Operation;

use crate::families;
use crate::family::Family;
use crate::invalid::invalid;
use crate::plan::Plan;
use crate::range::AddressRange;
use crate::spec::{is_external, is_headless, list, spec_mut, text, texts};

/// Upstream's `ErrMismatchedNetwork`.
const OUT_OF_RANGE: &str = "the provided network does not match the current range";
/// Upstream's `ErrAllocated`.
const ALLOCATED: &str = "provided IP is already allocated";

/// What addresses there are to give.
pub(crate) struct Pool<'a> {
    pub(crate) ranges: &'a [AddressRange],
    pub(crate) is_taken: &'a dyn Fn(IpAddr) -> bool,
    pub(crate) taken_count: usize,
}

/// Why an address is not given.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The one asked for cannot be had: the address, and why.
    Given(String, &'static str),
    /// There is none left.
    Full,
}

impl Refusal {
    pub(crate) fn into_status(self, service: &Value) -> Status {
        match self {
            Self::Full => Status::internal("failed to allocate a serviceIP: range is full"),
            Self::Given(ip, why) => {
                // Addresses that were to be chosen are no part of the message.
                let asked = texts(&service["spec"], "clusterIPs");
                let words = format!("failed to allocate IP {ip}: {why}");
                invalid(service, &[Error::invalid(&Path::new("spec").child("clusterIPs"), asked, &words)])
            }
        }
    }
}

impl Pool<'_> {
    fn given(&self, text: &str) -> Result<IpAddr, Refusal> {
        let refuse = |why| Err(Refusal::Given(text.to_owned(), why));
        let Some(ip) = parse_ip_sloppy(text) else { return refuse(OUT_OF_RANGE) };
        if !self.ranges.iter().any(|range| range.contains(ip)) {
            return refuse(OUT_OF_RANGE);
        }
        if (self.is_taken)(ip) { refuse(ALLOCATED) } else { Ok(ip) }
    }

    fn any(&self, family: Family) -> Result<IpAddr, Refusal> {
        let random = uuid::Uuid::new_v4().as_u128();
        let mut of_family = self.ranges.iter().filter(|range| range.family() == family);
        of_family.find_map(|range| range.choose(random, self.taken_count, self.is_taken)).ok_or(Refusal::Full)
    }
}

/// Addresses that a Service has been given.
pub(crate) fn held(service: &Value) -> Vec<String> {
    let spec = &service["spec"];
    if is_external(spec) || is_headless(spec) {
        return Vec::new();
    }
    match texts(spec, "clusterIPs") {
        // Written before there could be two.
        ips if ips.is_empty() => Some(text(spec, "clusterIP").to_owned()).filter(|ip| !ip.is_empty()).into_iter().collect(),
        ips => ips,
    }
}

/// Fills in `clusterIP` and `clusterIPs` for the families that were settled, and says what is taken and given back.
pub(crate) fn plan(pool: &Pool<'_>, service: &mut Value, old: Option<&Value>, plan: &mut Plan) -> Result<(), Refusal> {
    let spec = &service["spec"];
    let Some(old) = old.map(|old| &old["spec"]) else { return take_missing(pool, service, 0, plan) };
    if families::stays_as_preferred(spec, Some(old)) {
        return Ok(());
    }
    if is_external(old) && !is_external(spec) {
        return take_missing(pool, service, 0, plan);
    }
    if is_headless(old) || is_external(old) {
        return Ok(());
    }
    if is_external(spec) {
        plan.addresses_released = texts(old, "clusterIPs");
        return Ok(());
    }
    match (list(old, "ipFamilies").len(), list(spec, "ipFamilies").len()) {
        (1, 2) => take_missing(pool, service, 1, plan),
        (2, 1) => {
            plan.addresses_released = texts(old, "clusterIPs").into_iter().skip(1).collect();
            Ok(())
        }
        _ => Ok(()),
    }
}

/// An address for each family from `from` on; one that the client names is taken as it is.
fn take_missing(pool: &Pool<'_>, service: &mut Value, from: usize, plan: &mut Plan) -> Result<(), Refusal> {
    let spec = &service["spec"];
    if is_external(spec) || is_headless(spec) {
        return Ok(());
    }
    let families = texts(spec, "ipFamilies");
    let mut ips = texts(spec, "clusterIPs");
    for (i, family) in families.iter().enumerate().skip(from) {
        let Some(family) = Family::parse(family) else { continue };
        match ips.get(i).filter(|ip| !ip.is_empty()) {
            Some(given) => plan.addresses_taken.push(pool.given(given)?),
            None => {
                let ip = pool.any(family)?;
                plan.addresses_taken.push(ip);
                ips.resize(i.max(ips.len()), String::new());
                ips.truncate(i);
                ips.push(ip.to_string());
            }
        }
    }
    let spec = spec_mut(service);
    if let Some(first) = ips.first() {
        spec.insert("clusterIP".into(), first.clone().into());
    }
    spec.insert("clusterIPs".into(), ips.into());
    Ok(())
}

/// The IPAddress that stands for an address of a Service, complete but for what the store gives.
pub(crate) fn ip_address(namespace: &str, name: &str, ip: IpAddr) -> Value {
    json!({
        "kind": "IPAddress",
        "apiVersion": "networking.k8s.io/v1",
        "metadata": {
            "name": ip.to_string(),
            "labels": {
                "ipaddress.kubernetes.io/ip-family": Family::of(ip).as_str(),
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
            },
        },
        "spec": { "parentRef": { "resource": "services", "namespace": namespace, "name": name } },
    })
}

/// Creates the IPAddress.
pub(crate) fn creation(registry: &Registry, request: &Request, service: &Value, ip: IpAddr) -> Result<Option<Operation>, Status> {
    let Some(cacher) = registry.caches().cacher("ipaddresses") else { return Ok(None) };
    let mut address = ip_address(object::namespace(service), object::name(service), ip);
    let metadata = object::metadata_mut(&mut address);
    metadata.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
    metadata.insert("creationTimestamp".into(), timestamp(request.context.now_seconds()).into());
    let key = registry.caches().store_key(cacher.resource(), &ip.to_string());
    let value = cacher.codec().encode(&key, &address).map_err(Status::internal)?.value;
    Ok(Some(Operation::create(key, value)))
}

/// Removes the IPAddress, if it is this Service's.
pub(crate) async fn release(registry: &Registry, service: &Value, ip: &str) -> Result<Option<Operation>, Status> {
    let (Some(ip), Some(cacher)) = (parse_ip_sloppy(ip), registry.caches().cacher("ipaddresses")) else { return Ok(None) };
    let key = ip.to_string();
    let found = registry.caches().read(&cacher, &key).await.map_err(error::read_object)?;
    let ours = found.filter(|found| belongs_to(&found.json(), service));
    Ok(ours.map(|found| Operation::delete(registry.caches().store_key(cacher.resource(), &key), found.revision())))
}

fn belongs_to(address: &[u8], service: &Value) -> bool {
    let Ok(address) = serde_json::from_slice::<Value>(address) else { return false };
    let parent = &address["spec"]["parentRef"];
    text(parent, "resource") == "services"
        && text(parent, "namespace") == object::namespace(service)
        && text(parent, "name") == object::name(service)
}

#[cfg(test)]
mod tests {
    use apimachinery::validation::ip::parse_cidr_sloppy;

    use super::*;

    fn planned(spec: Value, old: Option<Value>) -> Result<(Value, Vec<String>, Vec<String>), String> {
        let ranges: Vec<AddressRange> =
            ["10.0.0.0/29", "fd00::/120"].iter().filter_map(|text| AddressRange::of(parse_cidr_sloppy(text)?)).collect();
        let taken = |ip: IpAddr| !["10.0.0.4", "fd00::9"].contains(&ip.to_string().as_str());
        let pool = Pool { ranges: &ranges, is_taken: &taken, taken_count: 1000 };
        let mut service = json!({ "metadata": { "name": "s" }, "spec": spec });
        let old = old.map(|spec| json!({ "metadata": { "name": "s" }, "spec": spec }));
        let mut done = Plan::default();
        match plan(&pool, &mut service, old.as_ref(), &mut done) {
            Ok(()) => Ok((
                service["spec"]["clusterIPs"].clone(),
                done.addresses_taken.iter().map(IpAddr::to_string).collect(),
                done.addresses_released,
            )),
            Err(refusal) => Err(refusal.into_status(&service).message),
        }
    }

    #[test]
    fn addresses_are_taken_and_given_back() {
        let external = json!({ "type": "ExternalName" });
        let one = json!({ "type": "ClusterIP", "ipFamilies": ["IPv4"], "clusterIP": "10.0.0.2", "clusterIPs": ["10.0.0.2"] });
        let two =
            json!({ "type": "ClusterIP", "ipFamilies": ["IPv4", "IPv6"], "clusterIP": "10.0.0.2", "clusterIPs": ["10.0.0.2", "fd00::3"] });
        let new = json!({ "type": "ClusterIP", "ipFamilies": ["IPv4", "IPv6"] });
        let headless = json!({ "type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"], "ipFamilies": ["IPv4"] });
        let upgraded = json!({ "type": "ClusterIP", "ipFamilies": ["IPv4", "IPv6"], "clusterIP": "10.0.0.2", "clusterIPs": ["10.0.0.2"] });
        let strings = |list: &[&str]| -> Vec<String> { list.iter().map(|text| (*text).to_owned()).collect() };
        for (spec, old, ips, taken, released) in [
            (new.clone(), None, json!(["10.0.0.4", "fd00::9"]), strings(&["10.0.0.4", "fd00::9"]), vec![]),
            (headless.clone(), None, json!(["None"]), vec![], vec![]),
            (external.clone(), None, Value::Null, vec![], vec![]),
            (new, Some(external.clone()), json!(["10.0.0.4", "fd00::9"]), strings(&["10.0.0.4", "fd00::9"]), vec![]),
            (external, Some(two.clone()), Value::Null, vec![], strings(&["10.0.0.2", "fd00::3"])),
            (upgraded, Some(one.clone()), json!(["10.0.0.2", "fd00::9"]), strings(&["fd00::9"]), vec![]),
            (one.clone(), Some(two), json!(["10.0.0.2"]), vec![], strings(&["fd00::3"])),
            (one.clone(), Some(one), json!(["10.0.0.2"]), vec![], vec![]),
        ] {
            assert_eq!(planned(spec.clone(), old.clone()), Ok((ips, taken, released)), "{spec} {old:?}");
        }
    }

    #[test]
    fn addresses_asked_for_must_be_free_and_in_range() {
        for (ip, why) in [
            ("10.0.0.1", "provided IP is already allocated"),
            ("10.0.0.0", OUT_OF_RANGE),
            ("10.0.0.7", OUT_OF_RANGE),
            ("192.168.1.1", OUT_OF_RANGE),
        ] {
            let spec = json!({ "type": "ClusterIP", "ipFamilies": ["IPv4"], "clusterIP": ip, "clusterIPs": [ip] });
            let words = format!("Service \"s\" is invalid: spec.clusterIPs: Invalid value: [\"{ip}\"]: failed to allocate IP {ip}: {why}");
            assert_eq!(planned(spec, None), Err(words));
        }
    }
}
