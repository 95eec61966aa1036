//! Owner, group, mode, pin, time to live, replication.

use crate::core::{Call, Core};
use crate::error::MasterError;
use crate::sync::Freshness;
use alluxio_namespace::{SetAttributes, SetPersistence};
use alluxio_types::{Access, AlluxioPath, Code, Coded, FileStatus, PersistenceState};
use alluxio_ufs::UfsAttributes;

impl Core {
    /// Changes attributes here, and owner, group and mode in the under store too where it keeps
    /// them. Returns how many inodes were changed.
    pub(crate) async fn set_attributes(
        &self,
        request: SetAttributes,
        call: &Call,
    ) -> Result<u64, MasterError> {
        let path = request.path.clone().unwrap_or_else(AlluxioPath::root);
        if self.answered(call).await?.is_some() {
            return Ok(1);
        }
        self.refresh(&path, Freshness::ANY, call).await?;
        self.check(request.clone(), &call.who).await?;
        let attributes = UfsAttributes {
            owner: request.owner.clone(),
            group: request.group.clone(),
            mode: request.mode,
        };
        let targets = self.targets(&path, request.recursive, call)?;
        let pins = request.pinned.is_some();
        let changed = targets.len() as u64;
        self.commit_for(request, call).await?;
        if pins {
            self.pins_changed();
        }
        if !attributes.is_empty() {
            for status in &targets {
                self.push_attributes(status, &attributes).await?;
            }
        }
        Ok(changed)
    }

    fn targets(
        &self,
        path: &AlluxioPath,
        recursive: bool,
        call: &Call,
    ) -> Result<Vec<FileStatus>, MasterError> {
        if !recursive {
            return Ok(vec![self.namespace.status(path, &self.context(call))?.value]);
        }
        let walk = self.namespace.walk(path, &self.context(call))?;
        // What the caller may not read was refused by the check, or is not touched.
        Ok(walk.filter_map(|step| step.ok().map(|seen| seen.value)).collect())
    }

    /// The store's own attributes follow. A store without any, or one that refuses, keeps what it
    /// has: here the change holds all the same.
    pub(super) async fn push_attributes(
        &self,
        status: &FileStatus,
        attributes: &UfsAttributes,
    ) -> Result<(), MasterError> {
        if status.persistence != PersistenceState::Persisted || status.mount_point {
            return Ok(());
        }
        let Some(mount) = self.namespace.mount_by_id(status.mount_id) else { return Ok(()) };
        let ufs = self.ufs.of(&mount)?;
        if !ufs.capabilities().attributes {
            return Ok(());
        }
        match ufs.set_attributes(&status.ufs_path, attributes).await {
            Ok(facts) if !status.is_directory() => {
                // Some stores show a new version although the bytes are the same.
                let state = PersistenceState::Persisted;
                let fingerprint = facts.fingerprint;
                let change = SetPersistence { id: status.id, state, fingerprint };
                self.commit(change, &self.itself).await?;
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) if matches!(error.code(), Code::Unimplemented | Code::PermissionDenied) => {
                tracing::warn!(path = status.path, %error, "the under store keeps its attributes");
                Ok(())
            }
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the caller has all of `access` on a path.
    pub(crate) async fn check_access(
        &self,
        path: &AlluxioPath,
        access: Access,
        call: &Call,
    ) -> Result<(), MasterError> {
        self.refresh(path, Freshness::ANY, call).await?;
        self.release(self.namespace.check_access(path, access, &self.context(call))).await?;
        Ok(())
    }
}
