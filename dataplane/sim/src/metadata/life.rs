//! One life of a master process: a tree, the journal's folder, and what waits to be written.

use alluxio_host::{Host, ManualClock, MemoryDisk, SeededEntropy};
use alluxio_journal::folder::{FolderLog, format};
use alluxio_journal::{CheckpointSink, EntryBatch, JournalError, Recovered};
use alluxio_master::recover::{Tree, digest};
use alluxio_namespace::{Checkpoint, Namespace};
use alluxio_types::{Entry, JournalSeq, Term, UnixMillis};
use std::path::Path;
use std::sync::Arc;

const FOLDER: &str = "/journal";

/// A process between a start and its end.
pub(super) struct Life {
    pub(super) namespace: Arc<Namespace>,
    log: FolderLog,
    segment_bytes: u64,
    term: Term,
    queue: EntryBatch,
    checkpoint: Option<Taking>,
    /// A checkpoint whose finish failed: it may be there after a crash.
    doubtful: Option<(JournalSeq, u64)>,
}

/// A checkpoint that is being taken.
struct Taking {
    checkpoint: Checkpoint,
    hash: u64,
    /// `None` until its position is durable.
    sink: Option<Box<dyn CheckpointSink>>,
}

fn host(disk: &MemoryDisk) -> Host {
    Host {
        clock: Arc::new(ManualClock::at(UnixMillis(1_700_000_000_000))),
        entropy: Arc::new(SeededEntropy::new(1)),
        disk: Arc::new(disk.clone()),
        ..Host::real()
    }
}

impl Life {
    /// Formats the folder and starts on it.
    pub(super) fn first(disk: &MemoryDisk, segment_bytes: u64) -> Result<Self, String> {
        format(&host(disk), Path::new(FOLDER), "sim").map_err(|error| error.to_string())?;
        let started = Life::start(disk, segment_bytes, 1).map_err(|error| error.to_string())?;
        Ok(started.0)
    }

    /// Recovers the tree from the folder and takes the journal over.
    pub(super) fn start(
        disk: &MemoryDisk,
        segment_bytes: u64,
        term: u64,
    ) -> Result<(Self, Recovered), JournalError> {
        let mut log = FolderLog::open(&host(disk), Path::new(FOLDER), segment_bytes)?;
        let mut tree = Tree::default();
        let recovered = log.load(&mut tree)?;
        let term = Term(term.max(recovered.term.0));
        log.fence(term)?;
        let at = recovered.checkpoint.as_ref().map_or(JournalSeq(0), |found| found.at);
        let life = Life {
            namespace: tree.0.at(at),
            queue: EntryBatch::new(log.next()),
            log,
            segment_bytes,
            term,
            checkpoint: None,
            doubtful: None,
        };
        Ok((life, recovered))
    }

    pub(super) fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    pub(super) fn term(&self) -> Term {
        self.term
    }

    /// Applies an entry and queues it for the journal.
    pub(super) fn apply(&mut self, entry: &Entry) -> JournalSeq {
        let seq = self.queue.push(entry);
        self.namespace.apply(seq, entry);
        seq
    }

    /// Writes the queue; the position that is durable then.
    pub(super) fn flush(&mut self) -> Result<JournalSeq, JournalError> {
        let last = self.queue.last();
        if !self.queue.is_empty() {
            let batch = std::mem::replace(&mut self.queue, EntryBatch::new(last.next()));
            self.log.write_group(&[(self.term, batch)])?;
        }
        Ok(last)
    }

    /// Begins a checkpoint, or goes on with the one that is being taken. Returns position and hash
    /// of one that is finished.
    pub(super) fn step_checkpoint(
        &mut self,
        committed: JournalSeq,
        hash: u64,
        hint: usize,
    ) -> Result<Option<(JournalSeq, u64)>, JournalError> {
        let Some(mut taking) = self.checkpoint.take() else {
            let checkpoint = self.namespace.begin_checkpoint().expect("one at a time");
            self.checkpoint = Some(Taking { checkpoint, hash, sink: None });
            return Ok(None);
        };
        let at = taking.checkpoint.seq();
        let mut sink = match taking.sink.take() {
            Some(sink) => sink,
            None if at > committed => {
                self.checkpoint = Some(taking);
                return Ok(None);
            }
            None => self.log.begin_checkpoint(at)?,
        };
        let records = taking.checkpoint.step(hint);
        let is_end = records.is_empty();
        for record in records {
            sink.put(record)?;
        }
        if !is_end {
            self.checkpoint = Some(Taking { sink: Some(sink), ..taking });
            return Ok(None);
        }
        self.doubtful = Some((at, taking.hash));
        sink.finish(digest(taking.hash))?;
        self.doubtful = None;
        // What truncation leaves behind is removed by the next one.
        let _ = self.log.truncate();
        Ok(Some((at, taking.hash)))
    }

    pub(super) fn take_doubtful_checkpoint(&mut self) -> Option<(JournalSeq, u64)> {
        self.doubtful.take()
    }
}
