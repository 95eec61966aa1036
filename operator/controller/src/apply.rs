//! The one place that writes objects: server-side apply of what differs, removal of what is no longer wanted.
//!
//! What is there is read by one list for each kind, by label, so an object that somebody else made under our label is
//! seen, too. It is remembered, packed, until a watch tells that something of it changed: the watches themselves keep
//! nothing.

use crate::cluster::names::CLUSTER_UID;
use crate::desired::{Desired, HASH, Key};
use crate::drift::first_difference;
use crate::error::Error;
use crate::metrics::OperatorMetrics;
use crate::seen::Seen;
use k8s_openapi::NamespaceResourceScope;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions,
    PropagationPolicy,
};
use kube::core::TypeMeta;
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Items of one page of a list.
const PAGE: u32 = 500;
/// How long what was read is good enough, if no watch tells of a change. Kinds that nobody watches change without it.
const GOOD_FOR: Duration = Duration::from_secs(300);

/// What there is, of the kinds that were asked for.
#[derive(Debug, Default)]
pub struct Observed {
    objects: BTreeMap<Key, (ApiResource, DynamicObject)>,
    /// Kinds that the API server was asked for, and does not have.
    unknown: BTreeSet<String>,
    /// Kinds that may be missing, and that the operator may not list.
    forbidden: BTreeSet<String>,
}

impl Observed {
    /// The object of that key, if it is there.
    pub fn get(&self, key: &Key) -> Option<&DynamicObject> {
        self.objects.get(key).map(|(_, object)| object)
    }

    /// Whether the API server has a kind that it was asked for, and lets the operator see its objects.
    pub fn knows(&self, kind: &str) -> bool {
        !self.unknown.contains(kind) && !self.forbidden.contains(kind)
    }

    /// Whether the operator may not list a kind that may be missing.
    pub fn is_forbidden(&self, kind: &str) -> bool {
        self.forbidden.contains(kind)
    }

    /// All of a kind, by name.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a DynamicObject> {
        self.objects.iter().filter(move |(key, _)| key.kind == kind).map(|(_, (_, object))| object)
    }

    /// An object as its type; `None` when it is not there, or is of another shape.
    pub fn typed<K>(&self, namespace: &str, name: &str) -> Option<K>
    where
        K: kube::Resource<DynamicType = ()> + serde::de::DeserializeOwned,
    {
        let key = Key {
            kind: K::kind(&()).into_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let object = self.get(&key)?;
        serde_json::to_value(object).and_then(serde_json::from_value).ok()
    }

    /// Adds an object, as a list or a write gave it.
    pub fn insert(&mut self, resource: &ApiResource, mut object: DynamicObject) {
        // Items of a list do not say what they are.
        object.types.get_or_insert_with(|| TypeMeta {
            api_version: resource.api_version.clone(),
            kind: resource.kind.clone(),
        });
        self.objects.insert(Key::of(&object, resource), (resource.clone(), object));
    }
}

/// Observed objects, by kind, as JSON without managed fields: a tenth of their size in memory.
pub struct Packed {
    kinds: Vec<(ApiResource, Vec<Box<[u8]>>)>,
}

/// What was observed, by selector.
pub type Remembered = Seen<Arc<Packed>>;

/// The selector that an object of a cluster is observed by.
pub fn remembered_by(object: &impl ResourceExt) -> Option<String> {
    object.labels().get(CLUSTER_UID).map(|uid| format!("{CLUSTER_UID}={uid}"))
}

impl Packed {
    fn pack(observed: &Observed) -> Result<Self, serde_json::Error> {
        let mut kinds: Vec<(ApiResource, Vec<Box<[u8]>>)> = Vec::new();
        for (resource, object) in observed.objects.values() {
            let mut object = object.clone();
            object.metadata.managed_fields = None;
            let bytes = serde_json::to_vec(&object)?.into_boxed_slice();
            // They are ordered by kind.
            match kinds.last_mut() {
                Some((last, objects)) if last == resource => objects.push(bytes),
                _ => kinds.push((resource.clone(), vec![bytes])),
            }
        }
        Ok(Packed { kinds })
    }

