//! Names that come and go, attributes that change.

use super::list::HIDDEN_PREFIX;
use super::nodes::{Node, Way};
use super::replay::Again;
use super::write::mode_of;
use super::xattr::kept;
use super::{AlluxioFs, Caller, Core, failed, text};
use crate::abi::{Operation, SetAttr, SetTime, attr_reply};
use crate::errno::Errno;
use crate::session::Reply;
use alluxio_client::{
    CreateDirectoryOptions, CreateFileOptions, DeleteOptions, FileSystem as Client,
    SetAttributeOptions,
};
use alluxio_types::{AlluxioPath, Code, Coded, UnixMillis};
use std::sync::Arc;

/// `renameat2`: the target must not be there.
const RENAME_NOREPLACE: u32 = libc::RENAME_NOREPLACE;
/// `renameat2`: both must be there, and change places.
const RENAME_EXCHANGE: u32 = libc::RENAME_EXCHANGE;

impl Core {
    async fn mkdir(&self, caller: Caller, name: &str, mode: u32) -> Result<Vec<u8>, Errno> {
        let path = self.path_below(caller.node, name).await?;
        let options = CreateDirectoryOptions { mode: Some(mode_of(mode)), ..Default::default() };
        let made = self.quick(caller)?.create_directory(&path, &options).await;
        let status = made.map_err(|error| failed("mkdir", &error))?;
        let entry = self.entry(caller.node, name, &status);
        self.nodes().made_here(entry.node, self.host.clock.monotonic());
        Ok(entry.reply())
    }

    async fn mknod(&self, caller: Caller, name: &str, mode: u32) -> Result<Vec<u8>, Errno> {
        if mode & libc::S_IFMT != libc::S_IFREG {
            return Err(Errno::PERM);
        }
        let path = self.path_below(caller.node, name).await?;
        let options = CreateFileOptions { mode: Some(mode_of(mode)), ..Default::default() };
        let writer = self.client(caller)?.create_file(&path, &options).await;
        let writer = writer.map_err(|error| failed("mknod", &error))?;
        let status = writer.close().await.map_err(|error| failed("mknod", &error))?;
        Ok(self.entry(caller.node, name, &status).reply())
    }

    async fn unlink(&self, caller: Caller, name: &str) -> Result<Vec<u8>, Errno> {
        let path = self.path_below(caller.node, name).await?;
        if caller.resent
            && let Some(hidden) = self.ledger.hidden(caller.node, name)
        {
            return self.hide_again(caller, name, &path, hidden).await;
        }
        let client = self.client(caller)?;
        let (draft, read) = {
            let number = self.node_at(caller, name, &path).await;
            let nodes = self.nodes();
            let node = number.and_then(|node| nodes.get(node));
            let draft = node.and_then(|node| node.draft.clone());
            let open = node.is_some_and(|node| !matches!(node.way, Way::Closed));
            let read = open && draft.is_none();
            (draft, read)
        };
        if let Some(draft) = &draft {
            // What it still needs of the file, before that is gone.
            let number = self.nodes().child(caller.node, name).ok_or(Errno::STALE)?;
            self.load_draft(number, draft).await?;
        }
        let mut hidden = None;
        if read {
            // Who has it open goes on reading; the name goes when he is done.
            let there = self.beside(&path, self.new_operation())?;
            self.ledger.hiding(caller.node, name, there.name());
            let moved = client.rename(&path, &there).await;
            moved.map_err(|error| failed("unlink an open file", &error))?;
            hidden = Some(there.name().to_owned());
        } else {
            let gone = client.delete(&path, &DeleteOptions::default()).await;
            gone.map_err(|error| failed("unlink", &error))?;
        }
        self.nodes().unlink(caller.node, name, hidden);
        Ok(Vec::new())
    }

    /// The same, if there is anything to delete; nobody waits for it.
    pub(super) fn drop_hidden_later(self: &Arc<Self>, number: u64) {
        if self.nodes().get(number).is_some_and(|node| node.hidden.is_some()) {
            let core = self.clone();
            self.runtime.spawn(async move { core.drop_hidden(number).await });
        }
    }

    /// Deletes what an unlinked file was called while it was open, once it is not.
    pub(super) async fn drop_hidden(&self, number: u64) {
        let Ok(path) = self.path(number).await else { return };
        let hidden = {
            let mut nodes = self.nodes();
            let node = nodes.get_mut(number).filter(|node| {
                node.draft.is_none() && matches!(node.way, Way::Closed) && !node.is_from_before()
            });
            let hidden = node.and_then(|node| node.hidden.take());
            nodes.touch(number);
            nodes.drop_unused(number);
            hidden
        };
        if hidden.is_none() || !path.name().starts_with(HIDDEN_PREFIX) {
            return;
        }
        if let Err(error) = self.own.delete(&path, &DeleteOptions::default()).await {
            tracing::warn!(%path, %error, "a file that was unlinked while it was open stays");
        }
    }

