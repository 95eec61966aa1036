//! Facts about blocks.

use crate::{BlockId, TierAlias, WorkerAddress, WorkerId};

/// One cached copy of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockLocation {
    /// Who has it.
    pub worker: WorkerId,
    /// How to reach it.
    pub address: WorkerAddress,
    /// Tier it lies in.
    pub tier: TierAlias,
}

/// A block of a file and where its copies are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockInfo {
    /// Its id.
    pub id: BlockId,
    /// Its length in bytes.
    pub length: u64,
    /// Position of its first byte in the file.
    pub offset: u64,
    /// Copies; empty when nothing is cached.
    pub locations: Vec<BlockLocation>,
}

/// Bytes `start..end` of a block or file, `start <= end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockRange {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl BlockRange {
    /// Number of bytes.
    pub const fn len(self) -> u64 {
        self.end - self.start
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.start >= self.end
    }
}