    fn unpack(&self) -> Result<Observed, serde_json::Error> {
        let mut observed = Observed::default();
        for (resource, objects) in &self.kinds {
            for object in objects {
                observed.insert(resource, serde_json::from_slice(object)?);
            }
        }
        Ok(observed)
    }
}

/// What a write did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing had to be written.
    Same,
    /// It was not there.
    Created,
    /// It differed; where first, as a path, or that something of the last time was left over.
    Changed(String),
}

/// Writes objects for one owner.
#[derive(Clone)]
pub struct Applier {
    client: Client,
    /// Who writes, as server-side apply knows it: `alluxio-operator/cluster`.
    manager: &'static str,
    metrics: OperatorMetrics,
    /// What need not be read again; `None`: nobody watches, so everything is.
    remembered: Option<Arc<Remembered>>,
}

impl Applier {
    /// `manager` is the name of the controller, as managed fields show it.
    pub fn new(client: Client, manager: &'static str, metrics: OperatorMetrics) -> Self {
        Applier { client, manager, metrics, remembered: None }
    }

    /// The same, and what is observed is remembered: `remembered` is told of changes by who watches.
    pub fn remembering(self, remembered: Arc<Remembered>) -> Self {
        Applier { remembered: Some(remembered), ..self }
    }

    /// The client, for reads.
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn api(&self, resource: &ApiResource, namespace: &str) -> Api<DynamicObject> {
        match namespace.is_empty() {
            true => Api::all_with(self.client.clone(), resource),
            false => Api::namespaced_with(self.client.clone(), namespace, resource),
        }
    }

    /// All objects of some kinds that carry a label; the selector is `NAME=VALUE` and has always the same kinds. A kind
    /// that the API server does not have is one without objects.
    pub async fn observe(
        &self,
        kinds: &[ApiResource],
        namespace: &str,
        selector: &str,
    ) -> Result<Observed, Error> {
        let Some(remembered) = &self.remembered else {
            return self.read(kinds, namespace, selector).await;
        };
        let known = remembered.get(selector, Instant::now());
        if let Some(Ok(observed)) = known.map(|known| known.unpack()) {
            return Ok(observed);
        }
        let ticket = remembered.ticket(selector);
        let observed = self.read(kinds, namespace, selector).await?;
        if let Ok(packed) = Packed::pack(&observed) {
            remembered.keep(selector, ticket, Arc::new(packed), Instant::now() + GOOD_FOR);
        }
        Ok(observed)
    }

    async fn read(
        &self,
        kinds: &[ApiResource],
        namespace: &str,
        selector: &str,
    ) -> Result<Observed, Error> {
        let mut observed = Observed::default();
        self.observe_more(&mut observed, kinds, namespace, selector).await?;
        Ok(observed)
    }

    /// The same for kinds of others, which may be missing, and for which the operator may have no rights.
    pub async fn observe_optional(
        &self,
        observed: &mut Observed,
        kinds: &[ApiResource],
        namespace: &str,
        selector: &str,
    ) -> Result<(), Error> {
        for kind in kinds {
            let one = std::slice::from_ref(kind);
            match self.observe_more(observed, one, namespace, selector).await {
                Err(error) if error.http() == Some(403) => {
                    observed.forbidden.insert(kind.kind.clone());
                }
                other => other?,
            }
        }
        Ok(())
    }

