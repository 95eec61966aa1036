//! How a Dataset goes: it waits for who uses it, then volume, mounts and directory go. It always ends, and says what it
//! waits for.

use super::mounts;
use super::names::Names;
use super::resolve::{Place, resolve};
use super::{DatasetContext, FINALIZER, preload_key, references, status, tell, volume};
use crate::apply::holds;
use crate::error::Error;
use alluxio_operator_api::Dataset;
use alluxio_operator_api::condition::Reason;
use alluxio_operator_api::dataset::{DatasetCondition, WhenInUse, WriteMode};
use alluxio_operator_api::reference::NamespacedRef;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::jiff::Timestamp;
use kube::api::Api;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use std::time::Duration;

const AGAIN: Duration = Duration::from_secs(3);
/// How soon a deletion that waits for people is looked at again.
const BLOCKED: Duration = Duration::from_secs(5);
/// How long pods of a namespace that goes may still use the volume: they are on their way out, too.
const NAMESPACE_PATIENCE: Duration = Duration::from_secs(60);
/// What a message names of many.
const NAMED_MAX: usize = 5;

/// One step.
pub(super) async fn walk(
    dataset: &Dataset,
    names: &Names,
    context: &DatasetContext,
) -> Result<Action, Error> {
    if !holds(dataset, FINALIZER) {
        return Ok(Action::await_change());
    }
    let now = Timestamp::now();
    context.runner.stop(&preload_key(names));
    let pods = context.memory.pods(context.applier.client(), names, true).await?;
    let references = references(names, &context.stores);
    let ends = namespace_ends(names, context).await?;
    let forced = dataset.spec.deletion_policy.when_in_use == WhenInUse::Force
        || ends.is_some_and(|since| passed(since, now, NAMESPACE_PATIENCE));
    let place = place(dataset, names, context).await?;
    // Its mounts go with the cluster, whose masters may be gone already.
    let cluster_goes_too = ends.is_some()
        && place
            .as_ref()
            .is_some_and(|place| place.cluster.namespace_or(&names.namespace) == names.namespace);
    let mut blocked = (!forced).then(|| in_use(&pods, &references)).flatten();
    if blocked.is_none() && !forced {
        blocked = not_persisted(dataset, place.as_ref(), context).await;
    }
    let told = status::deleting(dataset, blocked.clone(), Some(&pods), &references, now);
    tell(dataset, &told, context).await?;
    if blocked.is_some() {
        return Ok(Action::requeue(BLOCKED));
    }
    let late = overdue(dataset, now);
    let live = volume::read(&context.applier, names).await?;
    let gone = volume::remove(&context.applier, names, &live, forced || late).await?;
    if !gone && !forced && !late {
        return Ok(Action::requeue(AGAIN));
    }
    if let Err(why) = unmount(names, place.as_ref(), dataset, context).await {
        if !late && !cluster_goes_too {
            tracing::info!(
                dataset = names.dataset,
                namespace = names.namespace,
                why,
                "not unmounted yet"
            );
            return Ok(Action::requeue(AGAIN));
        }
        if !cluster_goes_too {
            let left = names.directory();
            let note = format!("given up after deletionPolicy.timeout; {left} is left: {why}");
            context.events.tell(&dataset.object_ref(&()), true, "CleanupTimedOut", &note).await;
        }
    }
    context.applier.release(dataset, FINALIZER).await?;
    context.memory.forget(names);
    Ok(Action::await_change())
}

/// Who uses it, and what to do about it.
fn in_use(pods: &[String], references: &[NamespacedRef]) -> Option<(Reason, String)> {
    let way_out = "or set deletionPolicy.whenInUse to Force";
    if !pods.is_empty() {
        let text = format!("pods use the volume: {}. Delete them, {way_out}", named(pods));
        return Some((Reason::InUse, text));
    }
    let shown: Vec<String> = references
        .iter()
        .map(|one| format!("{}/{}", one.namespace.as_deref().unwrap_or_default(), one.name))
        .collect();
    (!shown.is_empty()).then(|| {
        let text =
            format!("Datasets have it as their source: {}. Delete them, {way_out}", named(&shown));
        (Reason::ReferencesExist, text)
    })
}

