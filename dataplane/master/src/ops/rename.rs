//! New names.

use crate::core::{Call, Core};
use crate::error::MasterError;
use crate::ops::intent::look;
use crate::sync::{Freshness, LoadType, is_moved};
use alluxio_namespace::{Exchange, Rename, SetPersistence};
use alluxio_types::{AlluxioPath, Answer, FileStatus, IntendedChange, PersistenceState};
use alluxio_ufs::MkdirOptions;

/// How often a rename is tried anew when the tree moves under it.
const ATTEMPTS: u32 = 5;

impl Core {
    /// Renames here and in the under store. The store comes first; what a crash cuts off in
    /// between is completed, or given up, by its intent.
    pub(crate) async fn rename(
        &self,
        source: &AlluxioPath,
        target: &AlluxioPath,
        replace: bool,
        call: &Call,
    ) -> Result<(), MasterError> {
        self.once(call, self.rename_once(source, target, replace, call)).await?;
        Ok(())
    }

    /// Two names change their inodes. No under store has a part in it, or it is refused.
    pub(crate) async fn exchange(
        &self,
        one: &AlluxioPath,
        other: &AlluxioPath,
        call: &Call,
    ) -> Result<(), MasterError> {
        let exchanged = async {
            self.settle(&[one, other], call).await?;
            self.refresh(one, Freshness::ANY, call).await?;
            self.refresh(other, Freshness::ANY, call).await?;
            let request = Exchange { source: one.clone(), target: other.clone() };
            Ok(self.commit_for(request, call).await?.answer)
        };
        self.once(call, exchanged).await?;
        self.sync.forget(one);
        self.sync.forget(other);
        Ok(())
    }

    async fn rename_once(
        &self,
        source: &AlluxioPath,
        target: &AlluxioPath,
        replace: bool,
        call: &Call,
    ) -> Result<Answer, MasterError> {
        self.settle(&[source, target], call).await?;
        self.refresh(source, Freshness::ANY, call).await?;
        let mut attempt = 0;
        loop {
            match self.try_rename(source, target, replace, call).await {
                Err(error) if is_moved(&error) && attempt < ATTEMPTS => attempt += 1,
                other => return other,
            }
        }
    }

    async fn try_rename(
        &self,
        source: &AlluxioPath,
        target: &AlluxioPath,
        replace: bool,
        call: &Call,
    ) -> Result<Answer, MasterError> {
        let status = self.release(self.namespace.status(source, &self.context(call))).await?;
        let known_there =
            status.is_directory() || status.persistence == PersistenceState::Persisted;
        // Onto itself it is no change: a store that renames by copy and delete must not hear of it.
        let in_ufs = known_there && source != target;
        if in_ufs {
            // A file in the store that nobody here has seen must not be written over.
            let always = Freshness { sync_interval: None, load: LoadType::Always };
            self.refresh(target, always, call).await?;
        }
        let expected = Some(status.id);
        let request = Rename { source: source.clone(), target: target.clone(), replace, expected };
        self.check(request.clone(), &call.who).await?;
        let (mut intent, mut moved) = (None, Ok(None));
        if in_ufs {
            let change = IntendedChange::Rename { target: target.clone() };
            intent = Some(self.intend(status.id, source, change, call).await?);
            moved = self.rename_in_ufs(source, target, &status).await;
        }
        let (moved, ufs_part) = match moved {
            Ok(moved) => (moved, Ok(())),
            Err(error) => (None, Err(error)),
        };
        let done = self.conclude(intent, ufs_part, request, call).await?;
        self.sync.forget(source);
        self.sync.forget(target);
        if let Some(facts) = moved {
            // The store may show the same bytes as another version under the new name.
            let state = PersistenceState::Persisted;
            let change = SetPersistence { id: status.id, state, fingerprint: facts.fingerprint };
            self.commit(change, &self.itself).await?;
        }
        Ok(done.answer)
    }

    async fn rename_in_ufs(
        &self,
        source: &AlluxioPath,
        target: &AlluxioPath,
        status: &FileStatus,
    ) -> Result<Option<alluxio_ufs::UfsFacts>, MasterError> {
        let Some(mount) = self.namespace.mount_of(source) else { return Ok(None) };
        let (Some(from), Some(to)) = (mount.ufs_path(source), mount.ufs_path(target)) else {
            return Ok(None);
        };
        let ufs = self.ufs.of(&mount)?;
        if status.is_directory() && look(&*ufs, &from).await?.is_none() {
            // A directory that only Alluxio has. Nothing is made in the store for it: should the tree
            // refuse the rename in the end, what was made would come up as a name nobody gave.
            return Ok(None);
        }
        // The target's directory may be one that only Alluxio has.
        if let Some(parent) = target.parent().and_then(|parent| mount.ufs_path(&parent)) {
            match ufs.mkdir(&parent, MkdirOptions::recursive()).await {
                Err(error)
                    if alluxio_types::Coded::code(&error) != alluxio_types::Code::AlreadyExists =>
                {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        if !status.is_directory() {
            return Ok(Some(ufs.rename_file(&from, &to).await?));
        }
        match ufs.rename_dir(&from, &to).await {
            Err(error) if !error.is_not_found() => Err(error.into()),
            // Somebody removed it there in this moment.
            _ => Ok(None),
        }
    }
}
