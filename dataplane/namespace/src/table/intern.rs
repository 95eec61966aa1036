//! Values that many inodes share, stored once and never freed. Reading takes no lock.
//!
//! What is interned has few distinct values by nature: (owner, group, mode) triples, and shapes of
//! fingerprints, which [`super::fingerprint`] bounds.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hash};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The first bucket holds this many values, each next one twice as many.
const FIRST: usize = 32;
const BUCKETS: usize = 27;

type Bucket<T> = OnceLock<Box<[OnceLock<T>]>>;

/// A table of distinct values.
pub(crate) struct Interner<T> {
    buckets: [Bucket<T>; BUCKETS],
    /// Hash and number of every value.
    index: Mutex<HashTable<(u64, u32)>>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Interner { buckets: [const { OnceLock::new() }; BUCKETS], index: Mutex::default() }
    }
}

/// Bucket of a position, and the position in it.
fn place(id: u32) -> (usize, usize) {
    let shifted = id as usize + FIRST;
    let bucket = (shifted.ilog2() - FIRST.ilog2()) as usize;
    (bucket, shifted - (FIRST << bucket))
}

impl<T> Interner<T> {
    /// The number of the value that `key` describes, which is new or was there. `key` must hash
    /// alike for alike values.
    pub(crate) fn intern<K: Hash>(
        &self,
        key: &K,
        same: impl Fn(&T) -> bool,
        make: impl FnOnce() -> T,
    ) -> u32 {
        let hash = FixedState::with_seed(2).hash_one(key);
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&(_, id)) = index.find(hash, |&(other, id)| other == hash && same(self.get(id)))
        {
            return id;
        }
        let id = u32::try_from(index.len()).expect("interned values are few");
        let (bucket, at) = place(id);
        let slots = self.buckets[bucket]
            .get_or_init(|| (0..FIRST << bucket).map(|_| OnceLock::new()).collect());
        slots[at].get_or_init(make);
        index.insert_unique(hash, (hash, id), |&(hash, _)| hash);
        id
    }

    /// The number of that value if it is there.
    pub(crate) fn find<K: Hash>(&self, key: &K, same: impl Fn(&T) -> bool) -> Option<u32> {
        let hash = FixedState::with_seed(2).hash_one(key);
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        index.find(hash, |&(other, id)| other == hash && same(self.get(id))).map(|&(_, id)| id)
    }

    /// The value with that number.
    pub(crate) fn get(&self, id: u32) -> &T {
        let (bucket, at) = place(id);
        self.buckets[bucket]
            .get()
            .and_then(|slots| slots[at].get())
            .expect("a number is given out after its value is stored")
    }

    pub(crate) fn len(&self) -> usize {
        self.index.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        // Slot and index entry; text behind a value is not counted.
        self.len() * (size_of::<OnceLock<T>>() + 2 * size_of::<(u64, u32)>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_a_number_across_buckets() {
        let table = Interner::<String>::default();
        for round in 0..2 {
            for i in 0..1000u32 {
                let text = format!("v{i}");
                assert_eq!(table.intern(&text, |v| *v == text, || text.clone()), i, "{round}");
                assert_eq!(table.find(&text, |v| *v == text), Some(i));
            }
        }
        for i in 0..1000u32 {
            assert_eq!(*table.get(i), format!("v{i}"));
        }
    }
}
