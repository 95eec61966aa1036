//! `DataEvict`: files of a Dataset leave the cache.

use super::{OperationSettings, OperationStatus};
use crate::reference::LocalRef;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// Takes files of a Dataset out of the cache. Their stores keep them; files that are in no store stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "alluxio.dev", version = "v1alpha1", kind = "DataEvict", namespaced,
    plural = "dataevicts", singular = "dataevict", shortname = "ade", category = "alluxio",
    status = "OperationStatus", derive = "PartialEq",
    validation = crate::rules::name(),
    printcolumn(name = "Dataset", type_ = "string", json_path = ".spec.datasetRef.name"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Files", type_ = "integer", json_path = ".status.progress.filesDone", description = "Files that were taken out"),
    printcolumn(name = "Last Run", type_ = "date", json_path = ".status.lastScheduleTime", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
)]
#[x_kube(
    validation = super::settings_stay(),
    validation = Rule::new("self.datasetRef == oldSelf.datasetRef && self.paths == oldSelf.paths && self.force == oldSelf.force")
        .message("what is evicted cannot change: make another DataEvict"),
)]
pub struct DataEvictSpec {
    /// The Dataset, in this namespace.
    pub dataset_ref: LocalRef,
    /// Files, and directories with all that is in them, by their paths in the Dataset.
    #[serde(default = "super::all_paths")]
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 1024)))]
    #[x_kube(merge_strategy = ListMerge::Atomic, validation = super::paths_rule())]
    pub paths: Vec<String>,
    /// Whether pinned files leave, too.
    #[serde(default)]
    pub force: bool,
    /// What can be said of every operation.
    #[serde(flatten)]
    pub settings: OperationSettings,
}
