//! From the hash of a (directory, name) pair to the position of its record.
//!
//! Extendible hashing: the hash's first bits choose a segment, an open-addressing table of one page.
//! A full segment is split in two, so growing never stops the shard for longer than it takes to move
//! a page of entries, and a look touches one page of the index.
//!
//! An entry holds the position, the slot where the search for it begins, and a window of the hash's
//! first bits: enough to split a segment, clean it, and to pass by entries of other names, without a
//! look at a name. Names may lie on a disk.

use allocator_api2::vec::Vec as TableVec;
use alluxio_host::TableMemory;

/// Slots of a segment of 4 KiB.
const SLOTS: usize = 682;
/// Slots of a segment in the heap as it grows: all segments are split at about the same time, and
/// with whole ones half of the index would be empty after that. In a file a segment is a page.
const GROWING: [usize; 3] = [384, 512, SLOTS];
const WHOLE: [usize; 1] = [SLOTS];
const POSITION_BITS: u32 = 28;
const HOME_BITS: u32 = 10;
const WINDOW_BITS: u32 = 10;

/// Positions are as large as those of a location.
const _: () = assert!(crate::table::ids::SLOTS_MAX == 1 << POSITION_BITS);
/// Two homes are left over, for the marks of slots without an entry.
const _: () = assert!(SLOTS < (1 << HOME_BITS) - 2 && SLOTS * size_of::<Slot>() <= 4096);

/// Position, home and window, from the low bits up.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Slot([u16; 3]);

impl Slot {
    const EMPTY: Slot = Slot::of_bits(((1 << HOME_BITS) - 1) << POSITION_BITS);
    const GONE: Slot = Slot::of_bits(((1 << HOME_BITS) - 2) << POSITION_BITS);

    const fn of_bits(bits: u64) -> Self {
        Slot([bits as u16, (bits >> 16) as u16, (bits >> 32) as u16])
    }

    fn new(key: u64, position: u32) -> Self {
        debug_assert!(position < 1 << POSITION_BITS);
        Slot::of_bits(key << POSITION_BITS | u64::from(position))
    }

    fn bits(self) -> u64 {
        let [low, middle, high] = self.0.map(u64::from);
        low | middle << 16 | high << 32
    }

    fn position(self) -> u32 {
        (self.bits() & ((1 << POSITION_BITS) - 1)) as u32
    }

    /// Home and window.
    fn key(self) -> u64 {
        self.bits() >> POSITION_BITS
    }

    fn is_entry(self) -> bool {
        self != Slot::EMPTY && self != Slot::GONE
    }
}

fn home_of_key(key: u64) -> usize {
    (key & ((1 << HOME_BITS) - 1)) as usize
}

/// Home and window of a hash in a segment of that depth. The window holds the bits that choose
/// segments from a multiple of its size on, so that it changes once in so many splits.
fn key_of(hash: u64, depth: u32) -> u64 {
    let home = (hash & 0xffff_ffff) % SLOTS as u64;
    let skipped = depth / WINDOW_BITS * WINDOW_BITS;
    let window = hash >> (64 - skipped - WINDOW_BITS) & ((1 << WINDOW_BITS) - 1);
    window << HOME_BITS | home
}

/// The bit of a key that parts the entries of a segment of that depth.
fn is_upper(key: u64, depth: u32) -> bool {
    key >> (HOME_BITS + WINDOW_BITS - 1 - depth % WINDOW_BITS) & 1 == 1
}

/// The index. It holds positions; names and their hashes are the caller's.
pub(crate) struct Index {
    memory: TableMemory,
    sizes: &'static [usize],
    /// Bits of the hash that choose a segment.
    depth: u32,
    /// Segment of each value of those bits.
    directory: Vec<u32>,
    segments: Vec<Segment>,
    len: usize,
}

struct Segment {
    slots: TableVec<Slot, TableMemory>,
    /// Bits of the hash that all its entries share.
    depth: u32,
    live: u16,
    /// Entries and tombstones.
    used: u16,
}

/// Slots that may be used, tombstones included, before a segment of that size grows, is split or cleaned.
const fn used_max(size: usize) -> usize {
    size * 88 / 100
}

impl Segment {
    fn new(memory: &TableMemory, size: usize, depth: u32) -> Self {
        let mut slots = TableVec::with_capacity_in(size, memory.clone());
        slots.resize(size, Slot::EMPTY);
        Segment { slots, depth, live: 0, used: 0 }
    }

