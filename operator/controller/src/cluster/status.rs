//! What a user is told: conditions, numbers, one word. Pure, from what was found and what is planned.

use super::facts::{Facts, daemon_progress, is_ready, of_component, trouble};
use super::names::{Component, Names};
use super::rollout::{Plan, Situation, Workload};
use super::validate::{Refusal, ValidCluster};
use alluxio_operator_api::cluster::status::{
    BoundDataset, CapacityStatus, CoordinationStatus, EndpointsStatus, LeaderStatus, MastersStatus,
    PodCounts, TierStatus, UpgradeStatus, VersionStatus,
};
use alluxio_operator_api::cluster::{ClusterCondition as C, JournalType, OperationMode, phase};
use alluxio_operator_api::condition::{Finding, Reason, record};
use alluxio_operator_api::{AlluxioCluster, AlluxioClusterStatus};
use k8s_openapi::api::apps::v1::{DaemonSet, StatefulSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use std::time::Duration;

/// A rollout that does not get on for so long is called stuck.
pub const STUCK_AFTER: Duration = Duration::from_secs(600);
/// Versions that are remembered.
const HISTORY_MAX: usize = 10;
/// Datasets that are listed.
const DATASETS_MAX: usize = 100;

/// What a status is made of.
pub struct Report<'a> {
    /// The object.
    pub cluster: &'a AlluxioCluster,
    /// What was found.
    pub facts: &'a Facts,
    /// Datasets that are bound to it.
    pub datasets: &'a [BoundDataset],
    /// When.
    pub now: Timestamp,
}

fn start(report: &Report<'_>) -> AlluxioClusterStatus {
    let mut status = report.cluster.status.clone().unwrap_or_default();
    status.observed_generation = report.cluster.metadata.generation;
    let count = i32::try_from(report.datasets.len()).unwrap_or(i32::MAX);
    status.dataset_count = Some(count);
    status.datasets = report.datasets.iter().take(DATASETS_MAX).cloned().collect();
    status
}

fn finish(
    mut status: AlluxioClusterStatus,
    report: &Report<'_>,
    findings: &[Finding<C>],
) -> AlluxioClusterStatus {
    let generation = report.cluster.metadata.generation.unwrap_or(0);
    for finding in findings {
        record(&mut status.conditions, finding, generation, report.now);
    }
    let deleting = report.cluster.metadata.deletion_timestamp.is_some();
    status.phase = Some(phase::cluster_phase(deleting, &status.conditions));
    status
}

/// Of a cluster that cannot be built: what runs goes on.
pub fn refused(report: &Report<'_>, refusal: &Refusal) -> AlluxioClusterStatus {
    let mut findings = vec![Finding::no(C::SpecValid, refusal.reason, refusal.message.clone())];
    findings.push(Finding::no(C::Ready, refusal.reason, "see SpecValid"));
    findings.push(Finding::no(
        C::Progressing,
        refusal.reason,
        "nothing is changed until it is valid",
    ));
    finish(start(report), report, &findings)
}

/// Of a cluster that is being deleted, and what that waits for.
pub fn deleting(report: &Report<'_>, blocked: Option<&Refusal>) -> AlluxioClusterStatus {
    let finding = match blocked {
        Some(blocked) => Finding::yes(C::DeletionBlocked, blocked.reason, blocked.message.clone()),
        None => Finding::no(C::DeletionBlocked, Reason::AsWanted, ""),
    };
    finish(start(report), report, &[finding])
}

