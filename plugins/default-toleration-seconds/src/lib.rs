//! Admission `DefaultTolerationSeconds`: a pod stays for five minutes on a node that is not ready or cannot be reached, where
//! it does not say how long itself.

use wasmgate_sdk::admission::GroupVersionResource;
use wasmgate_sdk::prelude::*;
use wasmgate_sdk::serde::{Deserialize, Serialize};

const EFFECT: &str = "NoExecute";

/// The manifest's `config`, after upstream's flags of these names.
#[derive(Clone, Debug, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase", deny_unknown_fields, default)]
struct Settings {
    default_not_ready_toleration_seconds: i64,
    default_unreachable_toleration_seconds: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { default_not_ready_toleration_seconds: 300, default_unreachable_toleration_seconds: 300 }
    }
}

/// The plugin.
#[derive(Default)]
pub struct DefaultTolerationSeconds {
    settings: Settings,
}

impl Plugin for DefaultTolerationSeconds {
    fn configure(&mut self, config: Config) -> Result<(), String> {
        self.settings = config.parse()?;
        Ok(())
    }
}

/// What comes with the call.
#[derive(Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase")]
struct Input {
    operation: Operation,
    resource: GroupVersionResource,
    sub_resource: String,
    #[serde(default)]
    object: Pod,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Pod {
    spec: PodSpec,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct PodSpec {
    tolerations: Option<Vec<Known>>,
}

/// A toleration that a pod has.
#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Known {
    key: String,
    effect: String,
}

/// A toleration that a pod gets.
#[derive(Serialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase")]
struct Added {
    key: &'static str,
    operator: &'static str,
    effect: &'static str,
    toleration_seconds: i64,
}

impl MutatingAdmission for DefaultTolerationSeconds {
    fn admit(&self, request: &Request) -> Result<Patch, Denial> {
        let mut patch = Patch::unchanged();
        let Input { operation, resource, sub_resource, object } = request.input()?;
        let writes = matches!(operation, Operation::Create | Operation::Update);
        let pods = resource.group.is_empty() && resource.resource == "pods" && sub_resource.is_empty();
        if !(writes && pods) {
            return Ok(patch);
        }
        let known = object.spec.tolerations;
        let wanted = [
            ("node.kubernetes.io/not-ready", self.settings.default_not_ready_toleration_seconds),
            ("node.kubernetes.io/unreachable", self.settings.default_unreachable_toleration_seconds),
        ];
        let missing: Vec<Added> = wanted
            .into_iter()
            .filter(|(key, _)| !known.iter().flatten().any(|toleration| toleration.is_about(key)))
            .map(|(key, toleration_seconds)| Added { key, operator: "Exists", effect: EFFECT, toleration_seconds })
            .collect();
        match known {
            Some(_) => missing.into_iter().for_each(|toleration| {
                patch.add("/spec/tolerations/-", toleration);
            }),
            None => {
                patch.add("/spec/tolerations", missing);
            }
        }
        Ok(patch)
    }
}

wasmgate_sdk::plugin!(DefaultTolerationSeconds: mutating_admission);

impl Known {
    /// Whether it is about this taint, by its key or by all keys; how long does not matter.
    fn is_about(&self, key: &str) -> bool {
        let empty_or = |found: &str, word: &str| found.is_empty() || found == word;
        empty_or(&self.key, key) && empty_or(&self.effect, EFFECT)
    }
}

#[cfg(test)]
mod tests {
    use wasmgate_sdk::admission::{Attributes, Object};
    use wasmgate_sdk::serde_json::{Value, json};

    use super::*;

    fn toleration(key: &str, seconds: i64) -> Value {
        json!({"key": format!("node.kubernetes.io/{key}"), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds})
    }

    #[test]
    fn what_is_added() {
        let append = |value: Value| json!({"op": "add", "path": "/spec/tolerations/-", "value": value});
        let both = || [toleration("not-ready", 300), toleration("unreachable", 300)];
        let all = json!([{"op": "add", "path": "/spec/tolerations", "value": both()}]);
        let appended = json!(both().map(append));
        let rows = [
            (json!({}), all.clone()),
            (json!({"tolerations": null}), all),
            (json!({"tolerations": []}), appended.clone()),
            (json!({"tolerations": [toleration("not-ready", 5)]}), json!([append(toleration("unreachable", 300))])),
            (json!({"tolerations": [{"operator": "Exists"}]}), json!([])),
            (json!({"tolerations": [{"operator": "Exists", "effect": "NoExecute"}]}), json!([])),
            (json!({"tolerations": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]}), appended),
        ];
        for (spec, want) in rows {
            let resource = GroupVersionResource { group: String::new(), version: "v1".to_owned(), resource: "pods".to_owned() };
            let pod = json!({"spec": spec});
            let request = Request::new(Attributes { resource, ..Attributes::default() }, Some(Object::of(&pod)), None);
            let patch = DefaultTolerationSeconds::default().admit(&request).expect("never refused");
            assert_eq!(Value::from(patch.operations()), want, "{pod}");
        }
    }

    #[test]
    fn how_long_is_configured() {
        let mut plugin = DefaultTolerationSeconds::default();
        plugin.configure(json!({"defaultNotReadyTolerationSeconds": 7}).into()).expect("a good configuration");
        let seconds = [plugin.settings.default_not_ready_toleration_seconds, plugin.settings.default_unreachable_toleration_seconds];
        assert_eq!(seconds, [7, 300]);
        assert!(plugin.configure(json!({"seconds": 7}).into()).is_err());
    }
}
