//! The files in `crds/` are what the types say, and what Kubernetes can read.

use alluxio_operator_api::definitions;
use serde_json::Value;
use std::path::Path;

fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_files_are_what_the_types_say() {
    for definition in definitions().unwrap() {
        let name = format!("{}.yaml", definition.name);
        assert!(golden(&name) == definition.yaml, "crds/{name} differs: run `cargo xtask crds`");
    }
}

#[test]
fn the_yaml_says_the_same_as_the_object() {
    for definition in definitions().unwrap() {
        let read: Value = serde_saphyr::from_str(&definition.yaml).unwrap();
        let typed = serde_json::to_value(&definition.crd).unwrap();
        assert_eq!(whole(read), whole(typed), "{}", definition.name);
    }
}

/// Numbers without a fraction as integers, whatever they were written as.
fn whole(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_f64().unwrap_or(f64::NAN) as i64),
        Value::Array(items) => items.into_iter().map(whole).collect(),
        Value::Object(fields) => fields.into_iter().map(|(k, v)| (k, whole(v))).collect(),
        other => other,
    }
}

#[test]
fn every_field_is_documented_and_every_text_and_list_is_bounded_in_specifications() {
    for definition in definitions().unwrap() {
        let crd = serde_json::to_value(&definition.crd).unwrap();
        let spec = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec").unwrap();
        let mut faults = Vec::new();
        look(&definition.name, spec, &mut faults);
        assert_eq!(faults, Vec::<String>::new());
    }
}

/// Types of Kubernetes' own have no bounds; the API server checks them where they are used.
const KUBERNETES_OWN: &[&str] = &["tolerations", "selector"];

fn look(path: &str, schema: &Value, faults: &mut Vec<String>) {
    let has = |key: &str| schema.get(key).is_some();
    let is = |type_: &str| schema.get("type").and_then(Value::as_str) == Some(type_);
    if is("string") && !has("enum") && !has("maxLength") {
        faults.push(format!("{path}: a text without maxLength"));
    }
    if is("array") && (!has("maxItems") || !has("x-kubernetes-list-type")) {
        faults.push(format!("{path}: a list without maxItems or list type"));
    }
    if has("additionalProperties") && !has("maxProperties") {
        faults.push(format!("{path}: a map without maxProperties"));
    }
    for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = format!("{path}.{name}");
        if field.get("description").and_then(Value::as_str).is_none_or(str::is_empty) {
            faults.push(format!("{path}: not documented"));
        }
        if !KUBERNETES_OWN.contains(&name.as_str()) {
            look(&path, field, faults);
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(key) {
            look(&format!("{path}.{key}"), inner, faults);
        }
    }
}

/// How a rule on changes tells what can be done instead.
const WAYS_OUT: [&str; 4] = ["make a", "can be added", "can grow", "add another"];

#[test]
fn every_rule_says_in_words_what_is_wrong_and_those_on_changes_what_to_do_instead() {
    for definition in definitions().unwrap() {
        let text = serde_json::to_value(&definition.crd).unwrap();
        let mut rules = 0;
        walk(&text, &mut |schema| {
            for rule in schema
                .get("x-kubernetes-validations")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                let message = rule.get("message").and_then(Value::as_str);
                let message = message.unwrap_or_else(|| panic!("no message: {rule}"));
                let transition = rule["rule"].as_str().is_some_and(|r| r.contains("oldSelf"));
                let shown = WAYS_OUT.iter().any(|way| message.contains(way));
                assert!(!transition || shown, "what can be done instead? {message}");
                rules += 1;
            }
        });
        assert!(rules > 3, "{}", definition.name);
    }
}

fn walk(value: &Value, see: &mut impl FnMut(&Value)) {
    see(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, see)),
        Value::Object(fields) => fields.values().for_each(|field| walk(field, see)),
        _ => {}
    }
}
