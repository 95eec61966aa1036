//! Bytes of one file in two halves: what a reader sees, and what a crash leaves.

use crate::Entropy;
use std::collections::BTreeMap;

/// What a disk writes as a whole; a torn write ends at such a border.
const SECTOR_BYTES: u64 = 512;

/// Bytes of one file.
#[derive(Clone, Default)]
pub(super) struct Content {
    /// What a reader sees now.
    pub(super) current: Vec<u8>,
    /// What is on the medium for certain.
    durable: Vec<u8>,
    /// Changes since the last sync, oldest first.
    pending: Vec<Change>,
    /// Open handles.
    pub(super) handles: u32,
    /// Whether no name leads here any more.
    pub(super) unlinked: bool,
}

#[derive(Clone)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    SetLength(u64),
}

impl Content {
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        put(&mut self.current, bytes, offset);
        self.pending.push(Change::Write { offset, bytes: bytes.to_vec() });
    }

    pub(super) fn set_length(&mut self, length: u64) {
        self.current.resize(length as usize, 0);
        self.pending.push(Change::SetLength(length));
    }

    /// All changes reach the medium.
    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            apply(&mut self.durable, &change);
        }
    }

    /// A sync that failed: some changes reached the medium, and the others never will, although a
    /// reader still sees them and the next sync reports success. This is what Linux does.
    pub(super) fn fail_sync(&mut self, entropy: &dyn Entropy) {
        self.settle(entropy);
    }

    /// The power goes: of the pending changes, some survive, whole or torn.
    pub(super) fn crash(&mut self, entropy: &dyn Entropy) {
        self.settle(entropy);
        self.current.clone_from(&self.durable);
        self.handles = 0;
    }

    fn settle(&mut self, entropy: &dyn Entropy) {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return;
        }
        match entropy.below(4) {
            0 => {}
            1 => pending.iter().for_each(|change| apply(&mut self.durable, change)),
            2 => {
                // In order, up to a point, and torn there.
                let whole = entropy.below(pending.len() as u64) as usize;
                pending[..whole].iter().for_each(|change| apply(&mut self.durable, change));
                let cut = entropy.next_u64();
                apply_sectors(&mut self.durable, &pending[whole], |index, of| {
                    index < cut % (of + 1)
                });
            }
            _ => {
                // Any sectors, as a disk that reorders them would leave it.
                for change in &pending {
                    apply_sectors(&mut self.durable, change, |_, _| entropy.below(2) == 0);
                }
            }
        }
    }

    /// Bit rot: flips one bit in both halves. Bits are counted from the first byte's lowest one.
    pub(super) fn flip_bit(&mut self, bit: u64) {
        let (byte, mask) = ((bit / 8) as usize, 1u8 << (bit % 8));
        for half in [&mut self.current, &mut self.durable] {
            if let Some(value) = half.get_mut(byte) {
                *value ^= mask;
            }
        }
    }
}

fn put(target: &mut Vec<u8>, bytes: &[u8], offset: u64) {
    let (start, end) = (offset as usize, offset as usize + bytes.len());
    if target.len() < end {
        target.resize(end, 0);
    }
    target[start..end].copy_from_slice(bytes);
}

fn apply(target: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, bytes } => put(target, bytes, *offset),
        Change::SetLength(length) => target.resize(*length as usize, 0),
    }
}

/// Applies those sectors of a change for which `survives(index, number of sectors)` holds.
fn apply_sectors(target: &mut Vec<u8>, change: &Change, survives: impl Fn(u64, u64) -> bool) {
    match change {
        Change::SetLength(_) => {
            if survives(0, 1) {
                apply(target, change);
            }
        }
        Change::Write { offset, bytes } => {
            let end = offset + bytes.len() as u64;
            let mut sectors = BTreeMap::new();
            let mut start = *offset;
            while start < end {
                let stop = ((start / SECTOR_BYTES + 1) * SECTOR_BYTES).min(end);
                sectors.insert(start, stop);
                start = stop;
            }
            let count = sectors.len() as u64;
            for (index, (start, stop)) in sectors.into_iter().enumerate() {
                if survives(index as u64, count) {
                    let part = &bytes[(start - offset) as usize..(stop - offset) as usize];
                    put(target, part, start);
                }
            }
        }
    }
}