/// Of a cluster that was built.
pub fn built(
    report: &Report<'_>,
    valid: &ValidCluster,
    situation: &Situation,
    plan: &Plan,
) -> AlluxioClusterStatus {
    let mut status = start(report);
    let facts = report.facts;
    let names = &valid.names;
    if status.cluster_id.is_none() {
        status.cluster_id = facts.view.cluster_id.clone();
    }
    numbers(&mut status, report, valid);
    let mut findings = vec![Finding::yes(C::SpecValid, Reason::AsWanted, "")];
    let coordination = coordination(valid, facts, situation);
    let masters = masters(valid, facts, status.cluster_id.as_deref());
    let workers = workers(facts, status.workers.as_ref(), situation);
    let fuse = fuse(valid, facts, status.fuse.as_ref(), situation);
    let good = |finding: &Finding<C>| finding.status.name() == "True";
    let stopped = valid.spec.operation.mode == OperationMode::Stopped;
    let paused = valid.spec.operation.mode == OperationMode::Paused;
    let any_worker = facts.view.workers > 0;
    let available = !stopped && good(&masters) && any_worker;
    findings.push(available_finding(available, stopped, &masters));
    let all = [&coordination, &masters, &workers, &fuse];
    let lacking =
        all.into_iter().find(|finding| !good(finding) && finding.reason != Reason::Disabled);
    let rolling = plan.stage.is_some() || outdated(situation);
    upgrade(&mut status, report, valid, plan, situation, lacking.is_none() && !rolling);
    let ready = available && lacking.is_none() && !rolling;
    findings.push(match (ready, lacking) {
        (true, _) => Finding::yes(C::Ready, Reason::AsWanted, ""),
        (false, _) if stopped => Finding::no(C::Ready, Reason::Stopped, ""),
        (false, Some(lacking)) => Finding::no(C::Ready, lacking.reason, lacking.message.clone()),
        (false, None) if rolling => Finding::no(C::Ready, Reason::Updating, stage_text(plan)),
        (false, None) => Finding::no(C::Ready, Reason::PodsNotReady, "no worker is registered"),
    });
    let was_ready = report.cluster.status.as_ref().is_some_and(|status| {
        status.conditions.iter().any(|c| c.type_ == "Available" && c.status == "True")
    });
    findings.push(match lacking {
        Some(lacking) if was_ready && !rolling && !stopped => {
            Finding::yes(C::Degraded, lacking.reason, lacking.message.clone())
        }
        _ => Finding::no(C::Degraded, Reason::AsWanted, ""),
    });
    let stuck = stuck(&status, report, names);
    let blocked = stuck.is_some();
    findings.push(match stuck {
        Some((reason, message)) => Finding::yes(C::UpgradeBlocked, reason, message),
        None => Finding::no(C::UpgradeBlocked, Reason::AsWanted, ""),
    });
    let progressing = !blocked && !stopped && !paused && (rolling || !ready);
    findings.push(match progressing {
        true => Finding::yes(C::Progressing, Reason::Updating, stage_text(plan)),
        false => Finding::no(C::Progressing, Reason::AsWanted, ""),
    });
    let upgrading = status.version.as_ref().is_some_and(|version| version.target.is_some());
    findings.push(match upgrading {
        true => Finding::yes(C::Upgrading, Reason::Upgrading, format!("to {}", valid.version)),
        false => Finding::no(C::Upgrading, Reason::AsWanted, ""),
    });
    findings.extend(modes(paused, stopped));
    findings.extend(super::monitoring::finding(&valid.spec, &status, &facts.observed));
    findings.extend([coordination, masters, workers, fuse]);
    finish(status, report, &findings)
}

fn available_finding(available: bool, stopped: bool, masters: &Finding<C>) -> Finding<C> {
    match (available, stopped) {
        (true, _) => Finding::yes(C::Available, Reason::AsWanted, "it serves"),
        (false, true) => Finding::no(C::Available, Reason::Stopped, ""),
        (false, false) if masters.status.name() != "True" => {
            Finding::no(C::Available, masters.reason, masters.message.clone())
        }
        (false, false) => {
            Finding::no(C::Available, Reason::PodsNotReady, "no worker is registered")
        }
    }
}

/// What the user wants of the operator.
fn modes(paused: bool, stopped: bool) -> [Finding<C>; 2] {
    let mode = |condition, holds, reason, text: &str| match holds {
        true => Finding::yes(condition, reason, text),
        false => Finding::no(condition, Reason::AsWanted, ""),
    };
    [
        mode(C::Paused, paused, Reason::Paused, "spec.operation.mode is Paused"),
        mode(C::Stopped, stopped, Reason::Stopped, "spec.operation.mode is Stopped"),
    ]
}

fn outdated(situation: &Situation) -> bool {
    let busy = |workload: &Workload| *workload == Workload::Outdated;
    situation.etcd.iter().any(busy)
        || busy(&situation.masters)
        || situation.workers.iter().any(busy)
        || situation.fuse.iter().any(busy)
}

