//! The secondary master: reads along in the folder of a single master's journal and writes checkpoints
//! into it, so that the primary need not. It serves nobody and can never become the primary.
//!
//! It owns a second tree. Whatever happens to it, the primary goes on; and the journal is never worse
//! for it, see `alluxio_journal::folder::FolderTail`.

use crate::recover::{Tree, fill};
use alluxio_host::Host;
use alluxio_journal::folder::FolderTail;
use alluxio_journal::{CheckpointInfo, JournalError};
use alluxio_namespace::{Namespace, Rebuild};
use alluxio_types::JournalSeq;
use std::path::Path;
use std::sync::Arc;

/// A secondary master. All calls block.
pub struct Secondary {
    tail: FolderTail,
    tree: Tree,
    /// Entries between two checkpoints.
    period: u64,
    last: JournalSeq,
    checkpoint: JournalSeq,
}

/// What one step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stepped {
    /// The last entry that is in the tree.
    pub last: JournalSeq,
    /// Entries that this step applied.
    pub entries: u64,
    /// The checkpoint that this step wrote, if one was due.
    pub written: Option<CheckpointInfo>,
}

impl Secondary {
    /// A secondary master for the journal in `folder`, which writes a checkpoint whenever `period`
    /// entries came since the last one.
    ///
    /// **Errors**: as `FolderTail::open`.
    pub fn open(host: &Host, folder: &Path, period: u64) -> Result<Self, JournalError> {
        let tail = FolderTail::open(host, folder)?;
        let (last, checkpoint) = (JournalSeq(0), JournalSeq(0));
        Ok(Secondary {
            tail,
            tree: Tree(Rebuild::default()),
            period: period.max(1),
            last,
            checkpoint,
        })
    }

    /// Applies what is new, and writes a checkpoint when one is due.
    ///
    /// **Errors**: what the journal says. After `Io` and `Full` the next step may well work; after
    /// `Corrupt`, `Gap` and `Foreign` it will not until somebody looks at the journal.
    pub fn step(&mut self) -> Result<Stepped, JournalError> {
        let tailed = self.tail.look(&mut self.tree)?;
        self.last = tailed.last;
        if let Some(found) = &tailed.checkpoint {
            self.checkpoint = found.at;
        }
        let due = self.last.0.saturating_sub(self.checkpoint.0) >= self.period;
        let written = if due { Some(self.write()?) } else { None };
        Ok(Stepped { last: self.last, entries: tailed.entries, written })
    }

    /// The tree, for tests.
    pub fn namespace(&mut self) -> Arc<Namespace> {
        self.tree.0.at(self.last)
    }

    fn write(&mut self) -> Result<CheckpointInfo, JournalError> {
        let namespace = self.tree.0.at(self.last);
        let checkpoint =
            namespace.begin_checkpoint().expect("nobody else holds this tree for a checkpoint");
        let info = fill(self.tail.begin_checkpoint(checkpoint.seq())?, checkpoint)?;
        self.checkpoint = info.at;
        Ok(info)
    }
}
