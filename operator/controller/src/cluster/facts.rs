//! What is there: objects, pods, and what the cluster says of itself. The only step that reads.

use super::admin::{ClusterAdmin, ClusterView, Target};
use super::build::{self, Built};
use super::config::ETCD_PORT;
use super::membership::Membership;
use super::names::{Component, Names};
use super::rollout::{EtcdMembers, MasterPod, Situation, Workload};
use crate::apply::{Applier, Observed};
use crate::desired::{Desired, Key};
use crate::drift::first_difference;
use crate::error::Error;
use k8s_openapi::api::apps::v1::{DaemonSet, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams, VersionMatch};

/// What was found.
#[derive(Default)]
pub struct Facts {
    /// The cluster's objects.
    pub observed: Observed,
    /// Its pods.
    pub pods: Vec<Pod>,
    /// What it says of itself.
    pub view: ClusterView,
    /// Members of the managed etcd, if it answers.
    pub members: Option<Membership>,
    /// Where those of them that are ready answer.
    pub etcd_endpoints: Vec<String>,
}

/// Reads it all.
pub async fn gather(
    applier: &Applier,
    admin: &dyn ClusterAdmin,
    names: &Names,
    target: Option<&Target>,
) -> Result<Facts, Error> {
    let selector = names.label_selector();
    let observed = applier.observe(&build::kinds(), &names.namespace, &selector).await?;
    let pods: Api<Pod> = Api::namespaced(applier.client().clone(), &names.namespace);
    let params =
        ListParams::default().labels(&selector).matching(VersionMatch::NotOlderThan).at("0");
    let pods = pods.list(&params).await.map_err(Error::kubernetes("list pods"))?.items;
    // Who has no master that could answer is not asked: that would only be a wait.
    let serves = of_component(&pods, Component::Master).any(is_ready);
    let view = match target {
        Some(target) if serves => admin.view(target).await,
        _ => ClusterView::default(),
    };
    let etcd_endpoints = etcd_endpoints(&pods, names);
    let members = match etcd_endpoints.is_empty() {
        true => None,
        false => admin.etcd_members(&etcd_endpoints).await,
    };
    let members = members.map(|members| Membership::of(names, &members));
    Ok(Facts { observed, pods, view, members, etcd_endpoints })
}

/// Pods of one component.
pub fn of_component(pods: &[Pod], component: Component) -> impl Iterator<Item = &Pod> {
    pods.iter().filter(move |pod| {
        pod.labels().get("app.kubernetes.io/component").map(String::as_str)
            == Some(component.label())
    })
}

fn etcd_endpoints(pods: &[Pod], names: &Names) -> Vec<String> {
    of_component(pods, Component::Etcd)
        .filter(|pod| is_ready(pod))
        .filter_map(|pod| Some(names.pod_host(Component::Etcd, ordinal(pod)?)))
        .map(|host| format!("http://{host}:{ETCD_PORT}"))
        .collect()
}

/// Whether a pod is ready, and stays.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.is_some_and(|conditions| {
            conditions
                .iter()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True")
        })
}

/// The number at the end of a pod's name.
fn ordinal(pod: &Pod) -> Option<i32> {
    pod.name_any().rsplit_once('-')?.1.parse().ok()
}

impl Facts {
    /// The planner's view.
    pub fn situation(&self, built: &Built, names: &Names) -> Situation {
        let stateful = |desired: &Desired| {
            self.observed.typed::<StatefulSet>(&names.namespace, &desired.key().name)
        };
        let master = stateful(&built.master);
        let now = master.as_ref().and_then(replicas).unwrap_or(0);
        let etcd = built.etcd.as_ref().map(|desired| (desired, stateful(desired)));
        Situation {
            etcd: etcd
                .as_ref()
                .map(|(desired, set)| self.workload(desired, set.as_ref().map(stateful_progress))),
            etcd_members: etcd.as_ref().map(|(desired, set)| {
                self.etcd_members(wanted_replicas(desired), set.as_ref().and_then(replicas), names)
            }),
            masters: self.workload(&built.master, master.as_ref().map(stateful_progress)),
            master_replicas: (now, wanted_replicas(&built.master)),
            pods: self.master_pods(master.as_ref(), names),
            workers: built
                .workers
                .iter()
                .map(|desired| self.workload(desired, self.progress(desired)))
                .collect(),
            fuse: built.fuse.as_ref().map(|desired| self.workload(desired, self.progress(desired))),
        }
    }

    /// `now` is how many pods the live StatefulSet has.
    fn etcd_members(&self, wanted: i32, now: Option<i32>, names: &Names) -> EtcdMembers {
        let ready = i32::try_from(self.etcd_endpoints.len()).unwrap_or(i32::MAX);
        let all_ready = now.is_some_and(|now| ready >= now);
        let listed = self.members.as_ref().is_some_and(|members| members.lists(wanted));
        EtcdMembers {
            may_scale: now.is_none() || now == Some(wanted) || listed,
            // A new etcd finds its members by itself.
            change: self
                .members
                .as_ref()
                .filter(|_| now.is_some())
                .and_then(|members| members.next(names, wanted, all_ready)),
        }
    }

