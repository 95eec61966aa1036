//! Drafts: files that are being written.
//!
//! A draft is a local file that has the whole content; reads and writes at any position go there. At
//! `close` and `fsync` it becomes a version of the file, through the client, as the mount's write type
//! says: a new file is completed, an existing one is replaced by a file that was written beside it, so
//! nobody ever sees half of it. What exists already is copied into the draft when it is first needed.
//!
//! **A draft outlives its process.** Its bytes lie in a file, and what else there is to know in a
//! [`record`], which is written before the kernel is told of what it says. Bytes come first only where
//! nothing of theirs is in the record: the length is that of the file. [`recover`] goes on with what
//! another process has left.
//!
//! Reading order: [`record`], [`staging`], this, [`commit`], [`recover`].

mod ahead;
mod commit;
mod later;
mod quota;
mod rebound;
mod record;
mod recover;
mod staging;

pub(super) use later::COMMITS_MAX;
pub(super) use recover::{Inherited, Start};
pub(crate) use staging::Staging;
pub use staging::StagingError;

use super::{Caller, Core, failed};
use crate::abi::{Attr, SetAttr, SetTime};
use crate::errno::Errno;
use ahead::Ahead;
use alluxio_client::FileReader;
use alluxio_types::{FileStatus, InodeId, OperationId};
use record::{Record, Stage, Wanted};
use staging::Slot;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::block_in_place;

/// Bytes that are copied at a time between a draft and the cluster.
const COPY_BYTES: usize = 1 << 20;

/// A file that is being written. All who have it open share it.
pub(crate) struct Draft {
    slot: Slot,
    state: Mutex<State>,
    work: AsyncMutex<Work>,
}

struct State {
    record: Record,
    /// Whether the record lies in the slot: from the first change on.
    saved: bool,
    length: u64,
    /// Whether the file has the content already.
    loaded: bool,
    /// Counts changes that are done; what was committed last is `committed`.
    changed: u64,
    committed: u64,
    /// Where changes begin that are under way.
    writing: Vec<u64>,
    /// Time of the last change, since 1970.
    modified: Option<Duration>,
    /// Requests that are under way.
    users: u32,
    /// Came from a process before us, or stands for one of its handles: there may be handles that
    /// nobody counts.
    inherited: bool,
    /// Whether the master has to be asked first what became of a commit that was under way.
    unsettled: bool,
    /// Whether a commit of it is going to begin.
    on_its_way: bool,
    /// How a commit ended that nobody waited for.
    failure: Option<Errno>,
    /// Bytes of a block, for a new file; else 0.
    block_bytes: u64,
    /// Length up to which quotas need not be asked.
    asked_to: u64,
    /// Bytes that were sent ahead, or are being sent.
    sent: u64,
    /// Whether somebody is at it.
    sending: bool,
    /// Whether what was sent has changed since.
    went_back: bool,
    /// When it was last used, by the monotonic clock.
    used: Duration,
}

struct Work {
    /// The file as the master knows it, incomplete, before the first commit.
    birth: Option<Box<FileStatus>>,
    /// What there was before.
    base: Option<Arc<FileReader>>,
    /// Blocks that were written before the commit.
    ahead: Option<Ahead>,
}

/// Where a draft belongs.
pub(super) struct Place {
    pub(super) node: u64,
    pub(super) parent: u64,
    pub(super) name: String,
    pub(super) inode: InodeId,
    pub(super) attr: Attr,
}

fn io_failed(error: &std::io::Error) -> Errno {
    Errno::of_io(error)
}

impl Draft {
    /// Of a file that there is, with `base`.
    pub(super) fn of_existing(
        staging: &Arc<Staging>,
        caller: Caller,
        place: Place,
        base: Arc<FileReader>,
        length: u64,
    ) -> Result<Self, Errno> {
        let slot = staging.take().map_err(|error| no_room(staging, &error))?;
        let mut record = record(caller, place, Stage::Complete, OperationId(0));
        record.base = Some(length).filter(|length| *length > 0);
        let mut state = State::new(record, length);
        state.loaded = length == 0;
        let work = Work { birth: None, base: Some(base), ahead: None };
        Ok(Draft { slot, state: Mutex::new(state), work: AsyncMutex::new(work) })
    }

