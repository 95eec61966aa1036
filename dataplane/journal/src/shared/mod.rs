//! A journal in a folder of a store that several masters reach: a bucket, HDFS.
//!
//! Each group of entries is one file with the next number, made by a creation that the store grants to one
//! caller only. That alone keeps writers apart, whoever believes to be the primary; [`log`] has the
//! proof. Checkpoints lie in the same folder, so that any master can start from any of them.
//!
//! Reading order: [`place`], [`segment`], [`layout`], [`log`], [`writer`], [`follow`], [`checkpoints`],
//! this file. `memory` (with the feature `conformance`) is a store that fails on demand.

mod checkpoints;
mod follow;
mod index;
mod layout;
mod log;
#[cfg(feature = "conformance")]
pub mod memory;
mod place;
mod segment;
mod writer;

pub use layout::{format, inspect};
pub use place::{Creation, Listed, SharedFolder, StoreError, StoreResult, Upload};

use crate::error::Damage;
use crate::folder::{FormatFacts, QueueLimits};
use crate::follow::FOLLOW_BYTES;
use crate::queue::Queue;
use crate::{
    AppendFuture, Backlog, CheckpointInfo, CheckpointSink, CheckpointSource, CommitPublisher,
    Commits, EntryBatch, Follower, JournalError, JournalStore, Observer, Record, Records,
    Recovered, Replay, StateDigest, Truncated,
};
use alluxio_host::Host;
use alluxio_proto::convert::journal::decode_entry;
use alluxio_types::{CheckpointRecord, JournalSeq, Term};
use checkpoints::Waits;
use follow::SharedFollower;
use index::Index;
use layout::{CheckpointName, Place};
use log::{Log, Position, READ_AHEAD};
use segment::Segment;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use writer::Writer;

/// Where, and how much may wait.
#[derive(Clone)]
pub struct SharedJournalOptions {
    /// The folder; nothing but the journal lies in it.
    pub folder: Arc<dyn SharedFolder>,
    /// Bound of the queue.
    pub queue: QueueLimits,
}

/// A [`JournalStore`] in a shared folder. Needs a multi-threaded tokio runtime.
pub struct SharedJournal {
    log: Log,
    waits: Waits,
    cluster: FormatFacts,
    limits: QueueLimits,
    index: Arc<Index>,
    observer: Arc<dyn Observer>,
    publisher: Arc<CommitPublisher>,
    commits: Commits,
    phase: Mutex<Phase>,
}

/// How far the journal came.
enum Phase {
    /// Opened.
    Opened,
    /// Loaded; perhaps it is followed.
    Loaded,
    /// Appending in its task.
    Writing { queue: Arc<Queue>, task: Option<JoinHandle<()>> },
}

