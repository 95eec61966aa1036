//! How a cluster goes: agents, workers, masters, etcd. Kubernetes' garbage collector takes the rest with the object,
//! claims by their own policy. What workers cached in directories of the nodes stays there.
//!
//! Datasets that are bound to it hold it up: who deleted the cluster by mistake loses nothing. The annotation
//! `alluxio.dev/force` with the cluster's UID says that it is no mistake.

use super::build::kinds;
use super::facts::{Facts, gather, of_component};
use super::names::{Component, Names};
use super::status::{self, Report};
use super::validate::Refusal;
use super::{ClusterContext, FINALIZER, tell};
use crate::apply::holds;
use crate::error::Error;
use alluxio_operator_api::AlluxioCluster;
use alluxio_operator_api::cluster::status::BoundDataset;
use alluxio_operator_api::condition::Reason;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
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
    context.applier.release(cluster, FINALIZER).await?;
    Ok(Action::await_change())
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
