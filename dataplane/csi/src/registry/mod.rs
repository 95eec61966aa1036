//! Volumes that the controller made: their records, and the directories that they are. The controller keeps nothing
//! itself, so that any instance can go on where another was killed.

mod namespace;

pub use namespace::NamespaceRegistry;

use crate::CsiError;
use crate::attributes::{OnDelete, Words};
use crate::volume_id::VolumeId;
use alluxio_types::AlluxioPath;
use serde::{Deserialize, Serialize};

/// What is known of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its name, as the provisioner chose it.
    pub name: String,
    /// The directory that it is.
    pub path: String,
    /// Its size, the quota of its directory; 0 for no limit.
    pub capacity_bytes: u64,
    /// `Delete`, `Archive` or `Retain`.
    pub on_delete: String,
    /// What its context says besides the path.
    pub context: Words,
}

impl Record {
    /// What becomes of its directory. A word of a later version keeps it.
    pub fn on_delete(&self) -> OnDelete {
        OnDelete::from_name(&self.on_delete).unwrap_or(OnDelete::Retain)
    }
}

/// Whose a directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// There is no such directory.
    Missing,
    /// Nobody's, and nothing is in it.
    Empty,
    /// Nobody's, and something is in it; or it is a file.
    Used,
    /// A volume's.
    Volume(String),
}

/// Where records and directories are. All calls can be repeated, and wait until what they did is durable.
#[async_trait::async_trait]
pub trait Registry: Send + Sync + 'static {
    /// The record of a volume. **Errors**: `Client`, `BadRecord`.
    async fn get(&self, id: &VolumeId) -> Result<Option<Record>, CsiError>;

    /// Writes the record of a volume, in the place of another. **Errors**: `Client`.
    async fn put(&self, id: &VolumeId, record: &Record) -> Result<(), CsiError>;

    /// Removes the record of a volume; none is fine. **Errors**: `Client`.
    async fn remove(&self, id: &VolumeId) -> Result<(), CsiError>;

    /// All records, in order of their ids. **Errors**: `Client`, `BadRecord`.
    async fn list(&self) -> Result<Vec<(VolumeId, Record)>, CsiError>;

    /// Whose a directory is. **Errors**: `Client`.
    async fn owner(&self, path: &AlluxioPath) -> Result<Owner, CsiError>;

    /// Makes a directory, with those above it, and marks it as a volume's. **Errors**: `Client`.
    async fn make(&self, path: &AlluxioPath, id: &VolumeId) -> Result<(), CsiError>;

    /// Bounds what may be in a volume's directory, in bytes; 0 for no bound. **Errors**: `Client`.
    async fn bound(&self, path: &AlluxioPath, bytes: u64) -> Result<(), CsiError>;

    /// Takes mark and bound from a directory. **Errors**: `Client`.
    async fn release(&self, path: &AlluxioPath) -> Result<(), CsiError>;

    /// Removes a directory with all that is in it. **Errors**: `Client`.
    async fn delete(&self, path: &AlluxioPath) -> Result<(), CsiError>;

    /// Gives a directory another name. **Errors**: `Client`.
    async fn rename(&self, from: &AlluxioPath, to: &AlluxioPath) -> Result<(), CsiError>;
}
