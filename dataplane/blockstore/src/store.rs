//! The store: entry points, and what they share.

use crate::error::{Error, LostDir, OpenError};
use crate::evict::EvictionPolicy;
use crate::fill::{Fill, FillReader, io_error};
use crate::identity::{self, Identity};
use crate::kept::Kept;
use crate::layout::{Placement, StoreConfig, Watermarks};
use crate::lease::{BlockLease, Stored, UnverifiedLease};
use crate::recover::{self, RecoveryReport};
use crate::report::{Delta, DeltaLog, DirUsage, Usage};
use crate::space::Dir;
use crate::state::{Shards, Slot};
use crate::stats::Stats;
use crate::temp::TempBlock;
use alluxio_host::{Disk, Entropy, OpenMode};
use alluxio_types::{BlockId, InodeId, TierAlias, TierUsage};
use hashbrown::HashSet;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// The blocks of one worker. Cloning is cheap and gives another handle on the same store.
///
/// All calls are synchronous; those that say *blocking* do IO that may take longer than a lookup
/// in a directory, and belong on a blocking thread.
#[derive(Clone)]
pub struct BlockStore {
    inner: Arc<Inner>,
}

/// Inodes whose blocks must stay.
pub type PinnedInodes = HashSet<InodeId, foldhash::fast::FixedState>;

/// What a store says about a block.
pub enum Lookup {
    /// Not here.
    Absent,
    /// Somebody is writing it; the part that is there can be read.
    Filling(FillReader),
    /// Complete.
    Committed(BlockLease),
    /// Complete as far as its name and sidecar say; found at start, bytes unchecked.
    Unverified(UnverifiedLease),
}

pub(crate) struct Inner {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) config: StoreConfig,
    pub(crate) tiers: Vec<Tier>,
    pub(crate) shards: Shards,
    pub(crate) report: DeltaLog,
    pub(crate) stats: Stats,
    identity: Mutex<Identity>,
    pinned: RwLock<Arc<PinnedInodes>>,
    pub(crate) kept: Kept,
    temp_names: AtomicU64,
}

pub(crate) struct Tier {
    pub(crate) alias: TierAlias,
    pub(crate) dirs: Vec<Arc<Dir>>,
    pub(crate) turn: AtomicUsize,
    pub(crate) watermarks: Option<Watermarks>,
    order: Mutex<Box<dyn EvictionPolicy>>,
}

impl Tier {
    pub(crate) fn order(&self) -> MutexGuard<'_, Box<dyn EvictionPolicy>> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn order_insert(&self, block: BlockId) {
        self.order().insert(block);
    }

    pub(crate) fn order_remove(&self, block: BlockId) {
        let mut order = self.order();
        if order.contains(block) {
            order.remove(block);
        }
    }

    fn order_access(&self, block: BlockId) {
        let mut order = self.order();
        // The block may have left since it was looked up.
        if order.contains(block) {
            order.access(block);
        }
    }

    pub(crate) fn capacity_bytes(&self) -> u64 {
        self.live_dirs().map(|dir| dir.quota_bytes).sum()
    }

    pub(crate) fn used_bytes(&self) -> u64 {
        self.live_dirs().map(|dir| dir.used_bytes()).sum()
    }

    pub(crate) fn live_dirs(&self) -> impl Iterator<Item = &Arc<Dir>> {
        self.dirs.iter().filter(|dir| !dir.is_lost())
    }
}

