//! What the primary holds: the tree, its writer and gate, the workers, the open stores. Operations
//! (`ops`) and metadata sync (`sync`) are methods on it; services translate messages to them.

use crate::backup::Backups;
use crate::block_keys::BlockKeys;
use crate::error::MasterError;
use crate::gate::Gate;
use crate::identity::Identities;
use crate::metrics::MasterMetrics;
use crate::ops::intent::Held;
use crate::peers::Standbys;
use crate::sync::SyncState;
use crate::ufs_table::UfsTable;
use crate::workers::Workers;
use crate::writer::{Done, Writer};
use alluxio_config::MasterConfig;
use alluxio_host::Host;
use alluxio_journal::JournalStore;
use alluxio_namespace::{Context, Namespace, Policy, Refusal, Request, Seen, blocks_of};
use alluxio_types::{Answer, FileStatus, Identity, JournalSeq, OperationId, UnixMillis};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long somebody who asks for a checkpoint waits for a standby's: 100 M inodes take two minutes.
const CHECKPOINT_WITHIN: Duration = Duration::from_secs(600);

/// The primary.
pub struct Core {
    pub(crate) host: Host,
    pub(crate) config: MasterConfig,
    pub(crate) policy: Policy,
    pub(crate) namespace: Arc<Namespace>,
    pub(crate) journal: Arc<dyn JournalStore>,
    pub(crate) writer: Writer,
    pub(crate) gate: Gate,
    pub(crate) workers: Workers,
    pub(crate) standbys: Standbys,
    pub(crate) ufs: UfsTable,
    pub(crate) identities: Arc<Identities>,
    pub(crate) sync: SyncState,
    pub(crate) intents: Held,
    pub(crate) metrics: MasterMetrics,
    /// The master itself, when it acts on nobody's behalf.
    pub(crate) itself: Arc<Identity>,
    pub(crate) started: UnixMillis,
    pub(crate) started_at: Duration,
    /// Grows with every change of the set of pinned files.
    pub(crate) pin_version: AtomicU64,
    pub(crate) checkpoint_at: AtomicU64,
    pub(crate) backups: Backups,
    /// Signs what lets clients open blocks; `None` when workers ask for nothing.
    pub(crate) block_keys: Option<BlockKeys>,
    pub(crate) properties: Vec<Property>,
}

/// One line of the configuration, credentials masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Where the value comes from.
    pub source: String,
}

/// A caller of an operation, and the moment of the call.
pub(crate) struct Call {
    pub(crate) who: Arc<Identity>,
    pub(crate) now: UnixMillis,
    /// The client's name for the change that it asks for, the same in all of its tries.
    pub(crate) operation: Option<OperationId>,
    /// Whether the caller does not wait for the journal: he is answered as soon as the primary knows, and
    /// asks again for what must be durable.
    pub(crate) early: bool,
}

impl Core {
    /// A call of that user; the groups are those that it claims, or else those that this machine knows.
    pub(crate) fn call(
        &self,
        user: &str,
        groups: Option<Vec<String>>,
        operation: Option<OperationId>,
    ) -> Call {
        let who = match groups {
            Some(groups) => Arc::new(Identity::new(user, groups)),
            None => self.identities.of(user),
        };
        Call { who, now: self.host.clock.now(), operation, early: false }
    }

    pub(crate) fn context<'a>(&'a self, call: &'a Call) -> Context<'a> {
        Context { now: call.now, who: &call.who, policy: &self.policy }
    }

    /// Makes a change of the master's own and waits until it is durable.
    pub(crate) async fn commit(
        &self,
        request: impl Into<Request>,
        who: &Arc<Identity>,
    ) -> Result<Done, MasterError> {
        match self.writer.change(request, who, None).await {
            Ok(done) => {
                self.gate.pass(done.seen).await?;
                Ok(done)
            }
            Err(error) => Err(self.hold(error).await),
        }
    }

    /// Makes the change that a call asks for and waits until it is durable. The answer is remembered
    /// with it.
    pub(crate) async fn commit_for(
        &self,
        request: impl Into<Request>,
        call: &Call,
    ) -> Result<Done, MasterError> {
        match self.writer.change(request, &call.who, call.operation).await {
            Ok(done) => {
                self.pass(done.seen, call).await?;
                Ok(done)
            }
            Err(error) => Err(self.hold_for(error, call).await),
        }
    }

    /// Holds a reply back as its call wants it: until what it saw is durable, or only until it is sure that
    /// nobody else is the primary.
    pub(crate) async fn pass(&self, seen: JournalSeq, call: &Call) -> Result<(), MasterError> {
        self.gate.pass(if call.early { JournalSeq(0) } else { seen }).await
    }

    /// Carries a call out, unless an earlier try of it was: then its answer counts.
    ///
    /// The change itself is made once because the writer looks too. Here it is looked up so that a
    /// repeated call is not refused on the way (its file exists already, its source is gone):
    /// before, and again after a refusal, when the first try overtook this one.
    pub(crate) async fn once(
        &self,
        call: &Call,
        first: impl Future<Output = Result<Answer, MasterError>>,
    ) -> Result<Answer, MasterError> {
        if let Some(answer) = self.answered(call).await? {
            return Ok(answer);
        }
        match first.await {
            Err(error) => Ok(self.answered(call).await?.ok_or(error)?),
            made => made,
        }
    }

