//! Going on with what a process before us was writing.
//!
//! The kernel sends what concerns those files with handles of the dead process; the node leads to the
//! draft. How many handles there are is known but for the requests that were under way, so nothing is
//! lost by believing the count: a draft that seems closed is committed, one that seems open is too when
//! nobody uses it for long, and one without a name stays until the kernel forgets its node.

use super::record::{Record, Stage, Wanted};
use super::staging::{Left, Slot};
use super::{Draft, State, Work};
use crate::abi::{Attr, Entry, Opened, open_flag};
use crate::errno::Errno;
use crate::fs::handles::Handle;
use crate::fs::list::HIDDEN_PREFIX;
use crate::fs::nodes::ino_of;
use crate::fs::write::mode_of;
use crate::fs::{Caller, Core, failed};
use alluxio_client::{
    CreateFileOptions, DeleteOptions, FileReader, GetStatusOptions, OpenFileOptions,
};
use alluxio_types::{AlluxioPath, Code, Coded, FileStatus, InodeId, OperationId};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Mutex as AsyncMutex;

/// How often drafts that nobody may ask for any more are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// A draft without handles that is not used for so long is committed: longer than the kernel takes to
/// give out again what was under way.
const IDLE_CLOSED: Duration = Duration::from_secs(2);
/// One that seems to be open: a handle may have been counted twice.
const IDLE_OPEN: Duration = Duration::from_secs(60);
/// After so long without a request for its name, a file that was being created is given up.
const IDLE_CREATING: Duration = Duration::from_secs(10);
/// Failures after which one that cannot be mended is believed: a directory above may just be on its way to
/// another name.
const HOPELESS_AFTER: u32 = 2;
/// How often it is looked anew when a last word of the dead process arrives meanwhile: it had one to say.
const SETTLE_MAX: u32 = 3;
/// Longest pause between two attempts to commit.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Drafts that are taken care of here, because no request may come for them.
#[derive(Default)]
pub(in crate::fs) struct Inherited {
    state: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    drafts: Vec<Care>,
    /// Files that were being asked for.
    creating: Vec<(Slot, Record)>,
}

#[derive(Clone)]
struct Care {
    node: u64,
    draft: Arc<Draft>,
    /// Attempts to commit it that failed.
    failures: u32,
    /// Not before this time of the monotonic clock.
    not_before: Duration,
}

/// A file that is about to be made.
pub(in crate::fs) struct Start {
    pub(super) slot: Slot,
    pub(super) caller: Caller,
    pub(in crate::fs) operation: OperationId,
}

impl Start {
    /// There is no such file, or it is somebody else's.
    pub(in crate::fs) fn give_up(self) {
        self.slot.discard();
    }
}

impl Inherited {
    fn state(&self) -> MutexGuard<'_, Kept> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Draft {
    fn inherited(slot: Slot, record: Record, now: Duration) -> std::io::Result<Self> {
        let facts = slot.file().metadata()?;
        let modified = facts.modified()?.duration_since(std::time::UNIX_EPOCH).ok();
        let length = record.base.unwrap_or(facts.len());
        let mut state = State::new(record, length);
        state.loaded = state.record.base.is_none();
        state.changed = u64::from(state.record.dirty);
        state.modified = modified.filter(|_| state.record.dirty);
        (state.saved, state.inherited, state.unsettled, state.used) = (true, true, true, now);
        let work = Work { birth: None, base: None, ahead: None };
        Ok(Draft { slot, state: Mutex::new(state), work: AsyncMutex::new(work) })
    }
}

impl Core {
    /// Takes up the drafts of the process before us. Asks nobody, so that it takes no time.
    pub(in crate::fs) fn take_up(&self, left: Left) {
        self.nodes().know_rebound(left.nodes);
        let now = self.host.clock.monotonic();
        let mut kept = self.inherited.state();
        for (slot, record) in left.drafts {
            if record.stage == Stage::Creating {
                kept.creating.push((slot, record));
                continue;
            }
            let (node, parent, name) = (record.node, record.parent, record.name.clone());
            let (inode, unlinked, opens) = (record.inode, record.unlinked, record.opens);
            let mut attr = attr_of(&record);
            let draft = match Draft::inherited(slot, record, now) {
                Ok(draft) => Arc::new(draft),
                Err(error) => {
                    tracing::error!(name, %error, "what was written to a file cannot be taken up");
                    continue;
                }
            };
            draft.dress(&mut attr);
            self.nodes().take_up((parent, &name), node, inode, attr, (&draft, opens, unlinked));
            kept.drafts.push(Care { node, draft, failures: 0, not_before: Duration::ZERO });
        }
        if !kept.drafts.is_empty() {
            tracing::info!(files = kept.drafts.len(), "goes on with files that were being written");
        }
    }

