//! Randomness as a port.

use std::sync::atomic::{AtomicU64, Ordering};

/// Source of random numbers. Not for secrets: the seeded one is predictable by design.
pub trait Entropy: Send + Sync + 'static {
    /// A random number.
    fn next_u64(&self) -> u64;

    /// A random number below `bound`; 0 when `bound` is 0.
    fn below(&self, bound: u64) -> u64 {
        // The high half of a 128-bit product: bias is below 2^-64 * bound, far from noticeable.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

/// The kernel's generator.
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn next_u64(&self) -> u64 {
        let mut bytes = [0u8; 8];
        let mut filled = 0;
        while filled < bytes.len() {
            // getrandom(2) only fails when interrupted, or on kernels older than any we run on.
            match rustix::rand::getrandom(
                &mut bytes[filled..],
                rustix::rand::GetRandomFlags::empty(),
            ) {
                Ok(n) => filled += n,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => panic!("the kernel has no random numbers: {error}"),
            }
        }
        u64::from_ne_bytes(bytes)
    }
}

/// SplitMix64: the same numbers for the same seed, on every machine.
///
/// **Source**: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
pub struct SeededEntropy {
    state: AtomicU64,
}

impl SeededEntropy {
    /// A generator for `seed`.
    pub fn new(seed: u64) -> Self {
        SeededEntropy { state: AtomicU64::new(seed) }
    }
}

impl Entropy for SeededEntropy {
    fn next_u64(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut z = self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeded_numbers_repeat_and_stay_below_their_bound() {
        let (a, b) = (SeededEntropy::new(7), SeededEntropy::new(7));
        for bound in 1..200 {
            let n = a.below(bound);
            assert_eq!(n, b.below(bound));
            assert!(n < bound);
        }
        assert_ne!(OsEntropy.next_u64(), OsEntropy.next_u64());
    }
}
