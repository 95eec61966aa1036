//! A listing that arrives page by page.

use super::{fs, listing};
use crate::error::ClientError;
use crate::fs::Inner;
use crate::options::{Freshness, ListStatusOptions};
use alluxio_proto::convert::listing::Statuses;
use alluxio_proto::v1::fs as pb;
use alluxio_rpc::{Repeat, RpcError};
use alluxio_types::{AlluxioPath, Code, Coded, FileStatus};
use std::sync::Arc;
use tonic::Streaming;

/// How often in a row a listing may break off before it has brought another page.
const BREAKS_MAX: u32 = 10;

/// Statuses of a listing as they arrive, in the master's order.
pub struct Listing {
    inner: Arc<Inner>,
    request: pb::ListStatusRequest,
    stream: Streaming<pb::ListStatusResponse>,
    page: Statuses,
    /// How many were given out, and the name of the last one.
    given: u64,
    last: String,
    /// Since the last page.
    breaks: u32,
}

impl Listing {
    pub(crate) async fn begin(
        inner: Arc<Inner>,
        path: &AlluxioPath,
        freshness: Freshness,
        options: &ListStatusOptions,
    ) -> Result<Self, ClientError> {
        let request = listing(path, freshness, options);
        let stream = open(&inner, &request).await?;
        let (page, last) = (Statuses::default(), String::new());
        Ok(Listing { inner, request, stream, page, given: 0, last, breaks: 0 })
    }

    /// The next one; `None` at the end. When the master is killed meanwhile, the listing goes on behind the last
    /// name, with what is there then.
    ///
    /// **Cancel safety**: safe.
    ///
    /// **Errors**: a recursive listing that breaks off is not taken up again.
    pub async fn next(&mut self) -> Result<Option<FileStatus>, ClientError> {
        loop {
            if self.request.limit > 0 && self.given == self.request.limit {
                return Ok(None);
            }
            if let Some(status) = self.page.next() {
                let status = status?;
                // The listing of a file is the file, wherever it begins.
                if self.given > 0 && status.name == self.last && !self.request.recursive {
                    continue;
                }
                status.name.clone_into(&mut self.last);
                self.given += 1;
                return Ok(Some(status));
            }
            if !self.turn().await? {
                return Ok(None);
            }
        }
    }

    /// Fetches the next page; whether there is one.
    async fn turn(&mut self) -> Result<bool, ClientError> {
        loop {
            match self.stream.message().await {
                Ok(Some(page)) => {
                    (self.page, self.breaks) = (Statuses::of(page), 0);
                    return Ok(true);
                }
                Ok(None) => return Ok(false),
                Err(status) => {
                    let target = self.inner.master.target();
                    self.go_on_after(RpcError::from_stream(target, &status).into()).await?;
                }
            }
        }
    }

    async fn go_on_after(&mut self, error: ClientError) -> Result<(), ClientError> {
        let cut_off = matches!(error.code(), Code::Unavailable | Code::NotPrimary);
        let anew = self.given == 0;
        if !cut_off || self.breaks >= BREAKS_MAX || (self.request.recursive && !anew) {
            return Err(error);
        }
        tracing::debug!(path = self.request.path, behind = self.last, %error, "a listing goes on");
        self.breaks += 1;
        let mut request = self.request.clone();
        if !anew {
            request.start_after.clone_from(&self.last);
            // 0 would be all; the end is seen by who counts.
            request.limit = request.limit.saturating_sub(self.given).max(request.limit.min(1));
        }
        self.stream = open(&self.inner, &request).await?;
        Ok(())
    }
}

/// Asks for it, as often as calls are tried.
async fn open(
    inner: &Inner,
    request: &pb::ListStatusRequest,
) -> Result<Streaming<pb::ListStatusResponse>, ClientError> {
    let stream = inner.master.primary().call(Repeat::Harmless, |channel| {
        let request = request.clone();
        async move { fs(channel).list_status(request).await }
    });
    Ok(stream.await?)
}
