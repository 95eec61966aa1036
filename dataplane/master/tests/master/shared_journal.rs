//! One journal in memory that several masters share, as they share etcd.

use alluxio_journal::{
    AppendFuture, CheckpointSink, CommitPublisher, Commits, EntryBatch, Followed, Follower,
    JournalError, JournalStore, Record, Records, Recovered, Replay, Truncated,
};
use alluxio_types::{JournalSeq, Term};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;

/// What etcd would hold. Clones share it.
#[derive(Clone)]
pub(crate) struct SharedJournal {
    log: Arc<Mutex<Log>>,
    length: Arc<watch::Sender<u64>>,
}

#[derive(Default)]
struct Log {
    fence: Term,
    entries: Vec<(Term, Vec<u8>)>,
}

impl SharedJournal {
    pub(crate) fn new() -> Self {
        SharedJournal { log: Arc::default(), length: Arc::new(watch::Sender::new(0)) }
    }

    /// One master's side of it.
    pub(crate) fn store(&self) -> SharedStore {
        let (publisher, commits) = CommitPublisher::new(JournalSeq(0));
        SharedStore { shared: self.clone(), publisher, commits }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }
}

pub(crate) struct SharedStore {
    shared: SharedJournal,
    publisher: CommitPublisher,
    commits: Commits,
}

impl SharedStore {
    fn take(&self, term: Term, batch: &EntryBatch) -> Result<(), JournalError> {
        let mut log = self.shared.log();
        if term < log.fence {
            let error = || JournalError::Fenced { term, newest: log.fence };
            self.publisher.fail(Arc::new(error()));
            return Err(error());
        }
        let expected = JournalSeq(log.entries.len() as u64 + 1);
        if batch.first() != expected {
            return Err(JournalError::NotContiguous { given: batch.first(), expected });
        }
        log.entries.extend(batch.iter().map(|(_, payload)| (term, payload.to_vec())));
        let length = log.entries.len() as u64;
        drop(log);
        self.publisher.commit(JournalSeq(length));
        self.shared.length.send_replace(length);
        Ok(())
    }
}

impl JournalStore for SharedStore {
    fn load(&self, replay: &mut dyn Replay) -> Result<Recovered, JournalError> {
        replay.restart();
        let log = self.shared.log();
        let mut recovered = Recovered::default();
        for (index, (term, payload)) in log.entries.iter().enumerate() {
            let seq = JournalSeq(index as u64 + 1);
            let entry = alluxio_proto::convert::journal::decode_entry(payload).unwrap();
            replay.entry(seq, entry);
            recovered = Recovered { last: seq, term: *term, entries: seq.0, ..recovered };
        }
        Ok(recovered)
    }

    fn fence(&self, term: Term) -> Result<(), JournalError> {
        let mut log = self.shared.log();
        if term < log.fence {
            return Err(JournalError::Fenced { term, newest: log.fence });
        }
        log.fence = term;
        self.publisher.commit(JournalSeq(log.entries.len() as u64));
        Ok(())
    }

    fn append(&self, term: Term, batch: EntryBatch) -> AppendFuture<'_> {
        Box::pin(async move { self.take(term, &batch) })
    }

    fn follow(self: Arc<Self>, after: JournalSeq) -> Box<dyn Follower> {
        let length = self.shared.length.subscribe();
        Box::new(SharedFollower { store: self, length, next: after.next() })
    }

    fn commits(&self) -> Commits {
        self.commits.clone()
    }

    fn read(
        &self,
        from: JournalSeq,
        visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<JournalSeq, JournalError> {
        let log = self.shared.log();
        let mut seq = from;
        for (term, payload) in log.entries.iter().skip(from.0 as usize - 1) {
            let flow = visit(Record { seq, term: *term, payload });
            seq = seq.next();
            if flow.is_break() {
                break;
            }
        }
        Ok(seq)
    }

    fn begin_checkpoint(&self, _: JournalSeq) -> Result<Box<dyn CheckpointSink>, JournalError> {
        Err(JournalError::Closed)
    }

    fn truncate(&self) -> Result<Truncated, JournalError> {
        Ok(Truncated::default())
    }

    fn close(&self) -> Result<(), JournalError> {
        self.publisher.fail(Arc::new(JournalError::Closed));
        Ok(())
    }
}

struct SharedFollower {
    store: Arc<SharedStore>,
    length: watch::Receiver<u64>,
    next: JournalSeq,
}

#[tonic::async_trait]
impl Follower for SharedFollower {
    async fn next(&mut self) -> Result<Followed, JournalError> {
        let next = self.next;
        self.length.wait_for(|length| *length >= next.0).await.unwrap();
        let mut records = Records::default();
        self.next = self.store.read(next, &mut |record| {
            records.push(record);
            ControlFlow::Continue(())
        })?;
        Ok(Followed::Entries(records))
    }
}