impl BlockStore {
    /// Opens the store: makes or checks the directories, adopts the blocks that are whole, removes
    /// what is not. Blocking; reads one small file per block.
    ///
    /// **Errors**: see [`OpenError`]. A directory that cannot be used is left out and reported as
    /// long as another one works.
    pub fn open(
        config: StoreConfig,
        disk: Arc<dyn Disk>,
        entropy: &dyn Entropy,
    ) -> Result<(Self, RecoveryReport), OpenError> {
        config.check()?;
        let folders = [config.data_folder.as_str(), config.temp_folder.as_str()];
        let tiers: Vec<Tier> = config
            .tiers
            .iter()
            .enumerate()
            .map(|(t, tier)| Tier {
                alias: tier.alias.clone(),
                dirs: (0..)
                    .zip(&tier.dirs)
                    .map(|(d, dir)| Arc::new(Dir::new(t, d, dir, folders)))
                    .collect(),
                turn: AtomicUsize::new(0),
                watermarks: tier.watermarks,
                order: Mutex::new(config.eviction.policy()),
            })
            .collect();
        let dirs: Vec<Arc<Dir>> = tiers.iter().flat_map(|tier| tier.dirs.iter().cloned()).collect();
        let identity = identity::agree(&*disk, &dirs, entropy)?;
        let inner = Arc::new(Inner {
            disk,
            tiers,
            shards: Shards::new(),
            report: DeltaLog::new(config.delta_entries_max),
            stats: Stats::default(),
            identity: Mutex::new(identity),
            pinned: RwLock::default(),
            kept: Kept::default(),
            temp_names: AtomicU64::new(0),
            config,
        });
        let report = recover::adopt(&inner);
        Ok((BlockStore { inner }, report))
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Who this store belongs to.
    pub fn identity(&self) -> Identity {
        self.inner.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Binds the store to the cluster the worker has joined. Blocking.
    ///
    /// **Errors**: `ForeignCluster` when it was bound to another one: its blocks are of other
    /// files, and none of them may be served. `NoUsableDir` when it cannot be written down.
    pub fn bind_cluster(&self, cluster: &str) -> Result<(), OpenError> {
        let mut identity = self.identity();
        match &identity.cluster {
            Some(bound) if bound == cluster => return Ok(()),
            Some(bound) => {
                return Err(OpenError::ForeignCluster {
                    dir: self.inner.tiers[0].dirs[0].path.clone(),
                    found: bound.clone(),
                    expected: cluster.to_owned(),
                });
            }
            None => {}
        }
        identity.cluster = Some(cluster.to_owned());
        for dir in self.inner.dirs() {
            if let Err(source) = identity.write(&*self.inner.disk, dir) {
                let dirs = self.inner.tiers.iter().map(|tier| tier.dirs.len()).sum();
                return Err(OpenError::NoUsableDir { dirs, dir: dir.path.clone(), source });
            }
        }
        *self.inner.identity.lock().unwrap_or_else(PoisonError::into_inner) = identity;
        Ok(())
    }

    /// Starts writing a block: reserves `reserve_bytes`, makes the temporary file. Blocking.
    ///
    /// **Errors**: `AlreadyStored`, `AlreadyFilling`, `NoSpace`, `NoTier`, `DiskFull`, `DirLost`,
    /// `Io`.
    pub fn create(
        &self,
        block: BlockId,
        reserve_bytes: u64,
        placement: Placement,
    ) -> Result<TempBlock, Error> {
        let inner = &self.inner;
        inner.refuse_present(block)?;
        let space = Arc::new(inner.make_room(block, reserve_bytes, placement)?);
        let dir = space.dir().clone();
        let number = inner.temp_names.fetch_add(1, Ordering::Relaxed);
        let temp_path = dir.temp_root.join(format!("{block}-{number}"));
        let file = inner
            .disk
            .open(&temp_path, OpenMode::CreateNew)
            .map_err(|source| inner.blame(&dir, io_error("cannot create", &temp_path, source)))?;
        let fill = Arc::new(Fill::new(block, file, temp_path, space));
        let taken = {
            let shard = inner.shards.of(block);
            let mut map = shard.lock();
            while matches!(map.get(&block), Some(Slot::Leaving)) {
                map = shard.wait(map);
            }
            match map.get(&block) {
                Some(slot) => Some(present(block, slot)),
                None => {
                    map.insert(block, Slot::Filling(fill.clone()));
                    None
                }
            }
        };
        if let Some(error) = taken {
            let _ = inner.disk.remove_file(&fill.temp_path);
            return Err(error);
        }
        Ok(TempBlock::new(inner.clone(), fill))
    }

    /// Finds a block and takes hold of it. Counts as a use. Opens the file when nobody else has it
    /// open, which takes some microseconds.
    ///
    /// **Errors**: `DirLost`, `Io` when the block is there and cannot be opened.
    pub fn lookup(&self, block: BlockId) -> Result<Lookup, Error> {
        let stored = match self.inner.shards.of(block).lock().get(&block) {
            None | Some(Slot::Leaving) => return Ok(Lookup::Absent),
            Some(Slot::Filling(fill)) => return Ok(Lookup::Filling(FillReader::new(fill.clone()))),
            Some(Slot::Committed(stored) | Slot::Moving { stored, .. }) => stored.clone(),
        };
        self.inner.tiers[stored.dir().tier].order_access(block);
        match BlockLease::new(self.inner.clone(), stored.clone()) {
            Ok(lease) if stored.is_verified() => Ok(Lookup::Committed(lease)),
            Ok(lease) => Ok(Lookup::Unverified(UnverifiedLease(lease))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Removed since, or taken away behind our back: gone either way.
                self.inner.drop_vanished(&stored);
                Ok(Lookup::Absent)
            }
            Err(source) => {
                let path = stored.dir().block_path(block);
                let error = io_error("cannot open", &path, source);
                Err(self.inner.blame(stored.dir(), error))
            }
        }
    }

    /// Whether the block is here, complete. Does not count as a use.
    pub fn contains(&self, block: BlockId) -> bool {
        self.tier_of(block).is_some()
    }

    /// Number of the tier that holds the complete block.
    pub fn tier_of(&self, block: BlockId) -> Option<usize> {
        match self.inner.shards.of(block).lock().get(&block) {
            Some(Slot::Committed(stored) | Slot::Moving { stored, .. }) => Some(stored.dir().tier),
            _ => None,
        }
    }

    /// Removes a block, pinned or not; readers that hold it keep their bytes. A block being
    /// written is marked, and its commit refused. True when there was something to remove.
    /// Blocking.
    pub fn remove(&self, block: BlockId) -> bool {
        let leaving = {
            let mut map = self.inner.shards.of(block).lock();
            match map.get_mut(&block) {
                None | Some(Slot::Leaving) => return false,
                Some(Slot::Filling(fill)) => {
                    fill.doom();
                    return true;
                }
                Some(Slot::Moving { doomed, .. }) => {
                    *doomed = true;
                    return true;
                }
                Some(slot) => std::mem::replace(slot, Slot::Leaving),
            }
        };
        if let Slot::Committed(stored) = leaving {
            self.inner.finish_leaving(&stored);
        }
        true
    }

    /// Replaces the set of inodes whose blocks must stay.
    pub fn set_pinned(&self, inodes: PinnedInodes) {
        *self.inner.pinned.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(inodes);
    }

    /// Moves a block up to `tier` (0 is the top); does nothing when it is there or higher.
    /// Blocking: copies the block, checking it. True when it moved.
    ///
    /// **Errors**: `NoBlock`, `Moving`, `NoSpace`, `Corrupt`, and those of the machine. In every
    /// case the block stays where it was, unless it is corrupt.
    pub fn promote(&self, block: BlockId, tier: usize) -> Result<bool, Error> {
        self.inner.promote(block, tier)
    }

    /// Evicts until every tier that is above its high watermark is at its low one. Blocking.
    /// Returns the number of blocks that left their tier.
    pub fn free_ahead(&self) -> usize {
        self.inner.free_ahead()
    }

    /// Moves the most used blocks of lower tiers into free room of higher ones, until `fill_share`
    /// (0..=1) of a higher tier is used or `blocks_max` blocks have moved. Evicts nothing, and
    /// leaves alone what is being read. Blocking. Returns the number of blocks that moved.
    pub fn raise(&self, fill_share: f64, blocks_max: usize) -> usize {
        self.inner.raise(fill_share, blocks_max)
    }

    /// Checks that every directory is still there and can be written; one that is not is taken out
    /// of service and its blocks are reported as removed. Blocking. Returns the newly lost ones.
    pub fn check_dirs(&self) -> Vec<LostDir> {
        self.inner.check_dirs()
    }

    /// Use of each tier now.
    pub fn usage(&self) -> Usage {
        let inner = &self.inner;
        let tiers = inner.tiers.iter().map(|tier| TierUsage {
            alias: tier.alias.clone(),
            capacity_bytes: tier.capacity_bytes(),
            used_bytes: tier.used_bytes(),
        });
        let dirs = inner.dirs().map(|dir| DirUsage {
            tier: inner.tier_alias(dir.tier).clone(),
            path: dir.path.clone(),
            medium: dir.medium.clone(),
            capacity_bytes: dir.quota_bytes,
            used_bytes: dir.used_bytes(),
        });
        let lost = inner.tiers.iter().flat_map(|tier| &tier.dirs).filter(|dir| dir.is_lost());
        Usage {
            tiers: tiers.collect(),
            dirs: dirs.collect(),
            block_count: inner.tiers.iter().map(|tier| tier.order().len() as u64).sum(),
            lost_dirs: lost.map(|dir| inner.lost_dir(dir)).collect(),
        }
    }

    /// Changes since the last [`BlockStore::acknowledge`].
    pub fn delta(&self) -> Delta {
        self.inner.report.delta()
    }

    /// Forgets the changes that `delta` told.
    pub fn acknowledge(&self, delta: &Delta) {
        self.inner.report.acknowledge(delta);
    }

    /// All complete blocks with the number of their tier, in pieces of one shard of the map (1/64
    /// of them) each.
    ///
    /// **Shape**: a block that comes or goes while this runs may or may not be named, and is in
    /// [`BlockStore::delta`] in any case. Acknowledge a delta taken *before* the list was begun,
    /// never one taken after.
    pub fn blocks(&self) -> impl Iterator<Item = Vec<(BlockId, usize)>> + '_ {
        self.inner.shards.all().iter().map(|shard| {
            let mut blocks: Vec<_> = shard
                .lock()
                .iter()
                .filter_map(|(block, slot)| match slot {
                    Slot::Committed(stored) | Slot::Moving { stored, .. } => {
                        Some((*block, stored.dir().tier))
                    }
                    _ => None,
                })
                .collect();
            blocks.sort_unstable();
            blocks
        })
    }

    /// Names of the tiers from the top down.
    pub fn tier_aliases(&self) -> Vec<TierAlias> {
        self.inner.tiers.iter().map(|tier| tier.alias.clone()).collect()
    }

    /// What happened since the start.
    pub fn stats(&self) -> &Stats {
        &self.inner.stats
    }
}

fn present(block: BlockId, slot: &Slot) -> Error {
    match slot {
        Slot::Filling(_) | Slot::Leaving => Error::AlreadyFilling { block },
        Slot::Committed(_) | Slot::Moving { .. } => Error::AlreadyStored { block },
    }
}

impl Inner {
    pub(crate) fn tier_alias(&self, tier: usize) -> &TierAlias {
        &self.tiers[tier].alias
    }