impl SharedJournal {
    /// Opens a formatted journal, after a test that the store keeps writers apart.
    ///
    /// **Errors**: `NotFormatted`, `JavaJournal`, `FormatVersion`, `NotExclusive`, `Corrupt`, `Store`.
    pub async fn open(
        options: SharedJournalOptions,
        host: &Host,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, JournalError> {
        let journal = Self::look(options, host, observer).await?;
        layout::prove(&*journal.log.place.folder, &journal.cluster).await?;
        Ok(journal)
    }

    /// As [`SharedJournal::open`], for those who only read: nothing is tried.
    ///
    /// **Errors**: as `open`, without `NotExclusive`.
    pub async fn look(
        options: SharedJournalOptions,
        host: &Host,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, JournalError> {
        let SharedJournalOptions { folder, queue } = options;
        let cluster = inspect(&*folder).await?;
        let (publisher, commits) = CommitPublisher::new(JournalSeq(0));
        Ok(SharedJournal {
            log: Log::new(Place { folder, tag: cluster.tag() }, host),
            waits: Waits { host: host.clone(), runtime: Handle::current() },
            cluster,
            limits: queue,
            index: Arc::new(Index::default()),
            observer,
            publisher: Arc::new(publisher),
            commits,
            phase: Mutex::new(Phase::Opened),
        })
    }

    /// Whose journal it is.
    pub fn facts(&self) -> &FormatFacts {
        &self.cluster
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> Result<Arc<Queue>, JournalError> {
        match &*self.phase() {
            Phase::Writing { queue, .. } => Ok(queue.clone()),
            _ => Err(JournalError::OutOfOrder { call: "append", needs: "load and fence" }),
        }
    }

    /// Remembers where segments lie that were read from `at` on.
    fn learn(&self, mut at: Position, segments: &[Segment]) -> Result<(), JournalError> {
        for segment in segments {
            let place = (segment.number, segment.first, segment.offset);
            at.pass(segment)?;
            self.index.passed(place, &at);
        }
        Ok(())
    }

    /// Where the log begins that a load has to read.
    ///
    /// **Errors**: `Gap` when segments are missing there, or in the middle.
    fn start(
        &self,
        used: Option<&(CheckpointName, CheckpointInfo)>,
        damaged: &mut Vec<JournalError>,
    ) -> Result<Position, JournalError> {
        let (after, first) = used.map_or((JournalSeq(0), 1), |(named, _)| (named.at, named.number));
        let numbers = self.waits.wait(self.log.numbers())?;
        let present = numbers.iter().map(|(number, _)| *number).filter(|number| *number >= first);
        let present: Vec<u64> = present.collect();
        let gap = |missing: u64| JournalError::Gap {
            folder: self.log.place.shown(&self.log.place.segment(missing)),
            from: after.next(),
            to: after.next(),
        };
        let Some(found) = present.first() else {
            // Nothing but fences was ever written, or all after a restored checkpoint is still to come.
            let untouched = numbers.iter().all(|(_, is_fence)| *is_fence);
            return match untouched && damaged.is_empty() {
                true => Ok(Position { next: Some(after.next()), ..Position::at(first) }),
                false => Err(lost(damaged).unwrap_or_else(|| gap(first))),
            };
        };
        let missing = (first..).zip(&present).find(|(wanted, found)| wanted != *found);
        match missing {
            Some((missing, _)) if *found == first => Err(gap(missing)),
            Some((missing, _)) => Err(lost(damaged).unwrap_or_else(|| gap(missing))),
            None if used.is_none() => Ok(Position::default()),
            None => Ok(Position::at(first)),
        }
    }

    fn load_all(&self, replay: &mut dyn Replay) -> Result<Recovered, JournalError> {
        let mut damaged = Vec::new();
        let used = checkpoints::load(&self.log, &self.waits, &self.cluster, replay, &mut damaged)?;
        let after = used.as_ref().map_or(JournalSeq(0), |(named, _)| named.at);
        let damaged_checkpoints = damaged.len() as u32;
        let mut at = self.start(used.as_ref(), &mut damaged)?;
        self.index.begin(at);
        let mut recovered = Recovered {
            checkpoint: used.map(|(_, info)| info),
            damaged_checkpoints,
            ..Recovered::default()
        };
        loop {
            let begun = at;
            let page = self.waits.wait(self.log.page(&mut at, READ_AHEAD))?;
            if page.is_empty() {
                break;
            }
            self.learn(begun, &page)?;
            if let Some(found) = page.first().filter(|_| begun.next.is_none())
                && found.first > after.next()
            {
                let (found_at, expected) = (found.first, after.next());
                return Err(found.corrupt(40, Damage::Order { found: found_at, expected }));
            }
            for segment in &page {
                segment.visit(after.next(), &mut |record| {
                    let corrupt = |what| segment.corrupt(record.seq.0, what);
                    if record.term != segment.term {
                        let (found, newest) = (record.term, segment.term);
                        return Err(corrupt(Damage::Term { found, newest }));
                    }
                    let entry =
                        decode_entry(record.payload).map_err(|error| corrupt(error.into()))?;
                    replay.entry(record.seq, entry);
                    recovered.entries += 1;
                    Ok(ControlFlow::Continue(()))
                })?;
            }
        }
        let next = at.next.unwrap_or(after.next());
        if next <= after {
            let last = JournalSeq(next.0 - 1);
            return Err(JournalError::SetBack { last, checkpoint: after });
        }
        (recovered.last, recovered.term) = (JournalSeq(next.0 - 1), at.term);
        self.publisher.commit(recovered.last);
        Ok(recovered)
    }
}

/// What is gone from the log was in the damaged checkpoint only: that is what has to be told.
fn lost(damaged: &mut Vec<JournalError>) -> Option<JournalError> {
    (!damaged.is_empty()).then(|| damaged.remove(0))
}

impl JournalStore for SharedJournal {
    fn load(&self, replay: &mut dyn Replay) -> Result<Recovered, JournalError> {
        if matches!(&*self.phase(), Phase::Writing { .. }) {
            let needs = "a journal that is not appended to";
            return Err(JournalError::OutOfOrder { call: "load", needs });
        }
        let recovered = self.load_all(replay)?;
        *self.phase() = Phase::Loaded;
        Ok(recovered)
    }

    fn fence(&self, term: Term) -> Result<(), JournalError> {
        match &*self.phase() {
            Phase::Opened => {
                return Err(JournalError::OutOfOrder { call: "fence", needs: "load" });
            }
            Phase::Writing { queue, .. } => return queue.set_term(term),
            Phase::Loaded => {}
        }
        let from = self.index.end();
        let (at, read) = self.waits.wait(self.log.fence(from, term))?;
        self.learn(from, &read)?;
        let next = at.next.unwrap_or(JournalSeq(1));
        // Nobody but us appends from here on.
        self.publisher.commit(JournalSeq(next.0 - 1));
        let queue = Arc::new(Queue::new(self.limits, next, term));
        let writer = Writer {
            log: self.log.clone(),
            queue: queue.clone(),
            publisher: self.publisher.clone(),
            observer: self.observer.clone(),
            clock: self.waits.host.clock.clone(),
            index: self.index.clone(),
            at,
        };
        let task = self.waits.runtime.spawn(writer.run());
        *self.phase() = Phase::Writing { queue, task: Some(task) };
        Ok(())
    }

    fn append(&self, term: Term, batch: EntryBatch) -> AppendFuture<'_> {
        Box::pin(async move { self.queue()?.append(term, batch, &*self.observer).await })
    }

    fn follow(self: Arc<Self>, after: JournalSeq) -> Box<dyn Follower> {
        Box::new(SharedFollower {
            log: self.log.clone(),
            index: self.index.clone(),
            publisher: self.publisher.clone(),
            commits: self.commits.clone(),
            at: self.index.place_of(after.next()),
            next: after.next(),
            ready: VecDeque::new(),
            idle: 0,
            ahead: 1,
        })
    }

    fn commits(&self) -> Commits {
        self.commits.clone()
    }

    fn read(
        &self,
        from: JournalSeq,
        visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<JournalSeq, JournalError> {
        let last = self.commits.current();
        let gone = |from: JournalSeq| JournalError::Gap {
            folder: self.log.place.shown(""),
            from,
            to: from,
        };
        let mut next = from;
        if next > last {
            return Ok(next);
        }
        let mut at = self.index.place_of(from).ok_or_else(|| gone(from))?;
        let mut ahead = 1;
        while next <= last {
            let page = self.waits.wait(self.log.page(&mut at, ahead))?;
            if page.is_empty() {
                return Err(gone(next));
            }
            ahead = READ_AHEAD;
            for segment in &page {
                // Copied: the visitor may be one that cannot be called while something fails.
                let mut records = Records::default();
                segment.visit(next, &mut |record| {
                    records.push(record);
                    Ok(ControlFlow::Continue(()))
                })?;
                debug_assert!(records.encoded_bytes() <= 5 * FOLLOW_BYTES);
                for record in records.iter().take_while(|record| record.seq <= last) {
                    next = record.seq.next();
                    if visit(record).is_break() {
                        return Ok(next);
                    }
                }
            }
        }
        Ok(next)
    }

    fn begin_checkpoint(&self, at: JournalSeq) -> Result<Box<dyn CheckpointSink>, JournalError> {
        let committed = self.commits.current();
        if at > committed {
            return Err(JournalError::CheckpointAhead { at, committed });
        }
        let place = self.index.place_of(at).unwrap_or_else(|| self.index.end());
        let named = CheckpointName { at, number: place.number };
        let observer = self.observer.clone();
        checkpoints::begin(&self.log.place, &self.waits, &self.cluster, named, observer)
    }

    fn begin_restore(&self, at: JournalSeq) -> Result<Box<dyn CheckpointSink>, JournalError> {
        let empty = matches!(&*self.phase(), Phase::Loaded)
            && self.commits.current() == JournalSeq(0)
            && self.waits.wait(self.log.is_untouched())?;
        if !empty {
            let needs = "an empty journal that is loaded and not appended to";
            return Err(JournalError::OutOfOrder { call: "begin_restore", needs });
        }
        let named = CheckpointName { at, number: self.index.end().number };
        let observer = self.observer.clone();
        let file =
            checkpoints::begin(&self.log.place, &self.waits, &self.cluster, named, observer)?;
        Ok(Box::new(RestoreSink { file, log: self.log.clone(), waits: self.waits.clone(), named }))
    }

    fn open_checkpoint(&self) -> Result<Option<Box<dyn CheckpointSource>>, JournalError> {
        checkpoints::newest(&self.log, &self.waits, &self.cluster)
    }

    fn shares_checkpoints(&self) -> bool {
        true
    }

    fn backlog(&self) -> Backlog {
        self.index.backlog()
    }

    fn truncate(&self) -> Result<Truncated, JournalError> {
        let (removed, kept_from) = self.waits.wait(checkpoints::truncate(&self.log))?;
        if let Some(number) = kept_from {
            self.index.cut(number);
        }
        Ok(removed)
    }

    fn close(&self) -> Result<(), JournalError> {
        let task = match &mut *self.phase() {
            Phase::Writing { queue, task, .. } => {
                queue.close();
                task.take()
            }
            _ => None,
        };
        if let Some(task) = task
            && let Err(ended) = self.waits.wait(task)
            && let Ok(panic) = ended.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
        match self.commits.failure() {
            Some(cause) => Err(JournalError::Failed { cause }),
            None => Ok(()),
        }
    }
}

impl Drop for SharedJournal {
    fn drop(&mut self) {
        // Not waited for: the task waits for the store. What is queued and not committed was never
        // acknowledged.
        if let Phase::Writing { queue, .. } = &*self.phase() {
            queue.close();
        }
    }
}

/// The first checkpoint of an empty journal, after which positions go on.
struct RestoreSink {
    file: Box<dyn CheckpointSink>,
    log: Log,
    waits: Waits,
    named: CheckpointName,
}

impl CheckpointSink for RestoreSink {
    fn put(&mut self, record: &CheckpointRecord) -> Result<(), JournalError> {
        self.file.put(record)
    }

    fn finish(self: Box<Self>, state_hash: StateDigest) -> Result<CheckpointInfo, JournalError> {
        let info = self.file.finish(state_hash)?;
        // A master that began meanwhile would go on from nothing.
        match self.waits.wait(self.log.get(self.named.number))? {
            None => Ok(info),
            Some(_) => {
                let name = self.log.place.checkpoint(self.named);
                let removed = self.waits.wait(self.log.place.folder.remove(&name));
                removed.map_err(self.log.place.failed("remove", &name))?;
                let needs = "an empty journal that is loaded and not appended to";
                Err(JournalError::OutOfOrder { call: "begin_restore", needs })
            }
        }
    }
}
