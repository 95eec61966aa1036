//! A block that is being written: temporary file, room, checksums, commit.

use crate::checksum::ChunkCrcs;
use crate::error::Error;
use crate::fill::{Fill, FillProgress, FillReader, io_error};
use crate::lease::Stored;
use crate::state::Slot;
use crate::store::Inner;
use alluxio_host::{DiskFile, OpenMode};
use alluxio_types::{BlockId, TierAlias};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

/// The one writer of a block. Dropping it without [`TempBlock::commit`] removes the temporary file
/// and returns the room.
pub struct TempBlock {
    inner: Arc<Inner>,
    fill: Arc<Fill>,
    committed: bool,
}

/// A block that has just become complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedBlock {
    /// Which.
    pub block: BlockId,
    /// Its length in bytes.
    pub length: u64,
    /// The tier it lies in.
    pub tier: TierAlias,
}

impl TempBlock {
    pub(crate) fn new(inner: Arc<Inner>, fill: Arc<Fill>) -> Self {
        TempBlock { inner, fill, committed: false }
    }

    /// The block.
    pub fn block(&self) -> BlockId {
        self.fill.block
    }

    /// The temporary file, for reads and writes. Writes beyond [`TempBlock::reserved_bytes`] take
    /// room nobody granted; call [`TempBlock::reserve`] first.
    pub fn file(&self) -> &dyn DiskFile {
        &*self.fill.file
    }

    /// The temporary file, to be kept beside this value: for whoever lends its descriptor.
    pub fn shared_file(&self) -> Arc<dyn DiskFile> {
        self.fill.file.clone()
    }

