//! New files and directories.

use crate::core::{Call, Core};
use crate::error::MasterError;
use crate::sync::{Freshness, LoadType, is_moved};
use alluxio_namespace::{CompleteFile, CreateDirectory, CreateFile, CreateSymlink, Outcome};
use alluxio_types::{
    AlluxioPath, Answer, Code, Coded, FileKind, FileStatus, Fingerprint, InodeId, Mode, MountId,
    PersistenceState, TtlAction, UnixMillis, WorkerId, WriteType,
};
use alluxio_ufs::{MkdirOptions, UfsAttributes};
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
        let like = Made::file(&request, call);
        let first = async {
            self.look_for_target(&request.path, request.write_type, call).await?;
            let done = self.commit_for(request, call).await?;
            Ok(done.answer)
        };
        let answer = self.once(call, first).await?;
        self.status_made(answer, like, call).await
    }

    /// A new directory; with a through-type also in the under store, which comes first: a directory
    /// that is there and not known here is found by the next look, the reverse would be a lie.
    pub(crate) async fn create_directory(
        &self,
        request: CreateDirectory,
        call: &Call,
    ) -> Result<FileStatus, MasterError> {
        refuse_async(request.write_type)?;
        let like = Made::directory(&request, call);
        let answer = self.once(call, self.make_directory(request, call)).await?;
        self.status_made(answer, like, call).await
    }

    async fn make_directory(
        &self,
        request: CreateDirectory,
        call: &Call,
    ) -> Result<Answer, MasterError> {
        self.look_for_target(&request.path, request.write_type, call).await?;
        let mut attempt = 0;
        loop {
            let check = self.check(request.clone(), &call.who).await?;
            let is_new = matches!(check.outcome, Outcome::Inode { created: true, .. });
            if is_new && request.write_type.is_through() {
                self.make_in_ufs(&request.path, request.mode).await?;
            }
            match self.commit_for(request.clone(), call).await {
                Ok(done) => return Ok(done.answer),
                Err(error) if is_moved(&error) && attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// A new symbolic link, which is ours alone.
    pub(crate) async fn create_symlink(
        &self,
        request: CreateSymlink,
        call: &Call,
    ) -> Result<FileStatus, MasterError> {
        let like = Made::symlink(&request, call);
        let first = async {
            self.look_for_target(&request.path, WriteType::MustCache, call).await?;
            Ok(self.commit_for(request, call).await?.answer)
        };
        let answer = self.once(call, first).await?;
        self.status_made(answer, like, call).await
    }

    /// The file's bytes are written.
    pub(crate) async fn complete_file(
        &self,
        request: CompleteFile,
        written: Vec<Written>,
        call: &Call,
    ) -> Result<FileStatus, MasterError> {
        let id = request.id;
        let like = Made::complete(&request, call);
        let attributes = UfsAttributes {
            owner: request.attributes.owner.clone(),
            group: request.attributes.group.clone(),
            mode: request.attributes.mode,
        };
        let block_count_max = request.length.saturating_add(1);
        self.once(call, async { Ok(self.commit_for(request, call).await?.answer) }).await?;
        // Also for a repeated call: a new primary knows no locations.
        for block in written {
            if block.index < block_count_max.min(alluxio_types::id::BLOCKS_PER_FILE_MAX) {
                self.workers.note_written(id.block(block.index), block.worker, block.tier);
            }
        }
        // A call that is repeated late may speak of a file that was deleted meanwhile. Asked after noting: a
        // delete from here on finds what was noted.
        if self.namespace.persistence_by_id(id).is_none() {
            self.workers.free_file(id);
        }
        let status = self.status_made(Answer::Inode { id, created: true }, like, call).await?;
        if !attributes.is_empty() {
            self.push_attributes(&status, &attributes).await?;
        }
        Ok(status)
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

    /// The status of what a call made. Somebody may have taken it away since, above all when the call
    /// is a repeated one: then what the call asked for is the answer, as it was at first.
    async fn status_made(
        &self,
        answer: Answer,
        made: Made,
        call: &Call,
    ) -> Result<FileStatus, MasterError> {
        let Answer::Inode { id, .. } = answer else {
            // Another kind of change under the same id: the client uses one id for two changes.
            return Err(MasterError::ForeignOperation);
        };
        match self.release_for(self.namespace.status_by_id(id), call).await {
            Ok(mut status) => {
                self.dress(&mut status, false);
                Ok(status)
            }
            Err(error) if error.code() == Code::NotFound => Ok(made.status(id)),
            Err(error) => Err(error),
        }
    }
}

/// What a call asked for, for the answer to a call whose inode is gone again.
struct Made {
    path: String,
    kind: FileKind,
    length: u64,
    completed: bool,
    block_size_bytes: u64,
    mode: Mode,
    owner: String,
    group: String,
    target: String,
    at: UnixMillis,
}

impl Made {
    fn new(path: &str, kind: FileKind, call: &Call) -> Self {
        Made {
            path: path.to_owned(),
            kind,
            length: 0,
            completed: kind != FileKind::File,
            block_size_bytes: 0,
            mode: Mode(0),
            owner: call.who.user.clone(),
            group: call.who.primary_group().to_owned(),
            target: String::new(),
            at: call.now,
        }
    }

    fn file(request: &CreateFile, call: &Call) -> Self {
        let mut made = Made::new(request.path.as_str(), FileKind::File, call);
        made.block_size_bytes = request.block_size_bytes;
        made.mode = request.mode.unwrap_or(made.mode);
        made
    }

    fn directory(request: &CreateDirectory, call: &Call) -> Self {
        let mut made = Made::new(request.path.as_str(), FileKind::Directory, call);
        made.mode = request.mode.unwrap_or(made.mode);
        made
    }

    fn symlink(request: &CreateSymlink, call: &Call) -> Self {
        let mut made = Made::new(request.path.as_str(), FileKind::Symlink, call);
        made.mode = Mode(0o777);
        made.length = request.target.len() as u64;
        made.target.clone_from(&request.target);
        made
    }

    /// The path of a file that is gone is known to its writer only.
    fn complete(request: &CompleteFile, call: &Call) -> Self {
        let made = Made::new("", FileKind::File, call);
        Made { length: request.length, completed: true, ..made }
    }

    fn status(self, id: InodeId) -> FileStatus {
        FileStatus {
            id,
            name: self.path.rsplit('/').next().unwrap_or_default().to_owned(),
            path: self.path,
            ufs_path: String::new(),
            kind: self.kind,
            length: self.length,
            block_size_bytes: self.block_size_bytes,
            created: self.at,
            modified: self.at,
            accessed: self.at,
            completed: self.completed,
            pinned: false,
            persistence: PersistenceState::NotPersisted,
            mount_point: false,
            mount_id: MountId::default(),
            owner: self.owner,
            group: self.group,
            mode: self.mode,
            ttl_ms: None,
            ttl_action: TtlAction::Free,
            replication_min: 0,
            replication_max: None,
            fingerprint: Fingerprint::default(),
            blocks: Vec::new(),
            in_alluxio_percent: 0,
            in_memory_percent: 0,
            xattr: Default::default(),
            target: self.target,
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
