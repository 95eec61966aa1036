//! Changes that are made in the UFS first: noted in the journal before the UFS is touched, ended with
//! the change itself. Whatever cuts one off (a crash, a client that hangs up), somebody finds the
//! intent open and either completes the change or sees that it never began.

use crate::core::{Call, Core};
use crate::error::MasterError;
use crate::writer::Done;
use alluxio_namespace::{Delete, Finish, Intend, Rename, Request, SetPersistence};
use alluxio_types::{
    AlluxioPath, FileStatus, InodeId, IntendedChange, Intent, MountInfo, PersistenceState,
};
use alluxio_ufs::{UfsFacts, UnderFs};
use futures::TryStreamExt;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a new primary waits for the UFS before it serves with intents still open; they are tried
/// again each second, and before whatever concerns them. It is a part of every fail-over with a slow
/// UFS, and without the UFS what is cached can still be read.
const FINISH_TIMEOUT: Duration = Duration::from_millis(500);

/// Who is at work on intents in this process.
#[derive(Default)]
pub(crate) struct Held {
    /// Intents of calls that are not over.
    calls: Mutex<BTreeSet<u64>>,
    /// Held by whoever finishes an intent that nobody is at work on.
    finishing: tokio::sync::Mutex<()>,
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An intent of a call. Dropped without an end (the client hung up), it is left to [`Core::finish_intents`].
pub(crate) struct Open<'a> {
    held: &'a Held,
    id: u64,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.held.lock().remove(&self.id);
    }
}