    fn is_full(&self) -> bool {
        usize::from(self.used) >= used_max(self.slots.len())
    }

    /// Whether entries fill it, not tombstones.
    fn is_crowded(&self) -> bool {
        usize::from(self.live) >= self.slots.len() * 66 / 100
    }

    /// Slots from the key's home on. There is always an empty one.
    fn probe(&self, key: u64) -> impl Iterator<Item = usize> + use<> {
        let size = self.slots.len();
        let home = home_of_key(key) * size / SLOTS;
        (home..size).chain(0..home)
    }

    fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<usize> {
        let key = key_of(hash, self.depth);
        for at in self.probe(key) {
            let slot = self.slots[at];
            if slot.key() == key && is(slot.position()) {
                return Some(at);
            }
            if slot == Slot::EMPTY {
                return None;
            }
        }
        None
    }

    /// The caller has seen to it that there is room.
    fn insert(&mut self, key: u64, position: u32) {
        let free = self.probe(key).find(|at| !self.slots[*at].is_entry());
        let at = free.expect("a segment is never full");
        self.used += u16::from(self.slots[at] == Slot::EMPTY);
        self.live += 1;
        self.slots[at] = Slot::new(key, position);
    }

    fn remove(&mut self, at: usize) {
        self.live -= 1;
        let size = self.slots.len();
        if self.slots[(at + 1) % size] != Slot::EMPTY {
            self.slots[at] = Slot::GONE;
            return;
        }
        // Nobody probes past here: the slot is empty, and so are tombstones that lead to it.
        let mut at = at;
        loop {
            self.slots[at] = Slot::EMPTY;
            self.used -= 1;
            at = (at + size - 1) % size;
            if self.slots[at] != Slot::GONE {
                return;
            }
        }
    }

    /// Takes all entries out.
    fn drain(&mut self) -> Vec<Slot> {
        let all = self.slots.iter().copied().filter(|slot| slot.is_entry()).collect();
        self.slots.fill(Slot::EMPTY);
        (self.live, self.used) = (0, 0);
        all
    }
}

