//! A draft becomes a version of its file.

use super::ahead::Ahead;
use super::record::{Stage, Wanted};
use super::{COPY_BYTES, Draft, Work};
use crate::errno::Errno;
use crate::fs::list::HIDDEN_PREFIX;
use crate::fs::write::mode_of;
use crate::fs::{Caller, Core, failed};
use alluxio_client::{
    ClientError, CreateFileOptions, DeleteOptions, GetStatusOptions, SetAttributeOptions,
    WrittenAttributes,
};
use alluxio_types::{
    AlluxioPath, Code, Coded, FileStatus, InodeId, OperationId, UnixMillis, XattrStrategy,
    XattrUpdate,
};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::block_in_place;

/// Pause before a version is written once more.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Why a version is not written.
struct Unwritten {
    errno: Errno,
    /// A worker went away, or the store does not answer: another try may do.
    for_now: bool,
}

impl From<Errno> for Unwritten {
    fn from(errno: Errno) -> Self {
        Unwritten { errno, for_now: false }
    }
}

impl Unwritten {
    fn of(what: &str, error: &ClientError) -> Self {
        let transfer =
            matches!(error, ClientError::WriteFailed { .. } | ClientError::NoWorker { .. });
        let for_now = matches!(error.code(), Code::Unavailable | Code::DeadlineExceeded);
        Unwritten { errno: failed(what, error), for_now: transfer && for_now }
    }
}

/// What a commit takes.
pub(super) struct Taken {
    changed: u64,
    length: u64,
    caller: u32,
    begun: bool,
    lost: bool,
    unlinked: bool,
    wanted: Wanted,
    /// Time of the last change, if nobody wants another one.
    modified: Option<Duration>,
}

impl Draft {
    /// What there is to commit, if there is anything.
    pub(super) fn taken(&self) -> Option<Taken> {
        let state = self.state();
        let record = &state.record;
        if !state.is_pending() && (record.stage == Stage::Complete || record.unlinked) {
            return None;
        }
        Some(Taken {
            changed: state.changed,
            length: state.length,
            caller: record.caller,
            begun: record.begun,
            lost: record.stage == Stage::Lost,
            unlinked: record.unlinked,
            wanted: record.wanted,
            modified: state.modified,
        })
    }

    /// Changes what who comes later is told, before something happens at the master.
    pub(super) fn note(&self, change: impl FnOnce(&mut super::Record)) -> Result<(), Errno> {
        let mut state = self.state();
        change(&mut state.record);
        state.save(&self.slot)
    }

    /// A version has all that was taken. Returns attributes that are still to be set: they were wanted
    /// meanwhile.
    fn committed(&self, taken: &Taken, inode: Option<InodeId>) -> Wanted {
        let mut state = self.state();
        state.committed = taken.changed;
        let pending = state.is_pending();
        let record = &mut state.record;
        if let Some(inode) = inode {
            (record.inode, record.stage) = (inode, Stage::Complete);
            (record.begun, record.beside, record.next) = (false, None, None);
        }
        record.dirty = pending;
        if record.wanted == taken.wanted {
            record.wanted = Wanted::default();
        }
        let left = if pending { Wanted::default() } else { std::mem::take(&mut record.wanted) };
        state.note(&self.slot);
        left
    }

    /// Gives all of it to a writer, and completes the file.
    async fn fill(&self, ahead: Ahead, taken: &Taken) -> Result<FileStatus, Unwritten> {
        let (length, sent) = (taken.length, ahead.sent);
        let Some(mut writer) = ahead.into_writer() else { return Err(Errno::IO.into()) };
        let most = usize::try_from(length).unwrap_or(COPY_BYTES).min(COPY_BYTES);
        let mut buffer = vec![0; most];
        let mut at = sent;
        while at < length {
            let count = usize::try_from(length - at).unwrap_or(COPY_BYTES).min(COPY_BYTES);
            let mut read = || self.slot.file().read_exact_at(&mut buffer[..count], at);
            // A short file was just written; a long one may have left the page cache.
            let read = if length <= COPY_BYTES as u64 { read() } else { block_in_place(read) };
            read.map_err(|error| Errno::of_io(&error))?;
            let written = writer.write(&buffer[..count]).await;
            written.map_err(|error| Unwritten::of("write", &error))?;
            at += count as u64;
        }
        let closed = writer.close_with(attributes(taken)).await;
        closed.map_err(|error| Unwritten::of("complete a file", &error))
    }
}

