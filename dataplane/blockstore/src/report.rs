//! What the master is told: use of each tier, and which blocks came and went.
//!
//! Changes are remembered as the *present state* of each block that changed, so telling them twice
//! does no harm and a block that came and went costs one entry.

use crate::error::LostDir;
use alluxio_types::{BlockId, MediumType, TierAlias, TierUsage};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Changes since the last report that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delta {
    /// Blocks that are here and the number of their tier (0 is the top), by id.
    pub added: Vec<(BlockId, usize)>,
    /// Blocks that are not here any more, by id.
    pub removed: Vec<BlockId>,
    /// More changed than is remembered: the lists are incomplete, a full list is due.
    pub overflowed: bool,
    upto: u64,
}

impl Delta {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && !self.overflowed
    }
}

/// Use of the store at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Tiers from the top down; lost directories do not count.
    pub tiers: Vec<TierUsage>,
    /// Directories in service, tier by tier.
    pub dirs: Vec<DirUsage>,
    /// Number of complete blocks.
    pub block_count: u64,
    /// Directories out of service.
    pub lost_dirs: Vec<LostDir>,
}

/// Use of one directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirUsage {
    /// Name of its tier.
    pub tier: TierAlias,
    /// As configured.
    pub path: PathBuf,
    /// What it is made of.
    pub medium: MediumType,
    /// Bytes it may hold.
    pub capacity_bytes: u64,
    /// Bytes it holds.
    pub used_bytes: u64,
}

/// Remembers changes, up to a limit.
pub(crate) struct DeltaLog {
    entries_max: usize,
    shared: Mutex<Shared>,
}

#[derive(Default)]
struct Shared {
    seq: u64,
    /// Tier of a block that is here, `None` for one that went; and when that was noted.
    changes: BTreeMap<BlockId, (Option<usize>, u64)>,
    /// When entries were dropped for lack of room.
    overflowed: Option<u64>,
}

impl DeltaLog {
    pub(crate) fn new(entries_max: usize) -> Self {
        DeltaLog { entries_max, shared: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, block: BlockId, tier: Option<usize>) {
        let mut shared = self.lock();
        shared.seq += 1;
        let seq = shared.seq;
        shared.changes.insert(block, (tier, seq));
        if shared.changes.len() > self.entries_max {
            shared.changes.clear();
            shared.overflowed = Some(seq);
        }
    }

    pub(crate) fn added(&self, block: BlockId, tier: usize) {
        self.note(block, Some(tier));
    }

    pub(crate) fn removed(&self, block: BlockId) {
        self.note(block, None);
    }

    /// At most `entries_max` changes, oldest ids first; all of them are told in the end.
    pub(crate) fn delta(&self) -> Delta {
        let shared = self.lock();
        let mut delta =
            Delta { overflowed: shared.overflowed.is_some(), upto: shared.seq, ..Delta::default() };
        for (block, (tier, _)) in &shared.changes {
            match tier {
                Some(tier) => delta.added.push((*block, *tier)),
                None => delta.removed.push(*block),
            }
        }
        delta
    }

    pub(crate) fn acknowledge(&self, delta: &Delta) {
        let mut shared = self.lock();
        shared.changes.retain(|_, (_, seq)| *seq > delta.upto);
        if shared.overflowed.is_some_and(|seq| seq <= delta.upto) {
            shared.overflowed = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_until_it_is_acknowledged() {
        let log = DeltaLog::new(10);
        log.added(BlockId(1), 0);
        log.added(BlockId(2), 1);
        let first = log.delta();
        assert_eq!(first.added, [(BlockId(1), 0), (BlockId(2), 1)]);
        log.removed(BlockId(1));
        log.acknowledge(&first);
        let second = log.delta();
        assert_eq!((second.added.len(), &second.removed[..]), (0, &[BlockId(1)][..]));
        log.acknowledge(&second);
        assert!(log.delta().is_empty());
    }

    #[test]
    fn too_many_changes_ask_for_a_full_list_instead() {
        let log = DeltaLog::new(3);
        for id in 0..5 {
            log.added(BlockId(id), 0);
        }
        let delta = log.delta();
        assert!(delta.overflowed);
        log.acknowledge(&delta);
        assert!(log.delta().is_empty());
    }
}
