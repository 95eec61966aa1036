//! Counts of what a store did since it was opened, for whoever exports metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Its value now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Blocks, unless the name says bytes.
#[derive(Debug, Default)]
pub struct Stats {
    /// Removed to make room.
    pub evicted: Count,
    /// Moved down to make room.
    pub demoted: Count,
    /// Moved up because they were used.
    pub promoted: Count,
    /// Bytes copied between tiers.
    pub moved_bytes: Count,
    /// Dropped because a checksum failed.
    pub corrupt: Count,
    /// Dropped because their file was gone.
    pub vanished: Count,
    /// Lost with their directory.
    pub lost: Count,
    /// Requests for room that nothing could satisfy.
    pub refused: Count,
}
