//! One write session: blocks into the store, bytes through to the UFS, or both.
//!
//! What is not committed when the session is dropped goes with it: the temporary block returns its
//! room, the UFS writer removes what it sent.

use crate::core::{Core, blocking};
use crate::error::WorkerError;
use alluxio_blockstore::{ChunkCrcs, Error as StoreError, Lookup, Placement, TempBlock};
use alluxio_datapath::token::{BlockToken, TokenError};
use alluxio_datapath::{OpenBlock, OpenUfs, OpenedBlock, Refusal, UfsDone, WriteSession};
use alluxio_types::{BlockId, BlockRange};
use alluxio_ufs::{CreateOptions, UfsAttributes, UfsWriter};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Bytes read back at a time to feed the UFS.
const READ_BACK_BYTES: u64 = 1 << 20;
/// How often a writer that found no room looks again, while others may return some.
const ROOM_PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Session {
    core: Arc<Core>,
    /// What the client may write, and its name; `None` when nobody is asked. What a token has opened stays
    /// open, however long the file takes.
    grant: Option<(BlockToken, String)>,
    block: Option<Writing>,
    ufs: Option<Uploading>,
}

/// The open block.
struct Writing {
    temp: Arc<TempBlock>,
    written: u64,
    _counted: Counted,
}

/// The open UFS file.
struct Uploading {
    path: String,
    writer: Box<dyn UfsWriter>,
    sent: u64,
}

/// Counts a writer while it lives.
struct Counted(Arc<Core>);

