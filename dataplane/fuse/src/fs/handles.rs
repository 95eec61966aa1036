//! Open files and listings. A handle is a convenience: one that is not here, because it was given out by a
//! server before us, is made anew from its node.

use super::list::Listing;
use super::write::Draft;
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
#[derive(Default)]
pub(crate) struct Handles {
    next: u64,
    open: HashMap<u64, Handle>,
}

impl Handles {
    pub(crate) fn insert(&mut self, handle: Handle) -> u64 {
        self.next += 1;
        self.open.insert(self.next, handle);
        self.next
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
