//! What a master asks of its journal.

use crate::{Commits, EntryBatch, Follower, JournalError};
use alluxio_types::{CheckpointRecord, Entry, JournalSeq, Term, UnixMillis};
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Ends when a batch has its place in the queue; see [`JournalStore::append`].
pub type AppendFuture<'a> = Pin<Box<dyn Future<Output = Result<(), JournalError>> + Send + 'a>>;

/// One entry as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its position.
    pub seq: JournalSeq,
    /// The reign it was written under.
    pub term: Term,
    /// The bytes of `alluxio_proto::convert::journal::encode_entry`.
    pub payload: &'a [u8],
}

/// Receives a journal's content at a start: the items of one checkpoint, then the entries after it.
pub trait Replay {
    /// Forget everything: what follows starts from nothing. Called first, and again when a
    /// checkpoint turned out to be damaged half way through and an older one takes its place.
    fn restart(&mut self);

    /// One item of the checkpoint.
    fn checkpoint(&mut self, record: &CheckpointRecord);

    /// One entry. Positions grow by one.
    fn entry(&mut self, seq: JournalSeq, entry: Entry);

    /// The state hash of the items since the last restart, which the store compares with the one that
    /// the checkpoint was written with; `None` from those who do not compute any.
    fn state_hash(&self) -> Option<StateDigest> {
        None
    }
}

/// A state hash: what a checkpoint's writer, or its reader, computed over the items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StateDigest {
    /// How it was computed: only hashes of one kind can be compared. 0 = not at all, as in files of
    /// early versions.
    pub kind: u32,
    /// The hash.
    pub hash: u64,
}

impl StateDigest {
    /// Nobody computed it.
    pub const UNKNOWN: StateDigest = StateDigest { kind: 0, hash: 0 };

    /// Whether the two are known not to be of the same state.
    pub fn contradicts(self, other: StateDigest) -> bool {
        self.kind != 0 && self.kind == other.kind && self.hash != other.hash
    }
}

/// What [`JournalStore::load`] found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Position of the last entry; 0 for an empty journal.
    pub last: JournalSeq,
    /// Newest term seen.
    pub term: Term,
    /// The checkpoint that was used, if any.
    pub checkpoint: Option<CheckpointInfo>,
    /// Number of entries after it.
    pub entries: u64,
    /// Newer checkpoints that were damaged and passed over.
    pub damaged_checkpoints: u32,
    /// Bytes of unfinished records that a crash left at the end, and that were cut off.
    pub torn_bytes: u64,
}

/// A finished checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointInfo {
    /// It holds the effect of all entries up to and including this one.
    pub at: JournalSeq,
    /// Number of items.
    pub records: u64,
    /// Size of its file.
    pub length_bytes: u64,
    /// What its writer computed over the items; compared whenever they are read.
    pub state_hash: StateDigest,
    /// When it was written.
    pub created: UnixMillis,
}

/// A checkpoint being written. Dropping it without [`CheckpointSink::finish`] leaves no trace.
/// Blocking: call from a blocking task.
pub trait CheckpointSink: Send {
    /// Adds one item; see [`CheckpointRecord`] for the order.
    fn put(&mut self, record: &CheckpointRecord) -> Result<(), JournalError>;

    /// Makes it durable and visible. `state_hash` is stored as it is.
    fn finish(self: Box<Self>, state_hash: StateDigest) -> Result<CheckpointInfo, JournalError>;
}

/// A finished checkpoint as bytes, for another master. Blocking.
pub trait CheckpointSource: Send + Sync {
    /// What it is; whoever takes it is told this first.
    fn info(&self) -> &CheckpointInfo;

    /// At most `bytes` bytes from `offset` on; none at its end.
    ///
    /// **Errors**: `Io`.
    fn read_at(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, JournalError>;
}

/// A checkpoint that comes from another master. Dropping it before its end leaves no trace. Blocking.
pub trait CheckpointInstall: Send {
    /// Adds bytes behind those that are there.
    ///
    /// **Errors**: `Corrupt` when there are too many; `Full`, `Io`.
    fn write(&mut self, bytes: &[u8]) -> Result<(), JournalError>;

