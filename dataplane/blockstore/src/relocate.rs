//! Moving a block to another tier. It stays readable all the time: the copy gets its name, then
//! the map is switched, then the old files go.

use crate::checksum::{BadChunk, CHUNK_BYTES, ChunkCrcs};
use crate::error::Error;
use crate::fill::io_error;
use crate::identity::read_small;
use crate::lease::Stored;
use crate::space::{Dir, SpaceReservation};
use crate::state::Slot;
use crate::store::Inner;
use alluxio_host::{DiskFile, OpenMode};
use alluxio_types::BlockId;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Bytes copied and checked at a time: whole chunks, one system call per megabyte.
const COPY_STEP: u64 = 16 * CHUNK_BYTES;

impl Inner {
    /// Claims a block for a move; only one can. With `idle_in`, only when it lies in that directory
    /// and nobody uses it.
    pub(crate) fn begin_moving(
        &self,
        block: BlockId,
        idle_in: Option<&Arc<Dir>>,
    ) -> Result<Arc<Stored>, Error> {
        let mut map = self.shards.of(block).lock();
        let Some(slot) = map.get_mut(&block) else { return Err(Error::NoBlock { block }) };
        let stored = match slot {
            Slot::Committed(stored) => stored.clone(),
            Slot::Moving { .. } => return Err(Error::Moving { block }),
            Slot::Filling(_) => return Err(Error::AlreadyFilling { block }),
            Slot::Leaving => return Err(Error::NoBlock { block }),
        };
        if let Some(dir) = idle_in
            && (!Arc::ptr_eq(stored.dir(), dir) || Stored::is_leased(&stored, 1))
        {
            return Err(Error::Moving { block });
        }
        *slot = Slot::Moving { stored: stored.clone(), doomed: false };
        Ok(stored)
    }

    /// Ends a move, wherever the block is now.
    pub(crate) fn end_moving(&self, stored: &Arc<Stored>) {
        let doomed = {
            let mut map = self.shards.of(stored.block).lock();
            match map.get_mut(&stored.block) {
                Some(slot @ Slot::Moving { .. }) => {
                    let doomed = matches!(slot, Slot::Moving { doomed: true, .. });
                    *slot = if doomed { Slot::Leaving } else { Slot::Committed(stored.clone()) };
                    doomed
                }
                _ => false,
            }
        };
        if doomed {
            self.finish_leaving(stored);
        }
    }

    /// See [`crate::BlockStore::promote`].
    pub(crate) fn promote(self: &Arc<Self>, block: BlockId, to: usize) -> Result<bool, Error> {
        let tiers = self.tiers.len();
        if to >= tiers {
            return Err(Error::NoTier { tier: to, tiers });
        }
        let stored = self.begin_moving(block, None)?;
        if stored.dir().tier <= to {
            self.end_moving(&stored);
            return Ok(false);
        }
        let Some(space) = self.take_or_evict(to, stored.length, None) else {
            self.end_moving(&stored);
            let tier = &self.tiers[to];
            return Err(Error::NoSpace {
                block,
                wanted_bytes: stored.length,
                used_bytes: tier.used_bytes(),
                capacity_bytes: tier.capacity_bytes(),
            });
        };
        match self.move_into(&stored, space) {
            Ok(()) => {
                self.stats.promoted.add(1);
                Ok(true)
            }
            Err(error) => {
                self.end_moving(&stored);
                if matches!(error, Error::Corrupt { .. }) {
                    self.drop_corrupt(&stored);
                }
                Err(error)
            }
        }
    }

    /// See [`crate::BlockStore::raise`].
    pub(crate) fn raise(self: &Arc<Self>, fill_share: f64, blocks_max: usize) -> usize {
        let mut moved = 0;
        for to in 0..self.tiers.len() {
            let goal = (self.tiers[to].capacity_bytes() as f64 * fill_share) as u64;
            for from in to + 1..self.tiers.len() {
                for block in self.hottest(from, blocks_max - moved) {
                    let Some((dir, length)) = self.evictable(block) else { continue };
                    if self.tiers[to].used_bytes().saturating_add(length) > goal {
                        break;
                    }
                    moved += usize::from(self.raise_one(block, &dir, length, to));
                }
            }
        }
        moved
    }

    /// Moves an idle block into free room; false when there is none, or when it is used by now.
    fn raise_one(self: &Arc<Self>, block: BlockId, dir: &Arc<Dir>, length: u64, to: usize) -> bool {
        if dir.tier <= to {
            return false;
        }
        let Some(space) = self.take_free(to, length) else { return false };
        let Ok(stored) = self.begin_moving(block, Some(dir)) else { return false };
        match self.move_into(&stored, space) {
            Ok(()) => {
                self.stats.promoted.add(1);
                true
            }
            Err(error) => {
                tracing::debug!(block = block.0, %error, "block stays below");
                self.end_moving(&stored);
                if matches!(error, Error::Corrupt { .. }) {
                    self.drop_corrupt(&stored);
                }
                false
            }
        }
    }

    fn hottest(&self, tier: usize, blocks_max: usize) -> Vec<BlockId> {
        let mut blocks = Vec::new();
        if blocks_max > 0 {
            self.tiers[tier].order().visit_hottest(&mut |block| {
                blocks.push(block);
                blocks.len() < blocks_max
            });
        }
        blocks
    }

