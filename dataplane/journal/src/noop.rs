//! A journal that keeps nothing (`alluxio.master.journal.type=NOOP`).

use crate::follow::CommitFollower;
use crate::{
    AppendFuture, CheckpointInfo, CheckpointSink, CommitPublisher, Commits, EntryBatch, Follower,
    JournalError, JournalStore, Record, Recovered, Replay, StateDigest, Truncated,
};
use alluxio_types::{CheckpointRecord, JournalSeq, Term, UnixMillis};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A [`JournalStore`] for benchmarks and clusters that may forget: every entry counts as durable at
/// once and is gone when the process ends.
pub struct NoopJournal {
    state: Mutex<State>,
    publisher: CommitPublisher,
    commits: Commits,
}

struct State {
    term: Term,
    next: JournalSeq,
    closed: bool,
}

impl NoopJournal {
    /// An empty journal.
    pub fn new() -> Self {
        let (publisher, commits) = CommitPublisher::new(JournalSeq(0));
        let state = State { term: Term(0), next: JournalSeq(1), closed: false };
        NoopJournal { state: Mutex::new(state), publisher, commits }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, term: Term, batch: &EntryBatch) -> Result<(), JournalError> {
        let mut state = self.state();
        if state.closed {
            return Err(JournalError::Closed);
        }
        if term < state.term {
            return Err(JournalError::Fenced { term, newest: state.term });
        }
        if term > state.term {
            return Err(JournalError::OutOfOrder { call: "append", needs: "fence with its term" });
        }
        if batch.is_empty() {
            return Ok(());
        }
        if batch.first() != state.next {
            let (given, expected) = (batch.first(), state.next);
            return Err(JournalError::NotContiguous { given, expected });
        }
        state.next = batch.last().next();
        self.publisher.commit(batch.last());
        Ok(())
    }
}

impl Default for NoopJournal {
    fn default() -> Self {
        Self::new()
    }
}

impl JournalStore for NoopJournal {
    fn load(&self, replay: &mut dyn Replay) -> Result<Recovered, JournalError> {
        replay.restart();
        Ok(Recovered::default())
    }

    fn fence(&self, term: Term) -> Result<(), JournalError> {
        let mut state = self.state();
        if term < state.term {
            return Err(JournalError::Fenced { term, newest: state.term });
        }
        state.term = term;
        Ok(())
    }

    fn append(&self, term: Term, batch: EntryBatch) -> AppendFuture<'_> {
        Box::pin(async move { self.take(term, &batch) })
    }

    fn follow(self: Arc<Self>, after: JournalSeq) -> Box<dyn Follower> {
        let commits = self.commits.clone();
        Box::new(CommitFollower { store: self, commits, next: after.next() })
    }

    fn commits(&self) -> Commits {
        self.commits.clone()
    }

    fn read(
        &self,
        from: JournalSeq,
        _visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<JournalSeq, JournalError> {
        let to = self.commits.current();
        if from > to {
            return Ok(from);
        }
        Err(JournalError::Gap { folder: PathBuf::from("NOOP"), from, to })
    }

    fn begin_checkpoint(&self, at: JournalSeq) -> Result<Box<dyn CheckpointSink>, JournalError> {
        let committed = self.commits.current();
        if at > committed {
            return Err(JournalError::CheckpointAhead { at, committed });
        }
        Ok(Box::new(Nowhere { at, records: 0 }))
    }

    fn truncate(&self) -> Result<Truncated, JournalError> {
        Ok(Truncated::default())
    }

    fn close(&self) -> Result<(), JournalError> {
        self.state().closed = true;
        Ok(())
    }
}

/// A checkpoint that goes nowhere.
struct Nowhere {
    at: JournalSeq,
    records: u64,
}

impl CheckpointSink for Nowhere {
    fn put(&mut self, _record: &CheckpointRecord) -> Result<(), JournalError> {
        self.records += 1;
        Ok(())
    }

    fn finish(self: Box<Self>, state_hash: StateDigest) -> Result<CheckpointInfo, JournalError> {
        Ok(CheckpointInfo {
            at: self.at,
            records: self.records,
            length_bytes: 0,
            state_hash,
            created: UnixMillis(0),
        })
    }
}
