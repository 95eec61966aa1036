//! Quotas of directories.

use super::ConvertError;
use crate::v1::fs as pb;
use alluxio_types::{AlluxioPath, Quota, QuotaStatus, QuotaUsage};

impl From<&QuotaStatus> for pb::QuotaStatus {
    fn from(status: &QuotaStatus) -> Self {
        let QuotaStatus { path, quota, usage } = status;
        pb::QuotaStatus {
            path: path.as_str().to_owned(),
            quota: Some(pb::Quota { bytes: quota.bytes, inodes: quota.inodes }),
            used_bytes: usage.bytes,
            used_inodes: usage.inodes,
        }
    }
}

impl TryFrom<pb::QuotaStatus> for QuotaStatus {
    type Error = ConvertError;

    fn try_from(status: pb::QuotaStatus) -> Result<Self, ConvertError> {
        let quota = status.quota.ok_or(ConvertError::Missing { field: "quota" })?;
        Ok(QuotaStatus {
            path: AlluxioPath::parse(&status.path)?,
            quota: Quota { bytes: quota.bytes, inodes: quota.inodes },
            usage: QuotaUsage { bytes: status.used_bytes, inodes: status.used_inodes },
        })
    }
}
