//! From the journal to the tree, and from the tree to a checkpoint.

use alluxio_host::planted::{self, Bug};
use alluxio_journal::{
    CheckpointInfo, CheckpointSink, JournalError, JournalStore, Recovered, Replay, StateDigest,
};
use alluxio_namespace::{Checkpoint, Foundation, Namespace, Rebuild, StateHash};
use alluxio_types::{CheckpointRecord, Entry, JournalSeq};
use std::sync::Arc;

/// Rebuilds the tree on `foundation` from the newest checkpoint and the entries after it. Blocking.
///
/// **Errors**: what [`JournalStore::load`] says.
pub fn recover(
    journal: &dyn JournalStore,
    foundation: &Foundation,
) -> Result<(Arc<Namespace>, Recovered), JournalError> {
    let mut tree = Tree(Rebuild::on(foundation));
    let recovered = journal.load(&mut tree)?;
    let at = recovered.checkpoint.as_ref().map_or(JournalSeq(0), |checkpoint| checkpoint.at);
    Ok((tree.0.at(at), recovered))
}

/// A tree that a journal is replayed into.
#[derive(Default)]
pub struct Tree(pub Rebuild);

impl Replay for Tree {
    fn restart(&mut self) {
        self.0.restart();
    }

    fn checkpoint(&mut self, record: &CheckpointRecord) {
        self.0.record(record);
    }

    fn entry(&mut self, seq: JournalSeq, entry: Entry) {
        self.0.entry(seq, &entry);
    }

    fn state_hash(&self) -> Option<StateDigest> {
        Some(digest(self.0.state_hash()))
    }
}

/// Looks at a checkpoint's records and keeps nothing but their hash.
#[derive(Default)]
pub(crate) struct Check(StateHash);

impl Replay for Check {
    fn restart(&mut self) {
        self.0 = StateHash::new();
    }

    fn checkpoint(&mut self, record: &CheckpointRecord) {
        self.0.add(record);
    }

    fn entry(&mut self, _: JournalSeq, _: Entry) {}

    fn state_hash(&self) -> Option<StateDigest> {
        Some(digest(self.0.finish()))
    }
}

/// A hash as this version computes it.
pub fn digest(hash: u64) -> StateDigest {
    StateDigest { kind: StateHash::KIND, hash }
}

/// Records copied from the tree at once: a few hundred microseconds of one shard's lock.
const STEP_RECORDS: usize = 512;

/// Gives all records of `checkpoint` to `put`; returns the hash of the state that they make.
///
/// **Errors**: the first one of `put`, which ends the copying.
pub fn copy_records<E>(
    mut checkpoint: Checkpoint,
    mut put: impl FnMut(&CheckpointRecord) -> Result<(), E>,
) -> Result<StateDigest, E> {
    let mut hash = StateHash::new();
    loop {
        let records = checkpoint.step(STEP_RECORDS);
        if records.is_empty() {
            let off_by = u64::from(planted::is(Bug::WrongStateHash));
            return Ok(digest(hash.finish() ^ off_by));
        }
        for record in records {
            hash.add(record);
            put(record)?;
        }
    }
}

/// Writes all of `checkpoint` into `sink`, with the hash of its state. Blocking; changes go on.
///
/// **Errors**: what the journal says; nothing is left of what was written.
pub(crate) fn fill(
    mut sink: Box<dyn CheckpointSink>,
    checkpoint: Checkpoint,
) -> Result<CheckpointInfo, JournalError> {
    let state_hash = copy_records(checkpoint, |record| sink.put(record))?;
    sink.finish(state_hash)
}

/// Writes `checkpoint` into the journal and drops what it covers. Blocking; changes go on.
///
/// **Errors**: what the journal says; the tree is not affected.
pub fn write_checkpoint(
    journal: &dyn JournalStore,
    checkpoint: Checkpoint,
) -> Result<JournalSeq, JournalError> {
    let at = checkpoint.seq();
    fill(journal.begin_checkpoint(at)?, checkpoint)?;
    journal.truncate()?;
    Ok(at)
}