fn since_1970(at: Duration) -> UnixMillis {
    UnixMillis(u64::try_from(at.as_millis()).unwrap_or(u64::MAX))
}

/// What a version brings along.
fn attributes(taken: &Taken) -> WrittenAttributes {
    let wanted = &taken.wanted;
    WrittenAttributes {
        mode: wanted.mode.map(mode_of),
        accessed: wanted.accessed.map(since_1970),
        modified: wanted.modified.or(taken.modified).map(since_1970),
        ..Default::default()
    }
}

impl Core {
    /// Makes what was written a version of the file.
    pub(in crate::fs) async fn commit(&self, node: u64, draft: &Arc<Draft>) -> Result<(), Errno> {
        let mut work = draft.work.lock().await;
        if draft.state().unsettled {
            self.settle(node, draft, &mut work).await?;
        }
        let Some(mut taken) = draft.taken() else { return Ok(()) };
        let unlinked = self.nodes().get(node).is_none_or(|node| node.unlinked);
        if taken.unlinked || unlinked {
            // Nobody can ever find it.
            draft.committed(&taken, None);
            return Ok(());
        }
        // Before the first change of an old file there is nothing to write.
        if !draft.state().loaded {
            return Ok(());
        }
        let status = match self.first_version(node, draft, &mut work, &mut taken).await {
            Err(unwritten) if unwritten.for_now => {
                Box::pin(self.write_again(node, draft, &taken, unwritten)).await?
            }
            outcome => outcome.map_err(|unwritten| unwritten.errno)?,
        };
        self.rebind(node, status.id);
        draft.state().sent = 0;
        let left = draft.committed(&taken, Some(status.id));
        if left != Wanted::default() {
            self.set_wanted(taken.caller, node, &left).await;
        }
        Ok(())
    }

    /// Writes what was taken: into the file that was made for it, or beside the one that there is.
    async fn first_version(
        &self,
        node: u64,
        draft: &Draft,
        work: &mut Work,
        taken: &mut Taken,
    ) -> Result<FileStatus, Unwritten> {
        let Some(ahead) = self.first_writer(node, draft, work, taken)? else {
            return self.replace(node, draft, taken).await;
        };
        let unwritten = match draft.fill(ahead, taken).await {
            Ok(status) => return Ok(status),
            Err(unwritten) => unwritten,
        };
        // The writer has removed the name, or it was gone.
        draft.note(|record| record.stage = Stage::Lost)?;
        taken.lost = true;
        match unwritten.errno {
            // The primary died before its journal had the name, which `open` did not wait for.
            Errno::NOENT => self.replace(node, draft, taken).await,
            _ => Err(unwritten),
        }
    }

    /// Writes what was taken beside, by whatever worker there is by then: all of it is here. For as long as calls are
    /// tried again.
    async fn write_again(
        &self,
        node: u64,
        draft: &Draft,
        taken: &Taken,
        mut last: Unwritten,
    ) -> Result<FileStatus, Errno> {
        let until = self.host.clock.monotonic().saturating_add(self.config.rpc_retry.total);
        while last.for_now && self.host.clock.monotonic() < until {
            tokio::time::sleep(AGAIN_AFTER).await;
            match self.replace(node, draft, taken).await {
                Ok(status) => return Ok(status),
                Err(unwritten) => last = unwritten,
            }
        }
        Err(last.errno)
    }

