//! Which worker holds which block, in which tier.

use alluxio_types::{BlockId, InodeId, WorkerId};
use std::collections::BTreeMap;
use std::sync::RwLock;

/// Shards of the map. With 64, readers and the heartbeats of a few hundred workers rarely meet.
const SHARDS: usize = 64;

/// One cached copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copy {
    /// Who has it.
    pub worker: WorkerId,
    /// Index of the tier, 0 is the top.
    pub tier: u8,
}

/// Copies by block.
pub struct Locations {
    shards: Vec<RwLock<BTreeMap<BlockId, Vec<Copy>>>>,
}

impl Default for Locations {
    fn default() -> Self {
        Locations { shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }
}

impl Locations {
    fn shard(&self, block: BlockId) -> &RwLock<BTreeMap<BlockId, Vec<Copy>>> {
        // Blocks of one file share their container: mixing spreads files, and keeps the blocks of
        // a file together, which are read together.
        let mixed = block.inode().container().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        &self.shards[mixed as usize % SHARDS]
    }

    /// Notes a copy, or its new tier.
    pub fn add(&self, block: BlockId, copy: Copy) {
        let mut shard = self.shard(block).write().unwrap_or_else(|poison| poison.into_inner());
        let copies = shard.entry(block).or_default();
        match copies.iter_mut().find(|known| known.worker == copy.worker) {
            Some(known) => *known = copy,
            None => copies.push(copy),
        }
    }

    /// Forgets a copy.
    pub fn remove(&self, block: BlockId, worker: WorkerId) {
        let mut shard = self.shard(block).write().unwrap_or_else(|poison| poison.into_inner());
        if let Some(copies) = shard.get_mut(&block) {
            copies.retain(|copy| copy.worker != worker);
            if copies.is_empty() {
                shard.remove(&block);
            }
        }
    }

    /// The copies of a block, in the order they became known.
    pub fn of(&self, block: BlockId) -> Vec<Copy> {
        let shard = self.shard(block).read().unwrap_or_else(|poison| poison.into_inner());
        shard.get(&block).cloned().unwrap_or_default()
    }

    /// Shows each block of a file that has copies, and the copies.
    pub fn visit_file(&self, inode: InodeId, mut visit: impl FnMut(BlockId, &[Copy])) {
        let first = inode.block(0);
        let shard = self.shard(first).read().unwrap_or_else(|poison| poison.into_inner());
        for (block, copies) in shard.range(first..BlockId(inode.0)) {
            visit(*block, copies);
        }
    }

    /// Forgets all copies of a file's blocks, and returns them. The length of the file need not be
    /// known: its blocks lie side by side in one shard.
    pub fn take_file(&self, inode: InodeId) -> Vec<(BlockId, Vec<Copy>)> {
        let first = inode.block(0);
        let mut shard = self.shard(first).write().unwrap_or_else(|poison| poison.into_inner());
        let known: Vec<BlockId> =
            shard.range(first..BlockId(inode.0)).map(|(block, _)| *block).collect();
        known.into_iter().filter_map(|block| shard.remove_entry(&block)).collect()
    }

    /// Number of copies of all blocks.
    pub fn replicas(&self) -> usize {
        let count = |shard: &RwLock<BTreeMap<BlockId, Vec<Copy>>>| {
            let shard = shard.read().unwrap_or_else(|poison| poison.into_inner());
            shard.values().map(Vec::len).sum::<usize>()
        };
        self.shards.iter().map(count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_known_once_per_worker_with_its_last_tier() {
        let locations = Locations::default();
        let block = InodeId::from_container(5).block(0);
        locations.add(block, Copy { worker: WorkerId(1), tier: 0 });
        locations.add(block, Copy { worker: WorkerId(2), tier: 0 });
        locations.add(block, Copy { worker: WorkerId(1), tier: 1 });
        assert_eq!(locations.of(block)[0], Copy { worker: WorkerId(1), tier: 1 });
        assert_eq!(locations.replicas(), 2);
        locations.remove(block, WorkerId(1));
        locations.remove(block, WorkerId(2));
        assert!(locations.of(block).is_empty());
        assert_eq!(locations.replicas(), 0);
    }
}