fn stage_text(plan: &Plan) -> String {
    match plan.stage {
        Some(stage) => format!("{stage}"),
        None => "waiting for pods".to_owned(),
    }
}

/// The first trouble of a component's pods, as a reason of ours.
fn trouble_of(facts: &Facts, component: Component) -> Option<(Reason, String)> {
    let pods = of_component(&facts.pods, component).filter(|pod| !is_ready(pod));
    let (pod, (reason, message)) = pods.filter_map(|pod| Some((pod, trouble(pod)?))).next()?;
    let reason = match reason.as_str() {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
            Reason::ImagePull
        }
        "Unschedulable" => Reason::Unschedulable,
        _ => Reason::CrashLoop,
    };
    let name = pod.metadata.name.clone().unwrap_or_default();
    Some((reason, format!("pod {name}: {message}")))
}

fn coordination(valid: &ValidCluster, facts: &Facts, situation: &Situation) -> Finding<C> {
    let condition = C::CoordinationReady;
    if valid.spec.master.journal.type_ == JournalType::Folder {
        return Finding::yes(condition, Reason::Disabled, "one master needs none");
    }
    if valid.managed_etcd().is_none() {
        return match facts.view.etcd.iter().any(|member| member.healthy) || facts.view.term > 0 {
            true => Finding::yes(condition, Reason::AsWanted, ""),
            false => Finding::no(condition, Reason::Unreachable, "no master has reached etcd yet"),
        };
    }
    let ready = of_component(&facts.pods, Component::Etcd).filter(|pod| is_ready(pod)).count();
    let wanted = usize::try_from(valid.etcd_members).unwrap_or(0);
    if situation.etcd == Some(Workload::Absent) {
        return Finding::unknown(condition, Reason::Creating, "");
    }
    match trouble_of(facts, Component::Etcd) {
        _ if ready == wanted => Finding::yes(condition, Reason::AsWanted, ""),
        Some((reason, message)) => Finding::no(condition, reason, message),
        None => {
            let reason = if ready > wanted / 2 { Reason::PodsNotReady } else { Reason::NoQuorum };
            Finding::no(condition, reason, format!("{ready} of {wanted} members are ready"))
        }
    }
}

fn masters(valid: &ValidCluster, facts: &Facts, known_id: Option<&str>) -> Finding<C> {
    let condition = C::MastersReady;
    let wanted = usize::try_from(valid.spec.master.replicas).unwrap_or(0);
    let ready = of_component(&facts.pods, Component::Master).filter(|pod| is_ready(pod)).count();
    if let (Some(known), Some(found)) = (known_id, facts.view.cluster_id.as_deref())
        && known != found
    {
        return Finding::no(
            condition,
            Reason::Conflict,
            format!(
                "the journal is of cluster {found}, and this cluster is {known}: the journal was exchanged or lost"
            ),
        );
    }
    match trouble_of(facts, Component::Master) {
        Some((reason, message)) if ready < wanted => Finding::no(condition, reason, message),
        _ if facts.view.primary().is_none() => Finding::no(
            condition,
            Reason::NoPrimary,
            format!("no master serves; {ready} of {wanted} are ready"),
        ),
        _ if ready < wanted => {
            Finding::no(condition, Reason::PodsNotReady, format!("{ready} of {wanted} are ready"))
        }
        _ => Finding::yes(condition, Reason::AsWanted, ""),
    }
}

/// Whether all pods of a DaemonSet's component are ready, or else what keeps them.
fn all_ready(condition: C, facts: &Facts, component: Component, counts: &PodCounts) -> Finding<C> {
    match trouble_of(facts, component) {
        _ if counts.ready >= counts.desired => Finding::yes(condition, Reason::AsWanted, ""),
        Some((reason, message)) => Finding::no(condition, reason, message),
        None => Finding::no(
            condition,
            Reason::PodsNotReady,
            format!("{} of {} are ready", counts.ready, counts.desired),
        ),
    }
}

fn workers(facts: &Facts, counts: Option<&PodCounts>, situation: &Situation) -> Finding<C> {
    let condition = C::WorkersReady;
    let counts = counts.cloned().unwrap_or_default();
    if situation.workers.contains(&Workload::Absent) {
        return Finding::unknown(condition, Reason::Creating, "");
    }
    if counts.desired == 0 {
        return Finding::no(condition, Reason::NoNodes, "no node matches");
    }
    all_ready(condition, facts, Component::Worker, &counts)
}