    /// The writer of a file that is new and has no version yet, with what it has been given already. None
    /// when bytes were given to it that are not those of the file any more.
    fn first_writer(
        &self,
        node: u64,
        draft: &Draft,
        work: &mut Work,
        taken: &Taken,
    ) -> Result<Option<Ahead>, Errno> {
        if let Some(ahead) = work.ahead.take() {
            if !draft.state().went_back {
                return Ok(Some(ahead));
            }
            return Ok(None);
        }
        let Some(birth) = work.birth.take().filter(|_| !taken.begun) else { return Ok(None) };
        draft.note(|record| record.begun = true)?;
        let options = CreateFileOptions { length_hint: Some(taken.length), ..Default::default() };
        let client = self.client(Caller::of(taken.caller, node))?;
        Ok(Some(Ahead::new(client.attach(*birth, &options))))
    }

    /// This mount has replaced the bytes of a node. Noted before anybody is told.
    pub(super) fn rebind(&self, number: u64, inode: InodeId) {
        let mut nodes = self.nodes();
        if nodes.get(number).is_some_and(|node| node.inode != inode) {
            self.staging.note_rebound(number, inode);
        }
        nodes.rebind(number, inode);
    }

    /// Writes a file beside the one that there is, and puts it in its place.
    async fn replace(
        &self,
        node: u64,
        draft: &Draft,
        taken: &Taken,
    ) -> Result<FileStatus, Unwritten> {
        let path = self.path(node).await?;
        let client = self.client(Caller::of(taken.caller, node))?;
        let there = self.own.get_status(&path, &GetStatusOptions::default()).await.ok();
        let ours = self.nodes().get(node).map(|node| node.inode);
        if taken.lost && there.as_ref().is_some_and(|there| Some(there.id) != ours) {
            // The name is free again since what was made is gone, and somebody else has it.
            return Err(Errno::EXIST.into());
        }
        let known = self.nodes().get(node).map_or(0o644, |node| node.attr.mode);
        let mode = there.as_ref().map_or(mode_of(known), |status| status.mode);
        let operation = self.new_operation();
        draft.note(|record| (record.beside, record.next) = (Some(operation), None))?;
        let beside = self.beside(&path, operation)?;
        let options = CreateFileOptions {
            mode: Some(mode),
            length_hint: Some(taken.length),
            replaces: there.as_ref().map(|status| status.id),
            block_size_bytes: there.as_ref().map(|status| status.block_size_bytes),
            operation: Some(operation),
            ..Default::default()
        };
        let (client, writer) = match client.create_file(&beside, &options).await {
            // Who may write the file need not be allowed to make names beside it: that is our matter.
            Err(error) if error.code() == Code::PermissionDenied => {
                let writer = self.own.create_file(&beside, &options).await;
                (self.own.clone(), writer)
            }
            writer => (client, writer),
        };
        let writer = writer.map_err(|error| failed("write a new version", &error))?;
        let next = writer.status().id;
        draft.note(|record| record.next = Some(next))?;
        let status = draft.fill(Ahead::new(writer), taken).await?;
        if let Some(there) = &there {
            self.keep_owner(&beside, there, &status).await;
        }
        if let Err(errno) = self.rename_over(&client, &beside, &path).await {
            let options = DeleteOptions::default();
            if let Err(error) = client.delete(&beside, &options).await {
                tracing::warn!(%beside, %error, "a version that was not put in place stays");
            }
            return Err(errno.into());
        }
        Ok(status)
    }

    /// A name for a change at the master that nobody has.
    pub(in crate::fs) fn new_operation(&self) -> OperationId {
        let half = || u128::from(self.host.entropy.next_u64());
        OperationId(half() << 64 | half())
    }

