//! What may be changed now, and in what order. Pure: from what is wanted and what is there to the next acts; when they
//! are done, or something else moves, it is asked again. A crash between two acts loses nothing, because nothing is
//! remembered but what the cluster shows.
//!
//! ```text
//! etcd ─► masters: standbys one by one ─► hand-over ─► the old primary ─► workers in batches ─► agents
//! ```
//!
//! Pods that are outdated and not ready go at once: nobody misses them, and that is how a bad version is left. An
//! updated pod that does not get ready stops everything behind it.

use super::membership::Change;
use alluxio_operator_api::cluster::status::UpgradeStage;

/// A pod of the masters' StatefulSet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterPod {
    /// Its name.
    pub name: String,
    /// Its number.
    pub ordinal: i32,
    /// Whether it is of the newest template.
    pub updated: bool,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it is being deleted.
    pub leaving: bool,
    /// Whether it serves as primary.
    pub primary: bool,
    /// `host:port` of its RPC.
    pub address: String,
}

/// The state of a workload that Kubernetes itself rolls out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// It is not there.
    Absent,
    /// It is there with another template than is wanted.
    Outdated,
    /// Its template is the wanted one, and not all pods are of it and ready.
    Rolling,
    /// All of its pods are of the wanted template and ready.
    Done,
}

/// The list of members of the managed etcd.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EtcdMembers {
    /// Whether the StatefulSet may have the wanted number of pods: all of them are listed, and no others.
    pub may_scale: bool,
    /// The next change of the list.
    pub change: Option<Change>,
}

/// What the planner looks at.
#[derive(Debug, Clone)]
pub struct Situation {
    /// Of the managed etcd; `None` without one.
    pub etcd: Option<Workload>,
    /// Of its members; `None` without one.
    pub etcd_members: Option<EtcdMembers>,
    /// Of the masters' StatefulSet; `Rolling` also when only pods are outdated.
    pub masters: Workload,
    /// Replicas that the live StatefulSet has, and those that are wanted.
    pub master_replicas: (i32, i32),
    /// The masters' pods.
    pub pods: Vec<MasterPod>,
    /// Of the workers, one for each group.
    pub workers: Vec<Workload>,
    /// Of the agents; `None` when there are to be none.
    pub fuse: Option<Workload>,
}

/// What to do now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Whether the managed etcd may be written.
    pub apply_etcd: bool,
    /// How the list of etcd's members is changed, before its pods are.
    pub change_members: Option<Change>,
    /// Whether the masters' StatefulSet may be written.
    pub apply_masters: bool,
    /// Whether each group of workers may be written.
    pub apply_workers: Vec<bool>,
    /// Whether the agents may be written.
    pub apply_fuse: bool,
    /// A master's pod to delete, so that it comes back of the newest template.
    pub delete: Option<String>,
    /// The master that is to take over.
    pub transfer_to: Option<String>,
    /// What is under way; `None` when all is as wanted.
    pub stage: Option<UpgradeStage>,
}

/// The next acts.
pub fn plan(situation: &Situation) -> Plan {
    let members = situation.etcd_members.clone().unwrap_or_default();
    let mut plan = Plan {
        apply_etcd: situation.etcd.is_some() && members.may_scale,
        change_members: members.change,
        ..Plan::default()
    };
    // A cluster that is new is made all at once: there is nothing to keep up.
    let fresh = situation.masters == Workload::Absent;
    let etcd_rolls = matches!(situation.etcd, Some(Workload::Rolling | Workload::Outdated))
        || plan.change_members.is_some();
    plan_masters(situation, &mut plan, etcd_rolls && !fresh);
    let masters_done = situation.masters == Workload::Done && plan.stage.is_none();
    let mut before_done = masters_done && !etcd_rolls;
    for workers in &situation.workers {
        let may = before_done || *workers != Workload::Outdated || fresh;
        plan.apply_workers.push(may);
        if masters_done && *workers != Workload::Done && *workers != Workload::Absent {
            plan.stage.get_or_insert(UpgradeStage::Workers);
        }
        // Groups one after the other: one bad template must not take all nodes.
        before_done &= *workers == Workload::Done;
    }
    let fuse = situation.fuse.unwrap_or(Workload::Done);
    plan.apply_fuse = before_done || fuse != Workload::Outdated || fresh;
    if before_done && matches!(fuse, Workload::Outdated | Workload::Rolling) {
        plan.stage.get_or_insert(UpgradeStage::Agents);
    }
    plan
}

fn plan_masters(situation: &Situation, plan: &mut Plan, held: bool) {
    let (now, wanted) = situation.master_replicas;
    let primary = situation.pods.iter().find(|pod| pod.primary);
    // Shrinking takes the highest numbers: the primary must not be among them.
    if situation.masters != Workload::Absent
        && wanted > 0
        && wanted < now
        && primary.is_some_and(|pod| pod.ordinal >= wanted)
    {
        plan.stage = Some(UpgradeStage::HandOver);
        plan.transfer_to = heir(situation, |pod| pod.ordinal < wanted);
        return;
    }
    plan.apply_masters = !held;
    if matches!(situation.masters, Workload::Absent | Workload::Outdated | Workload::Done) || held {
        // Pods are compared with the template only once it is written.
        return;
    }
    let outdated: Vec<&MasterPod> =
        situation.pods.iter().filter(|pod| !pod.updated && !pod.leaving).collect();
    if outdated.is_empty() {
        return;
    }
    plan.stage = Some(UpgradeStage::Standbys);
    if let Some(stuck) = outdated.iter().find(|pod| !pod.ready) {
        plan.delete = Some(stuck.name.clone());
        return;
    }
    let missing = i32::try_from(situation.pods.len()).unwrap_or(i32::MAX) < now.min(wanted);
    if missing || situation.pods.iter().any(|pod| pod.leaving || (pod.updated && !pod.ready)) {
        return;
    }
    let standby = outdated.iter().filter(|pod| !pod.primary).max_by_key(|pod| pod.ordinal);
    match (standby, primary) {
        // Which one serves is not known: deleting any could be the wrong one.
        (Some(_), None) if situation.pods.len() > 1 => {}
        (Some(standby), _) => plan.delete = Some(standby.name.clone()),
        (None, Some(old)) if situation.pods.len() > 1 => match heir(situation, |pod| pod.updated) {
            Some(heir) => {
                plan.stage = Some(UpgradeStage::HandOver);
                plan.transfer_to = Some(heir);
            }
            None => plan.delete = Some(old.name.clone()),
        },
        (None, _) => {
            plan.stage = Some(UpgradeStage::OldPrimary);
            plan.delete = outdated.first().map(|pod| pod.name.clone());
        }
    }
}

/// Who takes over: a standby that is ready, of those that may; the lowest number.
fn heir(situation: &Situation, may: impl Fn(&MasterPod) -> bool) -> Option<String> {
    situation
        .pods
        .iter()
        .filter(|pod| pod.ready && !pod.leaving && !pod.primary && may(pod))
        .min_by_key(|pod| pod.ordinal)
        .map(|pod| pod.address.clone())
}

#[cfg(test)]
mod tests;
