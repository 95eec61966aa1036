//! Files whose blocks must stay: the master's list, and those just written as pinned that the list
//! may not know yet.

use alluxio_blockstore::{BlockStore, PinnedInodes};
use alluxio_types::InodeId;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct State {
    /// Version of the master's list; 0 for none.
    version: u64,
    listed: PinnedInodes,
    /// Pinned by a writer, with the number of the heartbeat that was under way then.
    fresh: BTreeMap<InodeId, u64>,
    heartbeats: u64,
}

/// The pins of a worker.
#[derive(Default)]
pub(crate) struct Pins {
    state: Mutex<State>,
}

impl Pins {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Version of the list that a heartbeat tells the master; counts the heartbeat.
    pub(crate) fn begin_heartbeat(&self) -> u64 {
        let mut state = self.lock();
        state.heartbeats += 1;
        state.version
    }

    /// Pins a file that is being written, until the master's list had time to know it.
    pub(crate) fn pin_written(&self, store: &BlockStore, inode: InodeId) {
        let mut state = self.lock();
        let now = state.heartbeats;
        if state.fresh.insert(inode, now).is_none() && !state.listed.contains(&inode) {
            store.set_pinned(state.union());
        }
    }

    /// Takes the master's list, as the answer to the heartbeat begun last.
    pub(crate) fn take_list(&self, store: &BlockStore, version: u64, inodes: Vec<InodeId>) {
        let mut state = self.lock();
        state.version = version;
        state.listed = inodes.into_iter().collect();
        // What was pinned before that heartbeat began is on the list, or was unpinned since.
        let begun = state.heartbeats;
        state.fresh.retain(|_, at| *at >= begun);
        store.set_pinned(state.union());
    }
}

impl State {
    fn union(&self) -> PinnedInodes {
        self.listed.iter().chain(self.fresh.keys()).copied().collect()
    }
}
