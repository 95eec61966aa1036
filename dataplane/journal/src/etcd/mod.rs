//! A journal in etcd, shared by several masters.
//!
//! Each group of entries is one transaction that etcd carries out only while the leader key has the
//! create revision that is the writer's term, and while the journal ends where the writer believes. So
//! a deposed primary cannot append, and an append whose answer was lost can be sent again as it is.
//!
//! Checkpoints are files in a folder of each master; etcd knows who holds which. Once every master that
//! is up holds one, the entries that it covers are removed.
//!
//! Reading order: [`group`], [`remote`], [`writer`], [`follow`], this file.

mod follow;
mod group;
mod remote;
mod writer;

use crate::folder::layout::{self, Folder, FormatFacts};
use crate::folder::log::FolderView;
use crate::folder::{QueueLimits, checkpoint, transfer};
use crate::queue::Queue;
use crate::{
    AppendFuture, Backlog, CheckpointInfo, CheckpointInstall, CheckpointSink, CheckpointSource,
    CommitPublisher, Commits, Damage, EntryBatch, Follower, JournalError, JournalStore, Observer,
    Record, Recovered, Replay, StateDigest, Truncated,
};
use alluxio_etcd::Etcd;
use alluxio_host::{Host, Threads};
use alluxio_proto::convert::journal::decode_entry;
use alluxio_types::{CheckpointRecord, JournalSeq, Term};
use follow::{EtcdFollower, collect};
use remote::{Remote, Standing};
use std::collections::BTreeSet;
use std::future::Future;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use writer::{Kept, Writer};

/// Where and how large.
#[derive(Clone)]
pub struct EtcdJournalOptions {
    /// The connection; its settings name the cluster.
    pub etcd: Arc<Etcd>,
    /// Folder of this master's checkpoints. Made when it is not there.
    pub folder: PathBuf,
    /// This master's name, the same that it is a candidate under.
    pub master: String,
    /// Bound of the queue.
    pub queue: QueueLimits,
    /// Bytes in etcd beyond which appends are slowed down; see [`Backlog`].
    pub backlog_bytes: u64,
}

/// A [`JournalStore`] in etcd. Holds the lock of its checkpoint folder until it is dropped. Needs a
/// multi-threaded tokio runtime.
pub struct EtcdJournal {
    remote: Remote,
    runtime: Handle,
    folder: Folder,
    cluster: FormatFacts,
    master: String,
    limits: QueueLimits,
    kept: Arc<Kept>,
    observer: Arc<dyn Observer>,
    publisher: Arc<CommitPublisher>,
    commits: Commits,
    phase: Mutex<Phase>,
    /// Checkpoints that a load found damaged.
    damaged: Mutex<BTreeSet<JournalSeq>>,
    _lock: Box<dyn Send + Sync>,
}

/// How far the journal came.
enum Phase {
    /// Opened.
    Opened,
    /// Loaded; perhaps it is followed.
    Loaded,
    /// Appending in its task.
    Writing { term: Term, queue: Arc<Queue>, task: Option<JoinHandle<()>> },
}

impl EtcdJournal {
    /// Opens a formatted journal. An empty folder becomes this master's folder of checkpoints; one of
    /// another cluster is refused.
    ///
    /// **Errors**: `NotFormatted`, `FormatVersion`, `Foreign`, `Locked`, `Corrupt`, `Io`, `Etcd`.
    pub async fn open(
        options: EtcdJournalOptions,
        host: &Host,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, JournalError> {
        let cluster = remote::facts(&options.etcd).await?;
        let runtime = Handle::current();
        let folder = Folder { host: host.clone(), path: options.folder.clone() };
        let (place, expected) = (folder.clone(), cluster.clone());
        let opened = host.blocking(move || prepare(&place, &expected));
        let lock = opened.await.map_err(|_| JournalError::Closed)??;
        let (publisher, commits) = CommitPublisher::new(JournalSeq(0));
        let journal = EtcdJournal {
            remote: Remote { etcd: options.etcd, tag: cluster.tag() },
            runtime,
            folder,
            cluster,
            master: options.master,
            limits: options.queue,
            kept: Arc::new(Kept::new(options.backlog_bytes)),
            observer,
            publisher: Arc::new(publisher),
            commits,
            phase: Mutex::new(Phase::Opened),
            damaged: Mutex::default(),
            _lock: lock,
        };
        Ok(journal)
    }

    /// Whose journal it is.
    pub fn facts(&self) -> &FormatFacts {
        &self.cluster
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self) -> FolderView<'_> {
        FolderView { folder: &self.folder, cluster: &self.cluster }
    }