/// The first of many names.
fn named(all: &[String]) -> String {
    let shown = all.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Since when the namespace goes with all that is in it, if it does.
async fn namespace_ends(
    names: &Names,
    context: &DatasetContext,
) -> Result<Option<Timestamp>, Error> {
    let api: Api<Namespace> = Api::all(context.applier.client().clone());
    let found = api.get_metadata_opt(&names.namespace).await;
    let found = found.map_err(Error::kubernetes(format!("get Namespace {}", names.namespace)))?;
    Ok(found.and_then(|found| found.metadata.deletion_timestamp).map(|since| since.0))
}

fn passed(since: Timestamp, now: Timestamp, span: Duration) -> bool {
    now.duration_since(since).as_secs() >= i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}

/// Where it is; `None`, when there is nothing to be cleaned up: the cluster is gone, or it was never in one.
async fn place(
    dataset: &Dataset,
    names: &Names,
    context: &DatasetContext,
) -> Result<Option<Place>, Error> {
    if dataset.spec.source.is_some() {
        return Ok(None);
    }
    let Some(reference) = &dataset.spec.cluster_ref else { return Ok(None) };
    let namespace = reference.namespace_or(&names.namespace);
    let Some(cluster) = context.stores.cluster(namespace, &reference.name) else {
        return Ok(None);
    };
    // A grant that was taken away, or a cluster that goes, does not hinder cleaning up.
    if let Ok(place) = resolve(dataset, names, context).await? {
        return Ok(Some(place));
    }
    let Ok(target) = context.target(&cluster) else { return Ok(None) };
    Ok(Some(Place {
        cluster: reference.clone(),
        cluster_uid: cluster.uid().unwrap_or_default(),
        cluster_id: None,
        target,
        serves: super::resolve::serves(&cluster),
        directory: names.directory(),
        source_mounted: None,
    }))
}

/// Files that would be lost. What is written to the cache only, was never meant to stay.
async fn not_persisted(
    dataset: &Dataset,
    place: Option<&Place>,
    context: &DatasetContext,
) -> Option<(Reason, String)> {
    let spec = &dataset.spec;
    let place = place.filter(|place| place.serves)?;
    if spec.write_mode == WriteMode::CacheOnly || spec.mounts.iter().all(|mount| mount.read_only) {
        return None;
    }
    // A directory that is not there, or a master that does not answer: unmounting finds out.
    let mut files = context.admin.files(&place.target, &place.directory).await.ok()?;
    let mut found = Vec::new();
    while let Some(file) = files.next().await {
        let file = file.ok()?;
        if !file.persisted {
            found.push(file.path);
        }
        if found.len() > NAMED_MAX {
            break;
        }
    }
    (!found.is_empty()).then(|| {
        let shown = found.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
        let more = if found.len() > NAMED_MAX { ", …" } else { "" };
        let text = format!(
            "files are in no store yet: {shown}{more}. Persist or delete them, or set \
             deletionPolicy.whenInUse to Force"
        );
        (Reason::NotPersisted, text)
    })
}

/// Takes the mounts away; why that is not done.
async fn unmount(
    names: &Names,
    place: Option<&Place>,
    dataset: &Dataset,
    context: &DatasetContext,
) -> Result<(), String> {
    let was_mounted = dataset.status.as_ref().is_some_and(|status| !status.mounts.is_empty());
    match place {
        None => Ok(()),
        // Of a cluster that never served, there is nothing to take away.
        Some(place) if !place.serves && !was_mounted => Ok(()),
        Some(place) if !place.serves => Err("no master of the cluster serves".to_owned()),
        Some(place) => {
            mounts::remove_all(names, place, context).await.map_err(|error| error.to_string())
        }
    }
}

/// Whether cleaning up had its time. It is counted from when nothing blocked it any more.
fn overdue(dataset: &Dataset, now: Timestamp) -> bool {
    let Some(deleted) = &dataset.metadata.deletion_timestamp else { return false };
    let conditions = dataset.status.as_ref().map(|status| status.conditions.as_slice());
    let blocked = conditions.unwrap_or_default().iter().find(|condition| {
        condition.type_ == DatasetCondition::DeletionBlocked.name() && condition.status == "False"
    });
    let free = blocked.map_or(deleted.0, |condition| condition.last_transition_time.0);
    let timeout = dataset.spec.deletion_policy.timeout.duration();
    passed(free.max(deleted.0), now, timeout.unwrap_or(Duration::from_secs(600)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tests::dataset;
    use alluxio_operator_api::condition::{Finding, record};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn who_uses_it_is_named_with_a_way_out() {
        assert_eq!(in_use(&[], &[]), None);
        let pods: Vec<String> = (0..7).map(|number| format!("train-{number}")).collect();
        let (reason, text) = in_use(&pods, &[]).unwrap();
        assert_eq!(reason, Reason::InUse);
        assert!(text.contains("train-4 and 2 more") && text.contains("Force"), "{text}");
        let other = NamespacedRef { name: "copy".into(), namespace: Some("b".into()) };
        let (reason, text) = in_use(&[], &[other]).unwrap();
        assert_eq!(reason, Reason::ReferencesExist);
        assert!(text.contains("b/copy"), "{text}");
    }

    #[test]
    fn the_time_to_clean_up_begins_when_nothing_blocks() {
        let mut dataset = dataset();
        dataset.metadata.deletion_timestamp = Some(Time(at(1000)));
        assert!(!overdue(&dataset, at(1599)));
        assert!(overdue(&dataset, at(1600)));
        let status = dataset.status.get_or_insert_default();
        let free = Finding::no(DatasetCondition::DeletionBlocked, Reason::AsWanted, "");
        record(&mut status.conditions, &free, 1, at(5000));
        assert!(!overdue(&dataset, at(5599)));
        assert!(overdue(&dataset, at(5600)));
    }
}