fn fuse(
    valid: &ValidCluster,
    facts: &Facts,
    counts: Option<&PodCounts>,
    situation: &Situation,
) -> Finding<C> {
    let condition = C::FuseReady;
    if !valid.spec.fuse.enabled {
        return Finding::no(condition, Reason::Disabled, "spec.fuse.enabled is false");
    }
    let counts = counts.cloned().unwrap_or_default();
    if situation.fuse == Some(Workload::Absent) {
        return Finding::unknown(condition, Reason::Creating, "");
    }
    all_ready(condition, facts, Component::Fuse, &counts)
}

fn numbers(status: &mut AlluxioClusterStatus, report: &Report<'_>, valid: &ValidCluster) {
    let facts = report.facts;
    let names = &valid.names;
    let desired = valid.spec.master.replicas;
    let set: Option<StatefulSet> =
        facts.observed.typed(&names.namespace, &names.of(Component::Master));
    let updated = set.and_then(|set| set.status?.updated_replicas).unwrap_or(0);
    let count = |component| {
        let ready = of_component(&facts.pods, component).filter(|pod| is_ready(pod)).count();
        i32::try_from(ready).unwrap_or(i32::MAX)
    };
    let before = status.masters.as_ref().and_then(|masters| masters.leader.clone());
    let leader = facts.view.primary().map(|primary| {
        let pod = primary.address.split(['.', ':']).next().unwrap_or_default().to_owned();
        let term = i64::try_from(facts.view.term).unwrap_or(i64::MAX);
        match before {
            Some(before) if before.pod == pod && before.term == term => before,
            _ => LeaderStatus { pod, term, since: Time(report.now) },
        }
    });
    status.masters =
        Some(MastersStatus { desired, ready: count(Component::Master), updated, leader });
    status.workers = Some(worker_counts(facts, valid));
    let fuse: Option<DaemonSet> =
        facts.observed.typed(&names.namespace, &names.of(Component::Fuse));
    status.fuse = fuse.map(|set| daemon_counts(&set));
    status.selector = Some(
        names
            .selector(Component::Worker)
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect::<Vec<_>>()
            .join(","),
    );
    if let Some(capacity) = capacity(facts) {
        status.capacity = Some(capacity);
    }
    if valid.spec.coordination.is_some() {
        let endpoints = super::config::etcd_endpoints(names, valid.spec.coordination.as_ref());
        let ready = count(Component::Etcd);
        let managed = valid.managed_etcd().is_some();
        // The number of members is only remembered once they have all been there: until then etcd is new.
        let formed = status.coordination.as_ref().and_then(|known| known.members);
        let listed = facts.members.as_ref();
        let complete = ready >= valid.etcd_members
            && ready > 0
            && listed.is_none_or(|members| members.lists(valid.etcd_members) && members.all_vote());
        let members = if complete { Some(valid.etcd_members) } else { formed };
        status.coordination = Some(CoordinationStatus {
            endpoints,
            members: members.filter(|_| managed),
            healthy_members: managed.then_some(ready),
        });
    }
    let host = names.pod_host(Component::Master, 0);
    let service = host.split_once('.').map(|(_, service)| service).unwrap_or_default();
    status.endpoints = Some(EndpointsStatus {
        rpc: Some(format!("{service}:{}", valid.spec.master.ports.rpc)),
        leader: facts.view.primary().map(|primary| primary.address.clone()),
    });
}

/// `None` while nobody serves: the last that was known stays.
fn capacity(facts: &Facts) -> Option<CapacityStatus> {
    facts.view.primary()?;
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let tiers: Vec<TierStatus> = facts
        .view
        .tiers
        .iter()
        .map(|(alias, tier)| TierStatus {
            alias: alias.clone(),
            total_bytes: bytes(tier.capacity_bytes),
            used_bytes: bytes(tier.used_bytes),
        })
        .collect();
    Some(CapacityStatus {
        total_bytes: tiers.iter().map(|tier| tier.total_bytes).sum(),
        used_bytes: tiers.iter().map(|tier| tier.used_bytes).sum(),
        tiers,
    })
}