impl Index {
    pub(crate) fn new(memory: TableMemory) -> Self {
        let sizes: &[usize] = if memory.is_heap() { &GROWING } else { &WHOLE };
        Index { memory, sizes, depth: 0, directory: Vec::new(), segments: Vec::new(), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The entry of that hash for which `is` holds.
    pub(crate) fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        if self.segments.is_empty() {
            return None;
        }
        let segment = &self.segments[self.segment(hash)];
        segment.find(hash, is).map(|at| segment.slots[at].position())
    }

    /// Adds an entry. `hash_of` tells the hashes of those that are in already; it is asked when a
    /// segment is split for the tenth time.
    pub(crate) fn insert(&mut self, hash: u64, position: u32, hash_of: impl Fn(u32) -> u64) {
        if self.segments.is_empty() {
            self.segments.push(self.segment_for(0, 0));
            self.directory.push(0);
        }
        let mut at = self.segment(hash);
        while self.segments[at].is_full() {
            if self.segments[at].is_crowded() && self.segments[at].slots.len() == SLOTS {
                self.split(hash, &hash_of);
            } else {
                self.refill(at);
            }
            at = self.segment(hash);
        }
        let segment = &mut self.segments[at];
        segment.insert(key_of(hash, segment.depth), position);
        self.len += 1;
    }

    /// Takes an entry out; whether it was there.
    pub(crate) fn remove(&mut self, hash: u64, position: u32) -> bool {
        if self.segments.is_empty() {
            return false;
        }
        let segment = self.segment(hash);
        let segment = &mut self.segments[segment];
        let Some(at) = segment.find(hash, |other| other == position) else { return false };
        segment.remove(at);
        self.len -= 1;
        true
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.segments.iter().map(|segment| size_of_val(&segment.slots[..])).sum::<usize>()
            + self.segments.capacity() * size_of::<Segment>()
            + self.directory.capacity() * size_of::<u32>()
    }

    /// The first bits of a hash.
    fn prefix(&self, hash: u64) -> usize {
        // A shift by 64 bits is the answer 0 for a directory of one.
        hash.checked_shr(64 - self.depth).unwrap_or(0) as usize
    }

    fn segment(&self, hash: u64) -> usize {
        self.directory[self.prefix(hash)] as usize
    }

    /// An empty segment with room for so many entries and one more.
    fn segment_for(&self, entries: usize, depth: u32) -> Segment {
        let size = self.sizes.iter().find(|size| entries < used_max(**size));
        Segment::new(&self.memory, size.copied().unwrap_or(SLOTS), depth)
    }

    /// Moves the entries of a full segment to one of the size that they need, without its tombstones.
    fn refill(&mut self, at: usize) {
        let (old, live) = (&self.segments[at], usize::from(self.segments[at].live));
        // With room for a quarter more, or it would be here again at once.
        let mut fresh = self.segment_for(live + live / 4, old.depth);
        let slots = old.slots.iter().filter(|slot| slot.is_entry());
        slots.for_each(|slot| fresh.insert(slot.key(), slot.position()));
        self.segments[at] = fresh;
    }

    /// Splits the segment of `hash` by one more bit.
    fn split(&mut self, hash: u64, hash_of: impl Fn(u32) -> u64) {
        let old = self.segment(hash);
        let depth = self.segments[old].depth;
        if depth == self.depth {
            self.directory = self.directory.iter().flat_map(|at| [*at, *at]).collect();
            self.depth += 1;
        }
        let new = self.segments.len();
        let slots = self.segments[old].drain();
        let upper = slots.iter().filter(|slot| is_upper(slot.key(), depth)).count();
        self.segments[old] = self.segment_for(slots.len() - upper, depth + 1);
        self.segments.push(self.segment_for(upper, depth + 1));
        let is_window_over = (depth + 1).is_multiple_of(WINDOW_BITS);
        for slot in slots {
            let (key, position) = (slot.key(), slot.position());
            let to = if is_upper(key, depth) { new } else { old };
            let key = if is_window_over { key_of(hash_of(position), depth + 1) } else { key };
            self.segments[to].insert(key, position);
        }
        // The upper half of the prefixes that shared the segment.
        let share = 1usize << (self.depth - depth);
        let first = self.prefix(hash) / share * share;
        let number = u32::try_from(new).expect("there are fewer segments than records");
        self.directory[first + share / 2..first + share].fill(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::hash::BuildHasher;

    fn hash(position: u32) -> u64 {
        foldhash::fast::FixedState::with_seed(7).hash_one(position)
    }

    #[test]
    fn a_large_index_finds_all_and_takes_little_room() {
        let mut index = Index::new(TableMemory::heap());
        for position in 0..600_000 {
            index.insert(hash(position), position, hash);
        }
        for position in 0..600_000 {
            assert_eq!(index.find(hash(position), |other| other == position), Some(position));
        }
        assert_eq!(index.find(hash(600_000), |other| other == 600_000), None);
        assert_eq!(index.len(), 600_000);
        assert!(index.memory_bytes() < 600_000 * 10, "{}", index.memory_bytes());
    }

    #[test]
    fn names_that_come_and_go_leave_no_tombstones_for_good() {
        let mut index = Index::new(TableMemory::heap());
        for position in 0..1_000_000 {
            index.insert(hash(position), position, hash);
            if position >= 100 {
                assert!(index.remove(hash(position - 100), position - 100));
            }
        }
        assert_eq!(index.len(), 100);
        assert_eq!(index.segments.len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Few different hashes, so that segments are crowded and tags collide.
        #[test]
        fn it_agrees_with_a_map(
            ops in prop::collection::vec((any::<bool>(), 0u32..3000), 1..9000), spread in 1u64..4000,
        ) {
            let hash = |position: u32| {
                foldhash::fast::FixedState::with_seed(7).hash_one(u64::from(position) % spread)
            };
            // Entries of one hash must fit in one segment: no bit can part them.
            prop_assume!(3000 / spread < 300);
            let mut index = Index::new(TableMemory::heap());
            let mut model = BTreeMap::new();
            for (add, position) in ops {
                let known = model.contains_key(&position);
                if add && !known {
                    index.insert(hash(position), position, hash);
                    model.insert(position, ());
                } else if !add {
                    prop_assert_eq!(index.remove(hash(position), position), known);
                    model.remove(&position);
                }
            }
            prop_assert_eq!(index.len(), model.len());
            for position in 0..3000 {
                let found = index.find(hash(position), |other| other == position);
                prop_assert_eq!(found.is_some(), model.contains_key(&position));
            }
        }
    }
}
