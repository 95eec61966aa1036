//! Writing a file: block by block to workers, to the UFS through one of them, or both.
//!
//! ```text
//! write ─▶ block by block ─▶ worker (descriptor of its temporary block, or data frames)
//!                        └─▶ UFS, through the same worker (through types)
//! close ─▶ last block committed ─▶ UFS file completed ─▶ CompleteFile at the master
//! ```
//! Before `close` has returned, nobody can read the file. A writer that is dropped without it, or
//! fails, abandons the file: the worker drops what is not committed when its connection ends, the
//! master drops the name.

mod place;
mod sink;

use crate::error::ClientError;
use crate::fs::Inner;
use crate::master::Written;
use crate::options::{
    CreateFileOptions, DeleteOptions, Freshness, LocationPolicy, WrittenAttributes,
};
use alluxio_datapath::OpenUfs;
use alluxio_datapath::client::Session;
use alluxio_rpc::RpcError;
use alluxio_types::{
    AlluxioPath, Code, Coded, FileStatus, Fingerprint, InodeId, WorkerId, WriteType,
};
use sink::Sink;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Bytes of a block that are kept back before a worker is asked for room: a file that ends before
/// has exactly its length set aside, so small files do not push large blocks out of a full cache.
const DECIDE_BYTES: usize = 256 * 1024;

/// An open file that is written from its start to its end.
///
/// **Cancel safety**: none of its calls may be dropped half-way; a writer whose call was dropped
/// refuses to go on, and abandons the file.
pub struct FileWriter {
    inner: Arc<Inner>,
    status: FileStatus,
    write_type: WriteType,
    policy: LocationPolicy,
    tier: i32,
    length_hint: Option<u64>,
    replaces: Option<InodeId>,
    /// Bytes that quotas allowed when they were asked last; `None` if nobody has asked.
    room: Option<u64>,
    /// Bytes of the current block that no sink has yet.
    pending: Vec<u8>,
    sink: Sink,
    link: Option<Link>,
    /// Workers that could not be reached or had no room, for the current block.
    ruled_out: BTreeSet<WorkerId>,
    /// Bytes taken from the caller.
    written: u64,
    /// 0-based position of the current block in the file.
    index: u64,
    blocks: Vec<(u64, WorkerId)>,
    phase: Phase,
    runtime: Handle,
}

/// A write session, and what is open in it.
struct Link {
    worker: WorkerId,
    session: Session,
    /// Whether the UFS file is open.
    ufs_open: bool,
    /// Bytes that the UFS file has been given.
    ufs_sent: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// A call is running; if it is dropped, it stays like this.
    Busy,
    Failed,
    Ended,
}

impl FileWriter {
    /// Must be called inside a tokio runtime.
    pub(crate) fn new(
        inner: Arc<Inner>,
        status: FileStatus,
        write_type: WriteType,
        options: &CreateFileOptions,
        room: Option<u64>,
    ) -> Self {
        let sink = if write_type.is_cached() { Sink::Undecided } else { Sink::UfsOnly };
        FileWriter {
            policy: options.policy.unwrap_or(inner.config.policies.write),
            tier: options.tier.unwrap_or(inner.config.write_tier),
            length_hint: options.length_hint,
            replaces: options.replaces,
            room,
            inner,
            status,
            write_type,
            pending: Vec::new(),
            sink,
            link: None,
            ruled_out: BTreeSet::new(),
            written: 0,
            index: 0,
            blocks: Vec::new(),
            phase: Phase::Open,
            runtime: Handle::current(),
        }
    }

    /// The incomplete file.
    pub fn status(&self) -> &FileStatus {
        &self.status
    }

