//! A master that reads along: it loads the journal, applies what the primary appends, and takes
//! checkpoints when the primary lets it.

use crate::backup::restore;
use crate::error::{MasterError, StartError};
use crate::fetch;
use crate::metastore::{foundation, keep_trim};
use crate::recover::{recover, write_checkpoint};
use crate::role::{OpenedJournal, Station};
use alluxio_host::Host;
use alluxio_journal::{Followed, JournalError, JournalStore, Records};
use alluxio_namespace::{Checkpoint, Namespace, Refusal};
use alluxio_proto::convert::journal::decode_entry;
use alluxio_types::{Code, Coded, Term};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot, watch};

/// Pause after a failed look at the journal.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// A tree that follows the journal.
pub(crate) struct Standby {
    host: Host,
    pub(crate) namespace: Arc<Namespace>,
    pub(crate) journal: Arc<dyn JournalStore>,
    pub(crate) cluster_id: String,
    /// Position of the newest checkpoint of this master.
    pub(crate) checkpoint_at: AtomicU64,
    /// Newest term seen.
    term: AtomicU64,
    /// Last durable position, as the primary says.
    pub(crate) committed: AtomicU64,
    checkpoint_wanted: Notify,
    /// Those who wait for the tree to be held between two changes.
    holders: Mutex<Vec<Holder>>,
    hold_wanted: Notify,
}

/// Gets a held tree.
type Holder = oneshot::Sender<Result<Checkpoint, Refusal>>;

/// Why the reading along ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It was told to.
    Stopped,
    /// The primary dropped entries before they were read: start from a checkpoint.
    FellBehind,
    /// The journal cannot be read.
    Failed(JournalError),
}

