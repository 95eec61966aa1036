//! From the journal to the tree: what a master does before it serves.

use alluxio_journal::{JournalError, JournalStore, Recovered, Replay};
use alluxio_namespace::{Checkpoint, Foundation, Namespace, Restorer};
use alluxio_types::{CheckpointRecord, Entry, JournalSeq};

/// Rebuilds the tree on `foundation` from the newest checkpoint and the entries after it. Blocking.
///
/// **Errors**: what [`JournalStore::load`] says.
pub fn recover(
    journal: &dyn JournalStore,
    foundation: &Foundation,
) -> Result<(Namespace, Recovered), JournalError> {
    let mut replay = Rebuild { foundation: foundation.clone(), restorer: None, namespace: None };
    let recovered = journal.load(&mut replay)?;
    let at = recovered.checkpoint.as_ref().map_or(JournalSeq(0), |checkpoint| checkpoint.at);
    Ok((replay.finish(at), recovered))
}

struct Rebuild {
    foundation: Foundation,
    restorer: Option<Restorer>,
    namespace: Option<Namespace>,
}

impl Rebuild {
    fn finish(self, at: JournalSeq) -> Namespace {
        match (self.namespace, self.restorer) {
            (Some(namespace), _) => namespace,
            (None, Some(restorer)) => restorer.finish(at),
            (None, None) => Namespace::on(&self.foundation),
        }
    }
}

impl Replay for Rebuild {
    fn restart(&mut self) {
        (self.restorer, self.namespace) = (None, None);
    }

    fn checkpoint(&mut self, record: CheckpointRecord) {
        let restorer = self.restorer.get_or_insert_with(|| Restorer::on(&self.foundation));
        restorer.push(&record);
    }

    fn entry(&mut self, seq: JournalSeq, entry: Entry) {
        let restorer = &mut self.restorer;
        let namespace = self.namespace.get_or_insert_with(|| match restorer.take() {
            // Positions grow by one, so the checkpoint stands just before the first entry.
            Some(restorer) => restorer.finish(JournalSeq(seq.0 - 1)),
            None => Namespace::on(&self.foundation),
        });
        namespace.apply(seq, &entry);
    }
}

/// Records copied from the tree at once: a few hundred microseconds of one shard's lock.
const STEP_RECORDS: usize = 512;

/// Writes `checkpoint` into the journal and drops what it covers. Blocking; changes go on.
///
/// **Errors**: what the journal says; the tree is not affected.
pub fn write_checkpoint(
    journal: &dyn JournalStore,
    mut checkpoint: Checkpoint,
) -> Result<JournalSeq, JournalError> {
    let at = checkpoint.seq();
    let mut sink = journal.begin_checkpoint(at)?;
    loop {
        let records = checkpoint.step(STEP_RECORDS);
        if records.is_empty() {
            break;
        }
        for record in &records {
            sink.put(record)?;
        }
    }
    // The tree moves on while its checkpoint is written, so its hash is not at hand here; the
    // file carries a checksum of its own.
    sink.finish(0)?;
    journal.truncate()?;
    Ok(at)
}
