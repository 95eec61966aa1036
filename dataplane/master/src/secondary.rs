//! The secondary master: reads along in the folder of a single master's journal and writes checkpoints
//! into it, so that the primary need not. It serves nobody and can never become the primary.
//!
//! It owns a second tree. Whatever happens to it, the primary goes on; and the journal is never worse
//! for it, see `alluxio_journal::folder::FolderTail`.

use alluxio_host::Host;
use alluxio_journal::folder::FolderTail;
use alluxio_journal::{CheckpointInfo, JournalError, Replay};
use alluxio_namespace::{Namespace, Restorer, StateHash};
use alluxio_types::{CheckpointRecord, Entry, JournalSeq};
use std::path::Path;
use std::sync::Arc;

/// Records copied from the tree at once.
const STEP_RECORDS: usize = 512;

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
        Ok(Secondary { tail, tree: Tree::Nothing, period: period.max(1), last, checkpoint })
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
        self.tree.at(self.last)
    }

    fn write(&mut self) -> Result<CheckpointInfo, JournalError> {
        let namespace = self.tree.at(self.last);
        let mut checkpoint =
            namespace.begin_checkpoint().expect("nobody else holds this tree for a checkpoint");
        let mut sink = self.tail.begin_checkpoint(checkpoint.seq())?;
        let mut hash = StateHash::new();
        loop {
            let records = checkpoint.step(STEP_RECORDS);
            if records.is_empty() {
                break;
            }
            for record in &records {
                hash.add(record);
                sink.put(record)?;
            }
        }
        let info = sink.finish(hash.finish())?;
        self.checkpoint = info.at;
        Ok(info)
    }
}

/// A tree that is built from a checkpoint, or from nothing, and then changed by entries.
enum Tree {
    Nothing,
    Restoring(Box<Restorer>),
    Whole(Arc<Namespace>),
}

impl Tree {
    /// The tree, which is as it was after entry `last`.
    fn at(&mut self, last: JournalSeq) -> Arc<Namespace> {
        let whole = match std::mem::replace(self, Tree::Nothing) {
            Tree::Nothing => Arc::new(Namespace::new()),
            Tree::Restoring(restorer) => Arc::new(restorer.finish(last)),
            Tree::Whole(namespace) => namespace,
        };
        *self = Tree::Whole(whole.clone());
        whole
    }
}

impl Replay for Tree {
    fn restart(&mut self) {
        *self = Tree::Nothing;
    }

    fn checkpoint(&mut self, record: CheckpointRecord) {
        if !matches!(self, Tree::Restoring(_)) {
            *self = Tree::Restoring(Box::new(Restorer::new()));
        }
        if let Tree::Restoring(restorer) = self {
            restorer.push(&record);
        }
    }

    fn entry(&mut self, seq: JournalSeq, entry: Entry) {
        // Positions grow by one, so a checkpoint stands just before the first entry.
        self.at(JournalSeq(seq.0 - 1)).apply(seq, &entry);
    }
}
