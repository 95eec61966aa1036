//! Quotas of directories.

use crate::core::{Call, Core};
use crate::error::MasterError;
use crate::sync::Freshness;
use alluxio_namespace::SetQuota;
use alluxio_types::{AlluxioPath, InodeId, QuotaStatus};

impl Core {
    /// Gives a directory other bounds. They hold for the next change on, and wait for the journal like any other.
    pub(crate) async fn set_quota(
        &self,
        request: SetQuota,
        call: &Call,
    ) -> Result<(), MasterError> {
        if self.answered(call).await?.is_none() {
            self.refresh(&request.path, Freshness::ANY, call).await?;
            self.commit_for(request, call).await?;
        }
        Ok(())
    }

    /// The quotas that a path counts at, the nearest first.
    pub(crate) async fn quotas(
        &self,
        path: &AlluxioPath,
        call: &Call,
    ) -> Result<Vec<QuotaStatus>, MasterError> {
        self.refresh(path, Freshness::ANY, call).await?;
        self.release(self.namespace.quotas_of(path, &self.context(call))).await
    }

    /// Bytes that quotas leave to a new file now, the room of one that it replaces included; `None` without
    /// any. A hint, which holds until the next change.
    pub(crate) fn room(
        &self,
        path: &AlluxioPath,
        replaces: Option<InodeId>,
        call: &Call,
    ) -> Option<u64> {
        let quotas = self.namespace.quotas_of(path, &self.context(call)).ok()?.value;
        let left = quotas.iter().filter_map(QuotaStatus::bytes_left).min()?;
        let replaced = replaces.and_then(|id| self.namespace.status_by_id(id).ok());
        Some(left.saturating_add(replaced.map_or(0, |replaced| replaced.value.length)))
    }
}
