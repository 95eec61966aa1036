//! Does what is due: writes objects in their order, replaces pods, hands the office over. The only step that writes.

use super::ClusterContext;
use super::admin::Target;
use super::build::Built;
use super::facts::Facts;
use super::membership::Change;
use super::rollout::{Plan, Situation, Workload};
use crate::desired::{Desired, Key};
use crate::error::Error;
use alluxio_operator_api::cluster::ClusterPhase;
use alluxio_operator_api::{AlluxioCluster, AlluxioClusterStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Preconditions};
use kube::{Resource, ResourceExt};

/// Carries a plan out.
pub async fn act(
    cluster: &AlluxioCluster,
    built: &Built,
    situation: &Situation,
    plan: &Plan,
    target: &Target,
    facts: &mut Facts,
    context: &ClusterContext,
) -> Result<(), Error> {
    if let Some(change) = &plan.change_members {
        change_members(cluster, change, facts, context).await;
    }
    for desired in &built.support {
        context.applier.apply(desired, &mut facts.observed).await?;
    }
    for desired in &built.monitoring {
        if facts.observed.knows(&desired.key().kind) {
            context.applier.apply(desired, &mut facts.observed).await?;
        }
    }
    let mut due: Vec<&Desired> = Vec::new();
    due.extend(built.etcd.as_ref().filter(|_| plan.apply_etcd));
    due.extend(Some(&built.master).filter(|_| plan.apply_masters));
    due.extend(
        built.workers.iter().zip(&plan.apply_workers).filter(|(_, due)| **due).map(|(w, _)| w),
    );
    due.extend(built.fuse.as_ref().filter(|_| plan.apply_fuse));
    for desired in due {
        context.applier.apply(desired, &mut facts.observed).await?;
    }
    if let Some(heir) = &plan.transfer_to {
        let note = match context.admin.transfer(target, heir).await {
            Ok(()) => format!("the primary hands over to {heir}"),
            Err(error) => format!("the primary was to hand over to {heir}, and did not: {error}"),
        };
        tracing::info!(cluster = cluster.name_any(), note);
        context.events.tell(&cluster.object_ref(&()), false, "LeaderHandOver", &note).await;
    }
    if let Some(pod) = &plan.delete {
        replace_pod(cluster, pod, facts, context).await?;
    }
    if settled(situation, plan) {
        let mut wanted: Vec<Key> = built.keys();
        wanted.extend(in_use(facts));
        let uid = cluster.uid().unwrap_or_default();
        let removed = context.applier.remove_orphans(&facts.observed, &wanted, &uid).await?;
        if !removed.is_empty() {
            tracing::info!(
                cluster = cluster.name_any(),
                ?removed,
                "removed what is no longer wanted"
            );
        }
    }
    Ok(())
}

/// Etcd may refuse for a while: one that is new has not caught up. The next walk asks again.
async fn change_members(
    cluster: &AlluxioCluster,
    change: &Change,
    facts: &Facts,
    context: &ClusterContext,
) {
    match context.admin.etcd_change(&facts.etcd_endpoints, change).await {
        Ok(()) => {
            let note = match change {
                Change::Add { peer_url } => format!("etcd has a new member, {peer_url}"),
                Change::Promote { id } => {
                    format!("etcd's new member {id:x} has caught up, and votes")
                }
                Change::Remove { id } => format!("member {id:x} has left etcd"),
            };
            tracing::info!(cluster = cluster.name_any(), note);
            context.events.tell(&cluster.object_ref(&()), false, "EtcdMembersChanged", &note).await;
        }
        Err(error) => {
            tracing::info!(%error, ?change, cluster = cluster.name_any(), "etcd's members stay");
        }
    }
}

/// Whether nothing is under way that still needs what is no longer wanted.
fn settled(situation: &Situation, plan: &Plan) -> bool {
    let done = |workload: &Workload| *workload == Workload::Done;
    plan.stage.is_none()
        && done(&situation.masters)
        && situation.workers.iter().all(done)
        && situation.etcd.iter().all(done)
}

