//! A table of equal things with stable u32 positions, grown in chunks so that growing never copies
//! what is there.

use allocator_api2::vec::Vec as TableVec;
use alluxio_host::TableMemory;

/// Items of a chunk.
const CHUNK: usize = 1024;
const SHIFT: u32 = CHUNK.trailing_zeros();

/// A thing that can say "nobody lives here".
pub(crate) trait Vacant {
    fn vacant() -> Self;
    fn is_vacant(&self) -> bool;
}

/// The table. Positions of removed things are used again.
pub(crate) struct Slab<T> {
    memory: TableMemory,
    chunks: Vec<TableVec<T, TableMemory>>,
    free: Vec<u32>,
    high: u32,
}

impl<T: Vacant> Slab<T> {
    pub(crate) fn new(memory: TableMemory) -> Self {
        Slab { memory, chunks: Vec::new(), free: Vec::new(), high: 0 }
    }

    /// One past the highest position ever used.
    pub(crate) fn high(&self) -> u32 {
        self.high
    }

    /// The thing at `index`; `None` when nobody lives there.
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let item = self.chunks.get((index >> SHIFT) as usize)?.get(index as usize % CHUNK)?;
        (!item.is_vacant()).then_some(item)
    }

    pub(crate) fn at(&self, index: u32) -> &T {
        &self.chunks[(index >> SHIFT) as usize][index as usize % CHUNK]
    }

    pub(crate) fn at_mut(&mut self, index: u32) -> &mut T {
        &mut self.chunks[(index >> SHIFT) as usize][index as usize % CHUNK]
    }

    pub(crate) fn insert(&mut self, item: T) -> u32 {
        if let Some(index) = self.free.pop() {
            *self.at_mut(index) = item;
            return index;
        }
        let index = self.high;
        self.high = self.high.checked_add(1).expect("plan keeps tables below 2^28 things");
        let chunk = (index >> SHIFT) as usize;
        if chunk == self.chunks.len() {
            // The first chunk grows with its content: most tables of a small tree are small.
            let capacity = if chunk == 0 { 0 } else { CHUNK };
            self.chunks.push(TableVec::with_capacity_in(capacity, self.memory.clone()));
        }
        self.chunks[chunk].push(item);
        index
    }

    pub(crate) fn remove(&mut self, index: u32) -> T {
        self.free.push(index);
        std::mem::replace(self.at_mut(index), T::vacant())
    }

    /// All things and their positions.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..self.high).filter_map(|index| self.get(index).map(|item| (index, item)))
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let items: usize = self.chunks.iter().map(TableVec::capacity).sum();
        items * size_of::<T>()
            + self.chunks.capacity() * size_of::<TableVec<T, TableMemory>>()
            + self.free.capacity() * size_of::<u32>()
    }
}