    /// Bytes taken so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Takes all of `bytes`.
    ///
    /// **Errors**: `CacheFailed` when the file must be cached and no worker can; `WriteFailed` when
    /// the worker or the UFS fails. The file is abandoned then.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.begin()?;
        let end = self.written.saturating_add(bytes.len() as u64);
        let outcome = match self.room {
            Some(room) if end > room => self.need_room(end).await,
            _ => Ok(()),
        };
        let outcome = match outcome {
            Ok(()) => self.write_blocks(bytes).await,
            refused => refused,
        };
        self.end(outcome)
    }

    /// Sends on what is kept back, as far as the file's type allows. Nothing becomes visible
    /// before [`FileWriter::close`].
    pub async fn flush(&mut self) -> Result<(), ClientError> {
        self.begin()?;
        let outcome = match self.sink {
            // Asking for room before the block is larger would waste it.
            Sink::Undecided => Ok(()),
            _ => self.send_pending().await,
        };
        self.end(outcome)
    }

    /// Completes the file; returns its status.
    pub async fn close(self) -> Result<FileStatus, ClientError> {
        self.close_with(WrittenAttributes::default()).await
    }

    /// Completes the file, which gets attributes in the same change; returns its status.
    pub async fn close_with(
        mut self,
        attributes: WrittenAttributes,
    ) -> Result<FileStatus, ClientError> {
        self.begin()?;
        let outcome = self.complete(attributes).await;
        self.phase = if outcome.is_ok() { Phase::Ended } else { Phase::Failed };
        if outcome.is_err() {
            self.abandon().await;
        }
        outcome
    }

    /// Gives the file up: what was written is dropped, the name too.
    pub async fn cancel(mut self) {
        self.abandon().await;
    }

    /// Leaves the file as it is, incomplete: nobody removes its name. Before the first write, somebody may go on
    /// with it ([`crate::FileSystem::attach`]); after that it can only be replaced.
    pub fn detach(mut self) -> FileStatus {
        self.phase = Phase::Ended;
        self.status.clone()
    }

    fn begin(&mut self) -> Result<(), ClientError> {
        if self.phase != Phase::Open {
            return Err(ClientError::WriterClosed { path: self.status.path.clone() });
        }
        self.phase = Phase::Busy;
        Ok(())
    }

    fn end<T>(&mut self, outcome: Result<T, ClientError>) -> Result<T, ClientError> {
        self.phase = if outcome.is_ok() { Phase::Open } else { Phase::Failed };
        outcome
    }

    /// Bytes that the current block has.
    fn in_block(&self) -> u64 {
        self.written % self.status.block_size_bytes
    }

    async fn write_blocks(&mut self, mut bytes: &[u8]) -> Result<(), ClientError> {
        while !bytes.is_empty() {
            let room = self.status.block_size_bytes - self.in_block();
            let take = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
            let (now, later) = bytes.split_at(take);
            self.take(now).await?;
            self.written += take as u64;
            if self.in_block() == 0 {
                self.finish_block(self.status.block_size_bytes).await?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// Takes bytes of the current block.
    async fn take(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        if matches!(self.sink, Sink::Undecided) {
            if self.pending.len() + bytes.len() <= DECIDE_BYTES {
                self.pending.extend_from_slice(bytes);
                return Ok(());
            }
            let start = self.written - self.in_block();
            let known = self.length_hint.map(|length| length.saturating_sub(start));
            let at_least = self.in_block() + bytes.len() as u64;
            let block_size = self.status.block_size_bytes;
            let reserve = known.unwrap_or(block_size).clamp(at_least.min(block_size), block_size);
            self.open_block(reserve).await?;
            let first = std::mem::take(&mut self.pending);
            self.put(&first).await?;
        }
        self.put(bytes).await
    }

    /// Ends the current block, which has `length` bytes.
    async fn finish_block(&mut self, length: u64) -> Result<(), ClientError> {
        if matches!(self.sink, Sink::Undecided) {
            self.open_block(length).await?;
            let first = std::mem::take(&mut self.pending);
            self.put(&first).await?;
        }
        self.send_pending().await?;
        self.commit_block(length).await?;
        self.index += 1;
        Ok(())
    }

    async fn complete(&mut self, attributes: WrittenAttributes) -> Result<FileStatus, ClientError> {
        if self.in_block() > 0 {
            self.finish_block(self.in_block()).await?;
        }
        let fingerprint = match self.write_type.is_through() {
            true => {
                // The master refuses as well, but the store would have the file by then.
                if self.room.is_none_or(|room| room < u64::MAX) {
                    self.need_room(self.written).await?;
                }
                Some(self.finish_ufs().await?)
            }
            false => None,
        };
        let written = Written {
            id: self.status.id,
            length: self.written,
            fingerprint,
            blocks: std::mem::take(&mut self.blocks),
            replaces: self.replaces,
            attributes,
        };
        let link = self.link.take();
        // Boxed, so that the futures of those who write stay small.
        let end = Box::pin(async {
            // All of it is safe; how the session ends does not matter any more.
            if let Some(link) = link
                && let Err(error) = link.session.end().await
            {
                tracing::debug!(%error, "a write session did not end well");
            }
        });
        let ((), told) = tokio::join!(end, self.tell_master(&written));
        told
    }

    /// Asks whether quotas allow `length` bytes, before more work is done for nothing. What was heard of a room
    /// before may be too little by now.
    ///
    /// **Errors**: `Refused` with `QuotaExceeded`.
    async fn need_room(&mut self, length: u64) -> Result<(), ClientError> {
        let path = AlluxioPath::parse(&self.status.path)?;
        let quotas = Box::pin(self.inner.master.quotas(&path)).await?;
        let tightest = quotas.iter().filter(|quota| quota.quota.bytes.is_some());
        let Some(tightest) = tightest.min_by_key(|quota| quota.bytes_left()) else {
            self.room = Some(u64::MAX);
            return Ok(());
        };
        let mut room = tightest.bytes_left().unwrap_or(u64::MAX);
        if length > room
            && let Some(replaced) = self.replaces
        {
            room = room.saturating_add(self.length_of(replaced).await);
        }
        self.room = Some(room);
        if length <= room {
            return Ok(());
        }
        let (limit, used) = (tightest.quota.bytes.unwrap_or_default(), tightest.usage.bytes);
        Err(ClientError::Refused {
            code: Code::QuotaExceeded,
            message: format!(
                "the quota of directory {} is exceeded: {limit} bytes may be there, {used} are, and {length} \
                 more were to come with {path}; delete some, or raise the quota",
                tightest.path
            ),
        })
    }

    /// Bytes of a file that is there; 0 when it is gone.
    async fn length_of(&self, id: InodeId) -> u64 {
        let master = &self.inner.master;
        let Ok(path) = Box::pin(master.path_of(id)).await else { return 0 };
        let status = Box::pin(master.get_status(&path, Freshness::default(), true, false)).await;
        status.ok().filter(|status| status.id == id).map_or(0, |status| status.length)
    }

    async fn finish_ufs(&mut self) -> Result<Fingerprint, ClientError> {
        self.send_pending().await?;
        self.ensure_ufs().await?;
        let length = self.written;
        let Some(link) = self.link.as_mut() else {
            return Err(ClientError::NoWorker { purpose: "writing through to the UFS" });
        };
        let done = link.session.finish_ufs(length).await;
        let done = done.map_err(|source| self.write_failed(source))?;
        Ok(done.fingerprint)
    }

    /// Makes the file complete. When the answer was lost, the master is asked what it did.
    async fn tell_master(&self, written: &Written) -> Result<FileStatus, ClientError> {
        let master = &self.inner.master;
        let first = match master.complete_file(written).await {
            Err(error @ ClientError::Master(RpcError::OutcomeUnknown { .. })) => error,
            other => return other,
        };
        let path = AlluxioPath::parse(&self.status.path)?;
        let status = master.get_status(&path, Freshness::default(), false, false).await?;
        if status.id != written.id {
            return Err(first);
        }
        if status.completed { Ok(status) } else { master.complete_file(written).await }
    }

    /// A session on a worker of the policy's choice, if there is none yet.
    async fn ensure_link(&mut self, bytes: u64) -> Result<(), ClientError> {
        while self.link.is_none() {
            let (worker, address) = self.choose_worker(bytes).await?;
            match self.inner.session_on(self.status.id, worker, &address).await {
                Ok(session) => {
                    self.link = Some(Link { worker, session, ufs_open: false, ufs_sent: 0 });
                }
                Err(error) => {
                    tracing::debug!(%worker, %error, "cannot write to a worker, trying another");
                    self.ruled_out.insert(worker);
                }
            }
        }
        Ok(())
    }

    /// The UFS file, opened if it is not yet.
    async fn ensure_ufs(&mut self) -> Result<(), ClientError> {
        self.ensure_link(0).await?;
        let Some(link) = self.link.as_mut().filter(|link| !link.ufs_open) else { return Ok(()) };
        let request = OpenUfs {
            mount: self.status.mount_id,
            ufs_path: self.status.ufs_path.clone(),
            // The master has said that the name is free, or may be replaced.
            overwrite: true,
            owner: self.status.owner.clone(),
            group: self.status.group.clone(),
            mode: self.status.mode,
        };
        let opened = link.session.open_ufs(request).await;
        link.ufs_open = opened.is_ok();
        opened.map_err(|source| self.write_failed(source))
    }

    fn write_failed(&self, source: alluxio_datapath::Error) -> ClientError {
        ClientError::WriteFailed { path: self.status.path.clone(), source }
    }

    fn cache_failed(&self, reason: impl ToString) -> ClientError {
        let path = self.status.path.clone();
        ClientError::CacheFailed { path, reason: reason.to_string() }
    }

    /// Drops everything: the session first, so that the worker stops; then the name.
    async fn abandon(&mut self) {
        self.phase = Phase::Ended;
        self.sink = Sink::Undecided;
        self.link = None;
        drop_incomplete(&self.inner, &self.status).await;
    }
}

/// Removes the name of a file that was never completed, and nothing else.
async fn drop_incomplete(inner: &Inner, status: &FileStatus) {
    let Ok(path) = AlluxioPath::parse(&status.path) else { return };
    let options = DeleteOptions { alluxio_only: true, ..DeleteOptions::default() };
    match inner.master.delete(&path, &options, true, Some(status.id)).await {
        Ok(_) => {}
        Err(error) if error.code() == Code::NotFound => {}
        // The master drops incomplete files of clients that are gone.
        Err(error) => tracing::debug!(%path, %error, "an abandoned file stays for now"),
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        if self.phase == Phase::Ended {
            return;
        }
        self.link = None;
        let (inner, status) = (self.inner.clone(), self.status.clone());
        // Nobody can wait for it; a runtime that is going away drops it, and the master cleans up.
        self.runtime.spawn(async move { drop_incomplete(&inner, &status).await });
    }
}