    /// Of a file that was just made for `begun`, with one handle, or as good as that.
    pub(super) fn of_new(begun: Start, place: Place, birth: FileStatus) -> Result<Self, Errno> {
        let Start { slot, caller, operation } = begun;
        let mut state = State::new(record(caller, place, Stage::Incomplete, operation), 0);
        state.record.opens = 1;
        state.save(&slot)?;
        state.block_bytes = birth.block_size_bytes;
        let work = Work { birth: Some(Box::new(birth)), base: None, ahead: None };
        Ok(Draft { slot, state: Mutex::new(state), work: AsyncMutex::new(work) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One user more. Under the lock of the nodes, so that nobody takes the draft away meanwhile.
    pub(super) fn enter(&self) {
        self.state().users += 1;
    }

    fn leave(&self) {
        self.state().users -= 1;
    }

    /// The user has got a handle. Who comes later must know, for the number of a node that was written
    /// before does not lead to its file any more.
    pub(super) fn opened(&self) {
        let mut state = self.state();
        state.users -= 1;
        state.record.opens += 1;
        // A failure was said already.
        let _ = state.save(&self.slot);
    }

    /// The same for who has made the file: his handle is counted already.
    pub(super) fn opened_first(&self) {
        self.state().users -= 1;
    }

    fn closed(&self) {
        let mut state = self.state();
        state.record.opens = state.record.opens.saturating_sub(1);
        // The last one is followed by more words.
        if state.record.opens > 0 {
            state.note(&self.slot);
        }
    }

    fn is_used(&self) -> bool {
        self.state().is_used()
    }

    /// No commit begins, and none is under way, as long as this is held.
    pub(super) async fn hold_still(&self) -> impl Sized + '_ {
        self.work.lock().await
    }

    /// It was not needed.
    pub(super) fn discard(&self) {
        self.slot.discard();
    }

    /// The kernel has forgotten the node: there is no handle any more, whatever was counted.
    pub(super) fn forget_handles(&self) {
        let mut state = self.state();
        if state.inherited {
            state.record.opens = 0;
            state.note(&self.slot);
        }
    }

    /// Whether a commit copies it in one piece.
    pub(super) fn is_short(&self) -> bool {
        self.state().length <= COPY_BYTES as u64
    }

    /// It is used at this time of the monotonic clock.
    pub(super) fn touch(&self, now: Duration) {
        self.state().used = now;
    }

    /// Shows what the master does not know yet.
    pub(super) fn dress(&self, attr: &mut Attr) {
        let state = self.state();
        let wanted = &state.record.wanted;
        attr.size = state.length;
        if let Some(modified) = wanted.modified.or(state.modified) {
            attr.modified = modified;
        }
        attr.accessed = wanted.accessed.unwrap_or(attr.accessed.max(attr.modified));
        if let Some(mode) = wanted.mode {
            attr.mode = attr.mode & libc::S_IFMT | mode;
        }
    }

    /// The file has another name, or none.
    pub(super) fn moved(&self, to: Option<(u64, &str)>) {
        let mut state = self.state();
        match to {
            Some((parent, name)) => {
                (state.record.parent, state.record.name) = (parent, name.to_owned());
            }
            None => state.record.unlinked = true,
        }
        state.note(&self.slot);
    }

    /// Attributes have changed at the master.
    pub(super) fn attributes_changed(&self, set: &SetAttr) {
        let mut state = self.state();
        let record = &mut state.record;
        if let Some(mode) = set.mode {
            record.mode = record.mode & libc::S_IFMT | mode & 0o7777;
        }
        record.uid = set.uid.unwrap_or(record.uid);
        record.gid = set.gid.unwrap_or(record.gid);
        state.note(&self.slot);
    }

    /// Takes what the next version can bring along out of `set`, if there is going to be one: times, and the
    /// mode of a new file that its maker sets.
    pub(super) fn take_attributes(
        &self,
        caller: Caller,
        set: &mut SetAttr,
        now: Duration,
    ) -> Result<(), Errno> {
        let mut state = self.state();
        if !state.is_pending() && state.record.stage == Stage::Complete {
            return Ok(());
        }
        let record = &mut state.record;
        let before = record.wanted;
        let at = |time: SetTime| match time {
            SetTime::At(at) => at,
            SetTime::Now => now,
        };
        let wanted = &mut record.wanted;
        wanted.modified = set.modified.take().map(at).or(wanted.modified);
        wanted.accessed = set.accessed.take().map(at).or(wanted.accessed);
        if record.stage == Stage::Incomplete
            && record.caller == caller.uid
            && let Some(mode) = set.mode.take()
        {
            record.mode = record.mode & libc::S_IFMT | mode & 0o7777;
            record.wanted.mode = Some(mode & 0o7777);
        }
        if record.wanted != before { state.save(&self.slot) } else { Ok(()) }
    }

    /// Reads without waiting for the cluster; `None` before the content is here.
    pub(super) fn try_read(&self, into: &mut [u8], offset: u64) -> Option<Result<usize, Errno>> {
        let length = {
            let state = self.state();
            if !state.loaded {
                return None;
            }
            state.length
        };
        let wanted = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = wanted.min(into.len());
        Some(match self.slot.file().read_exact_at(&mut into[..wanted], offset) {
            Ok(()) => Ok(wanted),
            Err(error) => Err(io_failed(&error)),
        })
    }

    /// Writes without waiting for the cluster; `None` before the content is here.
    pub(super) fn try_write(
        &self,
        bytes: &[u8],
        offset: u64,
        now: Duration,
    ) -> Option<Result<(), Errno>> {
        {
            let mut state = self.state();
            if !state.loaded {
                return None;
            }
            if let Err(errno) = state.begin_change(&self.slot, offset) {
                return Some(Err(errno));
            }
            state.went_back |= offset < state.sent;
        }
        let written = self.slot.file().write_all_at(bytes, offset);
        let mut state = self.state();
        match &written {
            Ok(()) => state.length = state.length.max(offset + bytes.len() as u64),
            // Some of it may be there.
            Err(_) => state.length = self.slot.length().unwrap_or(state.length),
        }
        state.end_change(offset, now);
        Some(written.map_err(|error| self.slot.no_room(&error)))
    }

    /// The local file, for a look at it. The content must be here.
    pub(super) fn file(&self) -> &File {
        self.slot.file()
    }

    /// Changes the local file in another way than by writing; it reaches to `end` at least then. The content
    /// must be here.
    pub(super) fn change_file(
        &self,
        change: impl FnOnce(&File) -> std::io::Result<()>,
        end: u64,
        now: Duration,
    ) -> Result<(), Errno> {
        {
            let mut state = self.state();
            // It may be anywhere.
            state.begin_change(&self.slot, 0)?;
            state.went_back |= state.sent > 0;
        }
        let changed = block_in_place(|| change(self.slot.file()));
        let mut state = self.state();
        if changed.is_ok() {
            state.length = state.length.max(end);
        }
        state.end_change(0, now);
        changed.map_err(|error| self.slot.no_room(&error))
    }

    async fn load_locked(&self, work: &Work) -> Result<(), Errno> {
        if self.state().loaded {
            return Ok(());
        }
        let Some(base) = &work.base else { return Err(Errno::IO) };
        let mut buffer = vec![0; COPY_BYTES];
        let mut at = 0;
        loop {
            let read = base.read_at(&mut buffer, at).await;
            let count = read.map_err(|error| failed("copy into a draft", &error))?;
            if count == 0 {
                break;
            }
            let written = block_in_place(|| self.slot.file().write_all_at(&buffer[..count], at));
            written.map_err(|error| self.slot.no_room(&error))?;
            at += count as u64;
        }
        self.state().loaded = true;
        Ok(())
    }

    /// Cuts or extends, with the content loaded or not needed.
    fn set_length(&self, length: u64, now: Duration) -> Result<(), Errno> {
        {
            let mut state = self.state();
            state.begin_change(&self.slot, length)?;
            state.went_back |= length < state.sent;
        }
        let cut = block_in_place(|| self.slot.file().set_len(length));
        let mut state = self.state();
        if cut.is_ok() {
            (state.length, state.loaded) = (length, true);
        }
        state.end_change(length, now);
        cut.map_err(|error| self.slot.no_room(&error))
    }
}

impl Core {
    /// Brings the content of a draft here.
    pub(super) async fn load_draft(&self, node: u64, draft: &Arc<Draft>) -> Result<(), Errno> {
        let mut work = draft.work.lock().await;
        if draft.state().unsettled {
            self.settle(node, draft, &mut work).await?;
        }
        draft.load_locked(&work).await
    }

    /// Cuts or extends a file.
    pub(super) async fn set_length(
        &self,
        node: u64,
        draft: &Arc<Draft>,
        length: u64,
    ) -> Result<(), Errno> {
        if !draft.may_reach(length) {
            self.need_room(node, draft, length).await?;
        }
        let mut work = draft.work.lock().await;
        if draft.state().unsettled {
            self.settle(node, draft, &mut work).await?;
        }
        if length > 0 {
            draft.load_locked(&work).await?;
        }
        draft.set_length(length, self.now())
    }
}

fn record(caller: Caller, place: Place, stage: Stage, operation: OperationId) -> Record {
    let Place { node, parent, name, inode, attr } = place;
    Record {
        node,
        parent,
        name,
        caller: caller.uid,
        inode,
        stage,
        begun: false,
        beside: None,
        next: None,
        base: None,
        dirty: false,
        unlinked: false,
        opens: 0,
        mode: attr.mode,
        uid: attr.uid,
        gid: attr.gid,
        wanted: Wanted::default(),
        operation,
    }
}

/// Says loudly that the folder of drafts is full, or fails otherwise.
fn no_room(staging: &Staging, error: &std::io::Error) -> Errno {
    let folder = staging.folder().display();
    tracing::error!(%folder, %error, "what is written to the mount cannot be kept in its staging folder");
    Errno::of_io(error)
}

impl State {
    fn new(record: Record, length: u64) -> Self {
        State {
            record,
            saved: false,
            length,
            loaded: true,
            changed: 0,
            committed: 0,
            writing: Vec::new(),
            modified: None,
            users: 0,
            inherited: false,
            unsettled: false,
            block_bytes: 0,
            asked_to: quota::ASK_FROM_BYTES,
            sent: 0,
            sending: false,
            went_back: false,
            on_its_way: false,
            failure: None,
            used: Duration::ZERO,
        }
    }

    fn is_used(&self) -> bool {
        self.record.opens > 0 || self.users > 0
    }

    /// Whether there is something that no version has.
    fn is_pending(&self) -> bool {
        self.changed != self.committed || !self.writing.is_empty()
    }

    fn save(&mut self, slot: &Slot) -> Result<(), Errno> {
        slot.save(&self.record).map_err(|error| slot.no_room(&error))?;
        self.saved = true;
        Ok(())
    }

    /// Saves what only matters to who comes later, if there is anything for him. A failure was said
    /// already, and must not fail what is done.
    fn note(&mut self, slot: &Slot) {
        if self.saved {
            let _ = self.save(slot);
        }
    }

    /// Before bytes change: who comes later must know that they may have.
    fn begin_change(&mut self, slot: &Slot, at: u64) -> Result<(), Errno> {
        let record = &mut self.record;
        if !record.dirty || record.base.is_some() || record.wanted.modified.is_some() {
            record.dirty = true;
            (record.base, record.wanted.modified) = (None, None);
            self.save(slot)?;
        }
        self.writing.push(at);
        Ok(())
    }

    fn end_change(&mut self, at: u64, now: Duration) {
        if let Some(index) = self.writing.iter().position(|it| *it == at) {
            self.writing.swap_remove(index);
        }
        self.changed += 1;
        self.modified = Some(now);
    }
}
