//! Calls about quotas of directories.

use super::{Master, fs};
use crate::error::ClientError;
use crate::options::SetQuotaOptions;
use alluxio_proto::v1::fs as pb;
use alluxio_rpc::Repeat;
use alluxio_types::{AlluxioPath, QuotaStatus};

impl Master {
    pub(crate) async fn set_quota(
        &self,
        path: &AlluxioPath,
        options: &SetQuotaOptions,
    ) -> Result<(), ClientError> {
        // Beyond what the wire can say is as good as no bound.
        let bound = |bound: Option<u64>| bound.map_or(-1, |n| i64::try_from(n).unwrap_or(i64::MAX));
        let request = pb::SetQuotaRequest {
            path: path.to_string(),
            bytes: options.bytes.map(bound),
            inodes: options.inodes.map(bound),
        };
        call!(self, Harmless, fs, set_quota, request);
        Ok(())
    }

    pub(crate) async fn quotas(&self, path: &AlluxioPath) -> Result<Vec<QuotaStatus>, ClientError> {
        let request = pb::GetQuotasRequest { path: path.to_string() };
        let quotas = call!(self, Harmless, fs, get_quotas, request).quotas;
        quotas.into_iter().map(|quota| Ok(quota.try_into()?)).collect()
    }
}
