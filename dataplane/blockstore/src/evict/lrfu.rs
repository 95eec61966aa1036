//! Least recently and frequently used.
//!
//! Every use of a block at event `t` adds weight `a^(-step * age)` to its value, `age` being the
//! number of events since. All values decay alike, so their *order* changes only when a block is
//! used; it is kept sorted by `log2(value) + step * log2(a) * t`, which never needs a rescan.
//!
//! **Source**: Lee et al., "LRFU: a spectrum of policies", IEEE Transactions on Computers 50, 2001;
//! parameters as in Alluxio's `LRFUAnnotator`.

use super::EvictionPolicy;
use alluxio_types::BlockId;
use hashbrown::HashMap;
use std::collections::BTreeSet;

/// Blocks by decayed count of uses.
pub struct Lrfu {
    clock: u64,
    /// Decay of the logarithm of a value per event.
    decay: f64,
    by_block: HashMap<BlockId, Key, foldhash::fast::FixedState>,
    by_weight: BTreeSet<(Key, BlockId)>,
}

/// Logarithm of the value, scaled to event 0; totally ordered, equal weights by the last event.
#[derive(Clone, Copy, PartialEq)]
struct Key {
    weight: f64,
    used: u64,
}

impl Eq for Key {}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.weight.total_cmp(&other.weight).then(self.used.cmp(&other.used))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Lrfu {
    /// A policy over no blocks. Values out of range are brought into it: `step_factor` to
    /// 0.0..=1.0, `attenuation_factor` to at least 2.0.
    pub fn new(step_factor: f64, attenuation_factor: f64) -> Self {
        Lrfu {
            clock: 0,
            decay: step_factor.clamp(0.0, 1.0) * attenuation_factor.max(2.0).log2(),
            by_block: HashMap::with_hasher(foldhash::fast::FixedState::default()),
            by_weight: BTreeSet::new(),
        }
    }

    fn touch(&mut self, block: BlockId) {
        self.clock += 1;
        let fresh = self.decay * self.clock as f64;
        let before = self.by_block.get(&block).copied();
        let weight = match before {
            // log2(2^fresh + 2^before), without leaving the logarithm: fresh is never smaller by
            // more than a block's count of uses, and exp2 of a large negative number is just 0.
            Some(old) => {
                let (high, low) =
                    if fresh > old.weight { (fresh, old.weight) } else { (old.weight, fresh) };
                high + (1.0 + (low - high).exp2()).log2()
            }
            None => fresh,
        };
        if let Some(old) = before {
            self.by_weight.remove(&(old, block));
        }
        let key = Key { weight, used: self.clock };
        self.by_block.insert(block, key);
        self.by_weight.insert((key, block));
    }
}

impl EvictionPolicy for Lrfu {
    fn insert(&mut self, block: BlockId) {
        self.touch(block);
    }

    fn access(&mut self, block: BlockId) {
        self.touch(block);
    }

    fn remove(&mut self, block: BlockId) {
        if let Some(key) = self.by_block.remove(&block) {
            self.by_weight.remove(&(key, block));
        }
    }

    fn contains(&self, block: BlockId) -> bool {
        self.by_block.contains_key(&block)
    }

    fn visit_coldest(&self, visit: &mut dyn FnMut(BlockId) -> bool) {
        for (_, block) in &self.by_weight {
            if !visit(*block) {
                return;
            }
        }
    }

    fn visit_hottest(&self, visit: &mut dyn FnMut(BlockId) -> bool) {
        for (_, block) in self.by_weight.iter().rev() {
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
    fn a_block_used_often_outlives_one_used_last() {
        let mut lrfu = Lrfu::new(0.25, 2.0);
        lrfu.insert(BlockId(1));
        lrfu.insert(BlockId(2));
        for _ in 0..5 {
            lrfu.access(BlockId(1));
        }
        lrfu.access(BlockId(2));
        lrfu.insert(BlockId(3));
        assert_eq!(order(&lrfu), [3, 2, 1]);
    }

    #[test]
    fn old_fame_fades() {
        let mut lrfu = Lrfu::new(0.25, 2.0);
        lrfu.insert(BlockId(1));
        for _ in 0..5 {
            lrfu.access(BlockId(1));
        }
        lrfu.insert(BlockId(2));
        for _ in 0..40 {
            lrfu.access(BlockId(2));
        }
        assert_eq!(order(&lrfu), [1, 2]);
    }

    #[test]
    fn with_step_one_it_is_close_to_lru_and_with_zero_it_counts() {
        let (mut recent, mut count) = (Lrfu::new(1.0, 1e9), Lrfu::new(0.0, 2.0));
        for policy in [&mut recent, &mut count] {
            policy.insert(BlockId(1));
            policy.access(BlockId(1));
            policy.insert(BlockId(2));
        }
        assert_eq!(order(&recent), [1, 2]);
        assert_eq!(order(&count), [2, 1]);
    }

    #[test]
    fn a_million_events_do_not_overflow_the_weights() {
        let mut lrfu = Lrfu::new(1.0, 1e9);
        lrfu.insert(BlockId(1));
        for _ in 0..1_000_000 {
            lrfu.access(BlockId(1));
        }
        lrfu.insert(BlockId(2));
        assert_eq!(order(&lrfu), [1, 2]);
    }
}