    /// The draft of a node has handles that nobody counts, or a commit that has to be tried again.
    pub(in crate::fs) fn inherit(&self, node: u64, draft: &Arc<Draft>) {
        draft.state().inherited = true;
        draft.touch(self.host.clock.monotonic());
        let mut kept = self.inherited.state();
        if !kept.drafts.iter().any(|care| Arc::ptr_eq(&care.draft, draft)) {
            let draft = draft.clone();
            kept.drafts.push(Care { node, draft, failures: 0, not_before: Duration::ZERO });
        }
    }

    /// Before a file is asked for: what makes the request repeatable by who comes after us. A request that
    /// the process before us had begun is taken up as it was.
    pub(in crate::fs) fn start_create(
        &self,
        caller: Caller,
        name: &str,
        mode: u32,
    ) -> Result<Start, Errno> {
        let known = {
            let mut kept = self.inherited.state();
            let is_it = |(_, record): &(Slot, Record)| {
                (record.parent, record.name.as_str()) == (caller.node, name)
                    && record.caller == caller.uid
            };
            kept.creating.iter().position(is_it).map(|at| kept.creating.swap_remove(at))
        };
        if let Some((slot, record)) = known {
            return Ok(Start { slot, caller, operation: record.operation });
        }
        let slot = self.staging.take().map_err(|error| super::no_room(&self.staging, &error))?;
        let operation = self.new_operation();
        let record = Record {
            node: 0,
            parent: caller.node,
            name: name.to_owned(),
            caller: caller.uid,
            inode: InodeId(0),
            stage: Stage::Creating,
            begun: false,
            beside: None,
            next: None,
            base: None,
            dirty: false,
            unlinked: false,
            opens: 0,
            mode: libc::S_IFREG | u32::from(mode_of(mode).0),
            uid: 0,
            gid: 0,
            wanted: Wanted::default(),
            operation,
        };
        slot.save(&record).map_err(|error| slot.no_room(&error))?;
        Ok(Start { slot, caller, operation })
    }

    /// The answer to a creation that the process before us had carried out, when the kernel asks again
    /// because it did not hear of it.
    pub(in crate::fs) fn created_before(&self, caller: Caller, name: &str) -> Option<Vec<u8>> {
        let mut nodes = self.nodes();
        let number = nodes.child(caller.node, name).filter(|_| caller.resent)?;
        let node = nodes.get_mut(number)?;
        let draft = node.draft.clone().filter(|draft| draft.state().inherited)?;
        node.lookups += 1;
        let mut attr = Attr { ino: ino_of(number), ..node.attr };
        draft.dress(&mut attr);
        drop(nodes);
        // The handle is counted: its first answer was never heard.
        let handle = self.handles().insert(Handle::Draft(draft));
        let (entry_valid, attr_valid) = (self.settings.entry_valid, self.settings.attr_valid);
        let opened = Opened { handle, flags: open_flag::KEEP_CACHE, backing: 0 };
        Some(Entry { node: number, attr, entry_valid, attr_valid }.reply_opened(&opened))
    }

    /// Finds out what became of a commit that was under way.
    pub(super) async fn settle(
        &self,
        node: u64,
        draft: &Arc<Draft>,
        work: &mut Work,
    ) -> Result<(), Errno> {
        for _ in 0..SETTLE_MAX {
            match self.settle_once(node, draft, work).await {
                Err(Errno::AGAIN) => {}
                other => return other,
            }
        }
        Err(Errno::AGAIN)
    }

