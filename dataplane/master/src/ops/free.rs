//! Cached copies that may go, and files that reached the under store.

use crate::core::{Call, Core};
use crate::error::MasterError;
use crate::sync::Freshness;
use alluxio_namespace::{SetAttributes, SetPersistence};
use alluxio_types::{Access, AlluxioPath, Fingerprint, InodeId, PersistenceState};

impl Core {
    /// Drops cached copies below `path`; metadata stays. Workers remove the bytes with their next
    /// heartbeat, readers are sent elsewhere at once. Returns files and copies.
    pub(crate) async fn free(
        &self,
        path: &AlluxioPath,
        recursive: bool,
        forced: bool,
        call: &Call,
    ) -> Result<(u64, u64), MasterError> {
        self.refresh(path, Freshness::ANY, call).await?;
        let read = self.namespace.free_candidates(path, recursive, forced, &self.context(call));
        let candidates = self.release(read).await?;
        for id in &candidates.pinned {
            let pinned = self.release(self.namespace.path_of(*id)).await?;
            let unpin =
                SetAttributes { path: Some(pinned), pinned: Some(false), ..Default::default() };
            self.commit(unpin, &call.who).await?;
        }
        if !candidates.pinned.is_empty() {
            self.pins_changed();
        }
        let copies = candidates.files.iter().map(|id| self.workers.free_file(*id)).sum();
        Ok((candidates.files.len() as u64, copies))
    }

    /// A file lost its last copy of a block. If the under store has it nothing is lost; a file that
    /// only Alluxio had is marked, so that people see it before a job trips over it.
    pub(crate) async fn mark_lost(&self, id: InodeId) -> Result<(), MasterError> {
        // Deleted meanwhile: nothing to mark.
        let Ok(seen) = self.namespace.status_by_id(id) else { return Ok(()) };
        let status = seen.value;
        if !status.completed || status.persistence != PersistenceState::NotPersisted {
            return Ok(());
        }
        tracing::warn!(path = status.path, "file is lost: no worker has all of its blocks");
        self.set_lost(id, PersistenceState::Lost).await
    }

    /// A worker came back with a block of this file: if all of them are there, it is not lost.
    pub(crate) async fn find_again(&self, id: InodeId) -> Result<(), MasterError> {
        if self.namespace.persistence_by_id(id) != Some(PersistenceState::Lost) {
            return Ok(());
        }
        let Ok(seen) = self.namespace.status_by_id(id) else { return Ok(()) };
        let status = seen.value;
        if !self.workers.has_all(&status) {
            return Ok(());
        }
        tracing::info!(path = status.path, "lost file is found again");
        self.set_lost(id, PersistenceState::NotPersisted).await
    }

    async fn set_lost(&self, id: InodeId, state: PersistenceState) -> Result<(), MasterError> {
        let change = SetPersistence { id, state, fingerprint: Fingerprint::default() };
        self.commit(change, &self.itself).await?;
        Ok(())
    }

    /// Notes that a worker has written a complete file to the under store.
    pub(crate) async fn complete_persist(
        &self,
        id: InodeId,
        length: u64,
        fingerprint: Fingerprint,
        call: &Call,
    ) -> Result<(), MasterError> {
        let status = self.release(self.namespace.status_by_id(id)).await?;
        if status.length != length {
            return Err(MasterError::OutOfBounds {
                what: "length of the persisted file",
                value: i64::try_from(length).unwrap_or(i64::MAX),
                min: i64::try_from(status.length).unwrap_or(i64::MAX),
                max: i64::try_from(status.length).unwrap_or(i64::MAX),
            });
        }
        let path = AlluxioPath::parse(&status.path)?;
        let allowed = self.namespace.check_access(&path, Access::WRITE, &self.context(call));
        self.release(allowed).await?;
        let state = PersistenceState::Persisted;
        self.commit(SetPersistence { id, state, fingerprint }, &self.itself).await?;
        Ok(())
    }
}