    async fn observe_more(
        &self,
        observed: &mut Observed,
        kinds: &[ApiResource],
        namespace: &str,
        selector: &str,
    ) -> Result<(), Error> {
        for resource in kinds {
            let api = self.api(resource, namespace);
            // What is there now, not what the API server's cache had a moment ago: it may be remembered.
            let mut params = ListParams::default().labels(selector).limit(PAGE);
            loop {
                let page = match api.list(&params).await {
                    Err(kube::Error::Api(status)) if status.code == 404 => {
                        observed.unknown.insert(resource.kind.clone());
                        break;
                    }
                    other => other.map_err(Error::kubernetes(format!(
                        "list {} {namespace}",
                        resource.kind
                    )))?,
                };
                let more = page.metadata.continue_.clone().filter(|token| !token.is_empty());
                page.items.into_iter().for_each(|object| observed.insert(resource, object));
                let Some(token) = more else { break };
                params = ListParams::default().labels(selector).limit(PAGE).continue_token(&token);
            }
        }
        Ok(())
    }

    /// Makes one object as it is wanted; writes only if it is not. What is there afterwards is in `observed`.
    ///
    /// **Errors**: `NameTaken`, when there is an object of that name which is not this owner's.
    pub async fn apply(
        &self,
        desired: &Desired,
        observed: &mut Observed,
    ) -> Result<Outcome, Error> {
        let outcome = match observed.get(desired.key()) {
            Some(live) => match difference(desired, live) {
                None => return Ok(Outcome::Same),
                Some(path) => Outcome::Changed(path),
            },
            None => {
                self.refuse_foreign(desired).await?;
                Outcome::Created
            }
        };
        let key = desired.key();
        let api = self.api(desired.resource(), &key.namespace);
        let params = PatchParams::apply(self.manager).force();
        let object = api
            .patch(&key.name, &params, &Patch::Apply(desired.body()))
            .await
            .map_err(Error::kubernetes(format!("apply {key}")))?;
        self.metrics.wrote(&key.kind, "apply");
        tracing::info!(object = %key, ?outcome, "applied");
        self.changed(&object);
        observed.insert(desired.resource(), object);
        Ok(outcome)
    }

    /// What was remembered with it is not true any more; the watch will say so, too, a moment later.
    fn changed(&self, object: &DynamicObject) {
        if let (Some(remembered), Some(selector)) = (&self.remembered, remembered_by(object)) {
            remembered.changed(&selector);
        }
    }

    /// An object that the list by label did not show may be there without the label.
    async fn refuse_foreign(&self, desired: &Desired) -> Result<(), Error> {
        let key = desired.key();
        let api = self.api(desired.resource(), &key.namespace);
        let found = api
            .get_metadata_opt(&key.name)
            .await
            .map_err(Error::kubernetes(format!("get {key}")))?;
        let Some(found) = found else { return Ok(()) };
        let ours = &desired.body()["metadata"]["ownerReferences"][0]["uid"];
        let owners = found.metadata.owner_references.unwrap_or_default();
        if owners.iter().any(|owner| ours.as_str() == Some(owner.uid.as_str())) {
            return Ok(());
        }
        let holder = match owners.first() {
            Some(owner) => format!("{} {}", owner.kind, owner.name),
            None => "nobody that the operator knows".to_owned(),
        };
        Err(Error::NameTaken {
            kind: key.kind.clone(),
            name: format!("{}/{}", key.namespace, key.name),
            holder,
        })
    }

    /// Removes what was observed, and is not `wanted`. Call it only when all that is wanted was built, and
    /// no rollout is on its way that still needs the old. Returns what was removed.
    pub async fn remove_orphans(
        &self,
        observed: &Observed,
        wanted: &[Key],
        owner_uid: &str,
    ) -> Result<Vec<Key>, Error> {
        let mut removed = Vec::new();
        for (key, (resource, object)) in &observed.objects {
            let owned = object.owner_references().iter().any(|owner| owner.uid == owner_uid);
            if owned && !wanted.contains(key) && object.metadata.deletion_timestamp.is_none() {
                self.delete(resource, object).await?;
                removed.push(key.clone());
            }
        }
        Ok(removed)
    }

