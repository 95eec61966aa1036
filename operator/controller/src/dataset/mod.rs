//! The controller of `Dataset`.
//!
//! [`reconcile`] is the walk: [`resolve`] and [`options`] say what is wanted and where, [`plan`] what has to happen to
//! mounts, [`mounts`] and [`volume`] do it, [`status`] tells. [`delete`] is the walk of a Dataset that goes.
//!
//! Secrets are read by name and never listed or watched. Their values go to the master by [`admin`], and nowhere else.

pub mod admin;
pub mod delete;
pub mod fenced;
pub mod grant;
pub mod memory;
pub mod mounts;
pub mod names;
pub mod options;
pub mod plan;
pub mod played;
pub mod remote;
pub mod resolve;
pub mod secret;
pub mod status;
pub mod volume;

use crate::apply::Applier;
use crate::cluster::admin::Target;
use crate::cluster::validate::{self, Defaults};
use crate::error::{Error, Failures, spread};
use crate::events::Events;
use crate::metrics::OperatorMetrics;
use crate::operation::runner::{Look, Runner};
use crate::stores::Stores;
use admin::DatasetAdmin;
use alluxio_operator_api::condition::{ConditionStatus, Reason, status_of};
use alluxio_operator_api::dataset::DatasetCondition;
use alluxio_operator_api::reference::NamespacedRef;
use alluxio_operator_api::{AlluxioCluster, Dataset, DatasetSpec, DatasetStatus};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::api::Api;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use memory::Memory;
use mounts::MountFacts;
use names::Names;
use options::{ReadSecret, Secrets};
use resolve::Place;
use secret::SecretText;
use status::{Facts, Metadata};
use std::sync::Arc;
use std::time::{Duration, Instant};
use volume::VolumeFact;

/// How the objects of this controller are marked in managed fields.
pub const MANAGER: &str = "alluxio-operator/dataset";
/// Held by a Dataset until its mounts and its volume are gone.
pub const FINALIZER: &str = "alluxio.dev/dataset";
/// How soon a Dataset that is not as wanted is looked at again, besides every change that is seen.
const SOON: Duration = Duration::from_secs(5);
/// How soon one with something wrong that only a person, or another server, can put right.
const TROUBLED: Duration = Duration::from_secs(15);
/// How soon one whose Secrets may change.
const SECRETS: Duration = Duration::from_secs(30);
/// How long a volume and its claim are good as they were, if no watch tells of a change.
const VOLUME_GOOD: Duration = Duration::from_secs(300);
/// How soon one that is as wanted.
const LATER: Duration = Duration::from_secs(60);

/// What the controller works with.
pub struct DatasetContext {
    /// Writes.
    pub applier: Applier,
    /// Asks masters.
    pub admin: Arc<dyn DatasetAdmin>,
    /// Tells users.
    pub events: Events,
    /// What the operator was started with.
    pub defaults: Defaults,
    /// Counts.
    pub metrics: OperatorMetrics,
    /// Clusters and Datasets.
    pub stores: Stores,
    /// Work that takes longer than a walk.
    pub runner: Arc<Runner>,
    /// What is worth remembering between walks.
    pub memory: Memory,
    /// Failures in a row, by UID.
    pub failures: Failures,
}

impl DatasetContext {
    /// How a cluster's masters are reached.
    ///
    /// **Errors**: that its specification is refused; its own status says why.
    pub fn target(&self, cluster: &AlluxioCluster) -> Result<Target, String> {
        self.memory.target(cluster, || {
            let names = validate::names(cluster).map_err(|error| error.to_string())?;
            let valid = validate::validate(names, cluster, &self.defaults);
            let valid = valid.map_err(|_| {
                format!(
                    "AlluxioCluster {} is not valid: see its condition SpecValid",
                    cluster.name_any()
                )
            })?;
            Ok(Target { properties: valid.configs.client.text })
        })
    }
}

/// One walk.
///
/// **Errors**: those of the API server, and objects that stand in the way; the caller tries again later.
pub async fn reconcile(
    dataset: Arc<DeserializeGuard<Dataset>>,
    context: Arc<DatasetContext>,
) -> Result<Action, Error> {
    let started = Instant::now();
    let dataset = match &dataset.0 {
        Ok(dataset) => dataset.clone(),
        Err(error) => {
            tracing::warn!(%error, "a Dataset cannot be read");
            return Ok(Action::await_change());
        }
    };
    let outcome = Box::pin(walk(&dataset, &context)).await;
    context.metrics.reconciled("dataset", outcome.is_ok(), started.elapsed());
    if outcome.is_ok() {
        context.failures.forget(dataset.metadata.uid.as_deref());
    }
    outcome
}