    /// A descriptor for a writer in another process, where the disk has one.
    ///
    /// The borrower can write to it for as long as it keeps it open, also after the commit; the
    /// checksums taken at commit are what makes such a write show.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.fill.file.descriptor()
    }

    /// Bytes that may be written.
    pub fn reserved_bytes(&self) -> u64 {
        self.fill.space.bytes()
    }

    /// Name of the tier it lies in.
    pub fn tier_alias(&self) -> &TierAlias {
        self.inner.tier_alias(self.fill.space.dir().tier)
    }

    /// Makes sure that `length` bytes may be written, evicting others in the same directory if
    /// need be. Blocking.
    ///
    /// **Errors**: `NoSpace`, `DirLost`. What was reserved before stays reserved.
    pub fn reserve(&self, length: u64) -> Result<(), Error> {
        let missing = length.saturating_sub(self.reserved_bytes());
        if missing == 0 {
            return Ok(());
        }
        let more = self.inner.grow(self.block(), self.fill.space.dir(), missing)?;
        self.fill.space.absorb(more);
        Ok(())
    }

    /// Writes `bytes` at `offset`, reserving more room when needed. Says nothing to readers:
    /// call [`TempBlock::advance`] when a prefix is complete.
    ///
    /// **Errors**: `NoSpace`, `DiskFull`, `DirLost`, `Io`.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), Error> {
        self.reserve(offset.saturating_add(bytes.len() as u64))?;
        self.fill
            .file
            .write_all_at(bytes, offset)
            .map_err(|source| self.io("cannot write", &self.fill.temp_path, source))
    }

    /// Says that bytes `0..written_bytes` are there and final; readers are served from them.
    pub fn advance(&self, written_bytes: u64) {
        self.fill.advance(written_bytes);
    }

    /// How far this writer is, as readers see it.
    pub fn progress(&self) -> &FillProgress {
        &self.fill.progress
    }

    /// A reader of the part that is there.
    pub fn reader(&self) -> FillReader {
        FillReader::new(self.fill.clone())
    }

    /// Whether the block was removed while it was written; a commit would be refused.
    pub fn is_doomed(&self) -> bool {
        self.fill.is_doomed()
    }

    /// Computes the checksums of the first `length` bytes by reading them back, for a writer that
    /// did not see them. Blocking.
    ///
    /// **Errors**: `LengthMismatch` when the file is shorter, `Io`.
    pub fn checksums(&self, length: u64) -> Result<ChunkCrcs, Error> {
        ChunkCrcs::of_file(&*self.fill.file, length).map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                let found_bytes = self.fill.file.length().unwrap_or(0);
                let block = self.block();
                return Error::LengthMismatch { block, wanted_bytes: length, found_bytes };
            }
            self.io("cannot read", &self.fill.temp_path, error)
        })
    }

    /// Makes the block complete and visible: `length` bytes with these checksums. Blocking, a few
    /// system calls. Nothing is synced: a block is a copy, and a start after a crash of the
    /// machine finds out by the checksums what survived.
    ///
    /// **Errors**: `LengthMismatch` when the file is shorter than `length` or the checksums are of
    /// another length; `Removed` when the block was removed meanwhile; `NoSpace` when more was
    /// written than was reserved and there is no room for it; `DiskFull`, `DirLost`, `Io`. In every
    /// case the temporary file is gone.
    pub fn commit(mut self, length: u64, crcs: &ChunkCrcs) -> Result<CommittedBlock, Error> {
        let found_bytes = self
            .fill
            .file
            .length()
            .map_err(|source| self.io("cannot stat", &self.fill.temp_path, source))?;
        let block = self.block();
        for found_bytes in [found_bytes.min(length), crcs.length()] {
            if found_bytes != length {
                return Err(Error::LengthMismatch { block, wanted_bytes: length, found_bytes });
            }
        }
        self.reserve(length)?;
        if found_bytes > length {
            self.fill
                .file
                .set_length(length)
                .map_err(|source| self.io("cannot truncate", &self.fill.temp_path, source))?;
        }
        self.publish(length, crcs)?;
        self.committed = true;
        let tier = self.tier_alias().clone();
        Ok(CommittedBlock { block, length, tier })
    }

    /// Names first, then the order of eviction, then the map: a block that can be found is whole
    /// and can be evicted.
    fn publish(&self, length: u64, crcs: &ChunkCrcs) -> Result<(), Error> {
        let (inner, fill) = (&*self.inner, &*self.fill);
        let (block, dir) = (fill.block, fill.space.dir());
        if fill.is_doomed() {
            return Err(Error::Removed { block });
        }
        inner.write_sidecar(dir, block, crcs)?;
        let target = dir.block_path(block);
        if let Err(source) = inner.disk.rename(&fill.temp_path, &target) {
            let _ = inner.disk.remove_file(&dir.sidecar_path(block));
            return Err(self.io("cannot rename to", &target, source));
        }
        fill.space.shrink_to(length);
        inner.tiers[dir.tier].order_insert(block);
        let stored = Stored::new(block, length, true, fill.space.clone());
        let doomed = {
            let mut map = inner.shards.of(block).lock();
            // Doomed is only ever set under this lock, so this answer is final.
            let doomed = fill.is_doomed() || dir.is_lost();
            map.insert(block, if doomed { Slot::Leaving } else { Slot::Committed(stored) });
            doomed
        };
        if doomed {
            inner.tiers[dir.tier].order_remove(block);
            inner.unlink(dir, block);
            // The slot is taken out by our own drop.
            return Err(Error::Removed { block });
        }
        inner.report.added(block, dir.tier);
        fill.end_committed(length);
        Ok(())
    }

    fn io(&self, doing: &'static str, path: &Path, source: io::Error) -> Error {
        self.inner.blame(self.fill.space.dir(), io_error(doing, path, source))
    }
}

impl Drop for TempBlock {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        // Unlink before the slot is free: a new writer of this block has another temporary name,
        // but the room it asks for should be there.
        if let Err(error) = self.inner.disk.remove_file(&self.fill.temp_path)
            && error.kind() != io::ErrorKind::NotFound
            && !self.fill.space.dir().is_lost()
        {
            let path = self.fill.temp_path.display();
            tracing::warn!(%path, %error, "cannot remove a temporary block");
        }
        self.inner.shards.left(self.fill.block);
        self.fill.end_abandoned();
    }
}

impl std::fmt::Debug for TempBlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TempBlock")
            .field("block", &self.block())
            .field("reserved_bytes", &self.reserved_bytes())
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Writes the sidecar of a block that is about to get its name. A leftover of that name is of
    /// no block, or of one that is being replaced.
    pub(crate) fn write_sidecar(
        &self,
        dir: &Arc<crate::space::Dir>,
        block: BlockId,
        crcs: &ChunkCrcs,
    ) -> Result<(), Error> {
        let path = dir.sidecar_path(block);
        let write = || {
            let file = match self.disk.open(&path, OpenMode::CreateNew) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    self.disk.remove_file(&path)?;
                    self.disk.open(&path, OpenMode::CreateNew)?
                }
                other => other?,
            };
            file.write_all_at(&crcs.encode(block), 0)
        };
        write().map_err(|source| {
            let _ = self.disk.remove_file(&path);
            self.blame(dir, io_error("cannot write", &path, source))
        })
    }
}
