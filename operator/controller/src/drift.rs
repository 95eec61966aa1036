//! Whether an object is already as it is wanted. Pure.
//!
//! The API server fills in defaults, and others may add fields and labels of theirs. So an object is as wanted when
//! everything that is wanted is there, and when what was wanted last time (the hash in its annotation) is what
//! is wanted now: then nothing of ours is left over that should go.

use serde_json::Value;

/// The fields by which items of lists in objects of Kubernetes are known, the more exact first.
const MERGE_KEYS: [&str; 6] = ["uid", "mountPath", "name", "containerPort", "port", "type"];

/// Where `live` differs from what is wanted, as a path; `None` when all of `wanted` is in it.
pub fn first_difference(wanted: &Value, live: &Value) -> Option<String> {
    let mut path = String::new();
    differs(wanted, live, &mut path).then_some(path)
}

fn differs(wanted: &Value, live: &Value, path: &mut String) -> bool {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => wanted.iter().any(|(name, field)| {
            let before = path.len();
            path.push('/');
            path.push_str(name);
            let found = live.get(name);
            // The API server drops what is empty.
            let differs = match found {
                None => !is_empty(field),
                Some(found) => differs(field, found, path),
            };
            if !differs {
                path.truncate(before);
            }
            differs
        }),
        (Value::Array(wanted), Value::Array(live)) => {
            if wanted.len() != live.len() && !is_keyed(wanted) {
                return true;
            }
            wanted.iter().enumerate().any(|(index, item)| {
                let before = path.len();
                path.push_str(&format!("/{index}"));
                let found = counterpart(item, index, live);
                let differs = found.is_none_or(|found| differs(item, found, path));
                if !differs {
                    path.truncate(before);
                }
                differs
            })
        }
        // A port that is 8080 may come back as 8080, never as "8080": no leniency here.
        (wanted, live) => wanted != live,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Array(items) => items.is_empty(),
        Value::Null => true,
        _ => false,
    }
}

fn is_keyed(items: &[Value]) -> bool {
    items.iter().all(|item| merge_key(item).is_some()) && !items.is_empty()
}

fn merge_key(item: &Value) -> Option<(&'static str, &Value)> {
    let fields = item.as_object()?;
    MERGE_KEYS.iter().find_map(|key| fields.get(*key).map(|value| (*key, value)))
}

/// The item of `live` that is meant by `item`: by its key, or else by its place.
fn counterpart<'a>(item: &Value, index: usize, live: &'a [Value]) -> Option<&'a Value> {
    match merge_key(item) {
        Some((key, value)) => live.iter().find(|other| other.get(key) == Some(value)),
        None => live.get(index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn defaults_and_additions_of_others_are_no_difference() {
        let wanted = json!({
            "metadata": {"labels": {"a": "b"}, "annotations": {}},
            "spec": {"containers": [{"name": "master", "image": "x", "env": []}], "replicas": 3},
        });
        let live = json!({
            "metadata": {"labels": {"a": "b", "mine": "c"}, "resourceVersion": "7"},
            "spec": {
                "containers": [
                    {"name": "injected", "image": "mesh"},
                    {"name": "master", "image": "x", "imagePullPolicy": "IfNotPresent"},
                ],
                "replicas": 3,
                "revisionHistoryLimit": 10,
            },
        });
        assert_eq!(first_difference(&wanted, &live), None);
    }

    #[test]
    fn a_change_is_found_and_named() {
        let wanted = json!({"spec": {"containers": [{"name": "a", "image": "x:2"}]}});
        let live = json!({"spec": {"containers": [{"name": "a", "image": "x:1"}]}});
        assert_eq!(first_difference(&wanted, &live).unwrap(), "/spec/containers/0/image");
        let live = json!({"spec": {"containers": []}});
        assert_eq!(first_difference(&wanted, &live).unwrap(), "/spec/containers/0");
    }

    #[test]
    fn plain_lists_are_compared_whole() {
        let wanted = json!({"args": ["master"]});
        assert!(first_difference(&wanted, &json!({"args": ["master", "more"]})).is_some());
        assert!(first_difference(&wanted, &json!({"args": ["worker"]})).is_some());
        assert!(first_difference(&wanted, &json!({"args": ["master"]})).is_none());
    }

    #[test]
    fn ports_of_one_number_and_two_protocols_are_told_apart_by_order_of_their_keys() {
        let wanted = json!({"ports": [{"name": "rpc", "port": 19998, "targetPort": "rpc"}]});
        let live = json!({"ports": [
            {"name": "rpc", "port": 19998, "targetPort": "rpc", "protocol": "TCP"}]});
        assert!(first_difference(&wanted, &live).is_none());
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..9i64).prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-c]", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_is_there_is_as_wanted(value in any_json()) {
            prop_assert_eq!(first_difference(&value, &value), None);
        }

        #[test]
        fn a_field_more_in_the_cluster_is_no_difference(value in any_json()) {
            let mut live = value.clone();
            if let Value::Object(fields) = &mut live {
                fields.insert("added".into(), Value::from(1));
            }
            prop_assert_eq!(first_difference(&value, &live), None);
        }

        #[test]
        fn a_leaf_that_changed_is_a_difference(value in any_json()) {
            let wanted = json!({"field": 1, "rest": value});
            let live = json!({"field": 2, "rest": value});
            prop_assert_eq!(first_difference(&wanted, &live), Some("/field".to_owned()));
        }
    }
}
