//! `spec.ipFamilyPolicy` and `spec.ipFamilies`: what a client left open is filled in, what cannot be is refused
//! (`pkg/registry/core/service/storage/alloc.go`, `initIPFamilyFields`).

use apimachinery::field::{Error, Path};
use apimachinery::validation::ip::parse_ip_sloppy;
use serde_json::{Value, json};

use crate::family::Family;
use crate::spec::{is_external, list, spec_mut, text, texts};

const SINGLE: &str = "SingleStack";
const PREFER: &str = "PreferDualStack";
const REQUIRE: &str = "RequireDualStack";

/// `configured` are the cluster's families, the default first.
pub(crate) fn fill(configured: &[Family], service: &mut Value, old: Option<&Value>) -> Result<(), Vec<Error>> {
    if is_external(&service["spec"]) || stays_as_preferred(&service["spec"], old.map(|old| &old["spec"])) {
        return Ok(());
    }
    fill_policy(service, old);
    let errors = api::kinds::service_cluster_ip_errors(service, old);
    if !errors.is_empty() {
        return Err(errors);
    }
    let errors = settle_lists(configured, service, old);
    if !errors.is_empty() {
        return Err(errors);
    }
    let spec = &service["spec"];
    let policy = text(spec, "ipFamilyPolicy").to_owned();
    let mut families = texts(spec, "ipFamilies");
    // Its endpoints are somebody else's, who may have addresses of both families whatever the cluster's are.
    let selectorless = text(spec, "clusterIP") == "None" && spec.get("selector").and_then(Value::as_object).is_none_or(|s| s.is_empty());
    if !selectorless {
        let errors = unconfigured(configured, &policy, &families);
        if !errors.is_empty() {
            return Err(errors);
        }
    }
    if families.is_empty() {
        families.extend(configured.first().map(|family| family.as_str().to_owned()));
    }
    if policy != SINGLE && families.len() == 1 && (selectorless || configured.len() == 2) {
        families.extend(Family::parse(&families[0]).map(|family| family.other().as_str().to_owned()));
    }
    spec_mut(service).insert("ipFamilies".into(), families.into());
    Ok(())
}

/// A Service that prefers two families is not changed when the cluster is: only when its own fields are.
pub(crate) fn stays_as_preferred(spec: &Value, old: Option<&Value>) -> bool {
    let Some(old) = old else { return false };
    let prefers = |spec: &Value| matches!(text(spec, "ipFamilyPolicy"), "" | PREFER);
    text(spec, "ipFamilyPolicy") == PREFER
        && prefers(old)
        && text(spec, "type") == text(old, "type")
        && !is_external(spec)
        && list(spec, "clusterIPs") == list(old, "clusterIPs")
        && list(spec, "ipFamilies") == list(old, "ipFamilies")
}

fn fill_policy(service: &mut Value, old: Option<&Value>) {
    let spec = &service["spec"];
    if !text(spec, "ipFamilyPolicy").is_empty() {
        return;
    }
    let before = old.map(|old| text(&old["spec"], "ipFamilyPolicy")).filter(|policy| !policy.is_empty());
    let selectorless = spec.get("selector").and_then(Value::as_object).is_none_or(|selector| selector.is_empty());
    let policy = match before {
        Some(policy) => policy,
        None if text(spec, "clusterIP") == "None" && selectorless => REQUIRE,
        None => SINGLE,
    }
    .to_owned();
    spec_mut(service).insert("ipFamilyPolicy".into(), policy.into());
}

/// Lists that the policy shortens, or does not allow; families that addresses imply.
fn settle_lists(configured: &[Family], service: &mut Value, old: Option<&Value>) -> Vec<Error> {
    let path = Path::new("spec").child("ipFamilyPolicy");
    let mut errors = Vec::new();
    let policy = text(&service["spec"], "ipFamilyPolicy").to_owned();
    let count = |spec: &Value, name: &str| list(spec, name).len();
    if let Some(old) = old.map(|old| &old["spec"]) {
        for (name, words) in [
            ("clusterIPs", "must be 'SingleStack' to release the secondary cluster IP"),
            ("ipFamilies", "must be 'SingleStack' to release the secondary IP family"),
        ] {
            let spec = &service["spec"];
            if policy == SINGLE {
                if list(spec, name) == list(old, name) && count(spec, name) > 1 {
                    let first = list(spec, name)[0].clone();
                    spec_mut(service).insert(name.into(), json!([first]));
                }
            } else if count(spec, name) > 0 && count(spec, name) < count(old, name) {
                errors.push(Error::invalid(&path, policy.as_str(), words));
            }
        }
    }
    let spec = &service["spec"];
    if policy == SINGLE {
        for (name, words) in [("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families")] {
            if count(spec, name) == 2 {
                let words = format!("must be 'RequireDualStack' or 'PreferDualStack' when multiple {words} are specified");
                errors.push(Error::invalid(&path, policy.as_str(), &words));
            }
        }
    }
    let ips = texts(spec, "clusterIPs");
    let mut families = texts(spec, "ipFamilies");
    let asked = families.len();
    for (i, ip) in ips.iter().enumerate().take_while(|(_, ip)| *ip != "None").skip(asked) {
        match parse_ip_sloppy(ip).map(Family::of) {
            Some(family) if configured.contains(&family) => families.push(family.as_str().to_owned()),
            family => {
                let words = format!("{} is not configured on this cluster", family.map_or("unknown", Family::as_str));
                errors.push(Error::invalid(&Path::new("spec").child("clusterIPs").index(i), ips.clone(), &words));
            }
        }
    }
    if families.len() > asked {
        spec_mut(service).insert("ipFamilies".into(), families.into());
    }
    errors
}

