//! A journal in a folder of a local file system.
//!
//! Appends are queued; a thread of its own takes all that waits, writes it as one group, syncs, and
//! publishes the new position. While it syncs, the next group gathers: the slower the disk, the
//! larger the groups.
//!
//! Reading order: [`layout`], [`segment`], [`log`], [`checkpoint`], then this file.

pub(crate) mod checkpoint;
pub(crate) mod layout;
pub(crate) mod log;
mod offline;
mod salvage;
mod segment;
mod tail;
pub(crate) mod transfer;

#[cfg(test)]
mod tests;

pub use crate::queue::QueueLimits;
pub use layout::{FormatFacts, format, inspect};
pub use log::FolderLog;
pub use offline::FolderReader;
pub use salvage::{Finding, salvage};
pub use tail::{FolderTail, Tailed};

use crate::follow::CommitFollower;
use crate::queue::{Queue, Taken};
use crate::{
    AppendFuture, CheckpointInfo, CheckpointInstall, CheckpointSink, CheckpointSource,
    CommitPublisher, Commits, EntryBatch, Flush, Follower, JournalError, JournalStore, Observer,
    Record, Recovered, Replay, Truncated,
};
use alluxio_host::{Clock, Host};
use alluxio_types::{JournalSeq, Term};
use layout::Folder;
use log::FolderView;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Where and how large.
#[derive(Debug, Clone)]
pub struct FolderOptions {
    /// `alluxio.master.journal.folder`.
    pub folder: PathBuf,
    /// `alluxio.master.journal.log.size.bytes.max`: a new file is begun at this size. Recovery reads a
    /// whole file into memory.
    pub segment_bytes: u64,
    /// Bound of the queue.
    pub queue: QueueLimits,
}

impl FolderOptions {
    /// Defaults for `folder`: files of 10 MiB, as the reference has it.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        FolderOptions {
            folder: folder.into(),
            segment_bytes: 10 << 20,
            queue: QueueLimits::default(),
        }
    }
}

/// A [`JournalStore`] in a folder. Holds the folder's lock until it is closed or dropped.
pub struct FolderJournal {
    folder: Folder,
    cluster: FormatFacts,
    limits: QueueLimits,
    observer: Arc<dyn Observer>,
    phase: Mutex<Phase>,
    /// Held while files are removed, and while they are read by those who would miss them.
    maintenance: Mutex<()>,
    publisher: Arc<CommitPublisher>,
    commits: Commits,
}

/// How far the journal came.
enum Phase {
    /// Opened, perhaps loaded.
    Reading(Box<FolderLog>),
    /// Appending on its thread.
    Writing { queue: Arc<Queue>, thread: Option<JoinHandle<FolderLog>> },
    /// Between two phases; seen by nobody unless a thread could not be made.
    Gone,
}

impl FolderJournal {
    /// Takes the lock of a formatted folder.
    ///
    /// **Errors**: `NotFormatted`, `FormatVersion`, `Locked`, `Corrupt`, `Io`.
    pub fn open(
        options: FolderOptions,
        host: &Host,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, JournalError> {
        let log = FolderLog::open(host, &options.folder, options.segment_bytes)?;
        let (folder, cluster) = log.view();
        let (publisher, commits) = CommitPublisher::new(JournalSeq(0));
        Ok(FolderJournal {
            folder,
            cluster,
            limits: options.queue,
            observer,
            phase: Mutex::new(Phase::Reading(Box::new(log))),
            maintenance: Mutex::new(()),
            publisher: Arc::new(publisher),
            commits,
        })
    }

    /// Whose journal it is.
    pub fn facts(&self) -> &FormatFacts {
        &self.cluster
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn maintenance(&self) -> MutexGuard<'_, ()> {
        self.maintenance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self) -> FolderView<'_> {
        FolderView { folder: &self.folder, cluster: &self.cluster }
    }

    fn queue(&self) -> Result<Arc<Queue>, JournalError> {
        match &*self.phase() {
            Phase::Writing { queue, .. } => Ok(queue.clone()),
            Phase::Reading(_) => {
                Err(JournalError::OutOfOrder { call: "append", needs: "load and fence" })
            }
            Phase::Gone => Err(JournalError::Closed),
        }
    }

    fn start_writer(&self, log: FolderLog) -> Result<Phase, JournalError> {
        let queue = Arc::new(Queue::new(self.limits, log.next(), log.term()));
        let writer = Writer {
            log,
            queue: queue.clone(),
            publisher: self.publisher.clone(),
            observer: self.observer.clone(),
            clock: self.folder.host.clock.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("journal-writer".into())
            .spawn(move || writer.run())
            .map_err(layout::at("start a thread for", &self.folder.path))?;
        Ok(Phase::Writing { queue, thread: Some(thread) })
    }
}

impl JournalStore for FolderJournal {
    fn load(&self, replay: &mut dyn Replay) -> Result<Recovered, JournalError> {
        match &mut *self.phase() {
            Phase::Reading(log) => log.load(replay),
            _ => {
                let needs = "a journal that is not appended to";
                Err(JournalError::OutOfOrder { call: "load", needs })
            }
        }
    }

