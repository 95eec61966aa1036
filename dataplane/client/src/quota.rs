//! Quotas of directories.

use crate::{ClientError, FileSystem, SetQuotaOptions};
use alluxio_types::{AlluxioPath, QuotaStatus};

impl FileSystem {
    /// Bounds a directory with all below it, from the next change on. Returns when that is durable.
    ///
    /// **Errors**: `PermissionDenied` for all but superusers, `NotFound`, `NotADirectory`.
    pub async fn set_quota(
        &self,
        path: &AlluxioPath,
        options: &SetQuotaOptions,
    ) -> Result<(), ClientError> {
        self.inner.master.set_quota(path, options).await
    }

    /// The quotas that what comes to `path` counts at, with how much of each is used; the nearest first. Empty
    /// when nothing bounds it.
    ///
    /// **Errors**: `NotFound`, `PermissionDenied`.
    pub async fn quotas(&self, path: &AlluxioPath) -> Result<Vec<QuotaStatus>, ClientError> {
        self.inner.master.quotas(path).await
    }
}
