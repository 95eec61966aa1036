//! Which blocks there are, and in which state.
//!
//! ```text
//!            create                commit                 remove, evict
//!   Absent ---------> Filling ----------------> Committed ------------> Leaving ---> Absent
//!     ^                  |  dropped, doomed        |   ^                 (unlink)
//!     +------------------+                         +---+ moved to another tier
//! ```
//!
//! The map is cut into shards with a lock each. A lock is held for the change of the map only:
//! files are made, copied and unlinked outside. No code here or elsewhere in the crate takes a
//! second lock while it holds one.

use crate::fill::Fill;
use crate::lease::Stored;
use alluxio_types::BlockId;
use hashbrown::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Shards of the map. A lookup holds one for some 50 ns, so 64 are far from contended by the
/// threads of one machine.
const SHARDS: usize = 64;

type Map = HashMap<BlockId, Slot, foldhash::fast::FixedState>;

/// State of a block that is not absent.
pub(crate) enum Slot {
    /// A writer is at work.
    Filling(Arc<Fill>),
    /// Complete.
    Committed(Arc<Stored>),
    /// Complete, and being copied to another directory.
    Moving {
        /// Where it still is.
        stored: Arc<Stored>,
        /// Removed meanwhile: whoever moves it removes it.
        doomed: bool,
    },
    /// Being unlinked: absent for readers, and in the way of a new writer for a moment.
    Leaving,
}

pub(crate) struct Shard {
    map: Mutex<Map>,
    left: Condvar,
}

impl Shard {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Map> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those who wait in [`Shard::wait`] that a block left.
    pub(crate) fn notify(&self) {
        self.left.notify_all();
    }

    /// Gives the lock up until some block left.
    pub(crate) fn wait<'a>(&self, map: MutexGuard<'a, Map>) -> MutexGuard<'a, Map> {
        self.left.wait(map).unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Shards(Box<[Shard]>);

impl Shards {
    pub(crate) fn new() -> Self {
        let shard = || Shard {
            map: Mutex::new(Map::with_hasher(foldhash::fast::FixedState::default())),
            left: Condvar::new(),
        };
        Shards((0..SHARDS).map(|_| shard()).collect())
    }

    pub(crate) fn of(&self, block: BlockId) -> &Shard {
        // Blocks of one file differ in the low bits, files of one container range in the bits
        // above the sequence: mix both.
        let mixed = (block.0 ^ (block.0 >> alluxio_types::id::SEQUENCE_BITS))
            .wrapping_mul(0x9E37_79B9_7F4A_7C15);
        &self.0[(mixed >> 58) as usize % SHARDS]
    }

    pub(crate) fn all(&self) -> &[Shard] {
        &self.0
    }

    /// Takes a block out of the map when it is there and `which` agrees, and marks it as leaving.
    /// The caller unlinks, and then calls [`Shards::left`].
    pub(crate) fn begin_leaving(
        &self,
        block: BlockId,
        which: impl FnOnce(&Arc<Stored>) -> bool,
    ) -> Option<Arc<Stored>> {
        let mut map = self.of(block).lock();
        let slot = map.get_mut(&block)?;
        match slot {
            Slot::Committed(stored) if which(stored) => {
                match std::mem::replace(slot, Slot::Leaving) {
                    Slot::Committed(stored) => Some(stored),
                    _ => unreachable!("the slot was Committed under the same lock"),
                }
            }
            _ => None,
        }
    }

    /// Ends what [`Shards::begin_leaving`] began.
    pub(crate) fn left(&self, block: BlockId) {
        let shard = self.of(block);
        shard.lock().remove(&block);
        shard.notify();
    }
}