    async fn rmdir(&self, caller: Caller, name: &str) -> Result<Vec<u8>, Errno> {
        let path = self.path_below(caller.node, name).await?;
        let client = self.client(caller)?;
        let mut gone = client.delete(&path, &DeleteOptions::default()).await;
        if gone.as_ref().is_err_and(|error| error.code() == Code::NotEmpty)
            && self.leftovers_go(caller.node, name).await
        {
            gone = client.delete(&path, &DeleteOptions::default()).await;
        }
        gone.map_err(|error| failed("rmdir", &error))?;
        self.nodes().unlink(caller.node, name, None);
        Ok(Vec::new())
    }

    /// Renames onto whatever is there: at once, or, where an under store has a part in it, by taking that
    /// away first.
    pub(super) async fn rename_over(
        &self,
        client: &Client,
        from: &AlluxioPath,
        to: &AlluxioPath,
    ) -> Result<(), Errno> {
        match client.rename_over(from, to).await {
            Err(error) if error.code() == Code::AlreadyExists => {}
            other => return other.map_err(|error| failed("rename", &error)),
        }
        let gone = client.delete(to, &DeleteOptions::default()).await;
        gone.map_err(|error| failed("rename", &error))?;
        client.rename(from, to).await.map_err(|error| failed("rename", &error))
    }

    async fn rename(
        &self,
        caller: Caller,
        name: &str,
        to: (u64, &str),
        flags: u32,
    ) -> Result<Vec<u8>, Errno> {
        if !matches!(flags, 0 | RENAME_NOREPLACE | RENAME_EXCHANGE) {
            return Err(Errno::INVAL);
        }
        let source = self.path_below(caller.node, name).await?;
        let target = self.path_below(to.0, to.1).await?;
        let client = self.client(caller)?;
        // A version that is being put in its place would come to the old name.
        let drafts = {
            let nodes = self.nodes();
            let written = [nodes.child(caller.node, name), nodes.child(to.0, to.1)];
            written.map(|node| nodes.get(node?)?.draft.clone())
        };
        let _still = match &drafts[0] {
            Some(draft) => Some(draft.hold_still().await),
            None => None,
        };
        let _replaced = match &drafts[1] {
            Some(draft) => Some(draft.hold_still().await),
            None => None,
        };
        match flags {
            RENAME_NOREPLACE => {
                let moved = client.rename(&source, &target).await;
                moved.map_err(|error| failed("rename", &error))?;
            }
            RENAME_EXCHANGE => {
                let exchanged = client.exchange(&source, &target).await;
                exchanged.map_err(|error| failed("exchange", &error))?;
                self.nodes().exchange((caller.node, name), to);
                return Ok(Vec::new());
            }
            _ => self.rename_over(&client, &source, &target).await?,
        }
        self.nodes().rename((caller.node, name), to);
        Ok(Vec::new())
    }

    /// Whether a node has no bits that a change of its owner takes away.
    fn is_unprivileged(&self, number: u64) -> bool {
        let bits = libc::S_ISUID | libc::S_ISGID;
        self.nodes().get(number).is_some_and(|node| node.attr.mode & bits == 0)
    }

    /// Takes what a draft can keep for its next version out of `set`.
    fn keep_attributes(&self, caller: Caller, set: &mut SetAttr) -> Result<(), Errno> {
        let Some(draft) = self.draft_of(caller.node) else { return Ok(()) };
        let mode = set.mode;
        self.drop_what_is_so(caller.node, set);
        draft.take_attributes(caller, set, self.now())?;
        if set.mode != mode {
            self.nodes().attributes_changed(caller.node, &SetAttr { mode, ..Default::default() });
        }
        Ok(())
    }

    async fn set_attr(&self, caller: Caller, mut set: SetAttr) -> Result<Vec<u8>, Errno> {
        if set == SetAttr::default() {
            // An owner that is given to nobody else, or a write that the kernel makes by itself.
            self.drop_privileges(caller).await?;
        }
        if let Some(size) = set.size {
            self.truncate(caller, size, set.handle.is_none()).await?;
            if set.kill_privileges {
                self.drop_privileges(caller).await?;
            }
        }
        if (set.uid.is_some() || set.gid.is_some()) && set.mode.is_none() {
            set.mode = self.reduced_mode(caller.node);
        }
        self.keep_attributes(caller, &mut set)?;
        let millis = |time: SetTime| {
            let at = match time {
                SetTime::Now => self.now(),
                SetTime::At(at) => at,
            };
            UnixMillis(u64::try_from(at.as_millis()).unwrap_or(u64::MAX))
        };
        let changes = SetAttributeOptions {
            mode: set.mode.map(mode_of),
            owner: set.uid.map(|uid| self.names.user(uid)),
            group: set.gid.map(|gid| self.names.group(gid)),
            accessed: set.accessed.map(millis),
            modified: set.modified.map(millis),
            ..Default::default()
        };
        // What has no name any more is nobody's business but its users'.
        let nameless = |node: &Node| node.unlinked && node.hidden.is_none();
        let nameless = self.nodes().get(caller.node).is_some_and(nameless);
        if changes != SetAttributeOptions::default() {
            if nameless {
                self.nodes().attributes_changed(caller.node, &set);
                return Ok(attr_reply(&self.get_attr(caller).await?, self.settings.attr_valid));
            }
            let path = self.path(caller.node).await?;
            let done = self.client(caller)?.set_attribute(&path, &changes).await;
            done.map_err(|error| failed("change attributes", &error))?;
            self.nodes().attributes_changed(caller.node, &set);
        }
        Ok(attr_reply(&self.get_attr(caller).await?, self.settings.attr_valid))
    }

