//! All rules of the kinds, and which of them cases have kept and broken: no rule without both.

use serde_json::Value;
use std::collections::BTreeSet;

/// What no object can have: a cache of some nodes is of the same type as that of all, and claims in it are refused, as
/// nodes of their own and claims of a StatefulSet exclude each other. Its rules can be broken, if they need no change.
const NEVER: &str = "spec.worker.nodeOverrides[].tieredStore.levels[].volumeClaimTemplate";

/// A rule, where it stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Rule {
    kind: String,
    /// Such as `spec.mounts[].path`; empty for the whole object.
    path: String,
    message: String,
    /// Whether it compares with the object before the change.
    transition: bool,
}

/// What an API server refused an object with.
#[derive(Debug, Clone)]
pub(crate) struct Cause {
    /// The field as the server names it: `spec.mounts[0].path`.
    pub(crate) field: String,
    pub(crate) message: String,
}

#[derive(Default)]
pub(crate) struct Rules {
    all: BTreeSet<Rule>,
    kept: BTreeSet<Rule>,
    broken: BTreeSet<Rule>,
}

impl Rules {
    /// Adds those of a definition, as the API server gets it.
    pub(crate) fn add(&mut self, definition: &Value) {
        let kind = definition.pointer("/spec/names/kind").and_then(Value::as_str).unwrap();
        for version in definition.pointer("/spec/versions").and_then(Value::as_array).unwrap() {
            let schema = version.pointer("/schema/openAPIV3Schema").unwrap();
            collect(kind, schema, "", &mut self.all);
        }
    }

    /// An object was refused.
    pub(crate) fn refused(&mut self, kind: &str, causes: &[Cause]) {
        for cause in causes {
            // The whole object has no name.
            let field = if cause.field == "<nil>" { "" } else { &cause.field };
            let path = without_numbers(field);
            let broken = self.all.iter().filter(|rule| {
                rule.kind == kind && rule.path == path && cause.message.contains(&rule.message)
            });
            self.broken.extend(broken.cloned());
        }
    }

    /// An object was accepted, new or in the place of another one.
    pub(crate) fn accepted(&mut self, kind: &str, before: Option<&Value>, object: &Value) {
        let kept = self.all.iter().filter(|rule| {
            let applies = |object: &Value| has(object, &rule.path);
            let compared = !rule.transition || before.is_some_and(applies);
            rule.kind == kind && compared && applies(object)
        });
        self.kept.extend(kept.cloned());
    }

    /// Rules that no case has kept, or none has broken; there should be none.
    pub(crate) fn without_a_case(&self) -> Vec<String> {
        let lack = |had: &BTreeSet<Rule>, word: &str| {
            let lacking = self.all.difference(had).filter(|rule| {
                let breaks = word == "breaks" && !rule.transition;
                breaks || !rule.path.starts_with(NEVER)
            });
            let texts = lacking.map(|Rule { kind, path, message, .. }| {
                format!("no case {word} the rule of {kind} at {path:?}: {message}")
            });
            texts.collect::<Vec<_>>()
        };
        [lack(&self.kept, "keeps"), lack(&self.broken, "breaks")].concat()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}

fn collect(kind: &str, schema: &Value, path: &str, rules: &mut BTreeSet<Rule>) {
    let own = schema.get("x-kubernetes-validations").and_then(Value::as_array);
    for rule in own.into_iter().flatten() {
        let text = |field: &str| rule[field].as_str().unwrap().to_owned();
        rules.insert(Rule {
            kind: kind.to_owned(),
            path: path.to_owned(),
            message: text("message"),
            transition: text("rule").contains("oldSelf"),
        });
    }
    for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let dot = if path.is_empty() { "" } else { "." };
        collect(kind, field, &format!("{path}{dot}{name}"), rules);
    }
    if let Some(items) = schema.get("items") {
        collect(kind, items, &format!("{path}[]"), rules);
    }
    // A rule on the values of a map would have a path that depends on their names.
    let values = schema.pointer("/additionalProperties/x-kubernetes-validations");
    assert!(values.is_none(), "{path}: rules on values of maps are not looked for");
}

/// `spec.mounts[0].path` as `spec.mounts[].path`.
fn without_numbers(field: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for letter in field.chars() {
        inside = letter != ']' && (inside || letter == '[');
        if letter == '[' || !inside {
            text.push(letter);
        }
    }
    text
}

/// Whether the object has something at this path.
fn has(object: &Value, path: &str) -> bool {
    let Some((first, rest)) = path.split_once('.').or((!path.is_empty()).then_some((path, "")))
    else {
        return !object.is_null();
    };
    match first.strip_suffix("[]") {
        Some(list) => object[list].as_array().is_some_and(|all| all.iter().any(|o| has(o, rest))),
        None => has(&object[first], rest),
    }
}

#[test]
fn a_rule_has_a_case_when_it_was_kept_and_broken_where_it_stands() {
    use serde_json::json;
    let rule = |text: &str| json!([{ "rule": text, "message": text }]);
    let schema = json!({ "properties": { "list": {
        "x-kubernetes-validations": rule("self == oldSelf"),
        "items": { "properties": { "a": { "x-kubernetes-validations": rule("self > 0") } } },
    } } });
    let version = json!({ "schema": { "openAPIV3Schema": schema } });
    let definition = json!({ "spec": { "names": { "kind": "K" }, "versions": [version] } });
    let mut rules = Rules::default();
    rules.add(&definition);
    assert_eq!((rules.len(), rules.without_a_case().len()), (2, 4));
    let cause = |field: &str, message: &str| Cause { field: field.into(), message: message.into() };
    rules.refused("K", &[cause("list[0].b", "self > 0"), cause("list", "self > 0")]);
    rules.refused("L", &[cause("list[0].a", "self > 0")]);
    rules.accepted("K", None, &json!({ "list": [{ "b": 1 }] }));
    assert_eq!(rules.without_a_case().len(), 4, "none of them was where a rule is");
    rules.refused("K", &[cause("list[12].a", "Invalid value: 0: self > 0")]);
    let object = json!({ "list": [{ "a": 1 }] });
    rules.accepted("K", None, &object);
    assert_eq!(rules.without_a_case().len(), 2, "a change was not looked at");
    rules.refused("K", &[cause("list", "self == oldSelf")]);
    rules.accepted("K", Some(&object), &object);
    assert_eq!(rules.without_a_case(), [""; 0]);
}
