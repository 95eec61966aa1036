//! A policy that watches a policy: it panics when either side breaks the contract.

use super::EvictionPolicy;
use alluxio_types::BlockId;
use std::collections::BTreeSet;

/// Wraps a policy in debug builds and tests. A broken order would not corrupt a byte, it would
/// evict the wrong blocks for months; so it is loud.
pub struct Sentry {
    inner: Box<dyn EvictionPolicy>,
    there: BTreeSet<BlockId>,
}

impl Sentry {
    /// Watches `inner`, which must not have seen any block.
    pub fn new(inner: Box<dyn EvictionPolicy>) -> Self {
        assert!(inner.is_empty(), "a sentry must see a policy from its first event on");
        Sentry { inner, there: BTreeSet::new() }
    }

    fn check_visit(
        &self,
        visit: &mut dyn FnMut(BlockId) -> bool,
        walk: impl FnOnce(&dyn EvictionPolicy, &mut dyn FnMut(BlockId) -> bool),
    ) {
        let mut named = BTreeSet::new();
        let mut stopped = false;
        walk(&*self.inner, &mut |block| {
            assert!(!stopped, "the policy goes on after it was told to stop");
            assert!(self.there.contains(&block), "victim {block} is not there");
            assert!(named.insert(block), "victim {block} was named twice");
            stopped = !visit(block);
            !stopped
        });
        assert!(stopped || named.len() == self.there.len(), "the policy hides blocks");
    }

    fn check_count(&self) {
        assert_eq!(self.inner.len(), self.there.len(), "the policy lost or invented a block");
    }
}

impl EvictionPolicy for Sentry {
    fn insert(&mut self, block: BlockId) {
        assert!(self.there.insert(block), "block {block} came twice");
        self.inner.insert(block);
        self.check_count();
    }

    fn access(&mut self, block: BlockId) {
        assert!(self.there.contains(&block), "block {block} is used and never came");
        self.inner.access(block);
        self.check_count();
    }

    fn remove(&mut self, block: BlockId) {
        assert!(self.there.remove(&block), "block {block} goes and never came");
        self.inner.remove(block);
        self.check_count();
    }

    fn contains(&self, block: BlockId) -> bool {
        let there = self.there.contains(&block);
        assert_eq!(
            self.inner.contains(block),
            there,
            "block {block}: the policy is wrong about it"
        );
        there
    }

    fn visit_coldest(&self, visit: &mut dyn FnMut(BlockId) -> bool) {
        self.check_visit(visit, |inner, visit| inner.visit_coldest(visit));
    }

    fn visit_hottest(&self, visit: &mut dyn FnMut(BlockId) -> bool) {
        self.check_visit(visit, |inner, visit| inner.visit_hottest(visit));
    }

    fn len(&self) -> usize {
        self.inner.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evict::Lru;

    /// Names its first block for ever.
    struct Liar(BlockId, usize);

    impl EvictionPolicy for Liar {
        fn insert(&mut self, block: BlockId) {
            self.0 = block;
            self.1 += 1;
        }
        fn access(&mut self, _: BlockId) {}
        fn remove(&mut self, _: BlockId) {
            self.1 -= 1;
        }
        fn contains(&self, _: BlockId) -> bool {
            true
        }
        fn visit_coldest(&self, visit: &mut dyn FnMut(BlockId) -> bool) {
            visit(self.0);
        }
        fn visit_hottest(&self, visit: &mut dyn FnMut(BlockId) -> bool) {
            visit(self.0);
        }
        fn len(&self) -> usize {
            self.1
        }
    }

    #[test]
    #[should_panic(expected = "is not there")]
    fn a_victim_that_is_gone_is_caught() {
        let mut sentry = Sentry::new(Box::new(Liar(BlockId(0), 0)));
        sentry.insert(BlockId(1));
        sentry.remove(BlockId(1));
        sentry.visit_coldest(&mut |_| true);
    }

    #[test]
    #[should_panic(expected = "came twice")]
    fn a_caller_that_inserts_twice_is_caught() {
        let mut sentry = Sentry::new(Box::new(Lru::new()));
        sentry.insert(BlockId(1));
        sentry.insert(BlockId(1));
    }
}