fn unconfigured(configured: &[Family], policy: &str, families: &[String]) -> Vec<Error> {
    let spec = Path::new("spec");
    let mut errors = Vec::new();
    if policy == REQUIRE && configured.len() < 2 {
        errors.push(Error::invalid(&spec.child("ipFamilyPolicy"), policy, "this cluster is not configured for dual-stack services"));
    }
    for (i, family) in families.iter().enumerate() {
        if !Family::parse(family).is_some_and(|family| configured.contains(&family)) {
            errors.push(Error::invalid(&spec.child("ipFamilies").index(i), family.as_str(), "not configured on this cluster"));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(configured: &[Family], spec: Value, old: Option<Value>) -> Result<Value, String> {
        let mut service = json!({ "metadata": { "name": "s" }, "spec": spec });
        let old = old.map(|spec| json!({ "metadata": { "name": "s" }, "spec": spec }));
        match fill(configured, &mut service, old.as_ref()) {
            Ok(()) => Ok(json!([service["spec"]["ipFamilyPolicy"], service["spec"]["ipFamilies"]])),
            Err(errors) => Err(apimachinery::field::aggregate(&errors)),
        }
    }

    #[test]
    fn policies_and_families_of_new_services() {
        const ONE: &[Family] = &[Family::V4];
        const BOTH: &[Family] = &[Family::V4, Family::V6];
        let selector = json!({ "a": "b" });
        for (configured, spec, want) in [
            (ONE, json!({ "type": "ClusterIP" }), Ok(json!(["SingleStack", ["IPv4"]]))),
            (ONE, json!({ "type": "ClusterIP", "ipFamilyPolicy": "PreferDualStack" }), Ok(json!(["PreferDualStack", ["IPv4"]]))),
            (BOTH, json!({ "type": "ClusterIP", "ipFamilyPolicy": "PreferDualStack" }), Ok(json!(["PreferDualStack", ["IPv4", "IPv6"]]))),
            (BOTH, json!({ "type": "ClusterIP", "ipFamilies": ["IPv6"] }), Ok(json!(["SingleStack", ["IPv6"]]))),
            (BOTH, json!({ "type": "ClusterIP", "clusterIP": "fd00::1", "clusterIPs": ["fd00::1"] }), Ok(json!(["SingleStack", ["IPv6"]]))),
            (
                ONE,
                json!({ "type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"] }),
                Ok(json!(["RequireDualStack", ["IPv4", "IPv6"]])),
            ),
            (
                ONE,
                json!({ "type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"], "selector": selector }),
                Ok(json!(["SingleStack", ["IPv4"]])),
            ),
            (ONE, json!({ "type": "ExternalName" }), Ok(json!([null, null]))),
            (
                ONE,
                json!({ "type": "ClusterIP", "ipFamilyPolicy": "RequireDualStack" }),
                Err("spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services"),
            ),
            (
                ONE,
                json!({ "type": "ClusterIP", "ipFamilies": ["IPv4", "IPv6"] }),
                Err("spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when multiple \
                     IP families are specified"),
            ),
            (
                ONE,
                json!({ "type": "ClusterIP", "clusterIP": "fd00::1", "clusterIPs": ["fd00::1"] }),
                Err("spec.clusterIPs[0]: Invalid value: [\"fd00::1\"]: IPv6 is not configured on this cluster"),
            ),
        ] {
            assert_eq!(filled(configured, spec.clone(), None), want.map_err(str::to_owned), "{spec}");
        }
    }

    #[test]
    fn policies_and_families_of_changed_services() {
        const BOTH: &[Family] = &[Family::V4, Family::V6];
        let two = json!({ "type": "ClusterIP", "ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"],
            "clusterIP": "10.0.0.5", "clusterIPs": ["10.0.0.5", "fd00::5"] });
        let mut single = two.clone();
        single["ipFamilyPolicy"] = "SingleStack".into();
        assert_eq!(filled(BOTH, single, Some(two.clone())), Ok(json!(["SingleStack", ["IPv4"]])));
        let mut fewer = two.clone();
        fewer["ipFamilies"] = json!(["IPv4"]);
        let words = "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": must be 'SingleStack' to release the secondary IP family";
        assert_eq!(filled(BOTH, fewer, Some(two)), Err(words.to_owned()));
    }
}
