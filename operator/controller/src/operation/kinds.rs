//! What `DataLoad`, `DataEvict` and `MetadataBackup` say in common, for the one controller that they have.

use super::runner::Report;
use super::status::progress;
use super::work::Work;
use alluxio_operator_api::operation::{
    MetadataBackupStatus, OperationSettings, OperationStatus, PathFailure, RunStatus,
};
use alluxio_operator_api::{DataEvict, DataLoad, MetadataBackup};
use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// Longest texts of a file that failed, in bytes: rules of the API.
const PATH_MAX: usize = 4096;
const MESSAGE_MAX: usize = 1024;

/// A kind of operation.
pub trait Operation:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + Sync
    + 'static
{
    /// As it is called in metrics and managed fields.
    const CONTROLLER: &'static str;
    /// As managed fields show who writes its status.
    const MANAGER: &'static str;
    /// Its status.
    type Status: Clone + PartialEq + Serialize + Send + Sync;

    /// What can be said of every operation.
    fn settings(&self) -> &OperationSettings;

    /// What is done.
    fn work(&self) -> Work;

    /// What was told last.
    fn status(&self) -> Option<&Self::Status>;

    /// The common part of that.
    fn run(&self) -> RunStatus;

    /// What is told next: `run`, and how far the work is, if this operator knows.
    fn told(&self, run: RunStatus, report: Option<&Report>) -> Self::Status;
}

fn cut(text: &str, most: usize) -> String {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

fn operation_status(
    before: Option<&OperationStatus>,
    run: RunStatus,
    report: Option<&Report>,
) -> OperationStatus {
    let mut status = before.cloned().unwrap_or_default();
    status.run = run;
    let Some(report) = report else { return status };
    status.progress = Some(progress(report));
    status.failures = report
        .failures
        .iter()
        .map(|(path, why)| PathFailure {
            path: cut(path, PATH_MAX),
            message: cut(why, MESSAGE_MAX),
        })
        .collect();
    status.failure_count = Some(i64::try_from(report.failure_count).unwrap_or(i64::MAX));
    status
}

impl Operation for DataLoad {
    const CONTROLLER: &'static str = "dataload";
    const MANAGER: &'static str = "alluxio-operator/dataload";
    type Status = OperationStatus;

    fn settings(&self) -> &OperationSettings {
        &self.spec.settings
    }

    fn work(&self) -> Work {
        Work::Load {
            dataset: self.spec.dataset_ref.name.clone(),
            paths: self.spec.paths.clone(),
            metadata_only: self.spec.metadata_only,
            parallelism: usize::try_from(self.spec.parallelism).unwrap_or(1),
        }
    }

    fn status(&self) -> Option<&OperationStatus> {
        self.status.as_ref()
    }

    fn run(&self) -> RunStatus {
        self.status.as_ref().map(|status| status.run.clone()).unwrap_or_default()
    }

    fn told(&self, run: RunStatus, report: Option<&Report>) -> OperationStatus {
        operation_status(self.status.as_ref(), run, report)
    }
}

impl Operation for DataEvict {
    const CONTROLLER: &'static str = "dataevict";
    const MANAGER: &'static str = "alluxio-operator/dataevict";
    type Status = OperationStatus;

    fn settings(&self) -> &OperationSettings {
        &self.spec.settings
    }

    fn work(&self) -> Work {
        Work::Evict {
            dataset: self.spec.dataset_ref.name.clone(),
            paths: self.spec.paths.clone(),
            forced: self.spec.force,
        }
    }

    fn status(&self) -> Option<&OperationStatus> {
        self.status.as_ref()
    }

    fn run(&self) -> RunStatus {
        self.status.as_ref().map(|status| status.run.clone()).unwrap_or_default()
    }

    fn told(&self, run: RunStatus, report: Option<&Report>) -> OperationStatus {
        operation_status(self.status.as_ref(), run, report)
    }
}

impl Operation for MetadataBackup {
    const CONTROLLER: &'static str = "metadatabackup";
    const MANAGER: &'static str = "alluxio-operator/metadatabackup";
    type Status = MetadataBackupStatus;

    fn settings(&self) -> &OperationSettings {
        &self.spec.settings
    }

    fn work(&self) -> Work {
        Work::Backup {
            cluster: self.spec.cluster_ref.name.clone(),
            directory: self.spec.directory.clone().unwrap_or_default(),
        }
    }

    fn status(&self) -> Option<&MetadataBackupStatus> {
        self.status.as_ref()
    }

    fn run(&self) -> RunStatus {
        self.status.as_ref().map(|status| status.run.clone()).unwrap_or_default()
    }

    fn told(&self, run: RunStatus, report: Option<&Report>) -> MetadataBackupStatus {
        let mut status = self.status.clone().unwrap_or_default();
        status.run = run;
        let Some(backup) = report.and_then(|report| report.backup.as_ref()) else { return status };
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        status.location = known(&cut(&backup.uri, 2048));
        status.master = known(&backup.master);
        status.entries = Some(number(backup.entries));
        status.sequence = (backup.sequence > 0).then(|| number(backup.sequence));
        status
    }
}
