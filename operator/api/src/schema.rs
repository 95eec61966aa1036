//! From Rust types to what `kubectl apply` takes: one place where the derived schema is made plain.
//!
//! What the derives write is right for JSON Schema and wrong, or noisy, for Kubernetes: `nullable` on
//! every optional field (a `null` would stay instead of being dropped, and no default would fill it in),
//! Rust's integer formats (the API server warns of them), bounds like `1.0`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

/// A definition could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The types do not make a definition.
    #[error("the definition is no Kubernetes object")]
    Json(#[from] serde_json::Error),
    /// It cannot be written as YAML.
    #[error("the definition cannot be written as YAML")]
    Yaml(#[from] serde_saphyr::SerializeError),
}

/// The definition of a kind, as it is installed.
///
/// **Errors**: never for the kinds of this crate; the tests make all of them.
pub fn definition<K: CustomResourceExt>() -> Result<Value, SchemaError> {
    let mut crd = serde_json::to_value(K::crd())?;
    plain(&mut crd);
    // What users see when they ask what a kind is: the sentence of its specification, not of the derive.
    if let Some(versions) = crd.pointer_mut("/spec/versions").and_then(Value::as_array_mut) {
        for version in versions {
            describe_root(version);
            // The operator writes all that it knows; nothing is to appear that it did not write.
            if let Some(status) = version.pointer_mut("/schema/openAPIV3Schema/properties/status") {
                without_defaults(status);
            }
        }
    }
    Ok(crd)
}

/// The same as Kubernetes' own type.
///
/// **Errors**: as [`definition`].
pub fn typed_definition<K: CustomResourceExt>() -> Result<CustomResourceDefinition, SchemaError> {
    Ok(serde_json::from_value(definition::<K>()?)?)
}

/// The same as a document of YAML.
///
/// **Errors**: as [`definition`].
pub fn yaml<K: CustomResourceExt>() -> Result<String, SchemaError> {
    Ok(serde_saphyr::to_string(&definition::<K>()?)?)
}

fn describe_root(version: &mut Value) {
    let Some(root) = version.pointer_mut("/schema/openAPIV3Schema").and_then(Value::as_object_mut)
    else {
        return;
    };
    let words = root.get("properties").and_then(|p| p.pointer("/spec/description")).cloned();
    if let Some(words) = words {
        root.insert("description".to_owned(), words);
    }
}

fn without_defaults(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.remove("default");
            object.values_mut().for_each(without_defaults);
        }
        Value::Array(items) => items.iter_mut().for_each(without_defaults),
        _ => {}
    }
}

/// Walks through everything; names of properties are not keywords.
fn plain(value: &mut Value) {
    match value {
        Value::Object(object) => plain_object(object),
        Value::Array(items) => items.iter_mut().for_each(plain),
        Value::Number(number) => {
            if let Some(whole) = number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 1e15)
                && number.is_f64()
            {
                *value = json!(whole as i64);
            }
        }
        _ => {}
    }
}

fn plain_object(object: &mut Map<String, Value>) {
    object.remove("nullable");
    if let Some(format) = object.get("format").and_then(Value::as_str).and_then(known_format) {
        object.insert("format".to_owned(), json!(format));
    }
    for (name, value) in object {
        match value {
            // Below, keys are the user's fields, one of which may be called `format`.
            Value::Object(fields) if name == "properties" => fields.values_mut().for_each(plain),
            _ => plain(value),
        }
    }
}

/// What Kubernetes calls an integer of Rust.
fn known_format(format: &str) -> Option<&'static str> {
    match format {
        "uint8" | "uint16" | "int8" | "int16" => Some("int32"),
        "uint32" | "uint64" | "uint" | "int" => Some("int64"),
        _ => None,
    }
}

/// Labels, annotations and the like: short texts by name.
pub(crate) fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": { "type": "string", "maxLength": 253 },
    })
}

/// Amounts of resources by name.
pub(crate) fn amounts(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {
            "x-kubernetes-int-or-string": true,
            "pattern": r"^([+]?[0-9]+([.][0-9]*)?|[+]?[.][0-9]+)(([KMGTPE]i)|[numkMGTPE]|([eE][+-]?[0-9]+))?$",
        },
    })
}

/// Something that Kubernetes itself checks later.
pub(crate) fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// A number or a percentage, as in Kubernetes' own strategies of updating.
pub(crate) fn number_or_percent(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "maxLength": 8,
        "x-kubernetes-validations": [{
            "rule": "type(self) == int ? self > 0 : self.matches('^([1-9][0-9]?|100)%$')",
            "message": "must be a number above 0, or a percentage from 1% to 100%",
        }],
    })
}

/// Keys of Alluxio's configuration, or options of a store. What they are called tells credentials, whose
/// place is a Secret: anyone who may read the object, and every backup of etcd, would have them.
pub(crate) fn properties(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 200,
        "additionalProperties": { "type": "string", "maxLength": 4096 },
        "x-kubernetes-validations": [
            {
                "rule": "self.all(k, k.matches('^[A-Za-z0-9][A-Za-z0-9._/@-]*$') && k.size() <= 253)",
                "message": "names of properties are letters, digits, '.', '-', '_', '@' and '/', at most 253",
            },
            {
                "rule": "self.all(k, k.matches('[.](file|path)$') || !k.matches(\
                         '(?i)(secret|passw|access[._-]?key|account[.]key|[.]sas[.]|delegation|credential|\
                         session[._-]?token|security[._-]?token|[.]token$)'))",
                "message": "credentials do not belong here: put them in a Secret and name it in credentials.secretRef",
            },
        ],
    })
}
