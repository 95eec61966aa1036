//! Whether an object may be used from another namespace. Pure.

use alluxio_operator_api::reference::{AllowedNamespaces, NamespacesFrom};
use kube::core::{Selector, SelectorExt};
use std::collections::BTreeMap;

/// What `allowed`, in an object of namespace `owner`, says to namespace `here`, whose labels are given; without
/// labels a selector says no.
pub fn allows(
    allowed: &AllowedNamespaces,
    owner: &str,
    here: &str,
    labels: Option<&BTreeMap<String, String>>,
) -> bool {
    if owner == here {
        return true;
    }
    match allowed.from {
        NamespacesFrom::Same => false,
        NamespacesFrom::All => true,
        NamespacesFrom::Selector => {
            let selector = allowed.selector.clone().unwrap_or_default();
            match (Selector::try_from(selector), labels) {
                (Ok(selector), Some(labels)) => selector.matches(labels),
                // The API server has checked it; what cannot be read allows nothing.
                _ => false,
            }
        }
    }
}

/// Whether the answer depends on labels.
pub fn needs_labels(allowed: &AllowedNamespaces, owner: &str, here: &str) -> bool {
    owner != here && allowed.from == NamespacesFrom::Selector
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_namespace_is_let_in_or_not() {
        let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let of = |value| serde_json::from_value::<AllowedNamespaces>(value).unwrap();
        let same = of(json!({"from": "Same"}));
        let all = of(json!({"from": "All"}));
        let some = of(json!({"from": "Selector", "selector": {
            "matchLabels": {"team": "ml"},
            "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["dev"]}],
        }}));
        let cases = [
            (&same, "a", "a", None, true),
            (&same, "a", "b", None, false),
            (&all, "a", "b", None, true),
            (&some, "a", "a", None, true),
            (&some, "a", "b", None, false),
            (&some, "a", "b", Some(labels(&[("team", "ml")])), true),
            (&some, "a", "b", Some(labels(&[("team", "ml"), ("tier", "dev")])), false),
            (&some, "a", "b", Some(labels(&[("team", "web")])), false),
        ];
        for (allowed, owner, here, labels, may) in cases {
            assert_eq!(allows(allowed, owner, here, labels.as_ref()), may, "{allowed:?} {here}");
        }
        assert!(needs_labels(&some, "a", "b") && !needs_labels(&some, "a", "a"));
        assert!(!needs_labels(&all, "a", "b"));
    }
}
