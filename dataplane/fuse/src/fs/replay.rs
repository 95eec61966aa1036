//! Requests that the kernel gives out again, because a process before us was killed before it had answered
//! them. What changes something is carried out once: the answer is in the [ledger](super::ledger) before the
//! kernel gets it. Between the change and its record there is a moment; an operation that is refused because
//! of what it has done itself in such a moment has succeeded.

use super::change::Work;
use super::{AlluxioFs, Caller, Core, text};
use crate::abi::Operation;
use crate::errno::Errno;
use crate::session::Reply;
use alluxio_types::{AlluxioPath, FileStatus};

/// An operation that may have been carried out already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Again {
    Mkdir { name: String },
    Mknod { name: String },
    Create { name: String, flags: u32, mode: u32 },
    Remove { name: String },
    Rename { name: String, new_parent: u64, new_name: String },
}

impl Again {
    /// `None` for a request that comes for the first time, or may be carried out twice.
    pub(super) fn of(reply: &Reply, operation: &Operation<'_>) -> Option<Again> {
        let owned = |name| text(name).ok().map(str::to_owned);
        if !reply.is_resent() {
            return None;
        }
        Some(match operation {
            Operation::Mkdir { name, .. } => Again::Mkdir { name: owned(name)? },
            Operation::Mknod { name, .. } => Again::Mknod { name: owned(name)? },
            Operation::Create { name, flags, mode, .. } => {
                Again::Create { name: owned(name)?, flags: *flags, mode: *mode }
            }
            Operation::Unlink { name } | Operation::Rmdir { name } => {
                Again::Remove { name: owned(name)? }
            }
            Operation::Rename { name, new_parent, new_name, .. } => {
                let (name, new_name) = (owned(name)?, owned(new_name)?);
                Again::Rename { name, new_parent: *new_parent, new_name }
            }
            _ => return None,
        })
    }
}

impl Core {
    /// The node of a name that is about to go. One that a process before us had open is found by its inode.
    pub(super) async fn node_at(
        &self,
        caller: Caller,
        name: &str,
        path: &AlluxioPath,
    ) -> Option<u64> {
        let known = self.nodes().child(caller.node, name);
        if known.is_some() || self.generation == 0 {
            return known;
        }
        let status = self.status(Caller { uid: self.own_uid, ..caller }, path).await.ok()?;
        let mut nodes = self.nodes();
        let number = nodes.of_inode(status.id)?;
        if nodes.child(caller.node, name).is_none() {
            let attr = self.attr(&status);
            nodes.learn(caller.node, name, status.id, attr, 0);
        }
        Some(number)
    }

    /// What there is under a name, if the caller may have made it.
    async fn own_work(&self, caller: Caller, name: &str) -> Option<FileStatus> {
        let path = self.path_below(caller.node, name).await.ok()?;
        let status = self.status(Caller { uid: self.own_uid, ..caller }, &path).await.ok()?;
        (status.owner == self.names.user(caller.uid)).then_some(status)
    }

    /// The answer to an operation that was refused because of what it had done itself; `None` when it is
    /// another reason.
    async fn look_again(
        &self,
        caller: Caller,
        again: &Again,
        refused: Errno,
    ) -> Option<Result<Vec<u8>, Errno>> {
        match again {
            Again::Mkdir { name } if refused == Errno::EXIST => {
                let status = self.own_work(caller, name).await?;
                status.is_directory().then(|| Ok(self.entry(caller.node, name, &status).reply()))
            }
            Again::Mknod { name } if refused == Errno::EXIST => {
                let status = self.own_work(caller, name).await?;
                let is_it = !status.is_directory() && status.length == 0;
                is_it.then(|| Ok(self.entry(caller.node, name, &status).reply()))
            }
            Again::Create { name, flags, mode } if refused == Errno::EXIST => {
                self.own_work(caller, name).await.filter(|status| status.length == 0)?;
                Some(self.create(caller, name, flags & !(libc::O_EXCL as u32), *mode).await)
            }
            Again::Remove { name } if refused == Errno::NOENT => {
                self.hide_again(caller, name).await;
                self.nodes().unlink(caller.node, name, None);
                Some(Ok(Vec::new()))
            }
            Again::Rename { name, new_parent, new_name } if refused == Errno::NOENT => {
                let target = self.path_below(*new_parent, new_name).await.ok()?;
                self.status(Caller { uid: self.own_uid, ..caller }, &target).await.ok()?;
                self.nodes().rename((caller.node, name), (*new_parent, new_name));
                Some(Ok(Vec::new()))
            }
            _ => None,
        }
    }

    /// A file that a process before us has renamed, because it was open, without telling anybody.
    async fn hide_again(&self, caller: Caller, name: &str) {
        let Some(hidden) = self.ledger.hidden(caller.node, name) else { return };
        let Ok(path) = self.path_below(caller.node, &hidden).await else { return };
        let status = self.status(Caller { uid: self.own_uid, ..caller }, &path).await;
        if let Ok(status) = status {
            self.nodes().hide(caller.node, name, status.id, hidden);
        }
    }
}

impl AlluxioFs {
    /// The answer that a process before us has given to this very request, or was about to give.
    pub(super) fn replayed(&self, reply: &Reply) -> Option<Result<Vec<u8>, Errno>> {
        if !reply.is_resent() {
            return None;
        }
        self.core.ledger.replay(reply.unique())
    }

    /// Carries out a change that must not happen twice, and answers.
    pub(super) fn change_once(
        &self,
        caller: Caller,
        reply: Reply,
        again: Option<Again>,
        work: Work,
    ) {
        let core = self.core.clone();
        self.core.runtime.spawn(async move {
            let mut result = work.await;
            if let (Some(again), Err(errno)) = (&again, &result)
                && let Some(answer) = core.look_again(caller, again, *errno).await
            {
                result = answer;
            }
            let unique = reply.unique();
            core.ledger.answer(unique, &result);
            reply.send_result(result);
            core.ledger.answered(unique);
        });
    }
}
