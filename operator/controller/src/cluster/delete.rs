//! How a cluster goes: agents, workers, masters, etcd. Kubernetes' garbage collector takes the rest with the object,
//! claims by their own policy. What workers cached in directories of the nodes is removed there by pods that come for
//! nothing else (`deletionPolicy.cache: Delete`), or stays. A node that is away keeps what it has: it is named, and not
//! waited for longer than `deletionPolicy.timeout`.
//!
//! Datasets that are bound to it hold it up: who deleted the cluster by mistake loses nothing. The annotation
//! `alluxio.dev/force` with the cluster's UID says that it is no mistake.

use super::build::{build_cleanup, kinds};
use super::facts::{Facts, daemon_progress, gather, is_ready, of_component};
use super::names::{Component, Names};
use super::status::{self, Report};
use super::validate::{Refusal, validate};
use super::{ClusterContext, FINALIZER, tell};
use crate::apply::holds;
use crate::error::Error;
use alluxio_operator_api::AlluxioCluster;
use alluxio_operator_api::cluster::Keep;
use alluxio_operator_api::cluster::status::BoundDataset;
use alluxio_operator_api::condition::Reason;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use std::time::Duration;

/// Annotation that lets a deletion go on over data that is not persisted and datasets that are bound: the object's UID.
pub const FORCE: &str = "alluxio.dev/force";
const AGAIN: Duration = Duration::from_secs(3);
/// Datasets that a message names.
const NAMED_MAX: usize = 5;

/// One step.
pub(super) async fn walk(
    cluster: &AlluxioCluster,
    names: &Names,
    datasets: &[BoundDataset],
    context: &ClusterContext,
) -> Result<Action, Error> {
    if !holds(cluster, FINALIZER) {
        return Ok(Action::await_change());
    }
    let now = Timestamp::now();
    let forced = cluster.annotations().get(FORCE) == Some(&names.uid);
    let facts = gather(&context.applier, &*context.admin, names, None).await?;
    let report = Report { cluster, facts: &facts, datasets, now };
    if !datasets.is_empty() && !forced {
        let blocked = blocked_by(datasets, &names.uid);
        tell(cluster, &status::deleting(&report, Some(&blocked)), context, None).await?;
        return Ok(Action::requeue(AGAIN));
    }
    tell(cluster, &status::deleting(&report, None), context, None).await?;
    // In this order: nobody loses what serves it while it still needs it.
    for component in [Component::Fuse, Component::Worker, Component::Master, Component::Etcd] {
        if !stop(component, &facts, context).await? && !overdue(cluster, now) {
            return Ok(Action::requeue(AGAIN));
        }
    }
    if cluster.spec.deletion_policy.cache == Keep::Delete {
        let away = cleanup(cluster, names, facts, context).await?;
        if away.as_ref().is_none_or(|away| !away.is_empty()) && !overdue(cluster, now) {
            return Ok(Action::requeue(AGAIN));
        }
        if let Some(away) = away.filter(|away| !away.is_empty()) {
            let note =
                format!("cached data stays on nodes that did not answer: {}", away.join(", "));
            tracing::warn!(cluster = cluster.name_any(), note);
            context.events.tell(&cluster.object_ref(&()), true, "CleanupIncomplete", &note).await;
        }
    }
    context.applier.release(cluster, FINALIZER).await?;
    Ok(Action::await_change())
}

/// Lets pods remove what was cached on the nodes; gives the nodes where they have not yet, and `None` while that is not
/// known. What cannot be built was never there, or is not understood: nothing is removed then.
async fn cleanup(
    cluster: &AlluxioCluster,
    names: &Names,
    mut facts: Facts,
    context: &ClusterContext,
) -> Result<Option<Vec<String>>, Error> {
    let valid = match validate(names.clone(), cluster, &context.defaults) {
        Ok(valid) => valid,
        Err(refusal) => {
            let note = format!("cached data stays on the nodes: {}", refusal.message);
            tracing::warn!(cluster = cluster.name_any(), note);
            context.events.tell(&cluster.object_ref(&()), true, "CleanupIncomplete", &note).await;
            return Ok(Some(Vec::new()));
        }
    };
    let (configs, pods) = build_cleanup(&valid)?;
    for desired in configs.iter().chain(&pods) {
        match context.applier.apply(desired, &mut facts.observed).await {
            Err(error) if error.namespace_ends() => {
                tracing::warn!(
                    cluster = cluster.name_any(),
                    "its namespace goes, too: cached data stays on the nodes"
                );
                return Ok(Some(Vec::new()));
            }
            applied => applied?,
        };
    }
    let mut away: Vec<String> = of_component(&facts.pods, Component::Cleanup)
        .filter(|pod| !is_ready(pod))
        .map(|pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default())
        .collect();
    away.sort();
    let all = pods.iter().all(|desired| {
        let set: Option<DaemonSet> = facts.observed.typed(&names.namespace, &desired.key().name);
        set.is_some_and(|set| daemon_progress(&set))
    });
    Ok((all || !away.is_empty()).then_some(away))
}

fn blocked_by(datasets: &[BoundDataset], uid: &str) -> Refusal {
    let named: Vec<String> = datasets
        .iter()
        .take(NAMED_MAX)
        .map(|dataset| format!("{}/{}", dataset.namespace, dataset.name))
        .collect();
    let more = datasets.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Refusal {
        reason: Reason::DatasetsExist,
        message: format!(
            "Datasets are bound to it: {}{more}. Delete them first, or set the annotation {FORCE}={uid}",
            named.join(", ")
        ),
    }
}

/// Deletes a component's workloads; `true` when its pods are gone.
async fn stop(
    component: Component,
    facts: &Facts,
    context: &ClusterContext,
) -> Result<bool, Error> {
    for resource in kinds() {
        if !matches!(resource.kind.as_str(), "StatefulSet" | "DaemonSet") {
            continue;
        }
        for object in facts.observed.of_kind(&resource.kind) {
            let label = object.labels().get("app.kubernetes.io/component").map(String::as_str);
            if label == Some(component.label()) && object.metadata.deletion_timestamp.is_none() {
                context.applier.delete(&resource, object).await?;
            }
        }
    }
    Ok(of_component(&facts.pods, component).next().is_none())
}

/// Whether cleaning up had its time: pods of a node that is gone stay "terminating" for ever.
fn overdue(cluster: &AlluxioCluster, now: Timestamp) -> bool {
    let Some(since) = &cluster.metadata.deletion_timestamp else { return false };
    let timeout = cluster.spec.deletion_policy.timeout.duration();
    let timeout = timeout.unwrap_or(Duration::from_secs(600));
    let waited = now.duration_since(since.0).as_secs();
    waited >= i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX)
}
