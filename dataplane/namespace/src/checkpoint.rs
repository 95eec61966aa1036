//! Checkpoints: the whole tree at one journal position, taken in small steps while the writer goes
//! on.

use crate::{Namespace, Refusal};
use alluxio_types::{Entry, JournalSeq};
use std::sync::Arc;

/// A checkpoint that is being taken: the tree as it was after [`Checkpoint::seq`].
///
/// The steps may run in another thread than the writer's. Each holds one shard for the time of
/// copying a few hundred records. Records that the writer changes or deletes before they were
/// copied are kept aside as they were.
#[derive(Debug)]
pub struct Checkpoint {
    _namespace: Arc<Namespace>,
}

impl Checkpoint {
    /// The position that the checkpoint stands for.
    pub fn seq(&self) -> JournalSeq {
        todo!()
    }

    /// The next entries, about `hint` of them; empty at the end. First `Format`,
    /// `ReserveContainers` and `Mount`s, then a `Create` for every inode, in no order that a
    /// reader may rely on (a child may come before its parent).
    pub fn step(&mut self, hint: usize) -> Vec<Entry> {
        let _ = hint;
        todo!()
    }
}

/// Builds a tree from a checkpoint.
#[derive(Debug, Default)]
pub struct Restorer {}

impl Restorer {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one entry of a checkpoint, in any order.
    ///
    /// **Panics** on an entry that no checkpoint contains.
    pub fn push(&mut self, entry: &Entry) {
        let _ = entry;
        todo!()
    }

    /// The tree as it was at `seq`. Apply the journal from `seq + 1` on.
    ///
    /// **Panics** when the entries are not a whole checkpoint (a parent is missing): the file's
    /// checksum should have told.
    pub fn finish(self, seq: JournalSeq) -> Namespace {
        let _ = seq;
        todo!()
    }
}

impl Namespace {
    /// Begins a checkpoint of the tree as it is. The writer calls this between two plans; the steps
    /// may then run anywhere.
    ///
    /// **Errors**: `CheckpointRunning`.
    pub fn begin_checkpoint(self: &Arc<Self>) -> Result<Checkpoint, Refusal> {
        todo!()
    }
}
