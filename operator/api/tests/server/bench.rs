//! How a case is judged. A case is an object that is accepted, and a change of it that is accepted or refused.

use crate::rules::{Cause, Rules};
use alluxio_e2e_harness::{ControlPlane, Identity};
use alluxio_operator_api::definitions;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::core::response::StatusCause;
use kube::{Api, Client};
use serde_json::{Value, json};
use std::fmt::Debug;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// How long the API server may take to serve a kind. It takes a second.
const SERVED_WITHIN: Duration = Duration::from_secs(60);

/// What is expected of a change.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    /// It is taken.
    Accepted,
    /// It is refused, and this is said.
    Refused(&'static str),
}

/// Sets the field at this path (JSON pointer below the object) to a value; `null` takes it away.
pub(crate) type Change<P = &'static str> = (P, Value);

pub(crate) struct Bench {
    client: Client,
    names: AtomicU32,
    rules: Mutex<Rules>,
}

impl Bench {
    /// Installs all kinds and waits until they are served.
    pub(crate) async fn install(plane: &ControlPlane) -> Self {
        let client = plane.client(&Identity::Admin).await.unwrap();
        let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
        let mut rules = Rules::default();
        for definition in definitions().unwrap() {
            let apply = PatchParams::apply("test");
            crds.patch(&definition.name, &apply, &Patch::Apply(&definition.crd)).await.unwrap();
            rules.add(&serde_json::to_value(&definition.crd).unwrap());
        }
        let bench = Bench { client, names: AtomicU32::new(0), rules: Mutex::new(rules) };
        for definition in definitions().unwrap() {
            let api = bench.api(&definition.crd.spec.names.kind);
            let served = async {
                while api.list(&Default::default()).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            };
            tokio::time::timeout(SERVED_WITHIN, served).await.expect("the kind is not served");
        }
        bench
    }

    /// What is known of the rules by now.
    pub(crate) fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap()
    }

    fn api(&self, kind: &str) -> Api<DynamicObject> {
        let gvk = GroupVersionKind::gvk("alluxio.dev", "v1alpha1", kind);
        let plural = format!("{}s", kind.to_lowercase());
        Api::namespaced_with(
            self.client.clone(),
            "default",
            &ApiResource::from_gvk_with_plural(&gvk, &plural),
        )
    }

    /// A new object, as the server returns it, or what it says.
    pub(crate) async fn create(&self, mut object: Value) -> Result<Value, String> {
        if object.pointer("/metadata/name").is_none() {
            let number = self.names.fetch_add(1, Ordering::Relaxed);
            object["metadata"] = json!({ "name": format!("case-{number}") });
        }
        let api = self.api(kind(&object));
        let typed: DynamicObject = serde_json::from_value(object.clone()).unwrap();
        let params = PostParams { dry_run: false, field_manager: None };
        self.answer(&object, None, api.create(&params, &typed).await)
    }

    /// The object `after` a change, as the server returns it, or what it says.
    async fn replace(&self, before: &Value, after: Value) -> Result<Value, String> {
        let api = self.api(kind(&after));
        let name = after["metadata"]["name"].as_str().unwrap();
        let typed: DynamicObject = serde_json::from_value(after.clone()).unwrap();
        self.answer(&after, Some(before), api.replace(name, &PostParams::default(), &typed).await)
    }

    fn answer(
        &self,
        sent: &Value,
        before: Option<&Value>,
        result: kube::Result<DynamicObject>,
    ) -> Result<Value, String> {
        let object = match result {
            Ok(object) => serde_json::to_value(object).unwrap(),
            Err(kube::Error::Api(status)) => {
                let details = status.details.iter().flat_map(|details| &details.causes);
                let cause = |cause: &StatusCause| Cause {
                    field: cause.field.clone(),
                    message: cause.message.clone(),
                };
                let causes: Vec<Cause> = details.map(cause).collect();
                self.rules().refused(kind(sent), &causes);
                return Err(status.message);
            }
            Err(error) => return Err(error.to_string()),
        };
        self.rules().accepted(kind(sent), before, &object);
        Ok(object)
    }

    /// Creates the object with the changes, and says what is not as wanted.
    pub(crate) async fn judge<P: Debug + AsRef<str>>(
        &self,
        base: &Value,
        changes: &[Change<P>],
        wanted: Wanted,
    ) -> Vec<String> {
        let answer = self.create(changed(base, changes)).await;
        verdict("create", changes, wanted, answer)
    }

    /// Creates the object with the first changes, which must be accepted; makes the second ones, and says what is not
    /// as wanted.
    pub(crate) async fn judge_update<P: Debug + AsRef<str>>(
        &self,
        base: &Value,
        before: &[Change<P>],
        changes: &[Change<P>],
        wanted: Wanted,
    ) -> Vec<String> {
        match self.create(changed(base, before)).await {
            Err(said) => vec![format!("create {before:?}: refused: {said}")],
            Ok(object) => {
                let answer = self.replace(&object, changed(&object, changes)).await;
                verdict("update", changes, wanted, answer)
            }
        }
    }
}

fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap()
}

fn verdict<P: Debug>(
    verb: &str,
    changes: &[Change<P>],
    wanted: Wanted,
    answer: Result<Value, String>,
) -> Vec<String> {
    match (wanted, answer) {
        (Wanted::Accepted, Ok(_)) => Vec::new(),
        (Wanted::Accepted, Err(said)) => vec![format!("{verb} {changes:?}: refused: {said}")],
        (Wanted::Refused(_), Ok(_)) => vec![format!("{verb} {changes:?}: accepted")],
        (Wanted::Refused(words), Err(said)) if said.contains(words) => Vec::new(),
        (Wanted::Refused(words), Err(said)) => {
            vec![format!("{verb} {changes:?}: {words:?} is not in what was said: {said}")]
        }
    }
}

/// The object with the fields set.
pub(crate) fn changed<P: AsRef<str>>(base: &Value, changes: &[Change<P>]) -> Value {
    let mut object = base.clone();
    for (path, value) in changes {
        set(&mut object, path.as_ref(), value.clone());
    }
    object
}

fn set(object: &mut Value, path: &str, value: Value) {
    let mut place = object;
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let (last, way) = parts.split_last().expect("a path begins with /");
    for part in way {
        place = match place {
            Value::Array(items) => &mut items[part.parse::<usize>().unwrap()],
            other => &mut other[*part],
        };
    }
    match place {
        Value::Array(items) if *last == "-" => items.push(value),
        Value::Array(items) if value.is_null() => {
            items.remove(last.parse().unwrap());
        }
        Value::Array(items) => items[last.parse::<usize>().unwrap()] = value,
        other if value.is_null() => {
            other.as_object_mut().unwrap().remove(*last);
        }
        other => other[*last] = value,
    }
}
