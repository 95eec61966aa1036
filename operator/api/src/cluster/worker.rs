//! Workers and what they cache on.

use crate::closed::words;
use crate::pod::{PodSettings, Resources};
use crate::size::Size;
use crate::storage::HostDir;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The workers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.kind == oldSelf.kind").message(
        "kind cannot change: the cache would be left behind; make another cluster"
    ),
    validation = Rule::new("(self.kind == 'StatefulSet') == has(self.replicas)")
        .message("replicas is given with kind StatefulSet, and only then: a DaemonSet has a worker on each matching node"),
    validation = Rule::new("self.kind == 'StatefulSet' || self.tieredStore.levels.all(l, !has(l.volumeClaimTemplate))")
        .message("volumeClaimTemplate needs kind StatefulSet"),
    validation = Rule::new("self.kind == 'DaemonSet' || self.tieredStore.levels.all(l, !has(l.hostPath))")
        .message("hostPath needs kind DaemonSet: two pods of a StatefulSet on one node would share the directory"),
    validation = Rule::new("self.kind == 'DaemonSet' || !has(self.nodeOverrides) || self.nodeOverrides.size() == 0")
        .message("nodeOverrides needs kind DaemonSet"),
    validation = Rule::new("self.kind == 'DaemonSet' || !self.hostNetwork")
        .message("hostNetwork needs kind DaemonSet: two pods of a StatefulSet on one node would share the ports"),
)]
pub struct Worker {
    /// DaemonSet: one on each node that matches. StatefulSet: a number of them, with volumes of their own.
    #[serde(default = "Worker::default_kind")]
    pub kind: WorkerKind,
    /// How many, with kind StatefulSet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 5000))]
    pub replicas: Option<i32>,
    /// What they cache on.
    pub tiered_store: TieredStore,
    /// How clients of the same node read without a copy.
    #[serde(default)]
    pub short_circuit: ShortCircuit,
    /// Nodes whose workers differ. A node that matches several has the first one's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub node_overrides: Vec<NodeOverride>,
    /// How workers are replaced.
    #[serde(default)]
    pub update: WorkerUpdate,
    /// Ports. A change restarts the workers, one after the other.
    #[serde(default)]
    pub ports: WorkerPorts,
    /// Whether they use the node's network instead of the pods'. Then the ports must be free on every node.
    #[serde(default)]
    pub host_network: bool,
    /// Properties of Alluxio for workers only. They win over those of the cluster.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::properties")]
    pub properties: BTreeMap<String, String>,
    /// The pods.
    #[serde(flatten)]
    pub pods: PodSettings,
}

impl Worker {
    fn default_kind() -> WorkerKind {
        WorkerKind::DaemonSet
    }
}

words! {
    /// What makes the workers' pods.
    WorkerKind {
        /// One on each node that matches.
        DaemonSet,
        /// A number of them.
        StatefulSet,
    }
}

/// What workers cache on: levels, the fastest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("oldSelf.levels.all(o, self.levels.exists(n, n.alias == o.alias))")
    .message("levels can be added, not removed: what they hold would be left on the nodes"))]
pub struct TieredStore {
    /// Levels, the fastest first. A change restarts the workers, one after the other; the cache stays.
    #[schemars(length(min = 1, max = 4))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["alias".into()]))]
    pub levels: Vec<Level>,
    /// Which blocks leave first when a level is full: LRU by last use, LRFU by how often and how long ago.
    #[serde(default)]
    pub evictor: Evictor,
}

words! {
    /// Which blocks leave first.
    #[derive(Default)]
    Evictor {
        /// Those that were not used for the longest time.
        #[default]
        LRU,
        /// Those that were used least, old uses counting less.
        LRFU,
    }
}

/// One level of a worker's store, on exactly one kind of storage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.memory), has(self.hostPath), has(self.emptyDir), has(self.volumeClaimTemplate)].filter(x, x).size() == 1")
        .message("a level is on exactly one of memory, hostPath, emptyDir and volumeClaimTemplate"),
    validation = Rule::new("self.lowWatermarkPercent < self.highWatermarkPercent")
        .message("lowWatermarkPercent must be below highWatermarkPercent"),
    validation = Rule::new("self.medium != 'MEM' || has(self.memory) || has(self.hostPath)")
        .message("medium MEM is memory, or a hostPath where the node has a file system in memory"),
    validation = Rule::new("!has(self.memory) || self.medium == 'MEM'").message("memory has medium MEM"),
    validation = Rule::new("has(self.memory) == has(oldSelf.memory) && has(self.hostPath) == has(oldSelf.hostPath) && has(self.emptyDir) == has(oldSelf.emptyDir)")
        .message("the kind of storage of a level cannot change: add another level"),
)]
pub struct Level {
    /// Name of the level: MEM, SSD, HDD or another.
    #[schemars(length(max = 8), regex(pattern = r"^[A-Z0-9]{2,8}$"))]
    pub alias: String,
    /// What it is made of.
    pub medium: Medium,
    /// Memory of the pod. It is added to its request and limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quota>,
    /// Directories of the node, which outlive the pod. Each cluster has a folder of its own in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_path: Option<HostDirs>,
    /// A directory that goes when the pod is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<Quota>,
    /// A claim for each worker, with kind StatefulSet. Nine tenths of it are filled; the rest is the file system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_claim_template: Option<crate::storage::Claim>,
    /// When the level is so full, blocks leave it in the background.
    #[serde(default = "Level::default_high_watermark_percent")]
    #[schemars(range(min = 1, max = 100))]
    pub high_watermark_percent: i32,
    /// When it is so empty, that stops.
    #[serde(default = "Level::default_low_watermark_percent")]
    #[schemars(range(min = 1, max = 100))]
    pub low_watermark_percent: i32,
}

