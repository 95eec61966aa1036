//! `podOverrides`: laid over a pod template as Kubernetes' own strategic merge does it, for the fields that pod
//! templates have. Pure.

use serde_json::Value;

/// Lists in pod templates whose items are known by a field. All other lists are replaced whole.
const KEYED: [(&str, &str); 11] = [
    ("containers", "name"),
    ("initContainers", "name"),
    ("ephemeralContainers", "name"),
    ("env", "name"),
    ("ports", "containerPort"),
    ("volumeMounts", "mountPath"),
    ("volumeDevices", "devicePath"),
    ("volumes", "name"),
    ("imagePullSecrets", "name"),
    ("hostAliases", "ip"),
    ("topologySpreadConstraints", "topologyKey"),
];

/// Lays `over` over `base`: objects field by field, keyed lists item by item, everything else as a whole. `null`
/// takes a field away; an item `{"$patch": "delete", <key>: …}` takes an item away.
pub fn strategic(base: &mut Value, over: &Value) {
    lay(base, over, None);
}

fn lay(base: &mut Value, over: &Value, key: Option<&str>) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (name, new) in over {
                if new.is_null() {
                    base.remove(name);
                    continue;
                }
                let key = KEYED.iter().find(|(list, _)| list == name).map(|(_, key)| *key);
                match base.get_mut(name) {
                    Some(old) => lay(old, new, key),
                    None => {
                        base.insert(name.clone(), without_deletions(new));
                    }
                }
            }
        }
        (Value::Array(base), Value::Array(over)) if key.is_some() => {
            let key = key.unwrap_or_default();
            for new in over {
                let place = base.iter().position(|old| old.get(key) == new.get(key));
                let deletes = new.get("$patch").is_some_and(|word| word == "delete");
                match (place, deletes) {
                    (Some(place), true) => {
                        base.remove(place);
                    }
                    (Some(place), false) => lay(&mut base[place], new, None),
                    (None, true) => {}
                    (None, false) => base.push(new.clone()),
                }
            }
        }
        (base, over) => *base = over.clone(),
    }
}

/// A list of items to take away, where there is no list, is an empty list.
fn without_deletions(new: &Value) -> Value {
    match new {
        Value::Array(items) => Value::Array(
            items
                .iter()
                .filter(|item| item.get("$patch").is_none_or(|word| word != "delete"))
                .cloned()
                .collect(),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_is_changed_where_the_override_says_so() {
        let mut pod = json!({"spec": {
            "containers": [{"name": "master", "image": "a", "env": [{"name": "A", "value": "1"}]}],
            "tolerations": [{"key": "x"}],
            "priorityClassName": "low",
        }});
        strategic(
            &mut pod,
            &json!({
                "metadata": {"annotations": {"a": "b"}},
                "spec": {
                    "containers": [
                        {"name": "master", "env": [{"name": "B", "value": "2"}]},
                        {"name": "sidecar", "image": "s"},
                    ],
                    "tolerations": [{"key": "y"}],
                    "priorityClassName": null,
                },
            }),
        );
        assert_eq!(
            pod,
            json!({
                "metadata": {"annotations": {"a": "b"}},
                "spec": {
                    "containers": [
                        {"name": "master", "image": "a", "env": [
                            {"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
                        {"name": "sidecar", "image": "s"},
                    ],
                    "tolerations": [{"key": "y"}],
                },
            })
        );
    }

    #[test]
    fn items_of_keyed_lists_can_be_taken_away() {
        let mut pod = json!({"volumes": [{"name": "a"}, {"name": "b"}]});
        strategic(&mut pod, &json!({"volumes": [{"name": "a", "$patch": "delete"}]}));
        assert_eq!(pod, json!({"volumes": [{"name": "b"}]}));
        let mut empty = json!({});
        strategic(&mut empty, &json!({"volumes": [{"name": "a", "$patch": "delete"}]}));
        assert_eq!(empty, json!({"volumes": []}));
    }

    #[test]
    fn an_empty_override_changes_nothing() {
        let pod = json!({"spec": {"containers": [{"name": "master"}]}});
        let mut same = pod.clone();
        strategic(&mut same, &json!({}));
        assert_eq!(same, pod);
    }
}