    /// Moves a block that [`Inner::begin_moving`] claimed to the tier below. On false the claim
    /// still stands.
    pub(crate) fn demote(self: &Arc<Self>, stored: &Arc<Stored>) -> bool {
        let below = stored.dir().tier + 1;
        if below >= self.tiers.len() {
            return false;
        }
        let Some(space) = self.take_or_evict(below, stored.length, None) else { return false };
        let moved = self.move_into(stored, space);
        if let Err(error) = &moved {
            // The block is removed instead, which is what a corrupt one deserves anyway.
            tracing::debug!(block = stored.block.0, %error, "block is evicted, not demoted");
        }
        moved.is_ok()
    }

    fn move_into(
        self: &Arc<Self>,
        stored: &Arc<Stored>,
        space: SpaceReservation,
    ) -> Result<(), Error> {
        let (block, from, to) = (stored.block, stored.dir().clone(), space.dir().clone());
        let crcs = self.read_sidecar(&from, block, stored.length)?;
        let temp = to.temp_root.join(format!("{block}-move"));
        if let Err(error) = self.copy_checked(stored, &crcs, &to, &temp) {
            let _ = self.disk.remove_file(&temp);
            return Err(error);
        }
        if let Err(error) = self.name_copy(&to, block, &crcs, &temp) {
            let _ = self.disk.remove_file(&temp);
            return Err(error);
        }
        let moved = Stored::new(block, stored.length, true, Arc::new(space));
        self.tiers[to.tier].order_insert(block);
        if !self.switch(stored, &moved) {
            self.tiers[to.tier].order_remove(block);
            self.unlink(&to, block);
            return Err(Error::Removed { block });
        }
        // Readers find the copy from now on; it is not free to move again, or to go, before the
        // old files are gone, because it might come back to their very names.
        self.tiers[from.tier].order_remove(block);
        stored.begin_unlinking(self);
        self.unlink(&from, block);
        self.stats.moved_bytes.add(stored.length);
        self.report.added(block, to.tier);
        self.end_moving(&moved);
        Ok(())
    }

    /// From now on the block is `moved`; false when it was removed meanwhile.
    fn switch(&self, stored: &Arc<Stored>, moved: &Arc<Stored>) -> bool {
        let mut map = self.shards.of(stored.block).lock();
        match map.get_mut(&stored.block) {
            Some(Slot::Moving { stored, doomed: false }) if !moved.dir().is_lost() => {
                *stored = moved.clone();
                true
            }
            _ => false,
        }
    }

    fn copy_checked(
        &self,
        stored: &Stored,
        crcs: &ChunkCrcs,
        to: &Arc<Dir>,
        temp: &Path,
    ) -> Result<(), Error> {
        let from = stored.dir();
        let source = from.block_path(stored.block);
        let reading = |error| self.blame(from, io_error("cannot read", &source, error));
        let writing = |error| self.blame(to, io_error("cannot write", temp, error));
        let input = self.disk.open(&source, OpenMode::Read).map_err(reading)?;
        let output = self.create_over(temp).map_err(writing)?;
        let mut buffer = vec![0; COPY_STEP.min(stored.length) as usize];
        let mut offset = 0;
        while offset < stored.length {
            let part = &mut buffer[..COPY_STEP.min(stored.length - offset) as usize];
            match input.read_exact_at(part, offset) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    let end = offset + part.len() as u64;
                    return Err(Error::Corrupt { block: stored.block, start: offset, end });
                }
                Err(error) => return Err(reading(error)),
            }
            crcs.verify(offset, part).map_err(|BadChunk(bad)| Error::Corrupt {
                block: stored.block,
                start: bad.start,
                end: bad.end,
            })?;
            output.write_all_at(part, offset).map_err(writing)?;
            offset += part.len() as u64;
        }
        Ok(())
    }

    /// Makes a temporary file whose name nobody else may use now; a leftover is of a dead move.
    fn create_over(&self, temp: &Path) -> io::Result<Box<dyn DiskFile>> {
        match self.disk.open(temp, OpenMode::CreateNew) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.disk.remove_file(temp)?;
                self.disk.open(temp, OpenMode::CreateNew)
            }
            other => other,
        }
    }

    fn name_copy(
        &self,
        to: &Arc<Dir>,
        block: BlockId,
        crcs: &ChunkCrcs,
        temp: &Path,
    ) -> Result<(), Error> {
        self.write_sidecar(to, block, crcs)?;
        let target = to.block_path(block);
        self.disk.rename(temp, &target).map_err(|source| {
            let _ = self.disk.remove_file(&to.sidecar_path(block));
            self.blame(to, io_error("cannot rename to", &target, source))
        })
    }

    /// The checksums of a stored block. A sidecar that is damaged or missing makes the block
    /// worthless, and is reported as the corruption of all of it.
    pub(crate) fn read_sidecar(
        &self,
        dir: &Arc<Dir>,
        block: BlockId,
        length: u64,
    ) -> Result<ChunkCrcs, Error> {
        let path = dir.sidecar_path(block);
        let corrupt = Error::Corrupt { block, start: 0, end: length };
        match read_small(&*self.disk, &path) {
            Ok(bytes) => match ChunkCrcs::decode(block, &bytes) {
                Ok(crcs) if crcs.length() == length => Ok(crcs),
                _ => Err(corrupt),
            },
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof
                ) =>
            {
                Err(corrupt)
            }
            Err(source) => Err(self.blame(dir, io_error("cannot read", &path, source))),
        }
    }
}
