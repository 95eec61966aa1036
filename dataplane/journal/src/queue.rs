//! Batches on their way to the thread or task that writes them.

use crate::{EntryBatch, JournalError, Observer};
use alluxio_proto::convert::journal::ENTRY_BYTES_MAX;
use alluxio_types::{JournalSeq, Term};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// How much may wait in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Entries.
    pub entries_max: u64,
    /// Bytes of encoded entries.
    pub bytes_max: u64,
}

impl Default for QueueLimits {
    /// 65,536 entries: at 100k changes a second they are what arrives while a slow disk takes
    /// 0.6 s for one sync. 64 MiB: 1 KiB for each of them, four times the usual; it bounds the memory of
    /// the queue, and of the group that is being written, to twice that. When full, appends wait.
    fn default() -> Self {
        QueueLimits { entries_max: 65_536, bytes_max: 64 << 20 }
    }
}

/// What the writer thread takes: batches in order, or the news that no more will come.
pub(crate) enum Taken {
    Group(Vec<(Term, EntryBatch)>),
    Closed,
}

/// What became of an attempt to queue a batch.
enum Offer {
    Queued,
    /// No room now.
    Full(EntryBatch),
}

pub(crate) struct Queue {
    limits: QueueLimits,
    state: Mutex<State>,
    /// Wakes the writer, where it is a thread.
    work: Condvar,
    /// Wakes the writer, where it is a task. The one that waits is told, now or when it comes.
    news: Notify,
    /// Wakes appends that wait for room.
    room: Notify,
}

struct State {
    batches: Vec<(Term, EntryBatch)>,
    entries: u64,
    bytes: u64,
    /// Position that the next batch must start with.
    next: JournalSeq,
    term: Term,
    closed: bool,
    failure: Option<Arc<JournalError>>,
}

impl Queue {
    pub(crate) fn new(limits: QueueLimits, next: JournalSeq, term: Term) -> Self {
        Queue {
            limits,
            state: Mutex::new(State {
                batches: Vec::new(),
                entries: 0,
                bytes: 0,
                next,
                term,
                closed: false,
                failure: None,
            }),
            work: Condvar::new(),
            news: Notify::new(),
            room: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding it: only counters and a vector change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_term(&self, term: Term) -> Result<(), JournalError> {
        let mut state = self.state();
        if term < state.term {
            return Err(JournalError::Fenced { term, newest: state.term });
        }
        state.term = term;
        Ok(())
    }

    /// Queues a batch if there is room; returns how many entries wait then.
    fn offer(&self, term: Term, batch: EntryBatch) -> Result<(Offer, u64), JournalError> {
        let mut state = self.state();
        if let Some(cause) = &state.failure {
            return Err(JournalError::Failed { cause: cause.clone() });
        }
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
            return Ok((Offer::Queued, state.entries));
        }
        if batch.first() != state.next {
            let (given, expected) = (batch.first(), state.next);
            return Err(JournalError::NotContiguous { given, expected });
        }
        if let Some((seq, entry)) = batch.iter().find(|(_, entry)| entry.len() > ENTRY_BYTES_MAX) {
            let (length_bytes, limit_bytes) = (entry.len() as u64, ENTRY_BYTES_MAX as u64);
            return Err(JournalError::EntryTooLarge { seq, length_bytes, limit_bytes });
        }
        let entries = state.entries + batch.len() as u64;
        let bytes = state.bytes + batch.encoded_bytes() as u64;
        let fits = entries <= self.limits.entries_max && bytes <= self.limits.bytes_max;
        // A batch beyond the limits still goes when it is alone, or it never would.
        if !fits && !state.batches.is_empty() {
            return Ok((Offer::Full(batch), state.entries));
        }
        state.next = batch.last().next();
        (state.entries, state.bytes) = (entries, bytes);
        state.batches.push((term, batch));
        drop(state);
        self.tell_writer();
        Ok((Offer::Queued, entries))
    }

    /// Queues a batch, and waits while there is no room.
    ///
    /// **Cancel safety**: dropped before its end, nothing was queued.
    pub(crate) async fn append(
        &self,
        term: Term,
        batch: EntryBatch,
        observer: &dyn Observer,
    ) -> Result<(), JournalError> {
        let mut batch = batch;
        let mut told = false;
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // Registered before the attempt: room made in between is not missed.
            room.as_mut().enable();
            match self.offer(term, batch)? {
                (Offer::Queued, depth) => {
                    observer.queue_depth(depth);
                    return Ok(());
                }
                (Offer::Full(back), _) => batch = back,
            }
            if !told {
                observer.queue_full();
                told = true;
            }
            room.await;
        }
    }

    fn tell_writer(&self) {
        self.work.notify_one();
        self.news.notify_one();
    }

    /// Takes all batches, or nothing when there may be some later.
    fn try_take(&self, mut state: MutexGuard<'_, State>) -> Option<Taken> {
        if state.batches.is_empty() {
            return (state.closed || state.failure.is_some()).then_some(Taken::Closed);
        }
        (state.entries, state.bytes) = (0, 0);
        let group = std::mem::take(&mut state.batches);
        drop(state);
        self.room.notify_waiters();
        Some(Taken::Group(group))
    }

    /// Waits for batches and takes all of them.
    pub(crate) fn take(&self) -> Taken {
        loop {
            let idle = |state: &mut State| {
                state.batches.is_empty() && !state.closed && state.failure.is_none()
            };
            let state = self.work.wait_while(self.state(), idle);
            if let Some(taken) = self.try_take(state.unwrap_or_else(PoisonError::into_inner)) {
                return taken;
            }
        }
    }

    /// As [`Queue::take`], for a task.
    ///
    /// **Cancel safety**: dropped before its end, nothing was taken.
    pub(crate) async fn taken(&self) -> Taken {
        loop {
            if let Some(taken) = self.try_take(self.state()) {
                return taken;
            }
            self.news.notified().await;
        }
    }

    /// Waits for `pause`; whether to try again, which is not so once the journal was closed.
    pub(crate) fn pause(&self, pause: Duration) -> bool {
        let state = self.state();
        let (state, _) = self
            .work
            .wait_timeout_while(state, pause, |state| !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        !state.closed
    }

    /// As [`Queue::pause`], for a task.
    pub(crate) async fn paused(&self, pause: Duration) -> bool {
        let end = Instant::now() + pause;
        while !self.state().closed {
            // News of batches do not end a pause.
            if timeout_at(end, self.news.notified()).await.is_err() {
                break;
            }
        }
        !self.state().closed
    }

    /// Nothing is taken any more; what waits is dropped, it was never acknowledged.
    pub(crate) fn fail(&self, error: Arc<JournalError>) {
        let mut state = self.state();
        state.failure = Some(error);
        state.batches.clear();
        drop(state);
        self.room.notify_waiters();
    }

    /// Nothing more comes in; what waits is still written.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.tell_writer();
        self.room.notify_waiters();
    }
}