fn daemon_counts(set: &DaemonSet) -> PodCounts {
    let status = set.status.clone().unwrap_or_default();
    PodCounts {
        desired: status.desired_number_scheduled,
        ready: status.number_ready,
        updated: match daemon_progress(set) {
            true => status.desired_number_scheduled,
            false => status.updated_number_scheduled.unwrap_or(0),
        },
    }
}

fn worker_counts(facts: &Facts, valid: &ValidCluster) -> PodCounts {
    let namespace = &valid.names.namespace;
    let name = valid.names.of(Component::Worker);
    let overrides = valid.spec.worker.node_overrides.iter();
    let all = overrides.map(|over| format!("{name}-{}", over.name)).chain([name.clone()]);
    let mut sum = PodCounts::default();
    for name in all {
        let counts = match facts.observed.typed::<DaemonSet>(namespace, &name) {
            Some(set) => daemon_counts(&set),
            None => match facts.observed.typed::<StatefulSet>(namespace, &name) {
                Some(set) => {
                    let status = set.status.clone().unwrap_or_default();
                    PodCounts {
                        desired: set.spec.and_then(|spec| spec.replicas).unwrap_or(0),
                        ready: status.ready_replicas.unwrap_or(0),
                        updated: status.updated_replicas.unwrap_or(0),
                    }
                }
                None => continue,
            },
        };
        sum.desired += counts.desired;
        sum.ready += counts.ready;
        sum.updated += counts.updated;
    }
    sum
}

/// Versions, and how far a change of them is.
fn upgrade(
    status: &mut AlluxioClusterStatus,
    report: &Report<'_>,
    valid: &ValidCluster,
    plan: &Plan,
    situation: &Situation,
    done: bool,
) {
    let mut version: VersionStatus = status.version.clone().unwrap_or_default();
    if version.deployed.as_deref() == Some(&valid.version) {
        version.target = None;
    } else if done {
        version.history.insert(0, valid.version.clone());
        version.history.truncate(HISTORY_MAX);
        version.deployed = Some(valid.version.clone());
        version.target = None;
    } else {
        version.target = version.deployed.is_some().then(|| valid.version.clone());
    }
    status.version = Some(version);
    let now = Time(report.now);
    status.upgrade = plan.stage.map(|stage| {
        let before = report.cluster.status.as_ref().and_then(|status| status.upgrade.as_ref());
        let ready_before = report.cluster.status.as_ref().map(progress_mark);
        let ready_now = progress_mark(status);
        match before {
            Some(before) if before.stage == stage && ready_before == Some(ready_now) => {
                before.clone()
            }
            Some(before) => {
                UpgradeStatus { stage, started_at: before.started_at.clone(), progressed_at: now }
            }
            None => UpgradeStatus { stage, started_at: now.clone(), progressed_at: now },
        }
    });
    let _ = situation;
}

/// Numbers that move when a rollout gets on.
fn progress_mark(status: &AlluxioClusterStatus) -> (i32, i32, i32) {
    let updated = |counts: Option<&PodCounts>| counts.map_or(0, |counts| counts.updated);
    (
        status.masters.as_ref().map_or(0, |masters| masters.updated),
        updated(status.workers.as_ref()),
        updated(status.fuse.as_ref()),
    )
}

/// Why a rollout does not get on, if it has not for long; at once when an image cannot be had or a program ends.
fn stuck(
    status: &AlluxioClusterStatus,
    report: &Report<'_>,
    names: &Names,
) -> Option<(Reason, String)> {
    let upgrade = status.upgrade.as_ref()?;
    let components = [Component::Master, Component::Worker, Component::Fuse];
    let trouble = components.into_iter().find_map(|component| trouble_of(report.facts, component));
    if let Some((reason @ (Reason::ImagePull | Reason::CrashLoop), message)) = trouble {
        return Some((reason, message));
    }
    let since = report.now.duration_since(upgrade.progressed_at.0);
    (since.as_secs() >= i64::try_from(STUCK_AFTER.as_secs()).unwrap_or(i64::MAX)).then(|| {
        let stage = upgrade.stage;
        (
            Reason::RolloutStuck,
            format!("{}: stage {stage} has not moved for {} s", names.cluster, since.as_secs()),
        )
    })
}