impl Level {
    fn default_high_watermark_percent() -> i32 {
        95
    }

    fn default_low_watermark_percent() -> i32 {
        70
    }
}

words! {
    /// What storage is made of.
    Medium {
        /// Memory.
        MEM,
        /// Flash.
        SSD,
        /// Disks.
        HDD,
    }
}

/// How much of something is used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// Bytes that are cached there at most.
    pub quota: Size,
}

/// Directories of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("oldSelf.dirs.all(o, self.dirs.exists(n, n.path == o.path))")
    .message("directories can be added, not removed: what they hold would be left on the nodes"))]
pub struct HostDirs {
    /// The directories.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(
        merge_strategy = ListMerge::Map(vec!["path".into()]),
        validation = Rule::new("self.all(a, self.all(b, a.path == b.path || !b.path.startsWith(a.path + '/')))")
            .message("a directory must not lie in another one"),
    )]
    pub dirs: Vec<CacheDir>,
    /// Directory: they must be there, so that a disk that is not mounted is noticed. DirectoryOrCreate: they are made.
    #[serde(default, rename = "type")]
    pub type_: HostPathType,
}

words! {
    /// Whether a directory of the node is made.
    #[derive(Default)]
    HostPathType {
        /// It is made when it is missing.
        #[default]
        DirectoryOrCreate,
        /// It must be there.
        Directory,
    }
}

/// A directory of a node, and how much of it is used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CacheDir {
    /// Absolute path.
    pub path: HostDir,
    /// Bytes that are cached there at most.
    pub quota: Size,
}

/// How clients of the same node read without a copy: through a socket over which the worker gives them open files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShortCircuit {
    /// Whether they do.
    #[serde(default = "ShortCircuit::default_enabled")]
    pub enabled: bool,
    /// Directory of the node below which the sockets are. Short, since paths of sockets are.
    #[serde(default = "ShortCircuit::default_host_dir")]
    #[schemars(length(max = 48), regex(pattern = r"^(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$"))]
    pub host_dir: String,
}

impl ShortCircuit {
    fn default_enabled() -> bool {
        true
    }

    fn default_host_dir() -> String {
        "/run/alluxio".to_owned()
    }
}

impl Default for ShortCircuit {
    fn default() -> Self {
        ShortCircuit { enabled: Self::default_enabled(), host_dir: Self::default_host_dir() }
    }
}

/// Workers of some nodes, which differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.nodeSelector.size() > 0").message("nodeSelector must name a label"))]
pub struct NodeOverride {
    /// Its name, which the DaemonSet's ends with.
    #[schemars(length(max = 12), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub name: String,
    /// Labels of its nodes, beside those of the cluster's workers.
    #[schemars(schema_with = "crate::schema::labels")]
    pub node_selector: BTreeMap<String, String>,
    /// What they cache on, instead of the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.levels.all(l, !has(l.volumeClaimTemplate))")
        .message("volumeClaimTemplate needs kind StatefulSet"))]
    pub tiered_store: Option<TieredStore>,
    /// Their resources, instead of the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

/// How workers are replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkerUpdate {
    /// Workers that may be away at once: a number, or a percentage.
    #[serde(default = "WorkerUpdate::default_max_unavailable")]
    #[schemars(schema_with = "crate::schema::number_or_percent")]
    pub max_unavailable: IntOrString,
}

impl WorkerUpdate {
    fn default_max_unavailable() -> IntOrString {
        IntOrString::Int(1)
    }
}

impl Default for WorkerUpdate {
    fn default() -> Self {
        WorkerUpdate { max_unavailable: Self::default_max_unavailable() }
    }
}

/// Ports of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.rpc != self.data && self.rpc != self.web && self.data != self.web").message("ports must differ"))]
pub struct WorkerPorts {
    /// For masters and clients.
    #[serde(default = "WorkerPorts::default_rpc")]
    #[schemars(range(min = 1024, max = 65535))]
    pub rpc: u16,
    /// For data.
    #[serde(default = "WorkerPorts::default_data")]
    #[schemars(range(min = 1024, max = 65535))]
    pub data: u16,
    /// For metrics and health.
    #[serde(default = "WorkerPorts::default_web")]
    #[schemars(range(min = 1024, max = 65535))]
    pub web: u16,
}

impl WorkerPorts {
    fn default_rpc() -> u16 {
        29999
    }

    fn default_data() -> u16 {
        29998
    }

    fn default_web() -> u16 {
        30000
    }
}

impl Default for WorkerPorts {
    fn default() -> Self {
        WorkerPorts {
            rpc: Self::default_rpc(),
            data: Self::default_data(),
            web: Self::default_web(),
        }
    }
}
