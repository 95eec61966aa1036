//! The controller of `AlluxioCluster`.
//!
//! [`reconcile`] is the walk: [`facts`] reads, [`validate`], [`build`] and [`rollout`] decide, [`act`] writes,
//! [`status`] tells. [`delete`] is the walk of a cluster that goes.

pub mod act;
pub mod admin;
pub mod build;
pub mod config;
pub mod delete;
pub mod facts;
pub mod membership;
pub mod monitoring;
pub mod names;
pub mod remote;
pub mod rollout;
pub mod status;
pub mod validate;

use crate::apply::Applier;
use crate::error::{Error, Failures};
use crate::events::Events;
use crate::metrics::OperatorMetrics;
use crate::stores::Stores;
use admin::{ClusterAdmin, Target};
use alluxio_operator_api::cluster::status::BoundDataset;
use alluxio_operator_api::cluster::{ClusterPhase, OperationMode};
use alluxio_operator_api::{AlluxioCluster, AlluxioClusterStatus};
use facts::Facts;
use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use status::Report;
use std::sync::Arc;
use std::time::{Duration, Instant};
use validate::Defaults;

/// How the objects of this controller are marked in managed fields.
pub const MANAGER: &str = "alluxio-operator/cluster";
/// Held by a cluster until its pods are gone.
pub const FINALIZER: &str = "alluxio.dev/cluster";
/// How soon a cluster that is not as wanted is looked at again, besides every change that is seen.
const SOON: Duration = Duration::from_secs(5);
/// How soon one that is.
const LATER: Duration = Duration::from_secs(60);

/// What the controller works with.
pub struct ClusterContext {
    /// Writes.
    pub applier: Applier,
    /// Asks masters.
    pub admin: Arc<dyn ClusterAdmin>,
    /// Tells users.
    pub events: Events,
    /// What the operator was started with.
    pub defaults: Defaults,
    /// Counts.
    pub metrics: OperatorMetrics,
    /// Clusters and Datasets, as they are watched.
    pub stores: Stores,
    /// Failures in a row, by UID.
    pub failures: Failures,
}

/// One walk.
///
/// **Errors**: those of the API server, and objects that stand in the way; the caller tries again later.
pub async fn reconcile(
    cluster: Arc<DeserializeGuard<AlluxioCluster>>,
    context: Arc<ClusterContext>,
) -> Result<Action, Error> {
    let started = Instant::now();
    let cluster = match &cluster.0 {
        Ok(cluster) => cluster.clone(),
        Err(error) => {
            // It was stored by another version of the API. It waits for who can read it, and holds up nobody.
            tracing::warn!(%error, "a cluster cannot be read");
            return Ok(Action::await_change());
        }
    };
    let outcome = walk(&cluster, &context).await;
    context.metrics.reconciled("cluster", outcome.is_ok(), started.elapsed());
    if outcome.is_ok() {
        context.failures.forget(cluster.metadata.uid.as_deref());
    }
    outcome
}

/// When a failed walk is tried again.
pub fn on_error(
    cluster: Arc<DeserializeGuard<AlluxioCluster>>,
    error: &Error,
    context: Arc<ClusterContext>,
) -> Action {
    let pause = context.failures.pause(&cluster.uid().unwrap_or_default());
    tracing::warn!(%error, cluster = cluster.name_any(), ?pause, "a reconcile failed");
    Action::requeue(pause)
}

async fn walk(cluster: &AlluxioCluster, context: &ClusterContext) -> Result<Action, Error> {
    let names = validate::names(cluster)?;
    let datasets = datasets(context, &names.namespace, &names.cluster).await;
    if cluster.metadata.deletion_timestamp.is_some() {
        return delete::walk(cluster, &names, &datasets, context).await;
    }
    context.applier.hold(cluster, FINALIZER).await?;
    let now = Timestamp::now();
    let valid = match validate::validate(names.clone(), cluster, &context.defaults) {
        Ok(valid) => valid,
        Err(refusal) => {
            let report = Report { cluster, facts: &Facts::default(), datasets: &datasets, now };
            let status = status::refused(&report, &refusal);
            let why = refusal.message;
            tell(cluster, &status, context, Some(("SpecInvalid", &why))).await?;
            return Ok(Action::await_change());
        }
    };
    let built = build::build(&valid)?;
    let target = Target { properties: valid.configs.client.text.clone() };
    let mut facts = facts::gather(&context.applier, &*context.admin, &names, Some(&target)).await?;
    if monitoring::concern(&valid.spec, cluster.status.as_ref()) {
        let (kinds, selector) = (build::monitoring::kinds(), names.label_selector());
        let (applier, namespace) = (&context.applier, &names.namespace);
        applier.observe_optional(&mut facts.observed, &kinds, namespace, &selector).await?;
    }
    let situation = facts.situation(&built, &names);
    let plan = rollout::plan(&situation);
    if valid.spec.operation.mode != OperationMode::Paused {
        act::act(cluster, &built, &situation, &plan, &target, &mut facts, context).await?;
    }
    let report = Report { cluster, facts: &facts, datasets: &datasets, now };
    let status = status::built(&report, &valid, &situation, &plan);
    let ready = status.phase == Some(ClusterPhase::Ready);
    tell(cluster, &status, context, None).await?;
    Ok(Action::requeue(if ready { LATER } else { SOON }))
}

/// Datasets that name this cluster, of all namespaces that the operator sees.
async fn datasets(context: &ClusterContext, namespace: &str, cluster: &str) -> Vec<BoundDataset> {
    context.stores.ready().await;
    context.stores.datasets(|dataset| {
        let here = dataset.namespace().unwrap_or_default();
        let reference = dataset.spec.cluster_ref.as_ref()?;
        let meant = reference.name == cluster && reference.namespace_or(&here) == namespace;
        meant.then(|| BoundDataset { namespace: here, name: dataset.name_any() })
    })
}

/// Writes the status if it changed, and an event where something began or ended.
pub(crate) async fn tell(
    cluster: &AlluxioCluster,
    status: &AlluxioClusterStatus,
    context: &ClusterContext,
    event: Option<(&str, &str)>,
) -> Result<(), Error> {
    let before = cluster.status.as_ref();
    if before == Some(status) {
        return Ok(());
    }
    let reference = cluster.object_ref(&());
    for (warning, reason, note) in act::transitions(before, status) {
        context.events.tell(&reference, warning, reason, &note).await;
    }
    let phase_changed = before.and_then(|before| before.phase) != status.phase;
    if let Some((reason, note)) = event.filter(|_| phase_changed) {
        context.events.tell(&reference, true, reason, note).await;
    }
    context.applier.tell_status(cluster, status).await
}

#[cfg(test)]
pub(crate) mod tests;
