//! A draft becomes a version of its file.

use super::record::Stage;
use super::{COPY_BYTES, Draft};
use crate::errno::Errno;
use crate::fs::list::HIDDEN_PREFIX;
use crate::fs::write::mode_of;
use crate::fs::{Caller, Core, failed};
use alluxio_client::{
    CreateFileOptions, DeleteOptions, FileWriter, GetStatusOptions, SetAttributeOptions,
};
use alluxio_types::{
    AlluxioPath, Code, Coded, FileStatus, InodeId, OperationId, UnixMillis, XattrStrategy,
    XattrUpdate,
};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::block_in_place;

/// What a commit takes.
struct Taken {
    changed: u64,
    length: u64,
    caller: u32,
    begun: bool,
    unlinked: bool,
}

impl Draft {
    /// What there is to commit, if there is anything.
    fn taken(&self) -> Option<Taken> {
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
            unlinked: record.unlinked,
        })
    }

    /// Changes what who comes later is told, before something happens at the master.
    pub(super) fn note(&self, change: impl FnOnce(&mut super::Record)) -> Result<(), Errno> {
        let mut state = self.state();
        change(&mut state.record);
        state.save(&self.slot)
    }

    /// A version has all that was changed up to `changed`. Returns a time of change that is still to be set.
    fn committed(&self, changed: u64, inode: Option<InodeId>) -> Option<Duration> {
        let mut state = self.state();
        state.committed = changed;
        let pending = state.is_pending();
        let record = &mut state.record;
        if let Some(inode) = inode {
            (record.inode, record.stage) = (inode, Stage::Complete);
            (record.begun, record.beside, record.next) = (false, None, None);
        }
        record.dirty = pending;
        let wanted = if pending { None } else { record.wanted.modified.take() };
        state.note(&self.slot);
        wanted
    }

    /// Gives all of it to a writer, and completes the file.
    async fn fill(&self, mut writer: FileWriter, length: u64) -> Result<FileStatus, Errno> {
        let most = usize::try_from(length).unwrap_or(COPY_BYTES).min(COPY_BYTES);
        let mut buffer = vec![0; most];
        let mut at = 0;
        while at < length {
            let count = usize::try_from(length - at).unwrap_or(COPY_BYTES).min(COPY_BYTES);
            let read = block_in_place(|| self.slot.file().read_exact_at(&mut buffer[..count], at));
            read.map_err(|error| Errno::of_io(&error))?;
            let written = writer.write(&buffer[..count]).await;
            written.map_err(|error| failed("write", &error))?;
            at += count as u64;
        }
        writer.close().await.map_err(|error| failed("complete a file", &error))
    }
}

impl Core {
    /// Makes what was written a version of the file.
    pub(in crate::fs) async fn commit(&self, node: u64, draft: &Arc<Draft>) -> Result<(), Errno> {
        let mut work = draft.work.lock().await;
        if draft.state().unsettled {
            self.settle(node, draft, &mut work).await?;
        }
        let Some(taken) = draft.taken() else { return Ok(()) };
        let unlinked = self.nodes().get(node).is_none_or(|node| node.unlinked);
        if taken.unlinked || unlinked {
            // Nobody can ever find it.
            draft.committed(taken.changed, None);
            return Ok(());
        }
        // Before the first change of an old file there is nothing to write.
        if !draft.state().loaded {
            return Ok(());
        }
        let status = match work.birth.take() {
            Some(birth) if !taken.begun => {
                draft.note(|record| record.begun = true)?;
                let caller = Caller::of(taken.caller, node);
                let options =
                    CreateFileOptions { length_hint: Some(taken.length), ..Default::default() };
                let writer = self.client(caller)?.attach(*birth, &options);
                let filled = draft.fill(writer, taken.length).await;
                if filled.is_err() {
                    // The writer has removed the name.
                    draft.note(|record| record.stage = Stage::Lost)?;
                }
                filled?
            }
            _ => self.replace(node, draft, &taken).await?,
        };
        self.rebind(node, status.id);
        if let Some(at) = draft.committed(taken.changed, Some(status.id)) {
            self.set_modified(taken.caller, node, at).await;
        }
        Ok(())
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
    async fn replace(&self, node: u64, draft: &Draft, taken: &Taken) -> Result<FileStatus, Errno> {
        let path = self.path(node).await?;
        let client = self.client(Caller::of(taken.caller, node))?;
        let there = self.own.get_status(&path, &GetStatusOptions::default()).await.ok();
        let known = self.nodes().get(node).map_or(0o644, |node| node.attr.mode);
        let mode = there.as_ref().map_or(mode_of(known), |status| status.mode);
        let operation = self.new_operation();
        draft.note(|record| (record.beside, record.next) = (Some(operation), None))?;
        let beside = self.beside(&path, operation)?;
        let options = CreateFileOptions {
            mode: Some(mode),
            length_hint: Some(taken.length),
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
        let status = draft.fill(writer, taken.length).await?;
        if let Some(there) = &there {
            self.keep_owner(&beside, there, &status).await;
        }
        if let Err(errno) = self.rename_over(&client, &beside, &path).await {
            let options = DeleteOptions::default();
            if let Err(error) = client.delete(&beside, &options).await {
                tracing::warn!(%beside, %error, "a version that was not put in place stays");
            }
            return Err(errno);
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

    async fn set_modified(&self, caller: u32, node: u64, at: Duration) {
        let millis = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        let changes =
            SetAttributeOptions { modified: Some(UnixMillis(millis)), ..Default::default() };
        let set = async {
            let path = self.path(node).await?;
            let client = self.client(Caller::of(caller, node))?;
            let set = client.set_attribute(&path, &changes).await;
            set.map_err(|error| failed("set the time of change", &error))
        };
        if let Err(errno) = set.await {
            tracing::debug!(%errno, "a time of change is not kept");
        }
    }

    /// One handle less; the last one commits what `flush` did not. What cannot be committed now is tried
    /// again later.
    pub(in crate::fs) async fn close_draft(&self, node: u64, draft: &Arc<Draft>) {
        draft.closed();
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
