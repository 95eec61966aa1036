//! `MetadataBackup`: the namespace of a cluster as a file in a store.

use super::{OperationSettings, RunStatus};
use crate::reference::LocalRef;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// Writes the namespace of a cluster into a file in a store, while the cluster serves. A new cluster can be filled from it
/// (`master.journal.restoreFrom`). The files are not deleted with the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "alluxio.dev", version = "v1alpha1", kind = "MetadataBackup", namespaced,
    plural = "metadatabackups", singular = "metadatabackup", shortname = "adb", category = "alluxio",
    status = "MetadataBackupStatus", derive = "PartialEq",
    validation = crate::rules::name(),
    printcolumn(name = "Cluster", type_ = "string", json_path = ".spec.clusterRef.name"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Entries", type_ = "integer", json_path = ".status.entries", description = "Entries that were written"),
    printcolumn(name = "Location", type_ = "string", json_path = ".status.location", priority = 1, description = "The file"),
    printcolumn(name = "Last Run", type_ = "date", json_path = ".status.lastScheduleTime", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
)]
#[x_kube(
    validation = super::settings_stay(),
    validation = Rule::new("self.clusterRef == oldSelf.clusterRef && has(self.directory) == has(oldSelf.directory) && (!has(self.directory) || self.directory == oldSelf.directory)")
        .message("what is backed up, and where to, cannot change: make another MetadataBackup"),
)]
pub struct MetadataBackupSpec {
    /// The cluster, in this namespace.
    pub cluster_ref: LocalRef,
    /// Where the file goes: a path of the cluster's root store, or the URI of a directory: `s3://bucket/backups`. The
    /// store is asked with the configuration and the environment of the masters' pods. When not given, the property
    /// `alluxio.master.backup.directory` says where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    #[x_kube(validation = Rule::new("self.matches('^(/|[a-z][a-z0-9]*://)[^ ]*$')")
        .message("directory must be an absolute path or a URI"))]
    pub directory: Option<String>,
    /// What can be said of every operation.
    #[serde(flatten)]
    pub settings: OperationSettings,
}

/// What the operator tells of a backup.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetadataBackupStatus {
    /// How it goes.
    #[serde(flatten)]
    pub run: RunStatus,
    /// The file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub location: Option<String>,
    /// Entries that were written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<i64>,
    /// The master that writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<String>,
    /// The last entry of the journal in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<i64>,
}
