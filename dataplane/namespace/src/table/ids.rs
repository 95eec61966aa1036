//! From an inode's id to where its record is.
//!
//! Containers are handed out in order and never again, so the index is an array in pages of
//! [`PAGE`]. A page that few inodes have survived on is dissolved into a hash map, so that a
//! namespace that lives through billions of short-lived files does not keep their pages.

use allocator_api2::vec::Vec as TableVec;
use alluxio_host::TableMemory;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::sync::RwLock;

const PAGE: usize = 256;
const PAGE_SHIFT: u32 = PAGE.trailing_zeros();
/// A page with fewer inodes is dissolved, once it is not the newest of its part.
const PAGE_LIVE_MIN: u16 = 16;
const PARTS: usize = 16;
const NOWHERE: Location = Location(u32::MAX);

/// Which shard holds a record, and where in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Location(u32);

/// Bits of a location that name the shard.
pub(crate) const SHARD_BITS: u32 = 4;
/// Records of one shard, that is also of one directory, and the most that a location can name.
pub(crate) const SLOTS_MAX: u32 = 1 << (32 - SHARD_BITS);

impl Location {
    pub(crate) fn new(shard: usize, slot: u32) -> Self {
        debug_assert!(slot < SLOTS_MAX);
        Location(slot << SHARD_BITS | u32::try_from(shard).expect("there are few shards"))
    }

    pub(crate) fn shard(self) -> usize {
        (self.0 & ((1 << SHARD_BITS) - 1)) as usize
    }

    pub(crate) fn slot(self) -> u32 {
        self.0 >> SHARD_BITS
    }
}

struct Page {
    live: u16,
    /// [`PAGE`] of them.
    at: TableVec<Location, TableMemory>,
}

#[derive(Default)]
struct Part {
    pages: HashMap<u64, Page, FixedState>,
    sparse: HashMap<u64, Location, FixedState>,
    newest: u64,
}

/// The index. Its locks are taken alone and for one look.
pub(crate) struct Ids {
    memory: TableMemory,
    parts: [RwLock<Part>; PARTS],
}

impl Page {
    fn new(memory: &TableMemory) -> Self {
        let mut at = TableVec::with_capacity_in(PAGE, memory.clone());
        at.resize(PAGE, NOWHERE);
        Page { live: 0, at }
    }
}

fn split(container: u64) -> (usize, u64, usize) {
    let page = container >> PAGE_SHIFT;
    let mask = PARTS as u64 - 1;
    ((page & mask) as usize, page, (container & (PAGE as u64 - 1)) as usize)
}

impl Ids {
    pub(crate) fn new(memory: TableMemory) -> Self {
        Ids { memory, parts: Default::default() }
    }

    pub(crate) fn get(&self, container: u64) -> Option<Location> {
        let (part, page, at) = split(container);
        let part = read(&self.parts[part]);
        let paged = part.pages.get(&page).map(|page| page.at[at]);
        match paged.filter(|&location| location != NOWHERE) {
            Some(location) => Some(location),
            None if part.sparse.is_empty() => None,
            None => part.sparse.get(&container).copied(),
        }
    }

    /// Sets the location of a new inode, or of one that moved.
    pub(crate) fn set(&self, container: u64, location: Location) {
        let (part, page, at) = split(container);
        let part = &mut *write(&self.parts[part]);
        if let Some(known) = part.sparse.get_mut(&container) {
            *known = location;
            return;
        }
        if page > part.newest {
            // The one before has been spared so far, however few inodes were left on it.
            let before = std::mem::replace(&mut part.newest, page);
            if part.pages.get(&before).is_some_and(|page| page.live < PAGE_LIVE_MIN) {
                part.dissolve(before);
            }
        }
        let page = part.pages.entry(page).or_insert_with(|| Page::new(&self.memory));
        if page.at[at] == NOWHERE {
            page.live += 1;
        }
        page.at[at] = location;
    }

    pub(crate) fn remove(&self, container: u64) {
        let (part, number, at) = split(container);
        let part = &mut *write(&self.parts[part]);
        if part.sparse.remove(&container).is_some() {
            return;
        }
        let newest = part.newest;
        let page = part.pages.get_mut(&number).expect("an inode that is removed is in the index");
        assert!(page.at[at] != NOWHERE, "an inode is removed once");
        page.at[at] = NOWHERE;
        page.live -= 1;
        if page.live < PAGE_LIVE_MIN && number != newest {
            part.dissolve(number);
        }
    }

    /// Dissolves all pages that are nearly empty, after a restore has filled them in any order.
    pub(crate) fn tidy(&self) {
        for part in &self.parts {
            let part = &mut *write(part);
            let newest = part.newest;
            let few: Vec<u64> = part
                .pages
                .iter()
                .filter(|(number, page)| page.live < PAGE_LIVE_MIN && **number != newest)
                .map(|(&number, _)| number)
                .collect();
            for number in few {
                part.dissolve(number);
            }
        }
    }

    pub(crate) fn len(&self) -> u64 {
        let count = |part: &Part| {
            part.pages.values().map(|page| u64::from(page.live)).sum::<u64>()
                + part.sparse.len() as u64
        };
        self.parts.iter().map(|part| count(&read(part))).sum()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.parts
            .iter()
            .map(|part| {
                let part = read(part);
                part.pages.allocation_size()
                    + part.pages.len() * size_of::<[Location; PAGE]>()
                    + part.sparse.allocation_size()
            })
            .sum()
    }
}

impl Part {
    fn dissolve(&mut self, number: u64) {
        let Some(page) = self.pages.remove(&number) else { return };
        let first = number << PAGE_SHIFT;
        let live = (first..).zip(page.at.iter()).filter(|(_, location)| **location != NOWHERE);
        self.sparse.extend(live.map(|(container, &location)| (container, location)));
    }
}

/// Takes a lock that is never held across a panic, but for a broken invariant that ends the
/// process.
pub(crate) fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().expect("a broken invariant ended the writer, and must end the process")
}

/// As [`read`], for the writer.
pub(crate) fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().expect("a broken invariant ended the writer, and must end the process")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survivors_of_many_short_lived_files_take_little_room() {
        let ids = Ids::new(TableMemory::heap());
        for container in 0..200_000u64 {
            ids.set(container, Location::new(3, (container & 0xffff) as u32));
            if container >= 1000 && !(container - 1000).is_multiple_of(1000) {
                ids.remove(container - 1000);
            }
        }
        assert_eq!(ids.len(), 1000 + 199);
        for container in (0..199_000).step_by(1000) {
            assert_eq!(ids.get(container), Some(Location::new(3, (container & 0xffff) as u32)));
            assert_eq!(ids.get(container + 1), None);
        }
        assert!(ids.memory_bytes() < 100_000, "{}", ids.memory_bytes());
        ids.set(5000, Location::new(1, 1));
        assert_eq!(ids.get(5000), Some(Location::new(1, 1)));
    }
}
