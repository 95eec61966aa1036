//! Files whose blocks here may be their only copies: these blocks move down, they are never evicted.
//!
//! A pin is a wish of the user's and holds a block in its tier; this is about not losing bytes.

use crate::store::{BlockStore, Inner};
use alluxio_types::InodeId;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock};

/// The set. 8 bytes a file, and some for the tree.
#[derive(Default)]
pub(crate) struct Kept(RwLock<BTreeSet<InodeId>>);

impl Kept {
    fn contains(&self, inode: InodeId) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(&inode)
    }
}

impl Inner {
    /// Whether a block must not leave the store to make room.
    pub(crate) fn is_kept(&self, block: alluxio_types::BlockId) -> bool {
        self.kept.contains(block.inode())
    }
}

impl BlockStore {
    /// From now on blocks of these files are not evicted from the lowest tier, whatever needs the
    /// room. [`BlockStore::remove`] removes them all the same.
    pub fn keep(&self, inodes: impl IntoIterator<Item = InodeId>) {
        self.inner().kept.0.write().unwrap_or_else(PoisonError::into_inner).extend(inodes);
    }

    /// Ends what [`BlockStore::keep`] began: the bytes are safe elsewhere, or nobody wants them.
    pub fn release(&self, inodes: impl IntoIterator<Item = InodeId>) {
        let mut kept = self.inner().kept.0.write().unwrap_or_else(PoisonError::into_inner);
        for inode in inodes {
            kept.remove(&inode);
        }
    }

    /// Up to `max` kept files behind `after`, in order of id.
    pub fn kept_after(&self, after: Option<InodeId>, max: usize) -> Vec<InodeId> {
        let kept = self.inner().kept.0.read().unwrap_or_else(PoisonError::into_inner);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        kept.range((from, Bound::Unbounded)).take(max).copied().collect()
    }
}
