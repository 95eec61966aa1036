//! Requests that the kernel gives out again, because a process before us was killed before it had answered
//! them. What changes something is carried out once: its answer is in the [ledger](super::ledger) before the
//! kernel gets it; and before there is an answer, its changes have names that follow from the number of the
//! request, so that the master answers a change that is repeated as it did the first time.
//!
//! The master remembers so many answers only. After a very long pause, what is to be taken away and is not
//! there any more has been taken away.

use super::change::Work;
use super::{AlluxioFs, Caller, Core, failed, text};
use crate::abi::{Operation, UNIQUE_RESEND};
use crate::errno::Errno;
use crate::session::Reply;
use alluxio_client::{NAMES_PER_WORK, named};
use alluxio_types::{AlluxioPath, Code, Coded, OperationId};

/// An operation that has succeeded if it is refused because of what it has done itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Again {
    Remove { name: String },
    Rename { name: String, new_parent: u64, new_name: String },
}

impl Again {
    /// `None` for a request that comes for the first time, and for others.
    pub(super) fn of(reply: &Reply, operation: &Operation<'_>) -> Option<Again> {
        let owned = |name| text(name).ok().map(str::to_owned);
        if !reply.is_resent() {
            return None;
        }
        Some(match operation {
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

    /// The answer to an operation that was refused because of what it had done itself; `None` when it is
    /// another reason.
    async fn look_again(
        &self,
        caller: Caller,
        again: &Again,
        refused: Errno,
    ) -> Option<Result<Vec<u8>, Errno>> {
        if refused != Errno::NOENT {
            return None;
        }
        match again {
            Again::Remove { name } => self.nodes().unlink(caller.node, name, None),
            Again::Rename { name, new_parent, new_name } => {
                let target = self.path_below(*new_parent, new_name).await.ok()?;
                self.status(Caller { uid: self.own_uid, ..caller }, &target).await.ok()?;
                self.nodes().rename((caller.node, name), (*new_parent, new_name));
            }
        }
        Some(Ok(Vec::new()))
    }

    /// Goes on with the unlink of an open file: a process before us has renamed it, or was about to.
    pub(super) async fn hide_again(
        &self,
        caller: Caller,
        name: &str,
        path: &AlluxioPath,
        hidden: String,
    ) -> Result<Vec<u8>, Errno> {
        let there = path.parent().ok_or(Errno::INVAL)?;
        let there = there.join(&hidden).map_err(|_| Errno::NAMETOOLONG)?;
        match self.client(caller)?.rename(path, &there).await {
            Err(error) if error.code() != Code::NotFound => {
                return Err(failed("unlink an open file", &error));
            }
            _ => {}
        }
        let status = self.status(Caller { uid: self.own_uid, ..caller }, &there).await?;
        self.nodes().hide(caller.node, name, status.id, hidden);
        Ok(Vec::new())
    }

    /// What the changes of a request are called.
    fn name_of(&self, unique: u64) -> Option<OperationId> {
        let number = (unique & !UNIQUE_RESEND).wrapping_mul(u64::from(NAMES_PER_WORK));
        (self.salt != 0).then(|| OperationId(u128::from(self.salt) << 64 | u128::from(number)))
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
        self.begin(reply.try_wait(), async move {
            let unique = reply.unique();
            let mut result = match core.name_of(unique) {
                Some(base) => named(base, work).await,
                None => work.await,
            };
            if let (Some(again), Err(errno)) = (&again, &result)
                && let Some(answer) = core.look_again(caller, again, *errno).await
            {
                result = answer;
            }
            core.ledger.answer(unique, &result);
            reply.send_result(result);
            core.ledger.answered(unique);
        });
    }
}
