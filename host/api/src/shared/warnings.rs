//! What a client is warned of although it is let through: the list that kinds add to, and what several of them warn of
//! (upstream: `pkg/api/*/util.go`, `pkg/api/*/warnings.go`).

use std::collections::HashSet;

use apimachinery::field::{Path, go_quote};
use apimachinery::validation::{ip, name};

use crate::shared::field_value::FieldValue;

/// Warnings about one object. No more than fit into an answer, in which all of them together have some 4,096 characters: an object
/// whose parts all collide with each other would make the square of them.
pub const WARNINGS_COUNT_MAX: usize = 256;

/// Warnings, each once, in order.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    texts: Vec<String>,
    seen: HashSet<String>,
}

impl Warnings {
    /// Adds a warning, unless it is there or there are enough.
    pub(crate) fn push(&mut self, text: String) {
        if !self.is_full() && self.seen.insert(text.clone()) {
            self.texts.push(text);
        }
    }

    /// Adds one that begins with a path: `spec.containers[0]: …`.
    pub(crate) fn at(&mut self, path: &Path, text: &str) {
        self.push(format!("{path}: {text}"));
    }

    /// Whether nothing more is taken.
    pub(crate) fn is_full(&self) -> bool {
        self.texts.len() >= WARNINGS_COUNT_MAX
    }

    /// What was added.
    pub(crate) fn into_vec(self) -> Vec<String> {
        self.texts
    }
}

/// The address is not written as it should be.
pub(crate) fn address(at: &FieldValue<'_>, warnings: &mut Warnings) {
    ip::warnings_for_ip(&at.path, at.text()).into_iter().for_each(|text| warnings.push(text));
}

/// The network is not written as it should be.
pub(crate) fn network(at: &FieldValue<'_>, warnings: &mut Warnings) {
    ip::warnings_for_cidr(&at.path, at.text()).into_iter().for_each(|text| warnings.push(text));
}

/// Addresses of a load balancer in a status. Upstream leaves `ip` out of the path.
pub(crate) fn load_balancer(object: &FieldValue<'_>, warnings: &mut Warnings) {
    for ingress in object.child("status").child("loadBalancer").items("ingress").filter(|ingress| !ingress.is_empty("ip")) {
        address(&ingress.child("ip").renamed(ingress.path.clone()), warnings);
    }
}

/// An amount of bytes that is no whole number.
pub(crate) fn fractional_bytes(amounts: &FieldValue<'_>, resource: &str, warnings: &mut Warnings) {
    let Some(quantity) = amounts.some(resource).and_then(|amount| amount.quantity()) else { return };
    // Upstream looks at thousandths, rounded up.
    if !quantity.is_whole() && quantity.milli_value() % 1000 != 0 {
        let shown = go_quote(&quantity.to_string());
        warnings.at(&amounts.path.key(resource), &format!("fractional byte value {shown} is invalid, must be an integer"));
    }
}

/// The name does not fit into the hostname of a pod; `used` says how it gets there.
pub(crate) fn not_a_hostname(object: &FieldValue<'_>, used: &str, warnings: &mut Warnings) {
    let problems = name::is_dns1123_label(object.child("metadata").text_of("name"));
    if !problems.is_empty() {
        let problems = problems.join(" ");
        warnings.push(format!(
            "metadata.name: this is used in {used}, which can result in surprising behavior; a DNS label is recommended: [{problems}]"
        ));
    }
}

/// Why a label of nodes is not to be used any more.
pub(crate) fn deprecated_node_label(label: &str) -> Option<&'static str> {
    Some(match label {
        "beta.kubernetes.io/arch" => "deprecated since v1.14; use \"kubernetes.io/arch\" instead",
        "beta.kubernetes.io/os" => "deprecated since v1.14; use \"kubernetes.io/os\" instead",
        "failure-domain.beta.kubernetes.io/region" => "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
        "failure-domain.beta.kubernetes.io/zone" => "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
        "beta.kubernetes.io/instance-type" => "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
        "app.kubernetes.io/created-by" => "deprecated since v1.9",
        "scheduler.alpha.kubernetes.io/preferAvoidPods" => "deprecated since v1.22; use Taints and Tolerations instead",
        "node-role.kubernetes.io/master" => "use \"node-role.kubernetes.io/control-plane\" instead",
        _ => return None,
    })
}

/// Deprecated labels among a selector's expressions: `… is deprecated since …`.
pub(crate) fn node_label_expressions(selector: &FieldValue<'_>, warnings: &mut Warnings) {
    for expression in selector.items("matchExpressions") {
        deprecated_key(&expression, warnings);
    }
}

fn deprecated_key(expression: &FieldValue<'_>, warnings: &mut Warnings) {
    let key = expression.child("key");
    if let Some(why) = deprecated_node_label(key.text()) {
        warnings.at(&key.path, &format!("{} is {why}", key.text()));
    }
}

/// A term that says which nodes are preferred: values that no label can have, too.
pub(crate) fn preferred_node_term(term: &FieldValue<'_>, warnings: &mut Warnings) {
    for expression in term.items("matchExpressions") {
        deprecated_key(&expression, warnings);
        for value in expression.items("values") {
            for problem in name::is_label_value(value.text()) {
                warnings.at(&value.path, &format!("{} is invalid, {problem}", value.text()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_too_many() {
        let mut warnings = Warnings::default();
        (0..2 * WARNINGS_COUNT_MAX).for_each(|number| warnings.push(format!("warning {}", number / 2)));
        assert!(warnings.is_full());
        warnings.push("one more".to_owned());
        let texts = warnings.into_vec();
        assert_eq!(texts.len(), WARNINGS_COUNT_MAX);
        assert_eq!(texts[1], "warning 1", "each once");
    }
}
