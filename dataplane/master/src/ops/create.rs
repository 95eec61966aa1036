//! New files and directories.

use crate::core::{Call, Core};
use crate::error::MasterError;
use crate::sync::{Freshness, LoadType, is_moved};
use alluxio_namespace::{CompleteFile, CreateDirectory, CreateFile, Outcome};
use alluxio_types::{
    AlluxioPath, FileStatus, InodeId, Mode, PersistenceState, WorkerId, WriteType,
};
use alluxio_ufs::MkdirOptions;
use std::time::Duration;

/// How often a create is tried anew when a sync interferes.
const ATTEMPTS: u32 = 5;

/// A block that a client wrote.
pub(crate) struct Written {
    pub(crate) index: u64,
    pub(crate) worker: WorkerId,
    pub(crate) tier: u8,
}

impl Core {
    /// A new, incomplete file.
    pub(crate) async fn create_file(
        &self,
        request: CreateFile,
        call: &Call,
    ) -> Result<FileStatus, MasterError> {
        refuse_async(request.write_type)?;
        self.look_for_target(&request.path, request.write_type, call).await?;
        let done = self.commit(request, &call.who).await?;
        self.drop_blocks(&done.removed);
        self.status_of_outcome(done.outcome).await
    }

    /// A new directory; with a through-type also in the under store, which comes first: a directory
    /// that is there and not known here is found by the next look, the reverse would be a lie.
    pub(crate) async fn create_directory(
        &self,
        request: CreateDirectory,
        call: &Call,
    ) -> Result<FileStatus, MasterError> {
        refuse_async(request.write_type)?;
        self.look_for_target(&request.path, request.write_type, call).await?;
        let mut attempt = 0;
        loop {
            let check = self.check(request.clone(), &call.who).await?;
            let is_new = matches!(check.outcome, Outcome::Inode { created: true, .. });
            if is_new && request.write_type.is_through() {
                self.make_in_ufs(&request.path, request.mode).await?;
            }
            match self.commit(request.clone(), &call.who).await {
                Ok(done) => return self.status_of_outcome(done.outcome).await,
                Err(error) if is_moved(&error) && attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The file's bytes are written.
    pub(crate) async fn complete_file(
        &self,
        request: CompleteFile,
        written: Vec<Written>,
        call: &Call,
    ) -> Result<FileStatus, MasterError> {
        let id = request.id;
        let block_count_max = request.length.saturating_add(1);
        self.commit(request, &call.who).await?;
        for block in written {
            if block.index < block_count_max.min(alluxio_types::id::BLOCKS_PER_FILE_MAX) {
                self.workers.note_written(id.block(block.index), block.worker, block.tier);
            }
        }
        self.status_by_id(id).await
    }

    /// Looks whether the under store has something at the path of a new inode. Only for writes that
    /// go there: a name that only Alluxio has hides nothing before it is persisted.
    async fn look_for_target(
        &self,
        path: &AlluxioPath,
        write_type: WriteType,
        call: &Call,
    ) -> Result<(), MasterError> {
        let freshness = if write_type.is_through() {
            // Writing over a file that nobody here has seen would lose it: ask each time.
            Freshness { sync_interval: None, load: LoadType::Always }
        } else {
            Freshness::ANY
        };
        self.refresh(path, freshness, call).await
    }

    async fn make_in_ufs(&self, path: &AlluxioPath, mode: Option<Mode>) -> Result<(), MasterError> {
        let Some(mount) = self.namespace.mount_of(path) else { return Ok(()) };
        let Some(uri) = mount.ufs_path(path) else { return Ok(()) };
        let mode = mode.unwrap_or(Mode(0o777).masked(self.policy.umask));
        let options = MkdirOptions::recursive().with_mode(mode);
        self.ufs.of(&mount)?.mkdir(&uri, options).await?;
        Ok(())
    }

    pub(crate) async fn status_by_id(&self, id: InodeId) -> Result<FileStatus, MasterError> {
        let mut status = self.release(self.namespace.status_by_id(id)).await?;
        self.dress(&mut status, false);
        Ok(status)
    }

    async fn status_of_outcome(&self, outcome: Outcome) -> Result<FileStatus, MasterError> {
        match outcome {
            Outcome::Inode { id, .. } => self.status_by_id(id).await,
            other => unreachable!("a create answers with an inode, not with {other:?}"),
        }
    }
}

fn refuse_async(write_type: WriteType) -> Result<(), MasterError> {
    match write_type {
        WriteType::AsyncThrough => Err(MasterError::Unimplemented {
            what: "write type ASYNC_THROUGH",
            instead: "use CACHE_THROUGH, or MUST_CACHE and `alluxio fs persist`",
        }),
        _ => Ok(()),
    }
}

/// The state of a file after its bytes went where `persisted` says.
pub(crate) fn persistence_after(persisted: bool) -> PersistenceState {
    if persisted { PersistenceState::Persisted } else { PersistenceState::NotPersisted }
}

/// A time to live on the wire: milliseconds, -1 for none.
pub(crate) fn ttl_of(ms: i64) -> Option<u64> {
    u64::try_from(ms).ok()
}

/// A sync interval on the wire: milliseconds, -1 for "any".
pub(crate) fn interval_of(ms: i64) -> Option<Duration> {
    u64::try_from(ms).ok().map(Duration::from_millis)
}
