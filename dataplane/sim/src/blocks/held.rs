//! What callers of the store hold: blocks being written, leases of readers.

use super::content;
use crate::Dice;
use alluxio_blockstore::{BlockLease, FillReader, TempBlock};

/// A block that is being written.
pub(super) struct Writing {
    pub(super) temp: TempBlock,
    /// What it will contain.
    pub(super) bytes: Vec<u8>,
    /// How many of them are written.
    pub(super) done: usize,
}

/// All that is held.
#[derive(Default)]
pub(super) struct Held {
    pub(super) writing: Vec<Writing>,
    pub(super) leases: Vec<BlockLease>,
}

impl Held {
    /// A block to go on with; `None` when it is time to begin another one.
    pub(super) fn take_writing(&mut self, dice: &Dice) -> Option<Writing> {
        let many = self.writing.len() >= 4;
        if self.writing.is_empty() || (!many && dice.chance(40)) {
            return None;
        }
        let at = dice.index(self.writing.len());
        Some(self.writing.swap_remove(at))
    }

    pub(super) fn release_one(&mut self, dice: &Dice) {
        if !self.leases.is_empty() {
            let at = dice.index(self.leases.len());
            self.leases.swap_remove(at);
        }
    }

    /// Gives everything back.
    pub(super) fn forget(&mut self) {
        self.writing.clear();
        self.leases.clear();
    }

    /// Reads a part through a lease: the right bytes, or (when something is wrong with the disk) a
    /// refusal. Whether bytes came.
    pub(super) fn check_lease(
        &self,
        lease: &BlockLease,
        dice: &Dice,
        troubled: bool,
    ) -> Result<bool, String> {
        let (block, right) = (lease.block(), content(lease.block()));
        if lease.length() != right.len() as u64 {
            return Err(format!("{block} has {} bytes, not {}", lease.length(), right.len()));
        }
        let start = dice.index(right.len() + 1);
        let end = start + dice.index(right.len() - start + 1);
        let mut buffer = vec![0; end - start];
        match lease.read_verified(&mut buffer, start as u64) {
            Ok(()) if buffer == right[start..end] => Ok(true),
            Ok(()) => Err(format!("wrong bytes in {start}..{end} of {block}")),
            Err(_) if troubled => Ok(false),
            Err(error) => Err(format!("a lease of {block} does not read: {error}")),
        }
    }

    /// Reads a part of what is there of a block that is being written.
    pub(super) fn check_filling(&self, reader: &FillReader, dice: &Dice) -> Result<(), String> {
        let (block, right) = (reader.block(), content(reader.block()));
        let there = usize::try_from(reader.progress().state().readable_bytes()).unwrap_or(0);
        let start = dice.index(there + 1);
        let mut buffer = vec![0; there - start];
        match reader.read_at(&mut buffer, start as u64) {
            Ok(()) if buffer == right[start..there] => Ok(()),
            Ok(()) => Err(format!("wrong bytes in {start}..{there} of {block}, still written")),
            Err(_) => Ok(()),
        }
    }
}
