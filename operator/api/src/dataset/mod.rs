//! `Dataset`: stores that are shown in a cluster's namespace, and a volume that pods use.
//!
//! Reading order: this file (the specification), [`mount`], [`status`], [`phase`].

pub mod mount;
pub mod phase;
pub mod status;

pub use mount::{Mount, S3};
pub use phase::DatasetPhase;
pub use status::{DatasetCondition, DatasetStatus};

use crate::closed::words;
use crate::period::Period;
use crate::reference::{AllowedNamespaces, Credentials, NamespacedRef};
use crate::size::Size;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Data that pods use: one or many stores, shown at paths of a cluster's namespace, and a volume of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "alluxio.dev", version = "v1alpha1", kind = "Dataset", namespaced,
    plural = "datasets", singular = "dataset", shortname = "ads", category = "alluxio",
    status = "DatasetStatus", derive = "PartialEq",
    validation = crate::rules::name(),
    printcolumn(name = "Cluster", type_ = "string", json_path = ".status.cluster.name", description = "The cluster that shows it"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase", description = "What the Dataset does, in one word"),
    printcolumn(name = "Size", type_ = "integer", json_path = ".status.ufs.totalBytes", description = "Bytes of its files, as far as they are known"),
    printcolumn(name = "Cached", type_ = "integer", json_path = ".status.cache.cachedBytes", description = "Bytes of them that workers hold"),
    printcolumn(name = "Percent", type_ = "string", json_path = ".status.cache.percent", description = "The share of that"),
    printcolumn(name = "Files", type_ = "integer", json_path = ".status.ufs.fileCount", priority = 1, description = "Its files, as far as they are known"),
    printcolumn(name = "Pods", type_ = "integer", json_path = ".status.usedBy.pods", priority = 1, description = "Pods that use its volume"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
)]
#[x_kube(
    validation = Rule::new("has(self.source) != (has(self.mounts) && self.mounts.size() > 0)")
        .message("a Dataset has either mounts or a source"),
    validation = Rule::new("has(self.source) != has(self.clusterRef)")
        .message("a Dataset with mounts names its cluster in clusterRef; one with a source is in the cluster of its source"),
    validation = Rule::new("has(self.clusterRef) == has(oldSelf.clusterRef) && (!has(self.clusterRef) || self.clusterRef == oldSelf.clusterRef)")
        .message("clusterRef cannot change: make another Dataset"),
    validation = Rule::new("!has(self.source) || self.accessModes.all(m, m == 'ReadOnlyMany')")
        .message("a Dataset with a source can only be read: its accessModes is [ReadOnlyMany]"),
    validation = Rule::new("has(self.source) || self.accessModes.all(m, m == 'ReadOnlyMany') || self.mounts.exists(m, !m.readOnly)")
        .message("accessModes for writing need a mount with readOnly: false"),
    validation = Rule::new("!has(self.mounts) || self.mounts.size() <= 1 || self.mounts.all(m, has(m.path))")
        .message("with several mounts each needs a path"),
)]
pub struct DatasetSpec {
    /// The cluster that shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_ref: Option<NamespacedRef>,
    /// Another Dataset, or a directory of it, that this one shows for reading. Its owner has to allow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The stores. They can be added, removed and changed while pods use the volume.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(
        merge_strategy = ListMerge::Map(vec!["name".into()]),
        validation = Rule::new("self.all(a, self.all(b, a.name == b.name || !has(a.path) || !has(b.path) || (a.path != b.path && (a.path == '/' || !b.path.startsWith(a.path + '/')))))")
            .message("mounts need paths of their own, and only a mount at / may have others below it"),
    )]
    pub mounts: Vec<Mount>,
    /// Options for all mounts. A mount's own win.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::properties")]
    pub shared_options: BTreeMap<String, String>,
    /// Credentials for all mounts that have none of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_credentials: Option<Credentials>,
    /// How the volume can be mounted. A change is only possible while the claim is not bound.
    #[serde(default = "DatasetSpec::default_access_modes")]
    #[schemars(length(min = 1, max = 4))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub access_modes: Vec<AccessMode>,
    /// Where what pods write goes. A change holds for pods that start after it.
    #[serde(default)]
    pub write_mode: WriteMode,
    /// How old what pods see of the stores may be. A change holds for pods that start after it.
    #[serde(default)]
    pub consistency: Consistency,
    /// What is cached. A change of readMode holds for pods that start after it.
    #[serde(default)]
    pub cache_policy: CachePolicy,
    /// What is known of the stores before somebody asks.
    #[serde(default)]
    pub metadata_policy: MetadataPolicy,
    /// The volume.
    #[serde(default)]
    pub volume: Volume,
    /// Who may refer to this Dataset as a source.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
    /// How a deletion goes. It can still be changed while that happens.
    #[serde(default)]
    pub deletion_policy: DatasetDeletionPolicy,
}

impl DatasetSpec {
    fn default_access_modes() -> Vec<AccessMode> {
        vec![AccessMode::ReadOnlyMany]
    }
}

