//! Two lists of tolerations made one: what another of them covers is left out.

use wasmgate_sdk::serde::Deserialize;
use wasmgate_sdk::serde_json::Value;

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase", default)]
struct Toleration {
    key: String,
    operator: String,
    value: String,
    effect: String,
    toleration_seconds: Option<i64>,
}

/// Of the first, then of the second, each that no other covers; of equal ones the first.
pub fn merge(first: &[Value], second: &[Value]) -> Vec<Value> {
    let read = |value: &Value| (value.clone(), Toleration::deserialize(value).unwrap_or_default());
    let all: Vec<(Value, Toleration)> = first.iter().chain(second).map(read).collect();
    let mut merged: Vec<(Value, Toleration)> = Vec::new();
    for (at, (value, toleration)) in all.iter().enumerate() {
        let before = merged.iter().any(|(_, other)| covers(other, toleration));
        let after = all[at + 1..].iter().any(|(_, other)| other != toleration && covers(other, toleration));
        if !before && !after {
            merged.push((value.clone(), toleration.clone()));
        }
    }
    merged.into_iter().map(|(value, _)| value).collect()
}

/// Whether the wide one tolerates all that the narrow one does.
fn covers(wide: &Toleration, narrow: &Toleration) -> bool {
    if wide == narrow {
        return true;
    }
    let keys = wide.key == narrow.key || (wide.key.is_empty() && wide.operator == "Exists");
    let effects = wide.effect == narrow.effect || wide.effect.is_empty();
    let long_enough = wide.effect != "NoExecute"
        || wide.toleration_seconds.is_none_or(|wide| narrow.toleration_seconds.is_some_and(|narrow| narrow <= wide));
    let values = match wide.operator.as_str() {
        // The narrow one has to say it: an unwritten operator is not enough for upstream either.
        "" | "Equal" => narrow.operator == "Equal" && narrow.value == wide.value,
        "Exists" => true,
        _ => false,
    };
    keys && effects && long_enough && values
}

#[cfg(test)]
mod tests {
    use wasmgate_sdk::serde_json::json;

    use super::*;

    #[test]
    fn what_covers_what() {
        let all = json!({"operator": "Exists"});
        let key = json!({"key": "k", "operator": "Exists"});
        let equal = json!({"key": "k", "operator": "Equal", "value": "v"});
        let unsaid = json!({"key": "k", "value": "v"});
        let short = json!({"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5});
        let long = json!({"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 50});
        let rows = [
            (vec![], vec![], vec![]),
            (vec![&key], vec![], vec![&key]),
            (vec![&key], vec![&all], vec![&all]),
            (vec![&key], vec![&key], vec![&key]),
            (vec![&key], vec![&equal], vec![&key]),
            (vec![&equal], vec![&key], vec![&key]),
            (vec![&equal], vec![&unsaid], vec![&unsaid]),
            (vec![&unsaid], vec![&equal], vec![&unsaid]),
            (vec![&short], vec![&long], vec![&long]),
            (vec![&long], vec![&short], vec![&long]),
        ];
        for (first, second, want) in rows {
            let owned = |list: &[&Value]| list.iter().map(|&value| value.clone()).collect::<Vec<Value>>();
            assert_eq!(merge(&owned(&first), &owned(&second)), owned(&want), "{first:?} {second:?}");
        }
    }
}
