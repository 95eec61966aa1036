//! What the operator tells of a Dataset.

use super::phase::DatasetPhase;
use crate::closed::words;
use crate::condition::{self, ConditionType};
use crate::reference::NamespacedRef;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What the operator tells of a Dataset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatasetStatus {
    /// The generation of the object that the rest was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The conditions in one word. For people: programs look at the conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<DatasetPhase>,
    /// What is true of the Dataset, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The cluster that shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<NamespacedRef>,
    /// That cluster's identity.
    #[serde(default, rename = "clusterID", skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Directory of the cluster's namespace that is the Dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The mounts, as the master has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub mounts: Vec<MountStatus>,
    /// What is known of the stores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ufs: Option<UfsStatus>,
    /// What the workers hold of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheStatus>,
    /// The volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeStatus>,
    /// Who uses the volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<UsedBy>,
    /// Datasets that have this one as their source, the first 20 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub references: Vec<NamespacedRef>,
}

/// A mount, as the master has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MountStatus {
    /// Its name in the Dataset.
    pub name: String,
    /// How far it is.
    pub phase: MountPhase,
    /// Why it is no further.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<condition::Reason>,
    /// The same for people. It never holds what stands in a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// Where it is in the cluster's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Version of the Secret whose credentials the master has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_version: Option<String>,
    /// When the master got them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_time: Option<Time>,
}

words! {
    /// How far a mount is.
    MountPhase {
        /// It waits.
        Pending,
        /// It can be read.
        Mounted,
        /// It cannot.
        Failed,
        /// It is being taken away.
        Unmounting,
    }
}

/// What is known of the stores.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UfsStatus {
    /// Bytes of all files that are known.
    #[serde(default)]
    pub total_bytes: i64,
    /// Files that are known.
    #[serde(default)]
    pub file_count: i64,
    /// Whether all of them are known: metadataPolicy.preload was done.
    #[serde(default)]
    pub complete: bool,
    /// When it was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scanned_at: Option<Time>,
}

/// What the workers hold of a Dataset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CacheStatus {
    /// Bytes that they hold, every byte counted once.
    #[serde(default)]
    pub cached_bytes: i64,
    /// The share of what is known that they hold, as a text for the table: `57%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<String>,
}

/// The volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeStatus {
    /// The PersistentVolume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pv_name: Option<String>,
    /// The PersistentVolumeClaim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pvc_name: Option<String>,
    /// What Kubernetes says of the claim: Pending, Bound or Lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
}

/// Who uses the volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsedBy {
    /// How many pods.
    #[serde(default)]
    pub pods: i32,
    /// The first five of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub examples: Vec<String>,
}

words! {
    /// What can be true of a Dataset. InUse, Degraded and DeletionBlocked are not good when they hold.
    DatasetCondition {
        /// Its cluster is there, and lets this namespace use it.
        Accepted,
        /// Its source, and the Secrets that it names, are there.
        ResolvedRefs,
        /// The master has the credentials that the Secrets have now.
        CredentialsReady,
        /// The master shows all of its mounts.
        Mounted,
        /// What metadataPolicy asks for is done.
        MetadataReady,
        /// The claim is bound to the volume, or none is wanted.
        VolumeReady,
        /// All is as this generation of the object wants it.
        Ready,
        /// Pods use the volume.
        InUse,
        /// Some mounts cannot be read.
        Degraded,
        /// The deletion waits for something, which the message names.
        DeletionBlocked,
    }
}

impl ConditionType for DatasetCondition {
    fn type_name(self) -> &'static str {
        self.name()
    }
}