impl Counted {
    fn new(core: Arc<Core>) -> Self {
        core.writers.fetch_add(1, Ordering::AcqRel);
        Counted(core)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.writers.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Session {
    pub(super) fn new(core: Arc<Core>, grant: Option<(BlockToken, String)>) -> Self {
        Session { core, grant, block: None, ufs: None }
    }

    fn may_write(&self, block: BlockId) -> Result<(), TokenError> {
        self.grant.as_ref().map_or(Ok(()), |(token, user)| token.allows_block(user, block))
    }

    fn writing(&mut self) -> Result<&mut Writing, WorkerError> {
        self.block.as_mut().ok_or(WorkerError::NotOpen { what: "block" })
    }

    async fn start_block(&mut self, request: OpenBlock) -> Result<OpenedBlock, WorkerError> {
        self.may_write(request.block)?;
        let temp = create(&self.core, &request).await?;
        if request.pinned {
            self.core.pins.pin_written(&self.core.store, request.block.inode());
        }
        let opened = OpenedBlock {
            granted_bytes: temp.reserved_bytes(),
            file: request.want_fd.then(|| temp.shared_file()),
        };
        let counted = Counted::new(self.core.clone());
        self.block = Some(Writing { temp: Arc::new(temp), written: 0, _counted: counted });
        Ok(opened)
    }

    async fn start_ufs(&mut self, request: OpenUfs) -> Result<(), WorkerError> {
        if let Some((token, user)) = &self.grant {
            token.allows_ufs(user, &request)?;
        }
        let writer = open_upload(&self.core, &request).await?;
        self.ufs = Some(Uploading { path: request.ufs_path, writer, sent: 0 });
        Ok(())
    }

    async fn append(&mut self, bytes: Bytes) -> Result<(), WorkerError> {
        let length = bytes.len() as u64;
        let writing = self.writing()?;
        let (temp, offset) = (writing.temp.clone(), writing.written);
        blocking(move || {
            temp.write_at(&bytes, offset)?;
            temp.advance(offset + bytes.len() as u64);
            Ok::<_, StoreError>(())
        })
        .await??;
        writing.written += length;
        self.core.metrics.written_bytes.inc_by(length);
        Ok(())
    }

    async fn feed_ufs(&mut self, block: BlockId, range: BlockRange) -> Result<(), WorkerError> {
        self.may_write(block)?;
        let from = match &self.block {
            Some(writing) if writing.temp.block() == block => From::Open(writing.temp.clone()),
            _ => From::stored(&self.core, block).await?,
        };
        let ufs = self.ufs.as_mut().ok_or(WorkerError::NotOpen { what: "UFS file" })?;
        let mut at = range.start;
        while at < range.end {
            let length = READ_BACK_BYTES.min(range.end - at);
            let bytes = from.read(at, length).await?;
            ufs.send(&self.core, bytes).await?;
            at += length;
        }
        if let From::Open(temp) = from {
            temp.advance(range.end);
        }
        Ok(())
    }

    async fn commit(&mut self, length: u64, crcs: Vec<u32>) -> Result<(), WorkerError> {
        let writing = self.block.take().ok_or(WorkerError::NotOpen { what: "block" })?;
        let block = writing.temp.block();
        let found_bytes = crcs.len() as u64 * alluxio_blockstore::CHUNK_BYTES;
        let mismatch = StoreError::LengthMismatch { block, wanted_bytes: length, found_bytes };
        let crcs = ChunkCrcs::from_parts(length, crcs).ok_or(mismatch)?;
        // Calls of a session come one at a time, so nobody else holds it.
        let temp = Arc::into_inner(writing.temp).ok_or(WorkerError::Stopping)?;
        if self.ufs.is_none() && !self.core.config.evict_unpersisted {
            self.core.kept.written(&self.core.store, block.inode());
        }
        blocking(move || temp.commit(length, &crcs)).await??;
        self.core.metrics.blocks_written.inc();
        self.core.news.notify_one();
        Ok(())
    }

    async fn finish(&mut self, length: u64) -> Result<UfsDone, WorkerError> {
        let uploading = self.ufs.take().ok_or(WorkerError::NotOpen { what: "UFS file" })?;
        finish_upload(uploading.path, uploading.writer, uploading.sent, length).await
    }
}

/// Makes room for a block and its temporary file.
async fn create(core: &Core, request: &OpenBlock) -> Result<TempBlock, WorkerError> {
    let tiers = core.config.tiers.len();
    let tier = usize::try_from(request.tier)
        .unwrap_or_else(|_| tiers.saturating_sub(request.tier.unsigned_abs() as usize))
        .min(tiers - 1);
    let (block, reserve) = (request.block, request.reserve_bytes);
    let started = core.host.clock.monotonic();
    loop {
        let store = core.store.clone();
        let created = blocking(move || store.create(block, reserve, Placement::Tier(tier))).await?;
        let spent = core.host.clock.monotonic().saturating_sub(started);
        match created {
            Err(error @ StoreError::NoSpace { .. }) => {
                if spent >= core.config.free_space_timeout || !room_may_come(core, &error) {
                    return Err(error.into());
                }
                tokio::time::sleep(ROOM_PAUSE).await;
            }
            other => return Ok(other?),
        }
    }
}

/// Whether waiting makes sense: others hold room that they may give back, and the request is
/// not larger than all there is.
fn room_may_come(core: &Core, refused: &StoreError) -> bool {
    let StoreError::NoSpace { wanted_bytes, capacity_bytes, .. } = refused else {
        return false;
    };
    let held = core.writers.load(Ordering::Acquire) > 0
        || core.metrics.leases() > 0
        || core.fetcher.in_flight() > 0;
    held && wanted_bytes <= capacity_bytes
}

impl Uploading {
    async fn send(&mut self, core: &Core, bytes: Bytes) -> Result<(), WorkerError> {
        let length = bytes.len() as u64;
        self.writer.write(bytes).await?;
        self.sent += length;
        core.metrics.uploaded_bytes.inc_by(length);
        Ok(())
    }
}

/// Where bytes for the UFS are read back from.
enum From {
    Open(Arc<TempBlock>),
    Stored(alluxio_blockstore::BlockLease),
}

impl From {
    async fn stored(core: &Core, block: BlockId) -> Result<Self, WorkerError> {
        match core.store.lookup(block)? {
            Lookup::Committed(lease) => Ok(From::Stored(lease)),
            Lookup::Unverified(lease) => Ok(From::Stored(blocking(move || lease.verify()).await??)),
            Lookup::Absent | Lookup::Filling(_) => Err(StoreError::NoBlock { block }.into()),
        }
    }

    async fn read(&self, offset: u64, length: u64) -> Result<Bytes, WorkerError> {
        let mut buffer = vec![0; length as usize];
        let bytes = match self {
            From::Open(temp) => {
                let temp = temp.clone();
                blocking(move || temp.file().read_exact_at(&mut buffer, offset).map(|()| buffer))
                    .await?
                    .map_err(|source| StoreError::Io {
                        doing: "cannot read back",
                        path: "temporary block".into(),
                        source,
                    })?
            }
            From::Stored(lease) => {
                let lease = lease.clone();
                blocking(move || lease.read_verified(&mut buffer, offset).map(|()| buffer))
                    .await??
            }
        };
        Ok(bytes.into())
    }
}

/// Starts a UFS file by the rules of its mount.
///
/// **Errors**: `ReadOnlyMount`, `Exists`, and those of the UFS.
pub(crate) async fn open_upload(
    core: &Core,
    request: &OpenUfs,
) -> Result<Box<dyn UfsWriter>, WorkerError> {
    let mount = core.mounts.get(request.mount).await?;
    if mount.info.read_only {
        return Err(WorkerError::ReadOnlyMount { mount: request.mount });
    }
    if !request.overwrite && mount.ufs.exists(&request.ufs_path).await? {
        return Err(WorkerError::Exists { ufs_path: request.ufs_path.clone() });
    }
    let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    let attributes = UfsAttributes {
        owner: named(&request.owner),
        group: named(&request.group),
        mode: Some(request.mode),
    };
    Ok(mount.ufs.create(&request.ufs_path, CreateOptions { attributes, length_hint: None }).await?)
}

/// Makes an upload visible when it has the length it should have.
pub(crate) async fn finish_upload(
    path: String,
    writer: Box<dyn UfsWriter>,
    sent: u64,
    length: u64,
) -> Result<UfsDone, WorkerError> {
    if sent != length {
        writer.abort().await?;
        return Err(WorkerError::WrongLength {
            what: path,
            found_bytes: sent,
            wanted_bytes: length,
        });
    }
    let facts = writer.finish().await?;
    if facts.length != length {
        return Err(WorkerError::WrongLength {
            what: path,
            found_bytes: facts.length,
            wanted_bytes: length,
        });
    }
    Ok(UfsDone { fingerprint: facts.fingerprint, length })
}

#[async_trait]
impl WriteSession for Session {
    async fn open_ufs(&mut self, request: OpenUfs) -> Result<(), Refusal> {
        Ok(self.start_ufs(request).await?)
    }

    async fn open_block(&mut self, request: OpenBlock) -> Result<OpenedBlock, Refusal> {
        Ok(self.start_block(request).await?)
    }

    async fn grow(&mut self, additional_bytes: u64) -> Result<u64, Refusal> {
        let temp = self.writing()?.temp.clone();
        let granted = blocking(move || {
            let wanted = temp.reserved_bytes().saturating_add(additional_bytes);
            temp.reserve(wanted).map(|()| temp.reserved_bytes())
        });
        Ok(granted.await?.map_err(WorkerError::from)?)
    }

    async fn block_data(&mut self, bytes: Bytes) -> Result<(), Refusal> {
        Ok(self.append(bytes).await?)
    }

    async fn ufs_data(&mut self, bytes: Bytes) -> Result<(), Refusal> {
        let core = self.core.clone();
        let ufs = self.ufs.as_mut().ok_or(WorkerError::NotOpen { what: "UFS file" })?;
        Ok(ufs.send(&core, bytes).await?)
    }

    async fn ufs_append_from_block(
        &mut self,
        block: BlockId,
        range: BlockRange,
    ) -> Result<(), Refusal> {
        Ok(self.feed_ufs(block, range).await?)
    }

    async fn commit_block(&mut self, length: u64, chunk_crcs: Vec<u32>) -> Result<(), Refusal> {
        Ok(self.commit(length, chunk_crcs).await?)
    }

    async fn abort_block(&mut self) {
        self.block = None;
    }

    async fn finish_ufs(&mut self, length: u64) -> Result<UfsDone, Refusal> {
        Ok(self.finish(length).await?)
    }

    async fn abort_ufs(&mut self) {
        if let Some(uploading) = self.ufs.take()
            && let Err(error) = uploading.writer.abort().await
        {
            tracing::debug!(%error, "an aborted upload left something behind");
        }
    }
}
