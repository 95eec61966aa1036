//! Files and directories that go away.

use crate::core::{Call, Core};
use crate::error::MasterError;
use crate::sync::{Freshness, is_moved};
use alluxio_namespace::{Delete, Error as NamespaceError, Refusal};
use alluxio_types::{AlluxioPath, Answer, FileStatus, InodeId, IntendedChange, PersistenceState};

/// How often a delete is tried anew when the tree moves under it.
const ATTEMPTS: u32 = 5;

/// What to delete, and how.
pub(crate) struct DeleteOptions {
    pub(crate) recursive: bool,
    pub(crate) alluxio_only: bool,
    /// Do not look at what the under store has below it first.
    pub(crate) unchecked: bool,
    pub(crate) delete_mount_points: bool,
    /// Delete only this inode; another one at the path is none of the caller's.
    pub(crate) expected: Option<InodeId>,
}

impl Core {
    /// Deletes a path here, and in the under store unless told otherwise. The store comes first: the
    /// reverse would bring back a file that was acknowledged to be deleted. What a crash cuts off in
    /// between is completed by its intent.
    pub(crate) async fn delete(
        &self,
        path: &AlluxioPath,
        options: DeleteOptions,
        call: &Call,
    ) -> Result<u64, MasterError> {
        match self.once(call, self.delete_once(path, &options, call)).await? {
            Answer::Done { removed } => Ok(removed),
            Answer::Inode { .. } | Answer::Mounted(_) => Err(MasterError::ForeignOperation),
        }
    }

    async fn delete_once(
        &self,
        path: &AlluxioPath,
        options: &DeleteOptions,
        call: &Call,
    ) -> Result<Answer, MasterError> {
        self.settle(&[path], call).await?;
        self.refresh(path, Freshness::ANY, call).await?;
        let mut attempt = 0;
        loop {
            match self.try_delete(path, options, call).await {
                Err(error) if is_moved(&error) && attempt < ATTEMPTS => attempt += 1,
                other => return other,
            }
        }
    }

    async fn try_delete(
        &self,
        path: &AlluxioPath,
        options: &DeleteOptions,
        call: &Call,
    ) -> Result<Answer, MasterError> {
        let seen = self.namespace.applied();
        let status = self.release(self.namespace.status(path, &self.context(call))).await?;
        if let Some(id) = options.expected.filter(|expected| *expected != status.id) {
            // The name is another file's by now, and trying again would not bring that one back.
            return Err(Refusal { error: NamespaceError::InodeNotFound { id }, seen }.into());
        }
        let request = Delete {
            path: path.clone(),
            recursive: options.recursive,
            alluxio_only: options.alluxio_only,
            delete_mount_points: options.delete_mount_points,
            expected: Some(status.id),
        };
        let checked = status.is_directory() && !options.unchecked && !options.alluxio_only;
        let refreshed = match (checked, options.recursive) {
            // Rights are checked on what is really there, not on the part that is known.
            (true, true) => self.refresh_tree(path, Freshness::NOW, call).await.map(drop),
            (true, false) => self.refresh_children(path, Freshness::NOW, call).await.map(drop),
            (false, _) => Ok(()),
        };
        if let Err(error) = refreshed {
            // What is said of a file that has taken the name meanwhile is no answer about this directory.
            let now = self.namespace.status(path, &self.context(call));
            let same = matches!(self.release(now).await, Ok(now) if now.id == status.id);
            let moved = NamespaceError::Moved { path: path.clone() };
            return Err(if same { error } else { Refusal { error: moved, seen }.into() });
        }
        self.check(request.clone(), &call.who).await?;
        let mut intent = None;
        let mut ufs_part = Ok(());
        if !options.alluxio_only && self.is_in_ufs(path, &status) {
            let change = IntendedChange::Delete {
                recursive: options.recursive,
                delete_mount_points: options.delete_mount_points,
            };
            intent = Some(self.intend(status.id, path, change, call).await?);
            ufs_part = self.delete_in_ufs(path, &status, options.recursive).await;
        }
        let done = self.conclude(intent, ufs_part, request, call).await?;
        if options.delete_mount_points {
            self.ufs.changed();
        }
        Ok(done.answer)
    }

    /// Whether the store may have something at the path. A directory may hold persisted files although
    /// nobody made it there by name; of a mount point itself only the name here goes away.
    fn is_in_ufs(&self, path: &AlluxioPath, status: &FileStatus) -> bool {
        let at_mount = self.namespace.mount_of(path).is_none_or(|mount| mount.path == *path);
        let persisted = status.persistence == PersistenceState::Persisted;
        !at_mount && (status.is_directory() || persisted)
    }

    pub(crate) async fn delete_in_ufs(
        &self,
        path: &AlluxioPath,
        status: &FileStatus,
        recursive: bool,
    ) -> Result<(), MasterError> {
        if !self.is_in_ufs(path, status) {
            return Ok(());
        }
        let Some(mount) = self.namespace.mount_of(path) else { return Ok(()) };
        let Some(uri) = mount.ufs_path(path) else { return Ok(()) };
        let ufs = self.ufs.of(&mount)?;
        let deleted = if status.is_directory() {
            ufs.delete_dir(&uri, recursive).await
        } else {
            ufs.delete_file(&uri).await
        };
        match deleted {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(()),
        }
    }
}
