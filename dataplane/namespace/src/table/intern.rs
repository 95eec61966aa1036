//! Values that many inodes share, stored once and never freed. Reading takes no lock.
//!
//! What is interned has few distinct values by nature: (owner, group, mode) triples, and shapes of
//! fingerprints, which [`super::fingerprint`] bounds.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The first bucket holds this many values, each next one twice as many.
const FIRST: usize = 32;
const BUCKETS: usize = 27;

type Bucket<T> = OnceLock<Box<[OnceLock<Arc<T>>]>>;

/// A table of distinct values.
pub(crate) struct Interner<T> {
    buckets: [Bucket<T>; BUCKETS],
    index: Mutex<HashMap<Arc<T>, u32, FixedState>>,
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

impl<T: Eq + Hash> Interner<T> {
    /// The number of `value`, which is new or was there.
    pub(crate) fn intern(&self, value: T) -> u32 {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&id) = index.get(&value) {
            return id;
        }
        let id = u32::try_from(index.len()).expect("interned values are few");
        let value = Arc::new(value);
        let (bucket, at) = place(id);
        let slots = self.buckets[bucket]
            .get_or_init(|| (0..FIRST << bucket).map(|_| OnceLock::new()).collect());
        slots[at].get_or_init(|| Arc::clone(&value));
        index.insert(value, id);
        id
    }

    /// The number of `value` if it is there.
    pub(crate) fn find(&self, value: &T) -> Option<u32> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner).get(value).copied()
    }

    /// The value with that number.
    pub(crate) fn get(&self, id: u32) -> &Arc<T> {
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
        // Slot, index entry, and the value with its counters; text behind it is not counted.
        self.len() * (2 * size_of::<Arc<T>>() + size_of::<T>() + 32)
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
                assert_eq!(table.intern(format!("v{i}")), i, "round {round}");
            }
        }
        for i in 0..1000u32 {
            assert_eq!(**table.get(i), format!("v{i}"));
        }
    }
}
