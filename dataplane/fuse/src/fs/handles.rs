//! Open files and listings. A handle is a convenience: one that is not here, because it was given out by a
//! server before us, is made anew from its node.

use super::draft::Draft;
use super::list::Listing;
use alluxio_client::FileReader;
use std::collections::HashMap;
use std::sync::Arc;

/// What a handle leads to.
#[derive(Clone)]
pub(crate) enum Handle {
    /// One version of a file.
    Reader(Arc<FileReader>),
    /// A file that is being written.
    Draft(Arc<Draft>),
    /// A directory.
    Listing(Arc<Listing>),
}

/// All of them.
pub(crate) struct Handles {
    next: u64,
    open: HashMap<u64, Handle>,
}

/// Handles of one process before those of the next one begin: more than any gives out.
const GENERATION_SHIFT: u32 = 40;

impl Handles {
    /// Gives out other numbers than every process before: the kernel still uses theirs.
    pub(crate) fn of_generation(generation: u64) -> Self {
        Handles { next: generation << GENERATION_SHIFT, open: HashMap::new() }
    }

    pub(crate) fn insert(&mut self, handle: Handle) -> u64 {
        self.next += 1;
        self.open.insert(self.next, handle);
        self.next
    }

    /// A handle of a process before us leads somewhere.
    pub(crate) fn insert_at(&mut self, number: u64, handle: Handle) {
        self.open.insert(number, handle);
    }

    pub(crate) fn get(&self, number: u64) -> Option<Handle> {
        self.open.get(&number).cloned()
    }

    /// The handle leads elsewhere from now on, if it is still open.
    pub(crate) fn renew(&mut self, number: u64, handle: Handle) {
        if let Some(there) = self.open.get_mut(&number) {
            *there = handle;
        }
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<Handle> {
        self.open.remove(&number)
    }
}