/// ConfigMaps that pods still have, whatever is wanted.
fn in_use(facts: &Facts) -> Vec<Key> {
    let volumes = facts.pods.iter().filter_map(|pod| {
        let volumes = pod.spec.as_ref()?.volumes.as_ref()?;
        Some((pod.namespace().unwrap_or_default(), volumes))
    });
    volumes
        .flat_map(|(namespace, volumes)| {
            volumes.iter().filter_map(move |volume| {
                let name = volume.config_map.as_ref()?.name.clone();
                Some(Key { kind: "ConfigMap".into(), namespace: namespace.clone(), name })
            })
        })
        .collect()
}

/// Deletes a pod, so that it comes back of the newest template.
async fn replace_pod(
    cluster: &AlluxioCluster,
    name: &str,
    facts: &Facts,
    context: &ClusterContext,
) -> Result<(), Error> {
    let Some(pod) = facts.pods.iter().find(|pod| pod.name_any() == name) else { return Ok(()) };
    let namespace = cluster.namespace().unwrap_or_default();
    let api: Api<Pod> = Api::namespaced(context.applier.client().clone(), &namespace);
    let params = DeleteParams {
        // Exactly this pod: the next one of that name is the new one.
        preconditions: Some(Preconditions { uid: pod.uid(), resource_version: None }),
        ..DeleteParams::default()
    };
    match api.delete(name, &params).await {
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        Err(error) => Err(Error::kubernetes(format!("delete pod {name}"))(error)),
        Ok(_) => {
            context.metrics.wrote("Pod", "delete");
            let note = format!("pod {name} is replaced by one of the newest template");
            context.events.tell(&cluster.object_ref(&()), false, "UpgradeStepDone", &note).await;
            Ok(())
        }
    }
}

/// What began or ended between two statuses: whether it is a warning, its reason, and what to say.
pub fn transitions(
    before: Option<&AlluxioClusterStatus>,
    after: &AlluxioClusterStatus,
) -> Vec<(bool, &'static str, String)> {
    let mut all = Vec::new();
    let none = AlluxioClusterStatus::default();
    let before = before.unwrap_or(&none);
    let leader =
        |status: &AlluxioClusterStatus| Some(status.masters.as_ref()?.leader.as_ref()?.pod.clone());
    if let (Some(old), Some(new)) = (leader(before), leader(after))
        && old != new
    {
        all.push((false, "LeaderChanged", format!("{new} serves, {old} did before")));
    }
    if before.cluster_id.is_none()
        && let Some(id) = &after.cluster_id
    {
        all.push((false, "ClusterIDCreated", format!("the cluster's identity is {id}")));
    }
    let target = |status: &AlluxioClusterStatus| status.version.as_ref()?.target.clone();
    let deployed = |status: &AlluxioClusterStatus| status.version.as_ref()?.deployed.clone();
    if target(before) != target(after)
        && let Some(target) = target(after)
    {
        let from = deployed(after).unwrap_or_default();
        all.push((false, "UpgradeStarted", format!("from {from} to {target}")));
    }
    if deployed(before).is_some() && deployed(before) != deployed(after) {
        all.push((
            false,
            "UpgradeDone",
            format!("all pods run {}", deployed(after).unwrap_or_default()),
        ));
    }
    let blocked = |status: &AlluxioClusterStatus| {
        let mut conditions = status.conditions.iter();
        conditions
            .find(|condition| condition.type_ == "UpgradeBlocked" && condition.status == "True")
            .map(|condition| condition.message.clone())
    };
    if blocked(before).is_none()
        && let Some(why) = blocked(after)
    {
        all.push((true, "UpgradeBlocked", why));
    }
    if before.phase != after.phase {
        match after.phase {
            Some(ClusterPhase::Ready) => all.push((false, "Ready", "all is as wanted".to_owned())),
            Some(ClusterPhase::Degraded) => {
                let why = after.conditions.iter().find(|condition| condition.type_ == "Degraded");
                let why = why.map(|condition| condition.message.clone()).unwrap_or_default();
                all.push((true, "Degraded", why));
            }
            _ => {}
        }
    }
    all
}
