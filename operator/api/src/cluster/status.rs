//! What the operator tells of a cluster. Numbers are numbers: bytes, not texts with units.

use super::phase::ClusterPhase;
use crate::closed::words;
use crate::condition::ConditionType;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What the operator tells of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlluxioClusterStatus {
    /// The generation of the object that the rest was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The conditions in one word. For people: programs look at the conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<ClusterPhase>,
    /// What is true of the cluster, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Identity of the cluster's journal and caches, written once.
    #[serde(default, rename = "clusterID", skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionStatus>,
    /// etcd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coordination: Option<CoordinationStatus>,
    /// The masters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masters: Option<MastersStatus>,
    /// The workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<PodCounts>,
    /// The agents that show files to pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuse: Option<PodCounts>,
    /// What the workers can hold, and hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<CapacityStatus>,
    /// Datasets that are bound to the cluster, the first 100 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub datasets: Vec<BoundDataset>,
    /// How many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_count: Option<i32>,
    /// Where clients find the masters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<EndpointsStatus>,
    /// The upgrade that is under way, or got stuck.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradeStatus>,
    /// Labels of the workers' pods, for who scales the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
}

/// Versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionStatus {
    /// The one that all pods run, or ran before the upgrade that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed: Option<String>,
    /// The one that is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Those that were deployed before, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub history: Vec<String>,
}

/// etcd.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CoordinationStatus {
    /// URLs that the masters use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 9))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub endpoints: Vec<String>,
    /// Members that etcd has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<i32>,
    /// Those of them that answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy_members: Option<i32>,
}

/// The masters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MastersStatus {
    /// How many there should be.
    #[serde(default)]
    pub desired: i32,
    /// How many serve or follow the journal.
    #[serde(default)]
    pub ready: i32,
    /// How many run what is wanted now.
    #[serde(default)]
    pub updated: i32,
    /// The one that serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<LeaderStatus>,
}

/// The master that serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeaderStatus {
    /// Its pod.
    pub pod: String,
    /// Its term. A later primary has a larger one.
    pub term: i64,
    /// When the operator first saw it serve.
    pub since: Time,
}

/// Pods of a component.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodCounts {
    /// How many there should be.
    #[serde(default)]
    pub desired: i32,
    /// How many are ready: their process says so.
    #[serde(default)]
    pub ready: i32,
    /// How many run what is wanted now.
    #[serde(default)]
    pub updated: i32,
}

/// What the workers can hold, and hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CapacityStatus {
    /// Bytes that they can hold.
    #[serde(default)]
    pub total_bytes: i64,
    /// Bytes that they hold.
    #[serde(default)]
    pub used_bytes: i64,
    /// The same by level.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["alias".into()]))]
    pub tiers: Vec<TierStatus>,
}

/// A level of all workers together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TierStatus {
    /// Its name.
    pub alias: String,
    /// Bytes that it can hold.
    pub total_bytes: i64,
    /// Bytes that it holds.
    pub used_bytes: i64,
}

/// A Dataset that is bound to the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BoundDataset {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Where clients find the masters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndpointsStatus {
    /// Addresses of all masters, as in `alluxio.master.rpc.addresses`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpc: Option<String>,
    /// Address of the Service that leads to the primary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
}

/// An upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeStatus {
    /// What is being replaced now.
    pub stage: UpgradeStage,
    /// When the upgrade began.
    pub started_at: Time,
    /// When this stage last got on: what the time that it may take counts from.
    pub progressed_at: Time,
}

words! {
    /// What is replaced, in this order. A rollback goes the other way.
    UpgradeStage {
        /// Masters that do not serve, one by one.
        Standbys,
        /// The primary hands over to one of them.
        HandOver,
        /// The master that was the primary.
        OldPrimary,
        /// Workers, some at a time.
        Workers,
        /// Agents, handing their mounts on.
        Agents,
    }
}

words! {
    /// What can be true of a cluster. Degraded, UpgradeBlocked and DeletionBlocked are bad when they hold.
    ClusterCondition {
        /// What the object says can be done.
        SpecValid,
        /// etcd answers; holds also where none is needed.
        CoordinationReady,
        /// A primary serves, and all masters are ready.
        MastersReady,
        /// So many workers are ready as there should be, less those that may be away.
        WorkersReady,
        /// Agents are ready on all nodes that have one, or are switched off.
        FuseReady,
        /// A primary serves, and a worker is registered: files can be read.
        Available,
        /// All is as this generation of the object wants it.
        Ready,
        /// Pods are being made or replaced.
        Progressing,
        /// Something is less than wanted, while the cluster goes on.
        Degraded,
        /// Pods of one version are being replaced by those of another.
        Upgrading,
        /// An upgrade stopped.
        UpgradeBlocked,
        /// The operator was told to change nothing.
        Paused,
        /// The pods were stopped.
        Stopped,
        /// The deletion waits for something, which the message names.
        DeletionBlocked,
        /// Prometheus' operator is told of the cluster, as `spec.metrics` asks for. It tells nothing of the cluster
        /// itself, and is there only when it was asked for.
        Monitored,
    }
}

impl ConditionType for ClusterCondition {
    fn type_name(self) -> &'static str {
        self.name()
    }
}
