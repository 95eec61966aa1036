//! References to other objects. Without a namespace they mean the namespace of the object they stand in.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An object of the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// An object of this namespace, or of one whose owner allows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespacedRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace; the one of this object when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

impl NamespacedRef {
    /// The namespace that is meant in an object of `here`.
    pub fn namespace_or<'a>(&'a self, here: &'a str) -> &'a str {
        self.namespace.as_deref().unwrap_or(here)
    }
}

/// Credentials of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// The Secret that has them. It is read again when it changes, and nothing is restarted.
    pub secret_ref: SecretOptions,
}

/// A Secret whose keys are options of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretOptions {
    /// Name of the Secret, in the namespace of this object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Which key of the Secret is which option of the store, as `s3a.accessKeyId: access-key`. Without it
    /// every key of the Secret is the name of an option.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::labels")]
    pub keys: BTreeMap<String, String>,
}

/// Which namespaces may refer to this object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.from == 'Selector') == has(self.selector)")
    .message("selector is given with from: Selector, and only then"))]
pub struct AllowedNamespaces {
    /// Same: this one. All: every namespace of the Kubernetes cluster. Selector: those whose labels match.
    #[serde(default)]
    pub from: NamespacesFrom,
    /// Labels of namespaces. `kubernetes.io/metadata.name` is the label that holds a namespace's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector>,
}

impl Default for AllowedNamespaces {
    fn default() -> Self {
        AllowedNamespaces { from: NamespacesFrom::Same, selector: None }
    }
}

crate::closed::words! {
    /// Which namespaces are meant.
    #[derive(Default)]
    NamespacesFrom {
        /// The one of the object.
        #[default]
        Same,
        /// Every one.
        All,
        /// Those whose labels match.
        Selector,
    }
}
