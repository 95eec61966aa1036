//! What follows when a source fails.

use super::{FileReader, check_readable};
use crate::error::ClientError;
use crate::layout::BlockPart;
use crate::options::{Freshness, MetadataLoad, SyncInterval};
use alluxio_datapath::Error;
use alluxio_datapath::client::Target;
use alluxio_types::{AlluxioPath, Code, Coded, WorkerId};
use std::sync::Arc;
use std::time::Duration;

impl FileReader {
    /// Takes note of a failure. `Ok` means: look for another source, or another version.
    ///
    /// **Errors**: when no other source can help.
    pub(super) async fn failed(
        &self,
        part: &BlockPart,
        worker: WorkerId,
        target: &Target,
        failed_before: bool,
        error: Error,
    ) -> Result<(), ClientError> {
        if error.code() == Code::Stale {
            return self.adopt_newer(part).await;
        }
        if !error.is_worker_fault() {
            return Err(self.read_failed(part, error));
        }
        tracing::debug!(block = %part.block, %worker, %target, %error, "a source failed");
        if let Error::Checksum { block, offset } = &error {
            // The read does not depend on it.
            let _ = self.inner.data.report_corrupt(target, *block, *offset).await;
        }
        if matches!(error, Error::Connect { .. } | Error::Broken { .. } | Error::Closed { .. }) {
            self.inner.data.forget(target);
        }
        let now = self.inner.host.clock.monotonic();
        {
            let mut state = self.state();
            state.failed.insert(worker, now);
            state.trouble.tries += 1;
            state.trouble.since.get_or_insert(now);
        }
        if failed_before && self.is_hopeless(&error) {
            return Err(self.read_failed(part, error));
        }
        Ok(())
    }

    /// A worker that answers is no failed worker any more.
    pub(super) fn worked(&self, worker: WorkerId) {
        self.state().failed.remove(&worker);
    }

    fn read_failed(&self, part: &BlockPart, last: Error) -> ClientError {
        let now = self.inner.host.clock.monotonic();
        let state = self.state();
        ClientError::ReadFailed {
            path: state.status.path.clone(),
            block: part.block,
            tries: state.trouble.tries.max(1),
            spent: state.trouble.since.map_or(Duration::ZERO, |since| now.saturating_sub(since)),
            last,
        }
    }

    /// Everybody was asked: whether time cannot help, or is up.
    fn is_hopeless(&self, error: &Error) -> bool {
        let passing = matches!(
            error.code(),
            Code::Unavailable
                | Code::Busy
                | Code::DeadlineExceeded
                | Code::Aborted
                | Code::Cancelled
                | Code::ResourceExhausted
        );
        !passing || self.no_time_is_left()
    }

    /// Whether it was tried for as long as it may be.
    pub(super) fn no_time_is_left(&self) -> bool {
        let now = self.inner.host.clock.monotonic();
        let since = self.state().trouble.since.unwrap_or(now);
        now.saturating_sub(since) >= self.inner.config.read_retry.total
    }

    /// Takes note that there is nobody to ask.
    pub(super) fn waits_for_a_worker(&self, part: &BlockPart) {
        let now = self.inner.host.clock.monotonic();
        let mut state = self.state();
        state.trouble.tries += 1;
        if state.trouble.since.is_none() {
            state.trouble.since = Some(now);
            let (path, block) = (&state.status.path, part.block);
            tracing::warn!(path, %block, "the cluster has no worker: one is waited for");
        }
    }

    /// Waits before a worker that failed is asked again: doubling, with up to half of it taken
    /// away at random.
    pub(super) async fn pause(&self) {
        let pauses = {
            let mut state = self.state();
            state.trouble.pauses += 1;
            state.trouble.pauses - 1
        };
        let retry = &self.inner.config.read_retry;
        let doubled = retry.base.saturating_mul(1 << pauses.min(16)).min(retry.max);
        let share = self.inner.host.entropy.below(500) as f64 / 1000.0;
        tokio::time::sleep(doubled.mul_f64(1.0 - share)).await;
    }

    /// The file changed in the UFS. Before the first byte the new version is adopted; after it,
    /// the reader must not mix.
    async fn adopt_newer(&self, part: &BlockPart) -> Result<(), ClientError> {
        let (old, delivered) = {
            let state = self.state();
            (state.status.clone(), state.delivered)
        };
        let stale = || ClientError::Stale { path: old.path.clone() };
        if delivered {
            return Err(stale());
        }
        let path = AlluxioPath::parse(&old.path)?;
        if let Some(cache) = &self.inner.meta_cache {
            cache.forget(&path);
        }
        let freshness = Freshness {
            sync: Some(SyncInterval::After(Duration::ZERO)),
            load: Some(MetadataLoad::Always),
        };
        let status = self.inner.master.get_status(&path, freshness, false, true).await?;
        check_readable(&status)?;
        if status.id == old.id && status.fingerprint == old.fingerprint {
            // The worker sees another version than the master, who has just looked: it changes
            // faster than it can be read.
            return Err(stale());
        }
        tracing::debug!(path = %old.path, block = %part.block, "a newer version is read instead");
        let mut state = self.state();
        // Another task may have been faster, in either way.
        if state.delivered {
            return Err(stale());
        }
        state.status = Arc::new(status);
        state.version += 1;
        state.local.clear();
        state.locations.clear();
        state.passive_asked.clear();
        Ok(())
    }
}