/// When a failed walk is tried again.
pub fn on_error(
    dataset: Arc<DeserializeGuard<Dataset>>,
    error: &Error,
    context: Arc<DatasetContext>,
) -> Action {
    let pause = context.failures.pause(&dataset.uid().unwrap_or_default());
    tracing::warn!(%error, dataset = dataset.name_any(), ?pause, "a reconcile failed");
    Action::requeue(pause)
}

async fn walk(dataset: &Dataset, context: &DatasetContext) -> Result<Action, Error> {
    let names = Names::of(dataset)?;
    context.stores.ready().await;
    if dataset.metadata.deletion_timestamp.is_some() {
        return delete::walk(dataset, &names, context).await;
    }
    context.applier.hold(dataset, FINALIZER).await?;
    let now = Timestamp::now();
    let place = match resolve::resolve(dataset, &names, context).await? {
        Ok(place) => place,
        Err(why) => {
            tell(dataset, &status::refused(dataset, &why, now), context).await?;
            return Ok(Action::requeue(later(&names, TROUBLED)));
        }
    };
    let facts = act(dataset, &names, place, context).await?;
    let told = status::bound(dataset, &facts, now);
    let ready = status_of(&told.conditions, DatasetCondition::Ready) == ConditionStatus::True;
    tell(dataset, &told, context).await?;
    let has_secrets = !options::secret_names(&dataset.spec).is_empty();
    Ok(Action::requeue(match (ready, has_secrets) {
        (true, false) => later(&names, LATER),
        (true, true) => later(&names, SECRETS),
        (false, _) if facts.mounts.troubled() => later(&names, TROUBLED),
        (false, _) => SOON,
    }))
}

/// A pause, up to a tenth shorter: many objects that came together spread out.
fn later(names: &Names, pause: Duration) -> Duration {
    pause.mul_f64(1.0 - 0.1 * spread(&names.uid))
}

/// Does what can be done, and finds out how things are.
async fn act(
    dataset: &Dataset,
    names: &Names,
    place: Place,
    context: &DatasetContext,
) -> Result<Facts, Error> {
    let spec = &dataset.spec;
    // Without a master nobody could be told of them.
    let secrets = match place.serves {
        true => secrets(dataset, names, context).await?,
        false => Secrets::new(),
    };
    let mut facts = Facts {
        mounts: MountFacts::default(),
        source_there: None,
        metadata: Metadata::NotWanted,
        volume: VolumeFact::default(),
        usage: None,
        pods: context.memory.pods(context.applier.client(), names, false).await?,
        references: references(names, &context.stores),
        pin_problem: None,
        place,
    };
    let there = match facts.place.source_mounted {
        None => {
            let described = options::wanted(names, spec, &secrets);
            facts.mounts =
                mounts::reconcile(dataset, names, &facts.place, described, context).await;
            drop(secrets);
            facts.pin_problem = pin(spec, &facts, context).await;
            facts.metadata = preload(dataset, names, &facts, context);
            facts.mounts.all_mounted()
        }
        Some(_) => {
            facts.source_there = match facts.place.serves {
                true => context
                    .admin
                    .pinned(&facts.place.target, &facts.place.directory)
                    .await
                    .ok()
                    .map(|found| found.is_some()),
                false => None,
            };
            facts.place.source_mounted == Some(true) && facts.source_there == Some(true)
        }
    };
    // A claim without a directory behind it would only keep pods waiting. One that is there stays.
    let volume_status = dataset.status.as_ref().and_then(|status| status.volume.as_ref());
    let known = volume_status.is_some_and(|volume| volume.pv_name.is_some());
    if there || known || !spec.volume.create {
        facts.volume = volume(names, spec, &facts.place, context).await?;
    }
    if there && facts.place.serves {
        facts.usage = context.memory.usage(&*context.admin, names, &facts.place).await;
    }
    Ok(facts)
}

/// Claim and volume. What stands in their way is told, and holds up nothing else.
async fn volume(
    names: &Names,
    spec: &DatasetSpec,
    place: &Place,
    context: &DatasetContext,
) -> Result<VolumeFact, Error> {
    let key = Memory::key(&names.namespace, &names.dataset);
    let wanted = volume::fingerprint(names, spec, place)?;
    let known = context.memory.volumes.get(&key, Instant::now());
    if let Some((_, fact)) = known.filter(|(of, _)| *of == wanted) {
        return Ok(fact);
    }
    let ticket = context.memory.volumes.ticket(&key);
    match volume::reconcile(&context.applier, names, spec, place).await {
        Err(error) if !error.passing() => Ok(VolumeFact {
            problem: Some((Reason::ApplyRejected, error.to_string())),
            ..VolumeFact::default()
        }),
        Err(error) => Err(error),
        Ok((fact, as_wanted)) => {
            if as_wanted {
                let until = Instant::now() + VOLUME_GOOD;
                context.memory.volumes.keep(&key, ticket, (wanted, fact.clone()), until);
            }
            Ok(fact)
        }
    }
}

