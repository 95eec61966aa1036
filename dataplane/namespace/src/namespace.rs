//! The structure that holds the tree.

use crate::{Context, Plan, Refusal, Request};
use alluxio_types::{Entry, JournalSeq, MountId, MountInfo};
use std::sync::Arc;

/// The tree. One writer, many readers; see the crate's page.
#[derive(Debug, Default)]
pub struct Namespace {}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Files and directories, the root included.
    pub inodes: u64,
    /// Files.
    pub files: u64,
    /// Directories, the root included.
    pub directories: u64,
    /// Sum of the lengths of all complete files.
    pub file_bytes: u64,
    /// Pinned files.
    pub pinned: u64,
    /// Files on the list of what must reach the UFS.
    pub to_be_persisted: u64,
    /// Memory of the tables, by their capacity.
    pub memory_bytes: u64,
}

impl Namespace {
    /// An empty tree, not formatted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decides on a request and changes nothing. Only the writer calls it, and applies the
    /// entries, in order, before the next `plan`.
    ///
    /// **Errors**: a typed refusal, with the position that it depends on.
    pub fn plan(&self, request: &Request, context: &Context<'_>) -> Result<Plan, Refusal> {
        let _ = (request, context);
        todo!()
    }

    /// Changes the tree. The only mutator, for the primary, the standby and recovery alike.
    ///
    /// **Panics** when the entry does not fit the tree: the journal and the tree disagree, and a
    /// wrong primary is worse than none. Entries of a plan just made always fit.
    pub fn apply(&self, seq: JournalSeq, entry: &Entry) {
        let _ = (seq, entry);
        todo!()
    }

    /// Highest position applied.
    pub fn applied(&self) -> JournalSeq {
        todo!()
    }

    /// The cluster's id; `None` before `Format`.
    pub fn cluster_id(&self) -> Option<String> {
        todo!()
    }

    /// How much there is. Cheap: counters only, but for the memory (one lock a shard).
    pub fn stats(&self) -> Stats {
        todo!()
    }

    /// A hash of all that is journaled, whatever the order of entries that led here. Equal trees
    /// have equal hashes. Takes time with the number of inodes; the writer must rest.
    pub fn state_hash(&self) -> u64 {
        todo!()
    }

    /// Checks the structure against itself; for tests and `fsck`-like tools. The writer must rest.
    ///
    /// **Errors**: the first contradiction, in words.
    pub fn check_invariants(&self) -> Result<(), String> {
        todo!()
    }

    /// The mount with that id.
    pub fn mount_by_id(&self, id: MountId) -> Option<Arc<MountInfo>> {
        let _ = id;
        todo!()
    }
}
