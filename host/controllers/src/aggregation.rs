//! Aggregation of cluster roles: a role with an `aggregationRule` has the rules of all roles that it selects.

use std::collections::HashSet;

use apimachinery::object;
use apimachinery::selector::LabelSelector;
use serde_json::Value;

use crate::client::{self, Changes, Client, RETRY_PAUSE_MIN, longer};
use crate::server::Server;

pub(crate) async fn run(server: Server) {
    let client = Client::new(&server, "clusterrole-aggregation-controller");
    let mut changes = Changes::of(&client.cacher(&client::resource("rbac.authorization.k8s.io", "v1", "clusterroles")));
    let mut pause = RETRY_PAUSE_MIN;
    loop {
        if aggregate_all(&client).await {
            pause = RETRY_PAUSE_MIN;
            changes.next().await;
        } else {
            tokio::time::sleep(pause).await;
            pause = longer(pause);
        }
    }
}

/// Brings every aggregated role up to date; whether that succeeded for all of them.
async fn aggregate_all(client: &Client) -> bool {
    let resource = client::resource("rbac.authorization.k8s.io", "v1", "clusterroles");
    let snapshot = client.cacher(&resource).snapshot();
    let roles: Vec<Value> = snapshot.objects.values().filter_map(|role| serde_json::from_slice(&role.json()).ok()).collect();
    let mut done = true;
    for role in &roles {
        let Some(rules) = aggregated(role, &roles) else { continue };
        if role.get("rules") == Some(&rules)
            || (rules.as_array().is_some_and(Vec::is_empty) && role.get("rules").is_none_or(Value::is_null))
        {
            continue;
        }
        let set = |role: &mut Value| role["rules"] = rules.clone();
        if let Err(status) = client.modify(resource.clone(), "", "", object::name(role), set).await {
            tracing::warn!(role = object::name(role), %status, "a cluster role could not be aggregated; trying again");
            done = false;
        }
    }
    done
}

/// The rules that a role should have; none where it aggregates nothing. Roles are in the order of names, rules without repetition.
fn aggregated(role: &Value, roles: &[Value]) -> Option<Value> {
    let selectors = role.pointer("/aggregationRule/clusterRoleSelectors")?.as_array()?;
    let selectors: Vec<LabelSelector> = selectors.iter().filter_map(|selector| LabelSelector::from_object(Some(selector)).ok()).collect();
    let (mut rules, mut seen): (Vec<Value>, HashSet<&Value>) = (Vec::new(), HashSet::new());
    for selector in &selectors {
        let selected = roles.iter().filter(|other| object::name(other) != object::name(role) && selector.matches_object(other));
        for rule in selected.filter_map(|other| other.get("rules")?.as_array()).flatten() {
            if seen.insert(rule) {
                rules.push(rule.clone());
            }
        }
    }
    Some(Value::Array(rules))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn collects_the_rules_of_selected_roles() {
        let rule = json!({ "verbs": ["get"], "resources": ["pods"], "apiGroups": [""] });
        let roles = [
            json!({ "metadata": { "name": "a", "labels": { "to-view": "true" } }, "rules": [rule, rule] }),
            json!({ "metadata": { "name": "b" }, "rules": [{ "verbs": ["*"] }] }),
            json!({ "metadata": { "name": "view" }, "aggregationRule": { "clusterRoleSelectors": [{ "matchLabels": { "to-view": "true" } }] } }),
        ];
        assert_eq!(aggregated(&roles[2], &roles), Some(json!([rule])));
        assert_eq!(aggregated(&roles[0], &roles), None);
    }
}