    /// The name that a change gives to what it makes beside a file.
    pub(in crate::fs) fn beside(
        &self,
        path: &AlluxioPath,
        operation: OperationId,
    ) -> Result<AlluxioPath, Errno> {
        let parent = path.parent().ok_or(Errno::INVAL)?;
        let name = format!("{HIDDEN_PREFIX}{:016x}", operation.0 as u64);
        parent.join(&name).map_err(|_| Errno::NAMETOOLONG)
    }

    async fn keep_owner(&self, path: &AlluxioPath, old: &FileStatus, new: &FileStatus) {
        if (&old.owner, &old.group, &old.xattr) == (&new.owner, &new.group, &new.xattr) {
            return;
        }
        let changes = SetAttributeOptions {
            owner: Some(old.owner.clone()),
            group: Some(old.group.clone()),
            xattr: Some(XattrUpdate {
                values: old.xattr.clone(),
                strategy: XattrStrategy::Truncate,
            }),
            ..Default::default()
        };
        if let Err(error) = self.own.set_attribute(path, &changes).await {
            tracing::debug!(%path, %error, "a new version has another owner than the old one");
        }
    }

    async fn set_wanted(&self, caller: u32, node: u64, wanted: &Wanted) {
        let changes = SetAttributeOptions {
            mode: wanted.mode.map(mode_of),
            accessed: wanted.accessed.map(since_1970),
            modified: wanted.modified.map(since_1970),
            ..Default::default()
        };
        let set = async {
            let path = self.path(node).await?;
            let client = self.client(Caller::of(caller, node))?;
            let set = client.set_attribute(&path, &changes).await;
            set.map_err(|error| failed("set what was wanted of a file", &error))
        };
        if let Err(errno) = set.await {
            tracing::warn!(%errno, "times or mode of a file that was written are not kept");
        }
    }

    /// One handle less; the last one commits what `flush` did not. What cannot be committed now is tried
    /// again later.
    pub(in crate::fs) async fn close_draft(self: &Arc<Self>, node: u64, draft: &Arc<Draft>) {
        draft.closed();
        if self.commits_later() && draft.taken().is_some() {
            // It was sent out already, unless it changed after the last flush.
            if let Err(errno) = self.commit_later(node, draft).await {
                tracing::warn!(%errno, node, "a file was closed whose last commit had failed");
            }
            return;
        }
        self.settle_unused(node, draft).await;
    }

    /// One user less, as [`Core::draft`] has counted it.
    pub(in crate::fs) async fn leave_draft(&self, node: u64, draft: &Arc<Draft>) {
        draft.leave();
        self.settle_unused(node, draft).await;
    }

    async fn settle_unused(&self, node: u64, draft: &Arc<Draft>) {
        if draft.is_used() {
            return;
        }
        if let Err(errno) = self.commit(node, draft).await {
            tracing::warn!(%errno, node, "a file that is closed is not written; it is tried again");
        }
        if !self.drop_draft(node, draft) {
            self.inherit(node, draft);
        }
    }

    /// Takes a draft away if nobody has it open and nothing is left to be done; whether it is gone.
    pub(in crate::fs) fn drop_draft(&self, number: u64, draft: &Arc<Draft>) -> bool {
        let mut nodes = self.nodes();
        let Some(node) = nodes.get_mut(number) else { return true };
        if !node.draft.as_ref().is_some_and(|there| Arc::ptr_eq(there, draft)) {
            return true;
        }
        if !draft.is_done(node.lookups) {
            return false;
        }
        draft.dress(&mut node.attr);
        node.draft = None;
        nodes.drop_unused(number);
        drop(nodes);
        draft.slot.discard();
        true
    }
}

impl Draft {
    /// Whether nobody can miss it. One without a name is missed as long as a handle may be open that
    /// nobody counts: until the kernel forgets the node.
    fn is_done(&self, lookups: u64) -> bool {
        let state = self.state();
        let record = &state.record;
        let safe = record.stage == Stage::Complete || record.unlinked;
        let missed = state.inherited && record.unlinked && lookups > 0;
        !state.is_used() && !state.is_pending() && safe && !missed
    }
}
