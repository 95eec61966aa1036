//! Least recently used.

use super::EvictionPolicy;
use alluxio_types::BlockId;
use hashbrown::HashMap;
use std::collections::BTreeMap;

/// Blocks by the event that used them last.
pub struct Lru {
    clock: u64,
    by_block: HashMap<BlockId, u64, foldhash::fast::FixedState>,
    by_use: BTreeMap<u64, BlockId>,
}

impl Lru {
    /// A policy over no blocks.
    pub fn new() -> Self {
        Lru {
            clock: 0,
            by_block: HashMap::with_hasher(foldhash::fast::FixedState::default()),
            by_use: BTreeMap::new(),
        }
    }

    fn touch(&mut self, block: BlockId) {
        self.clock += 1;
        if let Some(before) = self.by_block.insert(block, self.clock) {
            self.by_use.remove(&before);
        }
        self.by_use.insert(self.clock, block);
    }
}

impl Default for Lru {
    fn default() -> Self {
        Self::new()
    }
}

impl EvictionPolicy for Lru {
    fn insert(&mut self, block: BlockId) {
        self.touch(block);
    }

    fn access(&mut self, block: BlockId) {
        self.touch(block);
    }

    fn remove(&mut self, block: BlockId) {
        if let Some(used) = self.by_block.remove(&block) {
            self.by_use.remove(&used);
        }
    }

    fn contains(&self, block: BlockId) -> bool {
        self.by_block.contains_key(&block)
    }

    fn visit_coldest(&self, visit: &mut dyn FnMut(BlockId) -> bool) {
        for block in self.by_use.values() {
            if !visit(*block) {
                return;
            }
        }
    }

    fn visit_hottest(&self, visit: &mut dyn FnMut(BlockId) -> bool) {
        for block in self.by_use.values().rev() {
            if !visit(*block) {
                return;
            }
        }
    }

    fn len(&self) -> usize {
        self.by_block.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::order;
    use super::*;

    #[test]
    fn the_block_used_longest_ago_goes_first() {
        let mut lru = Lru::new();
        for id in 1..=3 {
            lru.insert(BlockId(id));
        }
        lru.access(BlockId(1));
        assert_eq!(order(&lru), [2, 3, 1]);
        lru.remove(BlockId(2));
        assert_eq!(order(&lru), [3, 1]);
    }
}