    async fn settle_once(
        &self,
        node: u64,
        draft: &Arc<Draft>,
        work: &mut Work,
    ) -> Result<(), Errno> {
        let record = draft.state().record.clone();
        if !record.unlinked {
            let old = self.where_is(record.inode).await?;
            if let (Some(beside), None) = (record.beside, record.next) {
                self.remove_beside(node, draft, beside).await?;
            }
            let new = match record.next {
                Some(next) => self.where_is(next).await?,
                None => None,
            };
            self.settle_versions(node, draft, &record, (old.as_ref(), new)).await?;
            if let (Some(path), Stage::Incomplete, false) = (old, record.stage, record.begun) {
                work.birth = self.birth(&path, record.inode).await?;
            }
        }
        if !draft.state().loaded {
            work.base = self.base_of(draft).await?;
        }
        draft.state().unsettled = false;
        Ok(())
    }

    /// What a draft is about, that was opened and not changed.
    async fn base_of(&self, draft: &Draft) -> Result<Option<Arc<FileReader>>, Errno> {
        let inode = draft.state().record.inode;
        let Some(path) = self.where_is(inode).await? else { return Ok(None) };
        let base = self.own.open_file(&path, &OpenFileOptions::default()).await;
        let base = base.map_err(|error| failed("go on with a file", &error))?;
        Ok(Some(base).filter(|base| base.status().id == inode).map(Arc::new))
    }

    /// Removes a version of which nothing is known but that it was asked for. It is made, if it was not: a
    /// request of the dead process that comes late makes nothing then.
    async fn remove_beside(
        &self,
        node: u64,
        draft: &Arc<Draft>,
        beside: OperationId,
    ) -> Result<(), Errno> {
        let path = self.beside(&self.path(node).await?, beside)?;
        let options = CreateFileOptions { operation: Some(beside), ..Default::default() };
        match self.own.create_file(&path, &options).await {
            Ok(writer) => writer.cancel().await,
            Err(error) => return Err(failed("remove half of a version", &error)),
        }
        draft.note(|record| record.beside = None)
    }