    fn wait<T: Send>(&self, future: impl Future<Output = T> + Send) -> T {
        self.folder.host.threads.wait_for(&self.runtime, future)
    }

    fn queue(&self) -> Result<Arc<Queue>, JournalError> {
        match &*self.phase() {
            Phase::Writing { queue, .. } => Ok(queue.clone()),
            _ => Err(JournalError::OutOfOrder { call: "append", needs: "load and fence" }),
        }
    }

    fn see(&self, standing: &Standing) {
        self.kept.set_end(standing.head.offset);
        self.kept.set_start(standing.kept_from);
    }

    /// Visits the entries from `from` up to and including `last`.
    fn visit(
        &self,
        from: JournalSeq,
        last: JournalSeq,
        visit: &mut (dyn FnMut(Record<'_>) -> Result<ControlFlow<()>, JournalError> + Send),
    ) -> Result<JournalSeq, JournalError> {
        let mut next = from;
        let mut stopped = false;
        while next <= last && !stopped {
            let page = self.wait(self.remote.page(next))?;
            let begun = next;
            next = self.wait(collect(&self.remote, &page, next, &mut |record| {
                let flow = visit(record)?;
                stopped = flow.is_break() || record.seq >= last;
                Ok(if stopped { ControlFlow::Break(()) } else { flow })
            }))?;
            if next == begun {
                let (folder, from, to) = (self.remote.name(), next, last);
                return Err(JournalError::Gap { folder, from, to });
            }
        }
        Ok(next)
    }

    /// Hands the newest sound checkpoint of the folder, and the entries in etcd after it, to `replay`.
    fn load_all(
        &self,
        replay: &mut dyn Replay,
        damaged: &mut Vec<(JournalSeq, JournalError)>,
    ) -> Result<Recovered, JournalError> {
        let checkpoint = self.view().load_checkpoint(replay, damaged)?;
        let damaged_checkpoints = damaged.len() as u32;
        let mut recovered = Recovered { checkpoint, damaged_checkpoints, ..Recovered::default() };
        let after = recovered.checkpoint.as_ref().map_or(JournalSeq(0), |found| found.at);
        let standing = self.wait(self.remote.standing())?;
        if standing.head.last < after {
            let (last, checkpoint) = (standing.head.last, after);
            return Err(JournalError::SetBack { last, checkpoint });
        }
        self.see(&standing);
        let name = self.remote.name();
        let mut entries = Vec::new();
        let mut next = after.next();
        // Decoded here, applied below: `replay` need not be able to change threads.
        while next <= standing.head.last {
            let page = self.wait(self.remote.page(next))?;
            let begun = next;
            let mut term = recovered.term;
            next = self.wait(collect(&self.remote, &page, next, &mut |record| {
                let corrupt =
                    |what| JournalError::Corrupt { file: name.clone(), offset: record.seq.0, what };
                if record.term < term {
                    let what = Damage::Term { found: record.term, newest: term };
                    return Err(corrupt(what));
                }
                term = record.term;
                let entry = decode_entry(record.payload).map_err(|error| corrupt(error.into()))?;
                entries.push((record.seq, entry));
                let more = record.seq < standing.head.last;
                Ok(if more { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            }))?;
            recovered.term = term;
            recovered.entries += entries.len() as u64;
            entries.drain(..).for_each(|(seq, entry)| replay.entry(seq, entry));
            if next == begun {
                let (from, to) = (next, standing.head.last);
                return Err(JournalError::Gap { folder: name, from, to });
            }
        }
        recovered.last = standing.head.last;
        self.publisher.commit(recovered.last);
        Ok(recovered)
    }

    /// Tells the others which checkpoint this master holds.
    fn announce(&self) -> Result<(), JournalError> {
        match transfer::newest(&self.folder, &self.cluster)? {
            Some(info) => Ok(self.wait(self.remote.announce(&self.master, &info))?),
            None => Ok(self.wait(self.remote.withdraw(&self.master))?),
        }
    }

    /// The position up to which entries are needed by nobody who is up.
    fn covered(&self) -> Result<JournalSeq, JournalError> {
        let (up, held) = self.wait(self.remote.holders())?;
        let others: Vec<&String> = up.iter().filter(|master| **master != self.master).collect();
        let mine = transfer::positions(&self.folder)?;
        let own = match (mine.as_slice(), others.as_slice()) {
            // Alone: should the newest be damaged, the older one and what follows it are all there is.
            ([.., older, _], []) => *older,
            ([.., newest], [_, ..]) => *newest,
            _ => JournalSeq(0),
        };
        let of = |master: &&String| held.get(*master).copied().unwrap_or_default();
        let least = others.iter().map(of).min().unwrap_or(own);
        Ok(own.min(least).min(self.commits.current()))
    }
}

/// Makes sure that the folder is this cluster's, and locks it. Blocking.
fn prepare(folder: &Folder, cluster: &FormatFacts) -> Result<Box<dyn Send + Sync>, JournalError> {
    let found = match folder.facts() {
        Err(JournalError::NotFormatted { .. }) => {
            layout::format(&folder.host, &folder.path, &cluster.cluster_id)?
        }
        found => found?,
    };
    if found.cluster_id != cluster.cluster_id {
        let path = folder.path.clone();
        let (found, expected) = (found.cluster_id, cluster.cluster_id.clone());
        return Err(JournalError::Foreign { path, found, expected });
    }
    let lock = folder.lock()?;
    for name in folder.inventory()?.temporary {
        folder.remove(&folder.file(&name))?;
    }
    Ok(lock)
}

/// Makes the journal in etcd that of a new cluster, and `folder` this master's folder of checkpoints.
/// An empty journal stays as it is, so that all masters of a cluster can be told to format.
///
/// **Errors**: `FolderNotEmpty`, `Locked` while a primary reigns or a master uses the folder, `Etcd`, `Io`.
pub async fn format(
    etcd: &Arc<Etcd>,
    host: &Host,
    folder: PathBuf,
    cluster_id: &str,
) -> Result<FormatFacts, JournalError> {
    let new = FormatFacts { cluster_id: cluster_id.to_owned(), created: host.clock.now() };
    let facts = remote::format(etcd, new).await?;
    let (place, id) = (host.clone(), facts.cluster_id.clone());
    let formatted = host.blocking(move || layout::format(&place, &folder, &id));
    formatted.await.map_err(|_| JournalError::Closed)??;
    Ok(facts)
}

/// Makes the journal in etcd that of a new cluster unless there is one, and `folder`, when it is none yet, this master's
/// folder of checkpoints. All masters of a cluster may do so at the same time.
///
/// **Errors**: `FolderNotEmpty`, `Etcd`, `Io`.
pub async fn format_if_new(
    etcd: &Arc<Etcd>,
    host: &Host,
    folder: PathBuf,
    cluster_id: &str,
) -> Result<FormatFacts, JournalError> {
    let new = FormatFacts { cluster_id: cluster_id.to_owned(), created: host.clock.now() };
    let facts = remote::format_if_new(etcd, new).await?;
    let (place, id) = (host.clone(), facts.cluster_id.clone());
    let formatted = host.blocking(move || match crate::folder::inspect(&place, &folder) {
        Err(JournalError::NotFormatted { .. }) => layout::format(&place, &folder, &id).map(drop),
        // Whether it is this cluster's is seen, and said, by the master that uses it.
        _ => Ok(()),
    });
    formatted.await.map_err(|_| JournalError::Closed)??;
    Ok(facts)
}

/// Whose journal lies in etcd.
///
/// **Errors**: `NotFormatted`, `FormatVersion`, `Corrupt`, `Etcd`.
pub async fn inspect(etcd: &Etcd) -> Result<FormatFacts, JournalError> {
    remote::facts(etcd).await
}

impl JournalStore for EtcdJournal {
    fn load(&self, replay: &mut dyn Replay) -> Result<Recovered, JournalError> {
        if matches!(&*self.phase(), Phase::Writing { .. }) {
            let needs = "a journal that is not appended to";
            return Err(JournalError::OutOfOrder { call: "load", needs });
        }
        let mut damaged = Vec::new();
        let loaded = self.load_all(replay, &mut damaged);
        let mut all_damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        all_damaged.extend(damaged.iter().map(|(at, _)| *at));
        let recovered = match loaded {
            // What is gone from etcd is in the damaged file only: that is what has to be told.
            Err(JournalError::CheckpointNeeded { .. }) if !damaged.is_empty() => {
                return Err(damaged.remove(0).1);
            }
            loaded => loaded?,
        };
        // One of another master may have taken the name of a damaged one.
        let used = recovered.checkpoint.as_ref().map(|used| used.at);
        self.folder.set_aside(all_damaged.iter().filter(|at| Some(**at) != used));
        all_damaged.clear();
        drop(all_damaged);
        if let Err(error) = self.announce() {
            tracing::warn!(%error, "the others do not know this master's checkpoint yet");
        }
        *self.phase() = Phase::Loaded;
        Ok(recovered)
    }

    fn fence(&self, term: Term) -> Result<(), JournalError> {
        if matches!(&*self.phase(), Phase::Opened) {
            return Err(JournalError::OutOfOrder { call: "fence", needs: "load" });
        }
        let standing = self.wait(self.remote.standing())?;
        if standing.leader != Some(term) {
            let newest = standing.leader.unwrap_or(term);
            return Err(JournalError::Fenced { term, newest });
        }
        self.see(&standing);
        let mut phase = self.phase();
        if let Phase::Writing { queue, term: current, .. } = &mut *phase {
            *current = term;
            return queue.set_term(term);
        }
        // Nobody but us appends from here on.
        self.publisher.commit(standing.head.last);
        let queue = Arc::new(Queue::new(self.limits, standing.head.last.next(), term));
        let writer = Writer {
            remote: self.remote.clone(),
            queue: queue.clone(),
            publisher: self.publisher.clone(),
            observer: self.observer.clone(),
            clock: self.folder.host.clock.clone(),
            kept: self.kept.clone(),
            head: standing.head,
        };
        let task = self.runtime.spawn(writer.run());
        *phase = Phase::Writing { term, queue, task: Some(task) };
        Ok(())
    }

    fn append(&self, term: Term, batch: EntryBatch) -> AppendFuture<'_> {
        Box::pin(async move { self.queue()?.append(term, batch, &*self.observer).await })
    }

    fn follow(self: Arc<Self>, after: JournalSeq) -> Box<dyn Follower> {
        let (remote, publisher) = (self.remote.clone(), self.publisher.clone());
        Box::new(EtcdFollower { remote, publisher, next: after.next(), stream: None })
    }

    fn commits(&self) -> Commits {
        self.commits.clone()
    }

    fn read(
        &self,
        from: JournalSeq,
        visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<JournalSeq, JournalError> {
        // A page at a time, so that the visitor need not be able to change threads.
        let last = self.commits.current();
        let mut next = from;
        while next <= last {
            let mut records = crate::Records::default();
            let end = self.visit(next, last, &mut |record| {
                records.push(record);
                Ok(if records.encoded_bytes() < crate::follow::FOLLOW_BYTES {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                })
            })?;
            for record in records.iter() {
                if visit(record).is_break() {
                    return Ok(record.seq.next());
                }
            }
            next = end;
        }
        Ok(next)
    }

    fn begin_checkpoint(&self, at: JournalSeq) -> Result<Box<dyn CheckpointSink>, JournalError> {
        let committed = self.commits.current();
        if at > committed {
            return Err(JournalError::CheckpointAhead { at, committed });
        }
        let observer = self.observer.clone();
        let file = checkpoint::Writer::create(self.folder.clone(), &self.cluster, at, observer)?;
        Ok(Box::new(AnnouncedSink {
            file: Box::new(file),
            remote: self.remote.clone(),
            runtime: self.runtime.clone(),
            threads: self.folder.host.threads.clone(),
            master: self.master.clone(),
        }))
    }

    fn begin_restore(&self, at: JournalSeq) -> Result<Box<dyn CheckpointSink>, JournalError> {
        let empty = matches!(&*self.phase(), Phase::Loaded)
            && self.commits.current() == JournalSeq(0)
            && transfer::positions(&self.folder)?.is_empty();
        if !empty {
            return Err(not_empty());
        }
        let observer = self.observer.clone();
        let file = checkpoint::Writer::create(self.folder.clone(), &self.cluster, at, observer)?;
        Ok(Box::new(RestoreSink {
            file: Box::new(file),
            folder: self.folder.clone(),
            remote: self.remote.clone(),
            runtime: self.runtime.clone(),
        }))
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

    fn backlog(&self) -> Backlog {
        self.kept.backlog()
    }

    /// Removes surplus checkpoints here, and covered entries in etcd when this master appends.
    fn truncate(&self) -> Result<Truncated, JournalError> {
        let mut removed = self.view().truncate()?;
        removed.segments = 0;
        self.announce()?;
        let term = match &*self.phase() {
            Phase::Writing { term, .. } => *term,
            _ => return Ok(removed),
        };
        removed.segments = self.wait(self.remote.remove_covered(term, self.covered()?))?;
        self.see(&self.wait(self.remote.standing())?);
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
            && let Err(ended) = self.wait(task)
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

impl Drop for EtcdJournal {
    fn drop(&mut self) {
        // Not waited for: the task waits for etcd, and whoever drops us may be what etcd's answer
        // needs. What is queued and not committed was never acknowledged.
        if let Phase::Writing { queue, .. } = &*self.phase() {
            queue.close();
        }
    }
}

/// A checkpoint that the others hear of when it is finished.
struct AnnouncedSink {
    file: Box<dyn CheckpointSink>,
    remote: Remote,
    runtime: Handle,
    threads: Arc<dyn Threads>,
    master: String,
}

impl CheckpointSink for AnnouncedSink {
    fn put(&mut self, record: &CheckpointRecord) -> Result<(), JournalError> {
        self.file.put(record)
    }

    fn finish(self: Box<Self>, state_hash: StateDigest) -> Result<CheckpointInfo, JournalError> {
        let info = self.file.finish(state_hash)?;
        // It is there and good; truncation says so again.
        let announced = self.remote.announce(&self.master, &info);
        if let Err(error) = self.threads.wait_for(&self.runtime, announced) {
            tracing::warn!(%error, "the others do not know of a new checkpoint yet");
        }
        Ok(info)
    }
}

fn not_empty() -> JournalError {
    let needs = "an empty journal that is loaded and not appended to";
    JournalError::OutOfOrder { call: "begin_restore", needs }
}

/// The first checkpoint of an empty journal, after which positions go on.
struct RestoreSink {
    file: Box<dyn CheckpointSink>,
    folder: Folder,
    remote: Remote,
    runtime: Handle,
}

impl CheckpointSink for RestoreSink {
    fn put(&mut self, record: &CheckpointRecord) -> Result<(), JournalError> {
        self.file.put(record)
    }

    fn finish(self: Box<Self>, state_hash: StateDigest) -> Result<CheckpointInfo, JournalError> {
        let info = self.file.finish(state_hash)?;
        let begun = self.remote.begin_after(info.at);
        match self.folder.host.threads.wait_for(&self.runtime, begun) {
            Ok(true) => Ok(info),
            refused => {
                // Another master wrote meanwhile: what it wrote is the journal.
                self.folder.remove(&self.folder.checkpoint(info.at))?;
                Err(refused.err().unwrap_or_else(not_empty))
            }
        }
    }
}
