//! Blocks of this host that a reader has open.

use alluxio_datapath::client::LocalBlock;
use alluxio_types::BlockId;

/// Blocks that one reader keeps open. Each is a descriptor, a mapping and a lease; opening one
/// again costs about 10 µs.
const BLOCKS_MAX: usize = 64;

/// A small set; the one that was not used for the longest time goes first.
#[derive(Default)]
pub(super) struct LocalBlocks {
    blocks: Vec<Kept>,
    tick: u64,
}

struct Kept {
    id: BlockId,
    block: LocalBlock,
    used: u64,
}

impl LocalBlocks {
    pub(super) fn get(&mut self, id: BlockId) -> Option<LocalBlock> {
        self.tick += 1;
        let kept = self.blocks.iter_mut().find(|kept| kept.id == id)?;
        kept.used = self.tick;
        Some(kept.block.clone())
    }

    pub(super) fn insert(&mut self, id: BlockId, block: LocalBlock) {
        self.tick += 1;
        self.remove(id);
        if self.blocks.len() >= BLOCKS_MAX {
            let oldest = (0..self.blocks.len()).min_by_key(|i| self.blocks[*i].used);
            if let Some(oldest) = oldest {
                self.blocks.swap_remove(oldest);
            }
        }
        self.blocks.push(Kept { id, block, used: self.tick });
    }

    pub(super) fn remove(&mut self, id: BlockId) {
        self.blocks.retain(|kept| kept.id != id);
    }

    pub(super) fn clear(&mut self) {
        self.blocks.clear();
    }
}