    /// The answer to an earlier try of a call, once it is durable.
    pub(crate) async fn answered(&self, call: &Call) -> Result<Option<Answer>, MasterError> {
        match call.operation.and_then(|operation| self.namespace.answered(operation)) {
            Some(answered) => {
                self.pass(answered.seq, call).await?;
                Ok(Some(answered.value))
            }
            None => Ok(None),
        }
    }

    /// Asks whether a change would be made now.
    pub(crate) async fn check(
        &self,
        request: impl Into<Request>,
        who: &Arc<Identity>,
    ) -> Result<Done, MasterError> {
        match self.writer.check(request, who).await {
            Ok(done) => Ok(done),
            Err(error) => Err(self.hold(error).await),
        }
    }

    /// Holds a refusal back until what it saw is durable: "exists already" must not be said of a
    /// file that a crash can still take away.
    pub(crate) async fn hold(&self, error: MasterError) -> MasterError {
        match &error {
            MasterError::Refused(refusal) => match self.gate.pass(refusal.seen).await {
                Ok(()) => error,
                Err(gate) => gate,
            },
            _ => error,
        }
    }

    /// The same as the call wants it.
    pub(crate) async fn hold_for(&self, error: MasterError, call: &Call) -> MasterError {
        match &error {
            MasterError::Refused(_) if call.early => {
                self.gate.pass(JournalSeq(0)).await.err().unwrap_or(error)
            }
            _ => self.hold(error).await,
        }
    }

    /// Lets the result of a read out as its call wants it.
    pub(crate) async fn release_for<T>(
        &self,
        read: Result<Seen<T>, Refusal>,
        call: &Call,
    ) -> Result<T, MasterError> {
        match read {
            Ok(seen) => {
                self.pass(seen.seq, call).await?;
                Ok(seen.value)
            }
            Err(refusal) => Err(self.hold_for(refusal.into(), call).await),
        }
    }

    /// Lets the result of a read out when what it saw is durable.
    pub(crate) async fn release<T>(
        &self,
        read: Result<Seen<T>, Refusal>,
    ) -> Result<T, MasterError> {
        match read {
            Ok(seen) => {
                self.gate.pass(seen.seq).await?;
                Ok(seen.value)
            }
            Err(refusal) => Err(self.hold(refusal.into()).await),
        }
    }

    /// Adds locations, or takes the blocks out.
    pub(crate) fn dress(&self, status: &mut FileStatus, without_blocks: bool) {
        if !status.is_file() {
            return;
        }
        if without_blocks {
            status.blocks = Vec::new();
            self.workers.count_cached(status);
            return;
        }
        // Listings leave the blocks to those who want them.
        if status.blocks.is_empty() {
            status.blocks = blocks_of(status);
        }
        self.workers.locate_all(status);
    }

    /// Whether workers may still be missing: the primary started less than
    /// `alluxio.master.worker.connect.wait.time` ago.
    pub(crate) fn in_safe_mode(&self) -> bool {
        let up = self.host.clock.monotonic().saturating_sub(self.started_at);
        up < self.config.safe_mode_wait
    }

    /// Frees the blocks of files that a committed change removed. The lengths are gone with the
    /// inodes, so the workers' own reports say which blocks there are.
    pub(crate) fn drop_blocks(&self, removed: &[alluxio_types::InodeId]) {
        for &id in removed {
            self.workers.free_file(id);
        }
        if !removed.is_empty() {
            // A pinned file may be among them.
            self.pins_changed();
        }
    }

    pub(crate) fn pins_changed(&self) {
        self.pin_version.fetch_add(1, Ordering::Release);
    }

    /// Lets a checkpoint be taken: by the standbys, if there are any, else here. Returns position and
    /// host of one that is finished.
    ///
    /// **Errors**: as [`Core::checkpoint`]; `CheckpointLate` when no standby finished one in time.
    pub(crate) async fn checkpoint_somewhere(&self) -> Result<(JournalSeq, String), MasterError> {
        let at = self.gate.committed();
        if self.standbys.list().is_empty() {
            return Ok((self.checkpoint().await?, self.config.hostname.clone()));
        }
        self.standbys.next_round();
        let began = self.host.clock.monotonic();
        while self.host.clock.monotonic().saturating_sub(began) < CHECKPOINT_WITHIN {
            let standbys = self.standbys.list();
            if let Some(done) = standbys.iter().find(|standby| standby.checkpoint >= at.0) {
                return Ok((JournalSeq(done.checkpoint), done.host.clone()));
            }
            if standbys.is_empty() {
                return Ok((self.checkpoint().await?, self.config.hostname.clone()));
            }
            tokio::time::sleep(crate::link::BEAT).await;
        }
        Err(MasterError::CheckpointLate { at })
    }

    /// Takes a checkpoint now, while serving. Returns the position it stands for.
    ///
    /// **Errors**: `CheckpointRunning`, and what the journal says.
    pub async fn checkpoint(&self) -> Result<JournalSeq, MasterError> {
        let checkpoint = self.writer.begin_checkpoint().await?;
        let at = checkpoint.seq();
        self.gate.pass(at).await?;
        if at.0 == 0 || at.0 == self.checkpoint_at.load(Ordering::Acquire) {
            return Ok(at);
        }
        let journal = self.journal.clone();
        let write = move || crate::recover::write_checkpoint(&*journal, checkpoint);
        let at = self.host.blocking(write).await.map_err(|_| MasterError::Stopping)??;
        self.checkpoint_at.store(at.0, Ordering::Release);
        self.metrics.journal_checkpoint.set(at.0 as i64);
        tracing::info!(seq = at.0, "checkpoint is written");
        Ok(at)
    }
}
