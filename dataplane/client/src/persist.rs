//! Writes files that are only cached to the UFS, by a worker, and waits for it.

use crate::error::ClientError;
use crate::fs::FileSystem;
use crate::options::{GetStatusOptions, ListStatusOptions};
use alluxio_proto::convert::worker::{Persist, PersistBlock};
use alluxio_types::{
    AlluxioPath, Code, Coded, FileStatus, Fingerprint, PersistenceState, WorkerAddress, WorkerId,
};
use std::collections::BTreeMap;

impl FileSystem {
    /// Writes a file that is only cached to the UFS; of a directory, all files below it. Returns
    /// how many files were written. Files that are there already are left alone.
    ///
    /// **Errors**: the first failure ends it; files that were written before stay written.
    pub async fn persist(&self, path: &AlluxioPath) -> Result<u64, ClientError> {
        let status = self.get_status(path, &GetStatusOptions::default()).await?;
        if !status.is_directory() {
            return Ok(u64::from(self.persist_file(path, &status).await?));
        }
        let options = ListStatusOptions { recursive: true, ..ListStatusOptions::default() };
        let mut listing = self.iterate_status(path, &options).await?;
        let mut count = 0;
        while let Some(status) = listing.next().await? {
            if status.is_file() && status.completed {
                let path = AlluxioPath::parse(&status.path)?;
                count += u64::from(self.persist_file(&path, &status).await?);
            }
        }
        Ok(count)
    }

    async fn persist_file(
        &self,
        path: &AlluxioPath,
        status: &FileStatus,
    ) -> Result<bool, ClientError> {
        if status.persistence == PersistenceState::Persisted {
            return Ok(false);
        }
        if status.is_symlink() {
            return Err(ClientError::IsASymlink { path: status.path.clone() });
        }
        if !status.completed {
            return Err(ClientError::Incomplete { path: status.path.clone() });
        }
        // A listing may have left the blocks out; a file must never be written without them.
        let full;
        let status = if status.blocks.len() as u64 == status.block_count() {
            status
        } else {
            full = self.get_status(path, &GetStatusOptions::default()).await?;
            &full
        };
        let blocks = status.blocks.iter();
        let file = Persist {
            mount: status.mount_id,
            ufs_path: status.ufs_path.clone(),
            blocks: blocks
                .map(|block| PersistBlock {
                    block: block.id,
                    length: block.length,
                    locations: block.locations.iter().map(|l| l.address.clone()).collect(),
                })
                .collect(),
            overwrite: false,
            owner: status.owner.clone(),
            group: status.group.clone(),
            mode: status.mode,
        };
        let fingerprint = self.persist_on_some_worker(status, &file).await?;
        let completed =
            self.inner.master.complete_persist(status.id, &fingerprint, status.length).await;
        self.inner.forget(path);
        completed.map(|()| true)
    }

    /// Asks the worker with most of the bytes first; one that cannot be reached is passed over.
    async fn persist_on_some_worker(
        &self,
        status: &FileStatus,
        file: &Persist,
    ) -> Result<Fingerprint, ClientError> {
        let inner = &self.inner;
        let mut bytes: BTreeMap<WorkerId, u64> = BTreeMap::new();
        for block in &status.blocks {
            for location in &block.locations {
                *bytes.entry(location.worker).or_default() += block.length;
            }
        }
        let workers = inner.workers.get(&inner.master, &inner.host, false).await?;
        let mut order: Vec<(u64, &WorkerAddress)> = workers
            .iter()
            .map(|worker| (bytes.get(&worker.id).copied().unwrap_or(0), &worker.address))
            .collect();
        order.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        let mut last = ClientError::NoWorker { purpose: "writing a file to the UFS" };
        for (_, address) in order {
            match inner.control.persist(address, file).await {
                Err(error) if matches!(error.code(), Code::Unavailable | Code::Busy) => {
                    tracing::debug!(host = %address.host, %error, "asking another worker");
                    last = error;
                }
                outcome => return outcome,
            }
        }
        Err(last)
    }
}
