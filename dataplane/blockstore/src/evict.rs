//! Which block goes first: the order of eviction of one tier, as a pure policy.
//!
//! A policy hears what happens to blocks and names victims, coldest first. It knows nothing of
//! files, locks, pins or leases; the store skips what must stay. Time is a count of events, so the
//! same events give the same order on every machine.

mod lrfu;
mod lru;
mod sentry;

pub use lrfu::Lrfu;
pub use lru::Lru;
pub use sentry::Sentry;

use alluxio_types::BlockId;

/// Which policy a store uses (`alluxio.worker.block.annotator.class`, or the older
/// `alluxio.worker.evictor.class`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EvictionOrder {
    /// Least recently used first.
    Lru,
    /// Least recently *and* frequently used first.
    Lrfu {
        /// Weight of recency, 0.0..=1.0; 0 counts uses only, 1 is plain LRU (default 0.25).
        step_factor: f64,
        /// Base of the decay, at least 2.0 (default 2.0).
        attenuation_factor: f64,
    },
}

impl EvictionOrder {
    /// A fresh policy. Debug builds wrap it in a [`Sentry`].
    pub fn policy(self) -> Box<dyn EvictionPolicy> {
        let policy: Box<dyn EvictionPolicy> = match self {
            EvictionOrder::Lru => Box::new(Lru::new()),
            EvictionOrder::Lrfu { step_factor, attenuation_factor } => {
                Box::new(Lrfu::new(step_factor, attenuation_factor))
            }
        };
        if cfg!(debug_assertions) { Box::new(Sentry::new(policy)) } else { policy }
    }
}

/// An order over the blocks of one tier.
///
/// Callers guarantee: [`insert`](Self::insert) only for a block that is not there,
/// [`access`](Self::access) and [`remove`](Self::remove) only for one that is.
///
/// Implementations MUST: name every block that is there exactly once in
/// [`visit_coldest`](Self::visit_coldest) unless the visitor stops; depend on the sequence of
/// events only; and never move a block towards the cold end because *it* was accessed.
pub trait EvictionPolicy: Send {
    /// A block came. Coming counts as one use.
    fn insert(&mut self, block: BlockId);

    /// A block was used.
    fn access(&mut self, block: BlockId);

    /// A block went.
    fn remove(&mut self, block: BlockId);

    /// Whether a block came and did not go.
    fn contains(&self, block: BlockId) -> bool;

    /// Calls `visit` with blocks, coldest first, until it returns false.
    fn visit_coldest(&self, visit: &mut dyn FnMut(BlockId) -> bool);

    /// Calls `visit` with blocks in the opposite order, until it returns false.
    fn visit_hottest(&self, visit: &mut dyn FnMut(BlockId) -> bool);

    /// Number of blocks.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(super) fn order(policy: &dyn EvictionPolicy) -> Vec<u64> {
        let mut out = Vec::new();
        policy.visit_coldest(&mut |block| {
            out.push(block.0);
            true
        });
        out
    }

    fn reversed(policy: &dyn EvictionPolicy) -> Vec<u64> {
        let mut out = Vec::new();
        policy.visit_hottest(&mut |block| {
            out.push(block.0);
            true
        });
        out.reverse();
        out
    }

    fn conforms(order_kind: EvictionOrder, events: &[(u8, u64)]) {
        // The sentry panics on a broken promise; the model here is the set of blocks.
        let mut policy = Sentry::new(order_kind.policy());
        let mut there = std::collections::BTreeSet::new();
        for &(what, id) in events {
            let block = BlockId(id);
            match what {
                0 if there.insert(id) => policy.insert(block),
                1 if there.contains(&id) => {
                    let cold = order(&policy).iter().position(|&b| b == id).unwrap();
                    policy.access(block);
                    let now = order(&policy).iter().position(|&b| b == id).unwrap();
                    assert!(now >= cold, "use made block {id} colder");
                }
                2 if there.remove(&id) => policy.remove(block),
                _ => {}
            }
            let mut named = order(&policy);
            assert_eq!(named, reversed(&policy));
            named.sort_unstable();
            assert_eq!(named, there.iter().copied().collect::<Vec<_>>());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_policy_keeps_the_contract(
            events in proptest::collection::vec((0u8..3, 0u64..12), 0..200)
        ) {
            conforms(EvictionOrder::Lru, &events);
            conforms(
                EvictionOrder::Lrfu { step_factor: 0.25, attenuation_factor: 2.0 },
                &events,
            );
        }
    }
}
