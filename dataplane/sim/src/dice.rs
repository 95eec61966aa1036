//! Chance, from one seed.

use alluxio_host::{Entropy, SeededEntropy};

/// All chance of one run.
pub struct Dice(SeededEntropy);

impl Dice {
    /// Dice for a seed.
    pub fn new(seed: u64) -> Self {
        Dice(SeededEntropy::new(seed))
    }

    /// A seed for something else.
    pub fn seed(&self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..bound`; `bound` must not be 0.
    pub fn below(&self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// A number in `low..=high`.
    pub fn between(&self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True `percent` times in a hundred.
    pub fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    pub fn pick<'a, T>(&self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// A position in something of that length, which must not be 0.
    pub fn index(&self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("below a usize")
    }

    /// A position, each as likely as its weight says; the weights must not all be 0.
    pub fn weighted(&self, weights: &[u64]) -> usize {
        let mut at = self.below(weights.iter().sum());
        for (index, &weight) in weights.iter().enumerate() {
            if at < weight {
                return index;
            }
            at -= weight;
        }
        unreachable!("the number is below the sum of the weights")
    }

    /// Weights for a run: some of `usual` are taken to nothing, some to a multiple. At least the
    /// first stays.
    pub fn mix<const N: usize>(&self, usual: [u64; N]) -> [u64; N] {
        let mut mixed = usual.map(|weight| match self.below(5) {
            0 => 0,
            1 => weight * 4,
            _ => weight,
        });
        mixed[0] = mixed[0].max(usual[0]);
        mixed
    }
}
