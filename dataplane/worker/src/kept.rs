//! Files that may be in no UFS: their blocks are not evicted until the master says otherwise.
//!
//! What a client writes without a UFS file beside it is kept from its commit on, and so is all that
//! a start finds. Heartbeats ask about some of them, in turns; files that are persisted by now, or
//! gone, are released.

use alluxio_blockstore::BlockStore;
use alluxio_types::InodeId;
use std::sync::{Mutex, PoisonError};

/// Files in one question: 10 KB of a heartbeat.
const QUESTION_MAX: usize = 1024;

/// Whose turn it is.
#[derive(Default)]
pub(crate) struct KeptFiles {
    asked: Mutex<Option<InodeId>>,
}

impl KeptFiles {
    /// A file whose block is about to be committed.
    pub(crate) fn written(&self, store: &BlockStore, inode: InodeId) {
        store.keep([inode]);
    }

    /// The files that the next heartbeat asks about.
    pub(crate) fn next_question(&self, store: &BlockStore) -> Vec<InodeId> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let next = store.kept_after(*asked, QUESTION_MAX);
        // At the end it begins anew.
        *asked = if next.len() < QUESTION_MAX { None } else { next.last().copied() };
        next
    }
}
