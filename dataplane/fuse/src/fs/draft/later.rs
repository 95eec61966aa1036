//! Commits that nobody waits for (`commit=background`): `close` is answered when the draft is on its way, the
//! journal follows within a second. Many drafts are on their way at the same time, so that they share what
//! a commit costs at the master; who closes more than that waits for one of them.

use super::Draft;
use crate::errno::Errno;
use crate::fs::Core;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Commits at the same time. Each holds a buffer of the draft's length, 1 MiB at most: 64 MiB in all.
pub(in crate::fs) const COMMITS_MAX: usize = 64;

impl Draft {
    /// Whether a commit has something to do.
    pub(in crate::fs) fn is_due(&self) -> bool {
        self.state().unsettled || self.taken().is_some()
    }

    /// A commit that nobody waited for has failed: told once.
    pub(in crate::fs) fn take_failure(&self) -> Result<(), Errno> {
        self.state().failure.take().map_or(Ok(()), Err)
    }

    /// Whether it was not on its way yet.
    fn set_out(&self) -> bool {
        !std::mem::replace(&mut self.state().on_its_way, true)
    }
}

impl Core {
    /// Whether `close` waits for the journal. Through-types always do: their bytes are in the under store
    /// before it returns.
    pub(in crate::fs) fn commits_later(&self) -> bool {
        self.settings.commit == crate::options::Commit::Background
            && !self.config.write_type.is_through()
    }

    /// Sends a draft on its way, as soon as there is room.
    ///
    /// **Errors**: that of a commit before this one.
    pub(in crate::fs) async fn commit_later(
        self: &Arc<Self>,
        node: u64,
        draft: &Arc<Draft>,
    ) -> Result<(), Errno> {
        draft.take_failure()?;
        if !draft.is_due() || !draft.set_out() {
            return Ok(());
        }
        let room = self.commits.clone().acquire_owned().await;
        self.commit_in(room.ok(), node, draft);
        Ok(())
    }

    /// The same, if there is room now and nothing to be told; `false` otherwise.
    pub(in crate::fs) fn try_commit_later(self: &Arc<Self>, node: u64, draft: &Arc<Draft>) -> bool {
        let Ok(room) = self.commits.clone().try_acquire_owned() else { return false };
        if draft.set_out() {
            self.commit_in(Some(room), node, draft);
        }
        true
    }

    fn commit_in(
        self: &Arc<Self>,
        room: Option<OwnedSemaphorePermit>,
        node: u64,
        draft: &Arc<Draft>,
    ) {
        let (core, draft) = (self.clone(), draft.clone());
        self.runtime.spawn(async move {
            // What changes from here on is sent out again.
            draft.state().on_its_way = false;
            let outcome = core.commit(node, &draft).await;
            drop(room);
            if let Err(errno) = outcome {
                let name = draft.state().record.name.clone();
                tracing::error!(name, node, %errno, "a file that was closed is not written; it is tried again");
                draft.state().failure = Some(errno);
            }
            if !draft.is_used() && !core.drop_draft(node, &draft) {
                core.inherit(node, &draft);
            }
        });
    }

    /// Takes one handle away without waiting, unless a commit has to be waited for.
    pub(in crate::fs) fn close_here(self: &Arc<Self>, node: u64, draft: &Arc<Draft>) -> bool {
        if draft.is_due() && !self.commits_later() {
            return false;
        }
        draft.closed();
        if draft.is_used() {
            return true;
        }
        if draft.is_due() {
            if !self.try_commit_later(node, draft) {
                let (core, draft) = (self.clone(), draft.clone());
                // A failure is kept for who opens it next.
                self.runtime.spawn(async move { core.commit_later(node, &draft).await });
            }
        } else if !self.drop_draft(node, draft) {
            self.inherit(node, draft);
        }
        true
    }

    /// Waits until all that is on its way has arrived, or has failed.
    pub(in crate::fs) async fn arrive(&self) {
        let all = u32::try_from(COMMITS_MAX).unwrap_or(u32::MAX);
        drop(self.commits.acquire_many(all).await);
    }
}