impl Core {
    /// Notes what a call is about to do in the UFS; durable when this returns.
    pub(crate) async fn intend(
        &self,
        inode: InodeId,
        path: &AlluxioPath,
        change: IntendedChange,
        call: &Call,
    ) -> Result<Open<'_>, MasterError> {
        let id = self.host.entropy.next_u64();
        self.intents.lock().insert(id);
        let open = Open { held: &self.intents, id };
        let path = path.clone();
        let intent = Intent { id, operation: call.operation, inode, path, change };
        self.commit(Intend(intent), &call.who).await?;
        Ok(open)
    }

    /// Makes the change of an intent, with its end, when the UFS part is done; ends it without when
    /// that failed.
    pub(crate) async fn conclude(
        &self,
        intent: Option<Open<'_>>,
        ufs_part: Result<(), MasterError>,
        change: impl Into<Request>,
        call: &Call,
    ) -> Result<Done, MasterError> {
        let Some(open) = intent else {
            ufs_part?;
            return self.commit_for(change, call).await;
        };
        if let Err(error) = ufs_part {
            self.give_up(open.id).await?;
            return Err(error);
        }
        let change = Some(Box::new(change.into()));
        match self.commit_for(Finish { intent: open.id, change }, call).await {
            Err(error) => {
                self.give_up(open.id).await?;
                Err(error)
            }
            done => done,
        }
    }

    async fn give_up(&self, intent: u64) -> Result<(), MasterError> {
        self.commit(Finish { intent, change: None }, &self.itself).await.map(drop)
    }

    /// What a new primary does before it serves.
    pub(crate) async fn finish_intents_at_start(&self) {
        if tokio::time::timeout(FINISH_TIMEOUT, self.finish_intents()).await.is_err() {
            tracing::warn!("the under store is slow: changes that were cut off are finished later");
        }
    }

    /// Completes, or gives up, each intent that nobody is at work on. Those whose UFS does not answer
    /// stay open.
    pub(crate) async fn finish_intents(&self) {
        for intent in self.namespace.intents() {
            if let Err(error) = self.finish_if_left(&intent).await {
                let (path, kind) = (intent.path.as_str(), kind_of(&intent));
                tracing::warn!(path, kind, %error, "a change that was cut off stays open");
            }
        }
    }

    /// Finishes what was cut off of this very operation, and at these paths, above and below them: until
    /// then the store shows something between two states, and the tree does not know which.
    ///
    /// **Errors**: when the store does not answer.
    pub(crate) async fn settle(
        &self,
        paths: &[&AlluxioPath],
        call: &Call,
    ) -> Result<(), MasterError> {
        let concerns = |intent: &Intent| {
            let again = intent.operation.is_some() && intent.operation == call.operation;
            again || paths.iter().any(|path| is_at(intent, path))
        };
        for intent in self.namespace.intents_that(concerns) {
            self.finish_if_left(&intent).await?;
        }
        Ok(())
    }

    async fn finish_if_left(&self, intent: &Intent) -> Result<(), MasterError> {
        if self.intents.lock().contains(&intent.id) {
            // Its call goes on.
            return Ok(());
        }
        let _alone = self.intents.finishing.lock().await;
        if !self.is_open(intent.id) {
            return Ok(());
        }
        let (path, kind) = (intent.path.as_str(), kind_of(intent));
        match self.finish_intent(intent).await? {
            true => tracing::info!(path, kind, "completed a change that was cut off"),
            false => tracing::info!(path, kind, "a change that was cut off had not begun"),
        }
        Ok(())
    }

    fn is_open(&self, id: u64) -> bool {
        !self.namespace.intents_that(|intent| intent.id == id).is_empty()
    }

    /// Whether the change is made now.
    async fn finish_intent(&self, intent: &Intent) -> Result<bool, MasterError> {
        let call = Call { operation: intent.operation, ..self.call(&self.itself.user, None, None) };
        let found = self.release(self.namespace.status(&intent.path, &self.context(&call))).await;
        let (status, mount) = match (found, self.namespace.mount_of(&intent.path)) {
            (Ok(status), Some(mount)) if status.id == intent.inode => (status, mount),
            // Made by another way, or overtaken by what happened since.
            _ => {
                self.give_up(intent.id).await?;
                return Ok(false);
            }
        };
        let change = match &intent.change {
            IntendedChange::Delete { recursive, delete_mount_points } => {
                self.delete_in_ufs(&intent.path, &status, *recursive).await?;
                Some(Request::from(Delete {
                    path: intent.path.clone(),
                    recursive: *recursive,
                    alluxio_only: false,
                    delete_mount_points: *delete_mount_points,
                    expected: Some(intent.inode),
                }))
            }
            IntendedChange::Rename { target } => {
                let moved = self.moved_in_ufs(&intent.path, target, &status, &mount).await?;
                moved.then(|| {
                    let (source, target) = (intent.path.clone(), target.clone());
                    Rename { source, target, replace: false, expected: Some(intent.inode) }.into()
                })
            }
        };
        let Some(change) = change else {
            // Not under the operation's id: nobody may be told that it was done.
            self.give_up(intent.id).await?;
            return Ok(false);
        };
        let finish = Finish { intent: intent.id, change: Some(Box::new(change)) };
        match self.commit_for(finish, &call).await {
            Ok(_) => {}
            Err(error @ MasterError::Refused(_)) => {
                tracing::warn!(path = intent.path.as_str(), %error, "a change cannot be completed");
                self.give_up(intent.id).await?;
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        if let IntendedChange::Rename { target } = &intent.change {
            self.sync.forget(&intent.path);
            self.sync.forget(target);
            self.note_version(target, &status, &mount).await?;
        }
        Ok(true)
    }

    /// Whether the UFS has the new name, after what was begun there is completed.
    async fn moved_in_ufs(
        &self,
        source: &AlluxioPath,
        target: &AlluxioPath,
        status: &FileStatus,
        mount: &Arc<MountInfo>,
    ) -> Result<bool, MasterError> {
        let (Some(from), Some(to)) = (mount.ufs_path(source), mount.ufs_path(target)) else {
            return Ok(false);
        };
        let ufs = self.ufs.of(mount)?;
        match (look(&*ufs, &from).await?, look(&*ufs, &to).await?) {
            (_, None) => Ok(false),
            (None, Some(_)) => Ok(true),
            // Where a rename is one step, both names mean that it was not made.
            (Some(_), Some(_)) if ufs.capabilities().atomic_rename => Ok(false),
            (Some(old), Some(new)) if !status.is_directory() => {
                if old.is_directory() || old.length != new.length {
                    return Ok(false);
                }
                // Copied, and not yet deleted.
                ufs.delete_file(&from).await?;
                Ok(true)
            }
            (Some(_), Some(_)) => {
                merge(&*ufs, &from, &to).await?;
                Ok(true)
            }
        }
    }

    /// The store may show the same bytes as another version under the new name.
    async fn note_version(
        &self,
        target: &AlluxioPath,
        status: &FileStatus,
        mount: &Arc<MountInfo>,
    ) -> Result<(), MasterError> {
        let Some(to) = mount.ufs_path(target).filter(|_| !status.is_directory()) else {
            return Ok(());
        };
        if let Some(facts) = look(&*self.ufs.of(mount)?, &to).await? {
            let state = PersistenceState::Persisted;
            let change = SetPersistence { id: status.id, state, fingerprint: facts.fingerprint };
            self.commit(change, &self.itself).await?;
        }
        Ok(())
    }
}

/// Whether one of the intent's paths is at, above or below `path`.
fn is_at(intent: &Intent, path: &AlluxioPath) -> bool {
    let touches = |other: &AlluxioPath| path.starts_with(other) || other.starts_with(path);
    touches(&intent.path)
        || matches!(&intent.change, IntendedChange::Rename { target } if touches(target))
}

fn kind_of(intent: &Intent) -> &'static str {
    match intent.change {
        IntendedChange::Delete { .. } => "delete",
        IntendedChange::Rename { .. } => "rename",
    }
}

pub(super) async fn look(ufs: &dyn UnderFs, uri: &str) -> Result<Option<UfsFacts>, MasterError> {
    match ufs.status(uri).await {
        Ok(facts) => Ok(Some(facts)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Goes on with the rename of a directory by copies: what is still only at the old name moves, what
/// was copied goes there.
async fn merge(ufs: &dyn UnderFs, from: &str, to: &str) -> Result<(), MasterError> {
    let mut batches = ufs.list(from, true).await?;
    while let Some(batch) = batches.try_next().await? {
        for entry in batch.into_iter().filter(|entry| !entry.facts.is_directory()) {
            let (old, new) = (format!("{from}/{}", entry.name), format!("{to}/{}", entry.name));
            match look(ufs, &new).await? {
                Some(copy) if copy.length == entry.facts.length => ufs.delete_file(&old).await?,
                Some(_) => {
                    ufs.delete_file(&new).await?;
                    ufs.rename_file(&old, &new).await?;
                }
                None => drop(ufs.rename_file(&old, &new).await?),
            }
        }
    }
    match ufs.delete_dir(from, true).await {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}
