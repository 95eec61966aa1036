//! What the operator asks of a cluster for Datasets and operations on them, behind a trait: the real one is the client
//! of the data plane, another one plays a cluster in tests.

use super::secret::StoreOptions;
use crate::cluster::admin::Target;
use alluxio_types::Code;
use async_trait::async_trait;
use futures::stream::BoxStream;
use std::collections::BTreeMap;

/// A cluster did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// What kind of refusal.
    pub code: Code,
    /// For people. It never holds what stands in a Secret.
    pub message: String,
}

impl Refused {
    /// Whether nobody answered, so that nothing is known of the thing itself.
    pub fn unreachable(&self) -> bool {
        matches!(
            self.code,
            Code::Unavailable
                | Code::NotPrimary
                | Code::DeadlineExceeded
                | Code::Busy
                | Code::Cancelled
        )
    }
}

/// A row of the mount table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountRow {
    /// Where it is mounted.
    pub path: String,
    /// What is.
    pub uri: String,
    /// Whether changes below it are refused.
    pub read_only: bool,
    /// Options; the values of credentials are masked.
    pub options: BTreeMap<String, String>,
    /// The UID of the Dataset that mounted it.
    pub owner: Option<String>,
}

/// A mount as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountSpec {
    /// Where it is mounted.
    pub path: String,
    /// What is.
    pub uri: String,
    /// Whether changes below it are refused.
    pub read_only: bool,
    /// Options and credentials.
    pub options: StoreOptions,
}

/// Bytes and files of a directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Files that are known.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Bytes of them that workers hold.
    pub cached_bytes: u64,
}

/// A file, as far as loading and evicting need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFact {
    /// Its path in the cluster's namespace.
    pub path: String,
    /// Its length in bytes.
    pub length: u64,
    /// Share of it that is cached, 0..=100.
    pub cached_percent: u32,
    /// Whether a store has it.
    pub persisted: bool,
}

/// How far a backup is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackupFact {
    /// Its name, for asking again.
    pub id: String,
    /// Whether it is written; `false`: it goes on.
    pub done: bool,
    /// Why it failed.
    pub error: Option<String>,
    /// The file.
    pub uri: String,
    /// Entries that were written.
    pub entries: u64,
    /// The master that writes it.
    pub master: String,
    /// The last entry of the journal in it; 0 until known.
    pub sequence: u64,
}

/// Files one after the other, as the master tells of them.
pub type Files = BoxStream<'static, Result<FileFact, Refused>>;

/// What clusters are asked. Calls end within a bounded time, but for those that say otherwise.
#[async_trait]
pub trait DatasetAdmin: Send + Sync {
    /// The mounts at and below a directory, in order of their paths.
    async fn mounts(&self, target: &Target, below: &str) -> Result<Vec<MountRow>, Refused>;

    /// Mounts a store for the Dataset with that UID. An empty directory of the root store that stands there, is
    /// replaced; parents are made.
    async fn mount(&self, target: &Target, owner: &str, spec: &MountSpec) -> Result<(), Refused>;

    /// Gives a mount other options and credentials. The master tries them first, and keeps the old ones if the store
    /// refuses the new.
    async fn update(&self, target: &Target, owner: &str, spec: &MountSpec) -> Result<(), Refused>;

    /// Takes a mount away. One that is not there is fine.
    async fn unmount(&self, target: &Target, path: &str) -> Result<(), Refused>;

    /// Removes a directory of the root store, if it is there and empty.
    async fn remove_directory(&self, target: &Target, path: &str) -> Result<(), Refused>;

    /// Whether a directory is pinned; `None`, when it is not there.
    async fn pinned(&self, target: &Target, path: &str) -> Result<Option<bool>, Refused>;

    /// Pins all that is in a directory, or lets it go.
    async fn pin(&self, target: &Target, path: &str, pinned: bool) -> Result<(), Refused>;

    /// Files at and below a path that the master knows; stores are not asked. The stream may take as long as it takes.
    async fn files(&self, target: &Target, path: &str) -> Result<Files, Refused>;

    /// Reads names, sizes and times of all files at and below a path from the stores. It takes as long as it takes.
    async fn load_metadata(&self, target: &Target, path: &str) -> Result<(), Refused>;

    /// Brings a file into the cache; it takes as long as it takes.
    async fn load_file(&self, target: &Target, path: &str) -> Result<(), Refused>;

    /// Takes a file, or all files of a directory, out of the cache; returns how many files.
    async fn free(&self, target: &Target, path: &str, forced: bool) -> Result<u64, Refused>;

    /// Begins a backup; `directory` is empty for the configured one.
    async fn backup(&self, target: &Target, directory: &str) -> Result<BackupFact, Refused>;

    /// How far a backup is.
    async fn backup_status(&self, target: &Target, id: &str) -> Result<BackupFact, Refused>;
}
