//! Objects as a builder wants them: of any kind, with labels, owner and hash put on in one place.

use crate::error::Error;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{ApiResource, DynamicObject};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Annotation with the hash of what was last applied: tells fields that are wanted no more from fields that
/// others set.
pub const HASH: &str = "alluxio.dev/applied-hash";

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// As `StatefulSet`.
    pub kind: String,
    /// Empty for objects of the whole cluster.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.namespace.is_empty() {
            true => write!(f, "{} {}", self.kind, self.name),
            false => write!(f, "{} {}/{}", self.kind, self.namespace, self.name),
        }
    }
}

impl Key {
    /// The key of an object that the API server gave.
    pub fn of(object: &DynamicObject, resource: &ApiResource) -> Self {
        Key {
            kind: resource.kind.clone(),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
        }
    }
}

/// One object that is wanted.
#[derive(Debug, Clone)]
pub struct Desired {
    key: Key,
    resource: ApiResource,
    body: Value,
}

impl Desired {
    /// Takes an object as a builder made it. `labels` are added to its own; `owner` makes the garbage collector
    /// remove it with its owner.
    ///
    /// **Errors**: `Unwritable`, when it is no JSON object; `NotStored`, when it has no name.
    pub fn new<K>(
        object: &K,
        owner: Option<&OwnerReference>,
        labels: &BTreeMap<String, String>,
    ) -> Result<Self, Error>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let name = object.meta().name.clone().ok_or(Error::NotStored("name"))?;
        let unwritable = |source| Error::Unwritable { what: name.clone(), source };
        let body = serde_json::to_value(object).map_err(unwritable)?;
        Self::of_json(ApiResource::erase::<K>(&()), body, owner, labels)
    }

    /// The same for an object that is written as JSON. It is sent as it is, so the API server finds every field
    /// that its schema does not have.
    ///
    /// **Errors**: `NotStored`, when it has no name.
    pub fn of_json(
        resource: ApiResource,
        mut body: Value,
        owner: Option<&OwnerReference>,
        labels: &BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        let text = |field: &str| body["metadata"][field].as_str().map(str::to_owned);
        let name = text("name").ok_or(Error::NotStored("name"))?;
        let namespace = text("namespace").unwrap_or_default();
        let key = Key { kind: resource.kind.clone(), namespace, name };
        let unwritable = |source| Error::Unwritable { what: key.to_string(), source };
        strip_nulls(&mut body);
        set(&mut body, &["apiVersion"], Value::from(resource.api_version.clone()));
        set(&mut body, &["kind"], Value::from(resource.kind.clone()));
        for (name, value) in labels {
            set(&mut body, &["metadata", "labels", name], Value::from(value.clone()));
        }
        if let Some(owner) = owner {
            let owner = serde_json::to_value(owner).map_err(unwritable)?;
            set(&mut body, &["metadata", "ownerReferences"], Value::Array(vec![owner]));
        }
        let hash = hash(&body);
        set(&mut body, &["metadata", "annotations", HASH], Value::from(hash));
        Ok(Desired { key, resource, body })
    }

    /// Which object it is.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Its kind, as the API server knows it.
    pub fn resource(&self) -> &ApiResource {
        &self.resource
    }

    /// All of it.
    pub fn body(&self) -> &Value {
        &self.body
    }
}

/// A short hash of JSON, that does not depend on the order of its keys: 16 hexadecimal letters.
pub fn hash(value: &Value) -> String {
    // `serde_json::Map` is ordered by key, so equal values are equal bytes.
    let digest = Sha256::digest(value.to_string().as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Fields that are null, and objects that are empty for it, are fields that are not wanted.
fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(strip_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_nulls),
        _ => {}
    }
}

/// Sets a field, making the objects on the way.
fn set(value: &mut Value, path: &[&str], new: Value) {
    let Some((first, rest)) = path.split_first() else {
        *value = new;
        return;
    };
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    if let Value::Object(fields) = value {
        set(fields.entry((*first).to_owned()).or_insert(Value::Null), rest, new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    fn config_map(value: &str) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                name: Some("demo-conf".into()),
                namespace: Some("cache".into()),
                ..Default::default()
            },
            data: Some([("alluxio-site.properties".to_owned(), value.to_owned())].into()),
            ..Default::default()
        }
    }

    #[test]
    fn an_object_carries_kind_labels_owner_and_hash() {
        let owner = OwnerReference {
            api_version: "alluxio.dev/v1alpha1".into(),
            kind: "AlluxioCluster".into(),
            name: "demo".into(),
            uid: "u".into(),
            controller: Some(true),
            ..Default::default()
        };
        let labels = BTreeMap::from([("app.kubernetes.io/instance".to_owned(), "demo".to_owned())]);
        let desired = Desired::new(&config_map("a=b"), Some(&owner), &labels).unwrap();
        assert_eq!(desired.key().to_string(), "ConfigMap cache/demo-conf");
        let body = desired.body();
        assert_eq!(body["apiVersion"], "v1");
        assert_eq!(body["metadata"]["labels"]["app.kubernetes.io/instance"], "demo");
        assert_eq!(body["metadata"]["ownerReferences"][0]["uid"], "u");
        assert_eq!(body["metadata"]["annotations"][HASH].as_str().map(str::len), Some(16));
        let other = Desired::new(&config_map("a=c"), Some(&owner), &labels).unwrap();
        assert_ne!(
            body["metadata"]["annotations"][HASH],
            other.body()["metadata"]["annotations"][HASH]
        );
    }

    #[test]
    fn equal_wishes_have_equal_hashes() {
        let one: Value = serde_json::from_str(r#"{"a": 1, "b": {"c": 2, "d": 3}}"#).unwrap();
        let two: Value = serde_json::from_str(r#"{"b": {"d": 3, "c": 2}, "a": 1}"#).unwrap();
        assert_eq!(hash(&one), hash(&two));
    }
}
