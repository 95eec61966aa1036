//! Checkpoint files as bytes: handed to another master, or taken from one.

use super::checkpoint;
use super::layout::{Folder, FormatFacts, at, growing};
use crate::error::Damage;
use crate::{CheckpointInfo, CheckpointInstall, CheckpointSource, JournalError, Replay};
use alluxio_host::DiskFile;
use alluxio_types::JournalSeq;
use std::path::PathBuf;

/// A checkpoint file that is read from its start to its end. It stays readable when it is removed.
pub(crate) struct Source {
    info: CheckpointInfo,
    file: Box<dyn DiskFile>,
    path: PathBuf,
}

impl Source {
    /// Opens the newest sound checkpoint; `None` when there is none.
    pub(crate) fn newest(
        folder: &Folder,
        cluster: &FormatFacts,
    ) -> Result<Option<Self>, JournalError> {
        let found = newest_that(folder, |seq| checkpoint::open_file(folder, cluster, seq))?;
        Ok(found.map(|(info, file)| {
            let path = folder.checkpoint(info.at);
            Source { info, file, path }
        }))
    }
}

/// What `open` gives of the newest checkpoint that it does not find damaged.
fn newest_that<T>(
    folder: &Folder,
    open: impl Fn(JournalSeq) -> Result<T, JournalError>,
) -> Result<Option<T>, JournalError> {
    for seq in folder.inventory()?.checkpoints.into_iter().rev() {
        match open(seq) {
            Ok(found) => return Ok(Some(found)),
            Err(error @ JournalError::Corrupt { .. }) => {
                tracing::error!(%error, "checkpoint is damaged, trying an older one");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

impl CheckpointSource for Source {
    fn info(&self) -> &CheckpointInfo {
        &self.info
    }

    fn read_at(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, JournalError> {
        let left = self.info.length_bytes.saturating_sub(offset);
        let bytes = usize::try_from(left).unwrap_or(usize::MAX).min(bytes);
        let mut buffer = vec![0; bytes];
        self.file.read_exact_at(&mut buffer, offset).map_err(at("read", &self.path))?;
        Ok(buffer)
    }
}

/// A checkpoint file that comes from elsewhere. Dropped before its end it leaves no trace.
pub(crate) struct Install {
    folder: Folder,
    cluster: FormatFacts,
    wanted: CheckpointInfo,
    path: PathBuf,
    temporary: PathBuf,
    file: Box<dyn DiskFile>,
    offset: u64,
    published: bool,
}

impl Install {
    pub(crate) fn begin(
        folder: Folder,
        cluster: &FormatFacts,
        wanted: &CheckpointInfo,
    ) -> Result<Self, JournalError> {
        let path = folder.checkpoint(wanted.at);
        let (file, temporary) = folder.create_temporary(&path)?;
        let (cluster, wanted) = (cluster.clone(), wanted.clone());
        Ok(Install { folder, cluster, wanted, path, temporary, file, offset: 0, published: false })
    }

    fn incomplete(&self) -> JournalError {
        let (file, offset) = (self.path.clone(), self.offset);
        JournalError::Corrupt { file, offset, what: Damage::Checkpoint }
    }
}

impl CheckpointInstall for Install {
    fn write(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        if self.offset + bytes.len() as u64 > self.wanted.length_bytes {
            return Err(self.incomplete());
        }
        self.file.write_all_at(bytes, self.offset).map_err(growing("write", &self.temporary))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn finish(mut self: Box<Self>, check: &mut dyn Replay) -> Result<CheckpointInfo, JournalError> {
        self.file.sync_data().map_err(at("sync", &self.temporary))?;
        // What is published is read back first: all checksums, the state, and the facts promised.
        let (path, at) = (&self.temporary, self.wanted.at);
        let found = checkpoint::verify(&self.folder, &self.cluster, path, at, check)?;
        if found != self.wanted {
            return Err(self.incomplete());
        }
        self.folder.publish(&self.path)?;
        self.published = true;
        Ok(found)
    }
}

impl Drop for Install {
    fn drop(&mut self) {
        if !self.published {
            // What cannot be removed now is removed at the next start.
            let _ = self.folder.disk().remove_file(&self.temporary);
        }
    }
}

/// What header and trailer of the newest checkpoint say.
pub(crate) fn newest(
    folder: &Folder,
    cluster: &FormatFacts,
) -> Result<Option<CheckpointInfo>, JournalError> {
    newest_that(folder, |seq| checkpoint::info(folder, cluster, seq))
}

/// Positions of all checkpoints, oldest first.
pub(crate) fn positions(folder: &Folder) -> Result<Vec<JournalSeq>, JournalError> {
    Ok(folder.inventory()?.checkpoints)
}