    fn fence(&self, term: Term) -> Result<(), JournalError> {
        let mut phase = self.phase();
        match &mut *phase {
            Phase::Writing { queue, .. } => queue.set_term(term),
            Phase::Gone => Err(JournalError::Closed),
            Phase::Reading(log) => {
                log.fence(term)?;
                // All that was loaded is durable now.
                self.publisher.commit(JournalSeq(log.next().0 - 1));
                if let Phase::Reading(log) = std::mem::replace(&mut *phase, Phase::Gone) {
                    *phase = self.start_writer(*log)?;
                }
                Ok(())
            }
        }
    }

    fn append(&self, term: Term, batch: EntryBatch) -> AppendFuture<'_> {
        Box::pin(async move { self.queue()?.append(term, batch, &*self.observer).await })
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
        visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<JournalSeq, JournalError> {
        let last = self.commits.current();
        let _kept = self.maintenance();
        self.view().read(from, last, visit)
    }

    fn begin_checkpoint(&self, at: JournalSeq) -> Result<Box<dyn CheckpointSink>, JournalError> {
        let committed = self.commits.current();
        if at > committed {
            return Err(JournalError::CheckpointAhead { at, committed });
        }
        let observer = self.observer.clone();
        let writer = checkpoint::Writer::create(self.folder.clone(), &self.cluster, at, observer)?;
        Ok(Box::new(writer))
    }

    fn begin_restore(&self, at: JournalSeq) -> Result<Box<dyn CheckpointSink>, JournalError> {
        match &*self.phase() {
            Phase::Reading(log) if log.next() == JournalSeq(1) => log.begin_checkpoint(at),
            _ => {
                let needs = "an empty journal that is loaded and not appended to";
                Err(JournalError::OutOfOrder { call: "begin_restore", needs })
            }
        }
    }

    fn open_checkpoint(&self) -> Result<Option<Box<dyn CheckpointSource>>, JournalError> {
        let source = transfer::Source::newest(&self.folder, &self.cluster)?;
        Ok(source.map(|source| Box::new(source) as Box<dyn CheckpointSource>))
    }

    fn install_checkpoint(
        &self,
        wanted: &CheckpointInfo,
    ) -> Result<Box<dyn CheckpointInstall>, JournalError> {
        Ok(Box::new(transfer::Install::begin(self.folder.clone(), &self.cluster, wanted)?))
    }

    fn secondary_checkpoint(&self) -> Result<Option<JournalSeq>, JournalError> {
        match self.folder.lock_secondary() {
            Err(JournalError::SecondaryRuns { .. }) => {
                let newest = self.folder.inventory()?.checkpoints.last().copied();
                Ok(Some(newest.unwrap_or_default()))
            }
            Err(error) => Err(error),
            // Nobody holds it; what was taken to see that is given back.
            Ok(_) => Ok(None),
        }
    }

    fn truncate(&self) -> Result<Truncated, JournalError> {
        let _alone = self.maintenance();
        self.view().truncate()
    }

    fn close(&self) -> Result<(), JournalError> {
        let thread = match &mut *self.phase() {
            Phase::Writing { queue, thread } => {
                queue.close();
                thread.take()
            }
            Phase::Reading(_) | Phase::Gone => None,
        };
        if let Some(thread) = thread {
            match thread.join() {
                // With it goes the folder's lock.
                Ok(log) => drop(log),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        match self.commits.failure() {
            Some(cause) => Err(JournalError::Failed { cause }),
            None => Ok(()),
        }
    }
}

impl Drop for FolderJournal {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "journal closed after a failure");
        }
    }
}

/// The thread that writes.
struct Writer {
    log: FolderLog,
    queue: Arc<Queue>,
    publisher: Arc<CommitPublisher>,
    observer: Arc<dyn Observer>,
    clock: Arc<dyn Clock>,
}

/// Time between two looks whether a full disk has room again.
const FULL_PAUSE: Duration = Duration::from_millis(500);

impl Writer {
    fn run(mut self) -> FolderLog {
        while let Taken::Group(group) = self.queue.take() {
            self.observer.queue_depth(0);
            if let Err(error) = self.write(&group) {
                // A failed sync may have dropped the bytes from memory while the next one reports
                // success: only a new start, which reads the disk, knows what is there.
                self.observer.failed(&error);
                let error = Arc::new(error);
                self.queue.fail(error.clone());
                self.publisher.fail(error);
            }
        }
        self.log
    }

    /// Writes a group, however long it takes until the disk has room for it.
    fn write(&mut self, group: &[(Term, EntryBatch)]) -> Result<(), JournalError> {
        let mut stalled = false;
        loop {
            let began = self.clock.monotonic();
            match self.log.write_group(group) {
                Ok(bytes) => {
                    let took = self.clock.monotonic().saturating_sub(began);
                    let entries = group.iter().map(|(_, batch)| batch.len() as u64).sum();
                    // First the metrics, so that whoever sees the commit finds it counted.
                    self.observer.flushed(&Flush { entries, bytes, took });
                    self.publisher.commit(JournalSeq(self.log.next().0 - 1));
                    if stalled {
                        tracing::info!("the journal has room again, changes go on");
                    }
                    return Ok(());
                }
                Err(error @ JournalError::Full { .. }) => {
                    if !stalled {
                        tracing::error!(%error, "changes wait");
                    }
                    stalled = true;
                    self.observer.stalled(&error);
                    if !self.queue.pause(FULL_PAUSE) {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}