    /// Deletes exactly this object, not one of the same name that came later. It may be gone already.
    pub async fn delete(
        &self,
        resource: &ApiResource,
        object: &DynamicObject,
    ) -> Result<(), Error> {
        let key = Key::of(object, resource);
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: Some(Preconditions { uid: object.uid(), resource_version: None }),
            ..DeleteParams::default()
        };
        match self.api(resource, &key.namespace).delete(&key.name, &params).await {
            // Gone, or another one of that name already.
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
            Err(error) => Err(Error::kubernetes(format!("delete {key}"))(error)),
            Ok(_) => {
                self.metrics.wrote(&key.kind, "delete");
                tracing::info!(object = %key, "deleted");
                self.changed(object);
                Ok(())
            }
        }
    }
}

impl Applier {
    /// The same for another controller.
    pub fn named(&self, manager: &'static str) -> Self {
        Applier { manager, ..self.clone() }
    }

    /// The objects of one of our kinds beside this one.
    pub fn beside<K: Ours>(&self, object: &K) -> Api<K> {
        Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default())
    }

    /// Puts a finalizer on, once.
    pub async fn hold<K: Ours>(&self, object: &K, finalizer: &str) -> Result<(), Error> {
        if holds(object, finalizer) {
            return Ok(());
        }
        let finalizers = object.finalizers().iter().map(String::as_str).chain([finalizer]);
        self.set_finalizers(object, finalizers.collect())
            .await
            .map_err(Error::kubernetes("add the finalizer"))
    }

    /// Takes a finalizer off; the object may be gone already.
    pub async fn release<K: Ours>(&self, object: &K, finalizer: &str) -> Result<(), Error> {
        let left = object.finalizers().iter().map(String::as_str).filter(|one| *one != finalizer);
        match self.set_finalizers(object, left.collect()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(Error::kubernetes("remove the finalizer")(error)),
            Ok(()) => {
                let (name, namespace) = (object.name_any(), object.namespace());
                tracing::info!(kind = %K::kind(&()), name, namespace, "gone");
                Ok(())
            }
        }
    }

    async fn set_finalizers<K: Ours>(
        &self,
        object: &K,
        finalizers: Vec<&str>,
    ) -> Result<(), kube::Error> {
        // With the version that was read: somebody else's finalizer must not get lost.
        let patch = json!({"metadata": {
            "finalizers": finalizers, "resourceVersion": object.resource_version()}});
        let (name, params) = (object.name_any(), PatchParams::default());
        self.beside(object).patch(&name, &params, &Patch::Merge(patch)).await?;
        self.metrics.wrote(&K::kind(&()), "patch");
        Ok(())
    }

    /// Writes the status of one of our objects. Who calls has found that it differs.
    pub async fn tell_status<K: Ours>(
        &self,
        object: &K,
        status: &impl Serialize,
    ) -> Result<(), Error> {
        let patch = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": {"name": object.name_any()},
            "status": status,
        });
        let params = PatchParams::apply(self.manager).force();
        self.beside(object)
            .patch_status(&object.name_any(), &params, &Patch::Apply(patch))
            .await
            .map_err(Error::kubernetes("write the status"))?;
        self.metrics.wrote(&K::kind(&()), "status");
        Ok(())
    }
}

/// Whether an object carries a finalizer.
pub fn holds<K: Resource>(object: &K, finalizer: &str) -> bool {
    object.meta().finalizers.iter().flatten().any(|one| one == finalizer)
}

/// A kind of ours: in a namespace, with a status.
pub trait Ours:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned
{
}

impl<K> Ours for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
{
}

/// Why an object has to be written; `None` when it is as wanted.
fn difference(desired: &Desired, live: &DynamicObject) -> Option<String> {
    let applied = live.annotations().get(HASH).map(String::as_str);
    let live = match serde_json::to_value(live) {
        Ok(live) => live,
        Err(error) => return Some(error.to_string()),
    };
    if let Some(path) = first_difference(desired.body(), &live) {
        return Some(path);
    }
    let wanted = desired.body()["metadata"]["annotations"][HASH].as_str();
    (applied != wanted).then(|| "what is wanted no more".to_owned())
}
