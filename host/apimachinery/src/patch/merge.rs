//! JSON merge patch (RFC 7386), as upstream's library does it: nulls inside of what is new are dropped, in lists of objects, too.

use serde_json::Value;

/// Merges a patch into a document.
pub fn merge(document: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *document = patch;
        return;
    };
    let Value::Object(map) = document else {
        *document = Value::Object(patch);
        prune_nulls(document);
        return;
    };
    for (key, mut value) in patch {
        match map.get_mut(&key) {
            _ if value.is_null() => {
                map.remove(&key);
            }
            Some(current) if !current.is_null() => merge(current, value),
            _ => {
                prune_nulls(&mut value);
                map.insert(key, value);
            }
        }
    }
}

fn prune_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(prune_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(prune_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn merging() {
        let rows = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
            (json!({}), json!({"a": [null, {"x": null}]}), json!({"a": [null, {}]})),
            (json!({"a": 1}), json!({"a": {"x": null}}), json!({"a": {}})),
        ];
        for (mut document, patch, want) in rows {
            merge(&mut document, patch.clone());
            assert_eq!(document, want, "{patch}");
        }
    }
}