    /// Reads all of it back through `check`, compares it with its checksums, what was promised and the
    /// state hash of `check`, and makes it durable and visible; the next [`JournalStore::load`] uses it.
    ///
    /// **Errors**: `Corrupt` when it is not what was promised; `Foreign`, `Io`.
    fn finish(self: Box<Self>, check: &mut dyn Replay) -> Result<CheckpointInfo, JournalError>;
}

/// How much of the log is kept, for stores where room is scarce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Bytes of entries that no truncation has removed yet.
    pub bytes: u64,
    /// Beyond it appends are slowed down, more and more, and wait at twice as much; 0 = no limit.
    pub limit_bytes: u64,
}

impl Backlog {
    /// Whether a checkpoint and a truncation should come now, whatever their schedule says.
    pub fn wants_checkpoint(&self) -> bool {
        self.limit_bytes > 0 && self.bytes > self.limit_bytes / 2
    }
}

/// What [`JournalStore::truncate`] removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Truncated {
    /// Log files (or keys) removed.
    pub segments: u64,
    /// Checkpoints removed.
    pub checkpoints: u64,
}

/// A totally ordered, durable log of entries with checkpoints.
///
/// Order of use: [`load`](Self::load), then [`fence`](Self::fence) with the term won, then
/// [`append`](Self::append) for as long as the tenure lasts. A standby calls `load`, then
/// [`follow`](Self::follow) from where that ended, and `load` again when it fell behind what is kept;
/// once elected it calls `fence` and reads on until it has applied what `commits` then shows. All
/// calls but `append`, `commits` and `follow` block and belong on a blocking task.
///
/// Implementations MUST hold:
/// 1. A position that [`Commits`] shows survives any crash, and `load` returns it for ever after.
/// 2. `load` returns a prefix of what was appended, byte for byte, or an error; never a wrong entry.
/// 3. After a failed write or sync, `Commits` never moves again. A full disk is no failure: what is
///    queued waits for room.
/// 4. After `fence(t)` returns, no append under a term below `t` becomes durable.
pub trait JournalStore: Send + Sync + 'static {
    /// Hands the newest sound checkpoint and all entries after it to `replay`. Repairs an end that
    /// a crash left torn. A checkpoint is not sound when [`Replay::state_hash`] contradicts its own.
    ///
    /// **Errors**: `Corrupt` and `Gap` when content is lost; `Io`; `OutOfOrder` once appending.
    fn load(&self, replay: &mut dyn Replay) -> Result<Recovered, JournalError>;

    /// Begins to append under `term`. Calling it again with a later term is allowed. When it returns,
    /// [`commits`](Self::commits) shows the last entry of all earlier terms: appends continue there.
    ///
    /// **Errors**: `Fenced` when a newer term was seen; `OutOfOrder` before `load`.
    fn fence(&self, term: Term) -> Result<(), JournalError>;

    /// Queues a batch, and waits only while the queue is full. Durability is told by
    /// [`JournalStore::commits`]. An empty batch is fine and does nothing.
    ///
    /// **Errors**: `Fenced`, `NotContiguous`, `EntryTooLarge`, `OutOfOrder`: nothing was queued. After a
    /// failure of the disk, that failure. **Cancel safety**: dropped before its end, nothing was queued.
    fn append(&self, term: Term, batch: EntryBatch) -> AppendFuture<'_>;

    /// Follows the entries after `after` as they become durable.
    fn follow(self: Arc<Self>, after: JournalSeq) -> Box<dyn Follower>;

    /// How far entries are durable.
    fn commits(&self) -> Commits;

    /// Visits the stored entries from `from` on, oldest first, until the visitor breaks or the
    /// last durable entry is passed. Returns the position after the last one visited.
    ///
    /// **Errors**: `Gap` when `from` was truncated away; `Corrupt`; `Io`.
    fn read(
        &self,
        from: JournalSeq,
        visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<JournalSeq, JournalError>;

    /// Begins a checkpoint of the state after entry `at`; appends go on meanwhile.
    ///
    /// **Errors**: `CheckpointAhead` when `at` is not durable; `Io`.
    fn begin_checkpoint(&self, at: JournalSeq) -> Result<Box<dyn CheckpointSink>, JournalError>;

    /// Begins to fill an empty journal with the state after entry `at`, which a backup holds. Called
    /// between [`load`](Self::load) and [`fence`](Self::fence); once the sink is finished, `load`
    /// finds a checkpoint at `at`. Without `finish` the journal stays empty.
    ///
    /// **Errors**: `OutOfOrder` when the journal is not empty, not loaded, or keeps nothing; `Io`.
    fn begin_restore(&self, at: JournalSeq) -> Result<Box<dyn CheckpointSink>, JournalError> {
        let _ = at;
        let needs = "a journal of another kind: this one keeps no checkpoints";
        Err(JournalError::OutOfOrder { call: "begin_restore", needs })
    }

    /// The newest sound checkpoint that this master holds, to hand it to another one; `None` when there
    /// is none.
    ///
    /// **Errors**: `Io`.
    fn open_checkpoint(&self) -> Result<Option<Box<dyn CheckpointSource>>, JournalError> {
        Ok(None)
    }

    /// Begins to take a checkpoint from another master, which said that it is `wanted`.
    ///
    /// **Errors**: `OutOfOrder` when this journal keeps no checkpoints; `Full`, `Io`.
    fn install_checkpoint(
        &self,
        wanted: &CheckpointInfo,
    ) -> Result<Box<dyn CheckpointInstall>, JournalError> {
        let _ = wanted;
        let needs = "a journal of another kind: this one keeps no checkpoints";
        Err(JournalError::OutOfOrder { call: "install_checkpoint", needs })
    }

    /// Whether all masters use the same checkpoints, so that none is handed from one to another.
    fn shares_checkpoints(&self) -> bool {
        false
    }

    /// How much of the log is kept; a primary looks now and then, see [`Backlog::wants_checkpoint`].
    /// Does not block.
    fn backlog(&self) -> Backlog {
        Backlog::default()
    }

    /// The newest checkpoint, when a secondary master writes them for this journal just now; 0 when it
    /// wrote none yet, `None` when there is no secondary master.
    ///
    /// **Errors**: `Io`.
    fn secondary_checkpoint(&self) -> Result<Option<JournalSeq>, JournalError> {
        Ok(None)
    }

    /// Removes all but the newest two checkpoints, and the entries that the older of the two
    /// covers: should the newest be damaged, the older one and the log after it still give
    /// everything. A store that several masters share keeps the entries that a master needs which is up
    /// and has no checkpoint of its own that covers them.
    fn truncate(&self) -> Result<Truncated, JournalError>;

    /// Makes all queued batches durable and ends the writing. Later appends get `Closed`.
    ///
    /// **Errors**: the failure that kept a batch from becoming durable.
    fn close(&self) -> Result<(), JournalError>;
}

/// One group commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flush {
    /// Entries made durable.
    pub entries: u64,
    /// Bytes written, framing included.
    pub bytes: u64,
    /// Time for the write and the sync.
    pub took: Duration,
}

/// Hears of what the journal does, for metrics. Calls come from the journal's own threads and must
/// be quick.
pub trait Observer: Send + Sync + 'static {
    /// A group of batches became durable.
    fn flushed(&self, _flush: &Flush) {}
    /// The number of entries that wait in the queue has changed.
    fn queue_depth(&self, _entries: u64) {}
    /// An append had to wait because the queue was full.
    fn queue_full(&self) {}
    /// A checkpoint is finished, `took` after it was begun.
    fn checkpointed(&self, _checkpoint: &CheckpointInfo, _took: Duration) {}
    /// The disk is full, and changes wait. Comes again with every look.
    fn stalled(&self, _error: &JournalError) {}
    /// The journal failed; nothing is committed any more.
    fn failed(&self, _error: &JournalError) {}
}

/// Hears nothing.
impl Observer for () {}