    /// Whether Kubernetes is done with a workload; `None` when it is not there.
    fn progress(&self, desired: &Desired) -> Option<bool> {
        let Key { kind, namespace, name } = desired.key();
        match kind.as_str() {
            "DaemonSet" => {
                self.observed.typed::<DaemonSet>(namespace, name).map(|set| daemon_progress(&set))
            }
            _ => self
                .observed
                .typed::<StatefulSet>(namespace, name)
                .map(|set| stateful_progress(&set)),
        }
    }

    fn workload(&self, desired: &Desired, done: Option<bool>) -> Workload {
        let Some(live) = self.observed.get(desired.key()) else { return Workload::Absent };
        let live = serde_json::to_value(live).unwrap_or_default();
        match (first_difference(desired.body(), &live).is_some(), done) {
            (true, _) => Workload::Outdated,
            (false, Some(true)) => Workload::Done,
            (false, _) => Workload::Rolling,
        }
    }

    fn master_pods(&self, set: Option<&StatefulSet>, names: &Names) -> Vec<MasterPod> {
        let status = set.and_then(|set| set.status.as_ref());
        let revision = status.and_then(|status| status.update_revision.as_deref());
        let primary = self.view.primary().map(|primary| primary.address.as_str());
        let mut pods: Vec<MasterPod> = of_component(&self.pods, Component::Master)
            .filter_map(|pod| {
                let ordinal = ordinal(pod)?;
                let host = names.pod_host(Component::Master, ordinal);
                let hash = pod.labels().get("controller-revision-hash").map(String::as_str);
                let primary = primary.filter(|address| address.starts_with(&format!("{host}:")));
                let port =
                    self.view.masters.iter().find(|m| m.address.starts_with(&format!("{host}:")));
                Some(MasterPod {
                    name: pod.name_any(),
                    ordinal,
                    updated: revision.is_some() && hash == revision,
                    ready: is_ready(pod),
                    leaving: pod.metadata.deletion_timestamp.is_some(),
                    primary: primary.is_some(),
                    address: port.map_or_else(|| host.clone(), |master| master.address.clone()),
                })
            })
            .collect();
        pods.sort_by_key(|pod| pod.ordinal);
        pods
    }
}

fn replicas(set: &StatefulSet) -> Option<i32> {
    set.spec.as_ref()?.replicas
}

fn wanted_replicas(desired: &Desired) -> i32 {
    let wanted = desired.body()["spec"]["replicas"].as_i64().unwrap_or(0);
    i32::try_from(wanted).unwrap_or(i32::MAX)
}

/// Whether a StatefulSet's pods are all of its newest template, and ready.
pub fn stateful_progress(set: &StatefulSet) -> bool {
    let (Some(spec), Some(status)) = (&set.spec, &set.status) else { return false };
    let wanted = spec.replicas.unwrap_or(1);
    status.observed_generation == set.metadata.generation
        && status.replicas == wanted
        && status.updated_replicas.unwrap_or(0) == wanted
        && status.ready_replicas.unwrap_or(0) == wanted
}

/// Whether a DaemonSet's pods are all of its newest template, and ready.
pub fn daemon_progress(set: &DaemonSet) -> bool {
    let Some(status) = &set.status else { return false };
    let wanted = status.desired_number_scheduled;
    status.observed_generation == set.metadata.generation
        && status.current_number_scheduled == wanted
        && status.updated_number_scheduled.unwrap_or(0) == wanted
        && status.number_ready == wanted
}

/// Why a pod does not get on, if Kubernetes says so: the reason in one word, and its message.
pub fn trouble(pod: &Pod) -> Option<(String, String)> {
    let status = pod.status.as_ref()?;
    let containers = status.init_container_statuses.iter().chain(&status.container_statuses);
    for container in containers.flatten() {
        let Some(waiting) = container.state.as_ref().and_then(|state| state.waiting.as_ref())
        else {
            continue;
        };
        let reason = waiting.reason.clone().unwrap_or_default();
        if matches!(reason.as_str(), "ContainerCreating" | "PodInitializing" | "") {
            continue;
        }
        let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        let code =
            last.map(|last| format!(", it ended with {}", last.exit_code)).unwrap_or_default();
        let message = waiting.message.clone().unwrap_or_default();
        return Some((reason, format!("{}: {message}{code}", container.name)));
    }
    let conditions = status.conditions.iter().flatten();
    conditions
        .filter(|condition| condition.type_ == "PodScheduled" && condition.status == "False")
        .map(|condition| {
            ("Unschedulable".to_owned(), condition.message.clone().unwrap_or_default())
        })
        .next()
}
