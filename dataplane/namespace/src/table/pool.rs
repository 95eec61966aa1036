//! Short byte strings, in size classes of 4 bytes, so that freed room is used again by strings of
//! the same class and nothing is ever moved.

use super::slab::{Slab, Vacant};
use allocator_api2::vec::Vec as TableVec;
use alluxio_host::TableMemory;

/// Bytes of a chunk of one class.
const CHUNK_BYTES: usize = 16 * 1024;
/// Longest string in a class; longer ones are boxed.
const CLASS_BYTES_MAX: usize = 256;
const STEP: usize = 4;

/// Position of a string; together with its length it finds the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolRef(pub(crate) u32);

impl PoolRef {
    /// The empty string takes no room.
    pub(crate) const EMPTY: PoolRef = PoolRef(u32::MAX);
}

#[derive(Default)]
struct Class {
    chunks: Vec<TableVec<u8, TableMemory>>,
    free: Vec<u32>,
    high: u32,
}

impl Vacant for Option<Box<[u8]>> {
    fn vacant() -> Self {
        None
    }

    fn is_vacant(&self) -> bool {
        self.is_none()
    }
}

/// The strings of one shard.
pub(crate) struct Pool {
    memory: TableMemory,
    classes: Vec<Class>,
    large: Slab<Option<Box<[u8]>>>,
    large_bytes: usize,
}

fn class_of(len: usize) -> usize {
    (len - 1) / STEP
}

fn size_of_class(class: usize) -> usize {
    (class + 1) * STEP
}

impl Pool {
    pub(crate) fn new(memory: TableMemory) -> Self {
        // Long strings are few: they stay on the heap.
        let large = Slab::new(TableMemory::heap());
        Pool { memory, classes: Vec::new(), large, large_bytes: 0 }
    }

    pub(crate) fn insert(&mut self, bytes: &[u8]) -> PoolRef {
        if bytes.is_empty() {
            return PoolRef::EMPTY;
        }
        if bytes.len() > CLASS_BYTES_MAX {
            self.large_bytes += bytes.len();
            return PoolRef(self.large.insert(Some(bytes.into())));
        }
        let class = class_of(bytes.len());
        if self.classes.len() <= class {
            self.classes.resize_with(class + 1, Class::default);
        }
        self.classes[class].insert(bytes, size_of_class(class), &self.memory)
    }

    pub(crate) fn get(&self, at: PoolRef, len: usize) -> &[u8] {
        if len == 0 {
            return &[];
        }
        if len > CLASS_BYTES_MAX {
            return self.large.at(at.0).as_deref().expect("a reference is dropped with its string");
        }
        let class = class_of(len);
        let size = size_of_class(class);
        let per_chunk = CHUNK_BYTES / size;
        let start = at.0 as usize % per_chunk * size;
        &self.classes[class].chunks[at.0 as usize / per_chunk][start..start + len]
    }

    pub(crate) fn remove(&mut self, at: PoolRef, len: usize) {
        if len == 0 {
            return;
        }
        if len > CLASS_BYTES_MAX {
            self.large_bytes -= len;
            self.large.remove(at.0);
            return;
        }
        self.classes[class_of(len)].free.push(at.0);
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let classes: usize = self
            .classes
            .iter()
            .map(|class| {
                class.chunks.iter().map(TableVec::capacity).sum::<usize>()
                    + class.chunks.capacity() * size_of::<TableVec<u8, TableMemory>>()
                    + class.free.capacity() * size_of::<u32>()
            })
            .sum();
        classes + self.large.memory_bytes() + self.large_bytes
    }
}

impl Class {
    fn insert(&mut self, bytes: &[u8], size: usize, memory: &TableMemory) -> PoolRef {
        let per_chunk = CHUNK_BYTES / size;
        let index = self.free.pop().unwrap_or_else(|| {
            let index = self.high;
            self.high = index.checked_add(1).expect("plan keeps tables below 2^28 things");
            let chunk = index as usize / per_chunk;
            if chunk == self.chunks.len() {
                let capacity = if chunk == 0 { 0 } else { per_chunk * size };
                self.chunks.push(TableVec::with_capacity_in(capacity, memory.clone()));
            }
            let len = self.chunks[chunk].len();
            self.chunks[chunk].resize(len + size, 0);
            index
        });
        let start = index as usize % per_chunk * size;
        self.chunks[index as usize / per_chunk][start..start + bytes.len()].copy_from_slice(bytes);
        PoolRef(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_all_lengths_come_back_and_their_room_is_used_again() {
        let mut pool = Pool::new(TableMemory::heap());
        let text = |len: usize, salt: usize| -> Vec<u8> {
            (0..len).map(|i| u8::try_from((i * 7 + salt) % 251).unwrap()).collect()
        };
        let mut held = Vec::new();
        for round in 0..3 {
            for len in (0..300).chain([1024, 5000]) {
                let bytes = text(len, round);
                held.push((pool.insert(&bytes), bytes));
            }
        }
        for (at, bytes) in &held {
            assert_eq!(pool.get(*at, bytes.len()), bytes);
        }
        let before = pool.memory_bytes();
        for (at, bytes) in held.drain(..) {
            pool.remove(at, bytes.len());
        }
        for round in 0..3 {
            for len in 0..300 {
                pool.insert(&text(len, round));
            }
        }
        // The places that are free again are remembered in 4 bytes each.
        assert!(pool.memory_bytes() <= before + 4 * 3 * 512, "{before}");
    }
}
