//! `DataLoad`: files of a Dataset are brought into the cache.

use super::{OperationSettings, OperationStatus};
use crate::reference::LocalRef;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// Brings files of a Dataset into the cache. It is complete when all of them are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "alluxio.dev", version = "v1alpha1", kind = "DataLoad", namespaced,
    plural = "dataloads", singular = "dataload", shortname = "adl", category = "alluxio",
    status = "OperationStatus", derive = "PartialEq",
    validation = crate::rules::name(),
    printcolumn(name = "Dataset", type_ = "string", json_path = ".spec.datasetRef.name"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Progress", type_ = "string", json_path = ".status.progress.percent", description = "Share of the bytes that are in the cache"),
    printcolumn(name = "Rate", type_ = "integer", json_path = ".status.progress.rateBytesPerSecond", priority = 1, description = "Bytes in a second"),
    printcolumn(name = "ETA", type_ = "integer", json_path = ".status.progress.etaSeconds", priority = 1, description = "Seconds that are left"),
    printcolumn(name = "Last Run", type_ = "date", json_path = ".status.lastScheduleTime", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
)]
#[x_kube(
    validation = super::settings_stay(),
    validation = Rule::new("self.datasetRef == oldSelf.datasetRef && self.paths == oldSelf.paths && self.metadataOnly == oldSelf.metadataOnly && self.parallelism == oldSelf.parallelism")
        .message("what is loaded cannot change: make another DataLoad"),
)]
pub struct DataLoadSpec {
    /// The Dataset, in this namespace.
    pub dataset_ref: LocalRef,
    /// Files, and directories with all that is in them, by their paths in the Dataset.
    #[serde(default = "super::all_paths")]
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 1024)))]
    #[x_kube(merge_strategy = ListMerge::Atomic, validation = super::paths_rule())]
    pub paths: Vec<String>,
    /// Whether only names, sizes and times are read from the stores.
    #[serde(default)]
    pub metadata_only: bool,
    /// Files that are loaded at once.
    #[serde(default = "DataLoadSpec::default_parallelism")]
    #[schemars(range(min = 1, max = 256))]
    pub parallelism: i32,
    /// What can be said of every operation.
    #[serde(flatten)]
    pub settings: OperationSettings,
}

impl DataLoadSpec {
    fn default_parallelism() -> i32 {
        16
    }
}