    async fn settle_versions(
        &self,
        node: u64,
        draft: &Arc<Draft>,
        record: &Record,
        (old, new): (Option<&AlluxioPath>, Option<AlluxioPath>),
    ) -> Result<(), Errno> {
        let is_beside = |path: &AlluxioPath| path.name().starts_with(HIDDEN_PREFIX);
        match (old, new, record.next) {
            // It was put in its place, or, where that takes two steps, the first was done.
            (None, Some(path), Some(next)) => {
                if is_beside(&path) {
                    let to = self.path(node).await?;
                    self.rename_over(&self.own, &path, &to).await?;
                }
                self.rebind(node, next);
                draft.note(|record| {
                    (record.inode, record.stage) = (next, Stage::Complete);
                    (record.beside, record.next, record.begun) = (None, None, false);
                })?;
            }
            (Some(_), Some(path), _) if is_beside(&path) => {
                // Half of a version that nobody has seen; it is written anew.
                match self.own.delete(&path, &DeleteOptions::default()).await {
                    Ok(_) => {}
                    // The last word of the dead process came late, and has put it in its place.
                    Err(error) if error.code() == Code::NotFound => return Err(Errno::AGAIN),
                    Err(error) => return Err(failed("remove half of a version", &error)),
                }
                draft.note(|record| (record.beside, record.next) = (None, None))?;
            }
            // A commit of the dead process may have failed, and have removed the name itself.
            (None, None, _) if record.stage == Stage::Incomplete && record.begun => {
                draft.note(|record| record.stage = Stage::Lost)?;
            }
            (None, None, _) if record.stage != Stage::Lost => {
                tracing::warn!(
                    name = record.name,
                    "a file that was being written was removed meanwhile"
                );
                let mut nodes = self.nodes();
                nodes.vanish(node);
                drop(nodes);
                draft.note(|record| record.unlinked = true)?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn where_is(&self, inode: InodeId) -> Result<Option<AlluxioPath>, Errno> {
        match self.own.path_of(inode).await {
            Ok(path) => Ok(Some(path)),
            Err(error) if error.code() == Code::NotFound => Ok(None),
            Err(error) => Err(failed("find a file that was being written", &error)),
        }
    }

    /// A file that was made and has no bytes yet.
    async fn birth(
        &self,
        path: &AlluxioPath,
        inode: InodeId,
    ) -> Result<Option<Box<FileStatus>>, Errno> {
        match self.own.get_status(path, &GetStatusOptions::default()).await {
            Ok(status) => {
                Ok(Some(status).filter(|it| it.id == inode && !it.completed).map(Box::new))
            }
            Err(error) if error.code() == Code::NotFound => Ok(None),
            Err(error) => Err(failed("look at a file that was being written", &error)),
        }
    }

    /// Looks after drafts that nobody may ask for, until the mount is gone.
    pub(in crate::fs) async fn look_after_drafts(core: Weak<Core>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let Some(core) = core.upgrade() else { return };
            let cares = core.inherited.state().drafts.clone();
            for care in cares {
                core.look_after(care).await;
            }
            core.give_up_creating().await;
        }
    }

    async fn look_after(&self, care: Care) {
        let now = self.host.clock.monotonic();
        if now < care.not_before {
            return;
        }
        let (idle, unsettled, is_open) = {
            let state = care.draft.state();
            (now.saturating_sub(state.used), state.unsettled, state.record.opens > 0)
        };
        let patience = if is_open { IDLE_OPEN } else { IDLE_CLOSED };
        if idle < patience && !unsettled {
            return;
        }
        let outcome = if unsettled {
            // What others see must not wait for the next close.
            let mut work = care.draft.work.lock().await;
            self.settle(care.node, &care.draft, &mut work).await
        } else {
            self.commit(care.node, &care.draft).await
        };
        match outcome {
            Ok(()) if idle >= patience && self.drop_draft(care.node, &care.draft) => {
                self.forget_care(&care);
            }
            Ok(()) => {}
            // Nothing is given up before it is known what it is.
            Err(errno) if care.draft.state().unsettled => {
                tracing::debug!(node = care.node, %errno, "not known yet what became of a file");
            }
            Err(errno) => self.care_later(&care, errno, now),
        }
    }

    fn forget_care(&self, care: &Care) {
        self.inherited.state().drafts.retain(|it| !Arc::ptr_eq(&it.draft, &care.draft));
    }

    /// A commit has failed: it is tried again, unless that cannot help.
    fn care_later(&self, care: &Care, errno: Errno, now: Duration) {
        let hopeless = care.failures >= HOPELESS_AFTER
            && matches!(
                errno,
                Errno::ACCES
                    | Errno::EXIST
                    | Errno::PERM
                    | Errno::ROFS
                    | Errno::NOTDIR
                    | Errno::ISDIR
                    | Errno::STALE
                    | Errno::NOENT
                    | Errno::INVAL
                    | Errno::NAMETOOLONG
            );
        if hopeless {
            let record = care.draft.state().record.clone();
            care.draft.slot.put_aside("it cannot be made a version of the file", &record);
            if let Some(node) = self.nodes().get_mut(care.node) {
                node.draft = None;
            }
            return self.forget_care(care);
        }
        let mut kept = self.inherited.state();
        if let Some(it) = kept.drafts.iter_mut().find(|it| Arc::ptr_eq(&it.draft, &care.draft)) {
            it.failures += 1;
            let pause = Duration::from_secs(1 << it.failures.min(6)).min(RETRY_MAX);
            it.not_before = now + pause;
            tracing::warn!(node = care.node, %errno, ?pause, "a file is not written yet; it is tried again");
        }
    }

    /// Takes away files whose creation the kernel does not ask for any more: nobody has them.
    async fn give_up_creating(&self) {
        if self.host.clock.monotonic().saturating_sub(self.begun_at) < IDLE_CREATING {
            return;
        }
        let creating = std::mem::take(&mut self.inherited.state().creating);
        for (slot, record) in creating {
            let operation = Some(record.operation);
            let made = async {
                let path = self.path_below(record.parent, &record.name).await?;
                let caller = Caller::of(record.caller, record.parent);
                let options = CreateFileOptions {
                    operation,
                    mode: Some(mode_of(record.mode)),
                    ..Default::default()
                };
                let made = self.client(caller)?.create_file(&path, &options).await;
                made.map_err(|error| failed("give up a creation", &error))
            };
            match made.await {
                Ok(writer) => writer.cancel().await,
                Err(errno) => tracing::debug!(%errno, name = record.name, "a creation is given up"),
            }
            slot.discard();
        }
    }
}

fn attr_of(record: &Record) -> Attr {
    Attr {
        ino: ino_of(record.node),
        mode: record.mode,
        links: u32::from(!record.unlinked),
        uid: record.uid,
        gid: record.gid,
        block_size: crate::fs::lookup::IO_BYTES,
        ..Attr::default()
    }
}
