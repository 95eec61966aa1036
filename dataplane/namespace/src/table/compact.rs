//! Integers that take no more room than they need, and no alignment above 4.

/// 48 bits, aligned to 2.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct U48([u16; 3]);

impl U48 {
    pub(crate) const MAX: u64 = (1 << 48) - 1;

    /// `value`, or [`U48::MAX`] when it is larger.
    #[expect(clippy::cast_possible_truncation, reason = "each part is masked by the cast")]
    pub(crate) const fn saturating(value: u64) -> Self {
        let value = if value > Self::MAX { Self::MAX } else { value };
        U48([value as u16, (value >> 16) as u16, (value >> 32) as u16])
    }

    pub(crate) const fn get(self) -> u64 {
        self.0[0] as u64 | (self.0[1] as u64) << 16 | (self.0[2] as u64) << 32
    }
}

/// 64 bits, aligned to 4.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct U64([u32; 2]);

impl U64 {
    #[expect(clippy::cast_possible_truncation, reason = "each half is masked by the cast")]
    pub(crate) const fn new(value: u64) -> Self {
        U64([value as u32, (value >> 32) as u32])
    }

    pub(crate) const fn get(self) -> u64 {
        self.0[0] as u64 | (self.0[1] as u64) << 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_and_large_ones_saturate() {
        for value in [0, 1, 0x1234_5678_9abc, U48::MAX] {
            assert_eq!(U48::saturating(value).get(), value);
            assert_eq!(U64::new(value << 9).get(), value << 9);
        }
        assert_eq!(U48::saturating(u64::MAX).get(), U48::MAX);
        assert_eq!(U64::new(u64::MAX).get(), u64::MAX);
    }
}