    pub(crate) fn dirs(&self) -> impl Iterator<Item = &Arc<Dir>> {
        self.tiers.iter().flat_map(Tier::live_dirs)
    }

    pub(crate) fn pinned(&self) -> Arc<PinnedInodes> {
        self.pinned.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A cheap look before room is made for nothing.
    fn refuse_present(&self, block: BlockId) -> Result<(), Error> {
        match self.shards.of(block).lock().get(&block) {
            None | Some(Slot::Leaving) => Ok(()),
            Some(slot) => Err(present(block, slot)),
        }
    }

    /// Takes a complete block out when the map still means `stored` by it.
    pub(crate) fn drop_stored(&self, stored: &Arc<Stored>) -> bool {
        let same = |there: &Arc<Stored>| Arc::ptr_eq(there, stored);
        match self.shards.begin_leaving(stored.block, same) {
            Some(stored) => {
                self.finish_leaving(&stored);
                true
            }
            None => {
                if let Some(Slot::Moving { stored: there, doomed }) =
                    self.shards.of(stored.block).lock().get_mut(&stored.block)
                    && Arc::ptr_eq(there, stored)
                {
                    *doomed = true;
                }
                false
            }
        }
    }

    /// Drops a block whose bytes are wrong.
    pub(crate) fn drop_corrupt(&self, stored: &Arc<Stored>) {
        if self.drop_stored(stored) {
            self.stats.corrupt.add(1);
            let dir = stored.dir().path.display();
            tracing::warn!(block = stored.block.0, %dir, "block fails its checksum, dropped");
        }
    }

    pub(crate) fn drop_vanished(&self, stored: &Arc<Stored>) {
        if self.drop_stored(stored) {
            self.stats.vanished.add(1);
            let dir = stored.dir().path.display();
            tracing::warn!(block = stored.block.0, %dir, "block file is gone, dropped");
        }
    }

    /// From Leaving to Absent: order of eviction, files, map, report.
    pub(crate) fn finish_leaving(&self, stored: &Arc<Stored>) {
        let dir = stored.dir();
        self.tiers[dir.tier].order_remove(stored.block);
        stored.begin_unlinking(self);
        self.unlink(dir, stored.block);
        self.report.removed(stored.block);
        self.shards.left(stored.block);
    }

    /// Unlinks block and sidecar, the block first: a sidecar alone is rubbish that recovery knows.
    pub(crate) fn unlink(&self, dir: &Dir, block: BlockId) {
        for path in [dir.block_path(block), dir.sidecar_path(block)] {
            if let Err(error) = self.disk.remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
                && !dir.is_lost()
            {
                tracing::warn!(path = %path.display(), %error, "cannot remove a block file");
            }
        }
    }
}