/// Another Dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("source cannot change: make another Dataset"))]
pub struct Source {
    /// The Dataset.
    pub dataset_ref: NamespacedRef,
    /// The directory of it that is shown.
    #[serde(default = "root")]
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new(crate::rules::CLEAN_PATH).message(crate::rules::CLEAN_PATH_MESSAGE))]
    pub path: String,
}

fn root() -> String {
    "/".to_owned()
}

words! {
    /// How a volume can be mounted.
    AccessMode {
        /// Read by pods of many nodes.
        ReadOnlyMany,
        /// Written by pods of many nodes.
        ReadWriteMany,
        /// Written by pods of one node.
        ReadWriteOnce,
        /// Written by one pod.
        ReadWriteOncePod,
    }
}

words! {
    /// Where what pods write goes.
    #[derive(Default)]
    WriteMode {
        /// Into the cache and the store, before the file is closed.
        #[default]
        Through,
        /// Into the cache only: it is lost with the last worker that holds it.
        CacheOnly,
    }
}

/// How old what pods see of the stores may be, when files are changed there and not through Alluxio.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Consistency {
    /// Interval: what was not compared with the store for so long is compared before it is shown. Always: everything is,
    /// each time, which costs a request to the store. Never: what is known once is believed.
    #[serde(default)]
    pub mode: ConsistencyMode,
    /// How long, with mode Interval.
    #[serde(default = "Consistency::default_interval")]
    pub interval: Period,
}

impl Consistency {
    fn default_interval() -> Period {
        Period::new("1m")
    }
}

impl Default for Consistency {
    fn default() -> Self {
        Consistency { mode: ConsistencyMode::Interval, interval: Self::default_interval() }
    }
}

words! {
    /// When what is known of a store is compared with it.
    #[derive(Default)]
    ConsistencyMode {
        /// When it is older than a time.
        #[default]
        Interval,
        /// Each time.
        Always,
        /// Not again.
        Never,
    }
}

/// What is cached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CachePolicy {
    /// CachePromote: what is read is cached, and moves to the fastest level. Cache: it stays in the level that it is
    /// in. NoCache: what is read is not cached.
    #[serde(default)]
    pub read_mode: ReadMode,
    /// Whether what is cached stays until the Dataset goes, however full the workers are.
    #[serde(default)]
    pub pin: bool,
}

words! {
    /// What reading does to the cache.
    #[derive(Default)]
    ReadMode {
        /// It fills it, and the fastest level first.
        #[default]
        CachePromote,
        /// It fills it.
        Cache,
        /// Nothing.
        NoCache,
    }
}

/// What is known of the stores before somebody asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetadataPolicy {
    /// Whether all names, sizes and times are read from the stores when the Dataset is bound. Without it a directory
    /// is read when somebody looks into it, and status.ufs tells what is known so far.
    #[serde(default)]
    pub preload: bool,
}

/// The volume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.name) == has(oldSelf.name) && (!has(self.name) || self.name == oldSelf.name)")
    .message("the volume's name cannot change: make another Dataset"))]
pub struct Volume {
    /// Whether a PersistentVolumeClaim is made for the pods of this namespace, and the volume that it is bound to.
    #[serde(default = "Volume::default_create")]
    pub create: bool,
    /// Name of the claim; that of the Dataset when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub name: Option<String>,
    /// Capacity that claim and volume show, for who asks Kubernetes. Nothing is refused beyond it.
    #[serde(default = "Volume::default_capacity")]
    pub capacity: Size,
    /// Options of the mount in the pods' nodes, as after `alluxio fuse mount -o`: `attr_timeout=5`. A change holds for
    /// pods that start after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 256)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub mount_options: Vec<String>,
}

impl Volume {
    fn default_create() -> bool {
        true
    }

    fn default_capacity() -> Size {
        Size::new("1Pi")
    }
}

impl Default for Volume {
    fn default() -> Self {
        Volume {
            create: Self::default_create(),
            name: None,
            capacity: Self::default_capacity(),
            mount_options: Vec::new(),
        }
    }
}

/// How a deletion goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatasetDeletionPolicy {
    /// Wait: while pods use the volume or other Datasets refer to this one, it stays, and tells who they are.
    /// Force: it goes, and they lose it.
    #[serde(default)]
    pub when_in_use: WhenInUse,
    /// After this time what cannot be cleaned up is left and told in an event. It never bounds the wait for pods, or
    /// for files that are in no under store yet.
    #[serde(default = "DatasetDeletionPolicy::default_timeout")]
    pub timeout: Period,
}

impl DatasetDeletionPolicy {
    fn default_timeout() -> Period {
        Period::new("10m")
    }
}

impl Default for DatasetDeletionPolicy {
    fn default() -> Self {
        DatasetDeletionPolicy { when_in_use: WhenInUse::Wait, timeout: Self::default_timeout() }
    }
}

words! {
    /// What a deletion does while pods use the volume.
    #[derive(Default)]
    WhenInUse {
        /// It waits.
        #[default]
        Wait,
        /// It goes on.
        Force,
    }
}