impl Standby {
    /// Opens the journal and builds the tree from it; at the `first` time, from the backup that the
    /// configuration names, if it does.
    ///
    /// **Errors**: `Journal`; `Setup` when the process stops.
    pub(crate) async fn load(station: &Station, first: bool) -> Result<Self, StartError> {
        let (open, clock) = (station.journal.clone(), station.host.clock.clone());
        let started = clock.monotonic();
        let stopping = |_| StartError::Setup(MasterError::Stopping);
        let opened = station.host.blocking(move || open()).await.map_err(stopping)??;
        let OpenedJournal { store: journal, cluster_id } = opened;
        let (metastore, host) = (station.config.metastore.clone(), station.host.clone());
        let foundation = station.host.blocking(move || foundation(&metastore, &host));
        let foundation = foundation.await.map_err(stopping)??;
        let build = || {
            let (store, foundation) = (journal.clone(), foundation.clone());
            station.host.blocking(move || recover(&*store, &foundation))
        };
        let (mut namespace, mut recovered) = match build().await.map_err(stopping)? {
            // Gone here, or damaged: the other copy.
            Err(error @ (JournalError::CheckpointNeeded { .. } | JournalError::Corrupt { .. }))
                if !journal.shares_checkpoints() =>
            {
                tracing::warn!(%error, "looking for a checkpoint of another master");
                match fetch::checkpoint(station, &journal).await {
                    true => build().await.map_err(stopping)??,
                    false => return Err(error.into()),
                }
            }
            built => built?,
        };
        if first && let Some(uri) = &station.config.journal.init_from_backup {
            let stores = station.under_stores();
            (namespace, recovered) =
                restore::fill(journal.clone(), &stores, uri, &recovered, &foundation).await?;
        }
        let checkpoint_at = recovered.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.at.0);
        tracing::info!(
            entries = recovered.entries,
            last = recovered.last.0,
            checkpoint = checkpoint_at,
            torn_bytes = recovered.torn_bytes,
            ms = clock.monotonic().saturating_sub(started).as_millis() as u64,
            "namespace is recovered"
        );
        keep_trim(&station.config.metastore, &station.host, foundation.memory, &namespace);
        Ok(Standby {
            host: station.host.clone(),
            namespace,
            journal,
            cluster_id,
            checkpoint_at: AtomicU64::new(checkpoint_at),
            term: AtomicU64::new(recovered.term.0),
            committed: AtomicU64::new(recovered.last.0),
            checkpoint_wanted: Notify::new(),
            holders: Mutex::default(),
            hold_wanted: Notify::new(),
        })
    }

    /// Newest term in the journal, as far as it was read.
    pub(crate) fn term(&self) -> Term {
        Term(self.term.load(Ordering::Acquire))
    }

    /// Entries that the primary has durable and this tree does not have yet.
    pub(crate) fn lag(&self) -> u64 {
        let committed = self.committed.load(Ordering::Acquire);
        committed.saturating_sub(self.namespace.applied().0)
    }

    /// Lets a checkpoint be taken soon.
    pub(crate) fn want_checkpoint(&self) {
        self.checkpoint_wanted.notify_one();
    }

    /// Holds the tree as it is between two changes. Ends only while the journal is followed.
    ///
    /// **Errors**: `CheckpointRunning`; `Stopping` when this is no standby any more.
    pub(crate) async fn hold(&self) -> Result<Checkpoint, MasterError> {
        let (holder, held) = oneshot::channel();
        self.holders.lock().unwrap_or_else(PoisonError::into_inner).push(holder);
        self.hold_wanted.notify_one();
        Ok(held.await.map_err(|_| MasterError::Stopping)??)
    }

    /// Applies what is appended until `stop` says so.
    pub(crate) async fn follow(self: Arc<Self>, mut stop: watch::Receiver<bool>) -> Ended {
        let mut follower = self.journal.clone().follow(self.namespace.applied());
        loop {
            // Whole chunks are applied: a stop in between never leaves half of one.
            let next = tokio::select! {
                biased;
                () = crate::cycle::told(&mut stop) => return Ended::Stopped,
                () = self.hold_wanted.notified() => {
                    self.serve_holders();
                    continue;
                }
                () = self.checkpoint_wanted.notified() => {
                    self.begin_checkpoint();
                    continue;
                }
                next = follower.next() => next,
            };
            match next {
                Ok(Followed::Entries(records)) => {
                    if let Err(ended) = self.clone().take(records).await {
                        return ended;
                    }
                }
                Ok(Followed::Compacted { from }) => {
                    tracing::warn!(from = from.0, "fell behind what the journal keeps");
                    return Ended::FellBehind;
                }
                Err(error) if is_passing(&error) => {
                    tracing::warn!(%error, "the journal cannot be read now");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(error) => return Ended::Failed(error),
            }
        }
    }

    async fn take(self: Arc<Self>, records: Records) -> Result<(), Ended> {
        let host = self.host.clone();
        let applied = host.blocking(move || self.apply(&records)).await;
        match applied {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Ended::Failed(error)),
            // A panic: the journal and the tree disagree. A tree built anew may not.
            Err(_) => Err(Ended::FellBehind),
        }
    }

    fn apply(&self, records: &Records) -> Result<(), JournalError> {
        for record in records.iter() {
            self.apply_one(record)?;
        }
        Ok(())
    }

    fn apply_one(&self, record: alluxio_journal::Record<'_>) -> Result<(), JournalError> {
        let expected = self.namespace.applied().next();
        if record.seq < expected {
            return Ok(());
        }
        if record.seq > expected {
            let (given, expected) = (record.seq, expected);
            return Err(JournalError::NotContiguous { given, expected });
        }
        let entry = decode_entry(record.payload).map_err(|error| JournalError::Corrupt {
            file: "the journal".into(),
            offset: record.seq.0,
            what: error.into(),
        })?;
        self.namespace.apply(record.seq, &entry);
        self.term.fetch_max(record.term.0, Ordering::AcqRel);
        self.committed.fetch_max(record.seq.0, Ordering::AcqRel);
        Ok(())
    }

    /// Holds the tree for those who wait for it.
    fn serve_holders(&self) {
        let holders =
            std::mem::take(&mut *self.holders.lock().unwrap_or_else(PoisonError::into_inner));
        for holder in holders {
            // Gone meanwhile: then the tree is let go at once.
            let _ = holder.send(self.namespace.begin_checkpoint());
        }
    }

    /// Begins a checkpoint between two changes and writes it beside them.
    fn begin_checkpoint(self: &Arc<Self>) {
        let checkpoint = match self.namespace.begin_checkpoint() {
            Ok(checkpoint) if checkpoint.seq().0 > self.checkpoint_at.load(Ordering::Acquire) => {
                checkpoint
            }
            // Nothing new, or one is being taken.
            _ => return,
        };
        let standby = self.clone();
        let written = move || {
            let at = checkpoint.seq();
            match write_checkpoint(&*standby.journal, checkpoint) {
                Ok(_) => {
                    standby.checkpoint_at.fetch_max(at.0, Ordering::AcqRel);
                    tracing::info!(seq = at.0, "checkpoint is written");
                }
                Err(error) => tracing::error!(%error, "the standby's checkpoint failed"),
            }
        };
        // Nobody waits for it.
        drop(self.host.blocking(written));
    }

    /// Applies what earlier primaries appended and this tree does not have yet. Blocking; called
    /// after [`JournalStore::fence`], when nobody else appends any more.
    ///
    /// **Errors**: `Gap` when it was dropped already; what the journal says.
    pub(crate) fn catch_up(&self) -> Result<(), JournalError> {
        let target = self.journal.commits().current();
        let mut failure = None;
        while self.namespace.applied() < target && failure.is_none() {
            let from = self.namespace.applied().next();
            let next = self.journal.read(from, &mut |record| match self.apply_one(record) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            })?;
            if next == from && failure.is_none() {
                return Err(JournalError::NotContiguous { given: next, expected: target });
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

/// Whether the same call may succeed later.
pub(crate) fn is_passing(error: &JournalError) -> bool {
    error.code() == Code::Unavailable && !matches!(error, JournalError::Closed)
}