    /// What a file that is being written is like already needs no change at the master.
    fn drop_what_is_so(&self, node: u64, set: &mut SetAttr) {
        let nodes = self.nodes();
        let Some(node) = nodes.get(node) else { return };
        set.mode.take_if(|mode| *mode & 0o7777 == node.attr.mode & 0o7777);
        set.uid.take_if(|uid| *uid == node.attr.uid);
        set.gid.take_if(|gid| *gid == node.attr.gid);
    }

    /// Cuts or extends a file, open or not. By its name, that is a change of its own.
    async fn truncate(&self, caller: Caller, size: u64, by_name: bool) -> Result<(), Errno> {
        let draft = self.draft(caller).await?;
        let mut cut = self.set_length(caller.node, &draft, size).await;
        if by_name && cut.is_ok() {
            cut = self.commit(caller.node, &draft).await;
        }
        self.leave_draft(caller.node, &draft).await;
        cut
    }
}

impl AlluxioFs {
    pub(super) fn serve_change(&self, caller: Caller, operation: Operation<'_>, reply: Reply) {
        if let Some(answer) = self.replayed(&reply) {
            return reply.send_result(answer);
        }
        let again = Again::of(&reply, &operation);
        let mut operation = operation;
        if let Operation::SetAttr(set) = &mut operation
            && set.size.is_none()
            && *set != SetAttr::default()
            && self.core.is_unprivileged(caller.node)
        {
            if let Err(errno) = self.core.keep_attributes(caller, set) {
                return reply.error(errno);
            }
            let rest = SetAttr { handle: None, ..*set };
            if rest == SetAttr::default()
                && let Some(attr) = self.core.attr_of_draft(caller.node)
            {
                return reply.ok(&attr_reply(&attr, self.core.settings.attr_valid));
            }
        }
        match self.plan_change(caller, operation) {
            Ok(work) => self.change_once(caller, reply, again, work),
            Err(errno) => reply.error(errno),
        }
    }

    fn plan_change(&self, caller: Caller, operation: Operation<'_>) -> Result<Work, Errno> {
        let core = self.core.clone();
        let owned = |name| text(name).map(str::to_owned);
        Ok(match operation {
            Operation::SetAttr(set) => Box::pin(async move { core.set_attr(caller, set).await }),
            Operation::Mkdir { name, mode, .. } => {
                let name = owned(name)?;
                Box::pin(async move { core.mkdir(caller, &name, mode).await })
            }
            Operation::Mknod { name, mode, .. } => {
                let name = owned(name)?;
                Box::pin(async move { core.mknod(caller, &name, mode).await })
            }
            Operation::Create { name, flags, mode, .. } => {
                let name = owned(name)?;
                Box::pin(async move { core.create(caller, &name, flags, mode).await })
            }
            Operation::Unlink { name } => {
                let name = owned(name)?;
                Box::pin(async move { core.unlink(caller, &name).await })
            }
            Operation::Rmdir { name } => {
                let name = owned(name)?;
                Box::pin(async move { core.rmdir(caller, &name).await })
            }
            Operation::Rename { name, new_parent, new_name, flags } => {
                let (name, new_name) = (owned(name)?, owned(new_name)?);
                Box::pin(
                    async move { core.rename(caller, &name, (new_parent, &new_name), flags).await },
                )
            }
            Operation::Symlink { name, target } => {
                let (name, target) = (owned(name)?, owned(target)?);
                Box::pin(async move { core.symlink(caller, &name, &target).await })
            }
            Operation::SetXattr { name, value, flags } => {
                let (name, value) = (kept(name)?, Some(value.to_vec()));
                Box::pin(async move { core.change_xattr(caller, &name, value, flags).await })
            }
            Operation::RemoveXattr { name } => {
                let name = kept(name)?;
                Box::pin(async move { core.change_xattr(caller, &name, None, 0).await })
            }
            // An inode has one name.
            Operation::Link { .. } => return Err(Errno::PERM),
            _ => return Err(Errno::NOSYS),
        })
    }
}

/// A change that is under way.
pub(super) type Work = std::pin::Pin<Box<dyn Future<Output = Result<Vec<u8>, Errno>> + Send>>;