/// Reads the Secrets that a Dataset refers to, by name. Several Datasets that refer to one share a reading, unless they
/// changed.
async fn secrets(
    dataset: &Dataset,
    names: &Names,
    context: &DatasetContext,
) -> Result<Secrets, Error> {
    let api: Api<Secret> = Api::namespaced(context.applier.client().clone(), &names.namespace);
    let version = dataset.resource_version().unwrap_or_default();
    let changed = context.memory.is_another_version(&names.uid, version);
    let mut all = Secrets::new();
    for name in options::secret_names(&dataset.spec) {
        let key = Memory::key(&names.namespace, &name);
        if let Some(known) = context.memory.secret(&key).filter(|_| !changed) {
            all.insert(name, known);
            continue;
        }
        let what = format!("get Secret {}/{name}", names.namespace);
        let found = api.get_opt(&name).await.map_err(Error::kubernetes(what))?;
        let read = found.map(|secret| ReadSecret {
            version: secret.resource_version().unwrap_or_default(),
            values: secret
                .data
                .unwrap_or_default()
                .into_iter()
                .map(|(key, value)| (key, String::from_utf8(value.0).ok().map(SecretText::new)))
                .collect(),
        });
        context.memory.keep_secret(key, read.clone());
        all.insert(name, read);
    }
    Ok(all)
}

/// Pins the cache or lets it go; what keeps it from that.
async fn pin(spec: &DatasetSpec, facts: &Facts, context: &DatasetContext) -> Option<String> {
    if !facts.place.serves || !facts.mounts.all_mounted() {
        return None;
    }
    let (target, directory) = (&facts.place.target, &facts.place.directory);
    let wanted = spec.cache_policy.pin;
    let outcome = match context.admin.pinned(target, directory).await {
        Ok(Some(pinned)) if pinned != wanted => context.admin.pin(target, directory, wanted).await,
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    outcome.err().map(|error| error.to_string())
}

/// Begins to read all metadata where that is wanted and was not done, and says how far it is.
fn preload(dataset: &Dataset, names: &Names, facts: &Facts, context: &DatasetContext) -> Metadata {
    let key = preload_key(names);
    if !dataset.spec.metadata_policy.preload {
        context.runner.stop(&key);
        return Metadata::NotWanted;
    }
    let ufs = dataset.status.as_ref().and_then(|status| status.ufs.as_ref());
    let complete = ufs.is_some_and(|ufs| ufs.complete);
    if facts.mounts.new_files {
        context.runner.stop(&key);
    } else if complete {
        return Metadata::Complete;
    }
    if !facts.mounts.all_mounted() || !facts.place.serves {
        return Metadata::Waiting;
    }
    match context.runner.look(&key) {
        Some(Look::Running(_)) => Metadata::Reading,
        Some(Look::Ended { outcome: Ok(()), .. }) => {
            context.runner.stop(&key);
            context.memory.count_again(&names.uid);
            Metadata::Complete
        }
        Some(Look::Ended { outcome: Err(why), .. }) => {
            context.runner.stop(&key);
            Metadata::Failed(why.message)
        }
        None => {
            let (admin, place) = (context.admin.clone(), facts.place.clone());
            let work = async move { admin.load_metadata(&place.target, &place.directory).await };
            match context.runner.start(&key, &key, |_| Box::pin(work)) {
                Ok(()) => Metadata::Reading,
                Err(_) => Metadata::Waiting,
            }
        }
    }
}

/// The name of that work.
pub(crate) fn preload_key(names: &Names) -> String {
    format!("preload/{}", names.uid)
}

/// Datasets that have this one as their source.
pub(crate) fn references(names: &Names, stores: &Stores) -> Vec<NamespacedRef> {
    stores.datasets(|dataset| {
        let reference = &dataset.spec.source.as_ref()?.dataset_ref;
        let here = dataset.namespace().unwrap_or_default();
        let meant =
            reference.name == names.dataset && reference.namespace_or(&here) == names.namespace;
        meant.then(|| NamespacedRef { name: dataset.name_any(), namespace: Some(here) })
    })
}

/// Writes the status if it changed, and an event where something began or ended.
pub(crate) async fn tell(
    dataset: &Dataset,
    status: &DatasetStatus,
    context: &DatasetContext,
) -> Result<(), Error> {
    let before = dataset.status.as_ref();
    if before == Some(status) {
        return Ok(());
    }
    let reference = dataset.object_ref(&());
    for (warning, reason, note) in status::transitions(before, status) {
        context.events.tell(&reference, warning, reason, &note).await;
    }
    context.applier.tell_status(dataset, status).await
}

#[cfg(test)]
pub(crate) mod tests;
