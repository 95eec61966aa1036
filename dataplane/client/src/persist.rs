//! Writes files that are only cached to the UFS, through a worker, and waits for it.

use crate::error::ClientError;
use crate::fs::FileSystem;
use crate::options::{GetStatusOptions, ListStatusOptions, OpenFileOptions};
use crate::policy::{self, Ask};
use alluxio_datapath::client::Session;
use alluxio_datapath::message::Targets;
use alluxio_datapath::{DATA_BYTES_MAX, OpenUfs};
use alluxio_types::{
    AlluxioPath, BlockRange, Code, Coded, FileStatus, PersistenceState, ReadType, WorkerAddress,
    WorkerId, WorkerInfo,
};
use std::collections::BTreeMap;

const UFS_ONLY: Targets = Targets { block: false, ufs: true };

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
            if !status.is_directory() && status.completed {
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
        if !status.completed {
            return Err(ClientError::Incomplete { path: status.path.clone() });
        }
        let failed = |source| ClientError::WriteFailed { path: status.path.clone(), source };
        let address = self.worker_with_most(status).await?;
        let mut session = self.inner.session_on(&address).await.map_err(failed)?;
        let request = OpenUfs {
            mount: status.mount_id,
            ufs_path: status.ufs_path.clone(),
            overwrite: false,
            owner: status.owner.clone(),
            group: status.group.clone(),
            mode: status.mode,
        };
        session.open_ufs(request).await.map_err(failed)?;
        for index in 0..status.block_count() {
            self.persist_block(status, index, &mut session).await?;
        }
        let done = session.finish_ufs(status.length).await.map_err(failed)?;
        let completed =
            self.inner.master.complete_persist(status.id, &done.fingerprint, status.length).await;
        if let Some(cache) = &self.inner.meta_cache {
            cache.forget(path);
        }
        completed?;
        if let Err(error) = session.end().await {
            tracing::debug!(%error, "a write session did not end well");
        }
        Ok(true)
    }

    /// Feeds the UFS file with one block: from the worker's own copy, or from wherever it is.
    async fn persist_block(
        &self,
        status: &FileStatus,
        index: u64,
        session: &mut Session,
    ) -> Result<(), ClientError> {
        let failed = |source| ClientError::WriteFailed { path: status.path.clone(), source };
        let range = BlockRange { start: 0, end: status.block_length(index) };
        match session.ufs_append_from_block(status.id.block(index), range).await {
            Ok(()) => return Ok(()),
            Err(error) if error.code() == Code::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let options =
            OpenFileOptions { read_type: Some(ReadType::NoCache), ..OpenFileOptions::default() };
        let reader = self.open_status(status.clone(), &options)?;
        let start = index * status.block_size_bytes;
        let mut buffer = vec![0; DATA_BYTES_MAX];
        let mut done = 0;
        while done < range.end {
            let wanted = (range.end - done).min(DATA_BYTES_MAX as u64) as usize;
            let count = reader.read_at(&mut buffer[..wanted], start + done).await?;
            if count < wanted {
                let block = status.id.block(index);
                return Err(ClientError::BlockUnavailable { path: status.path.clone(), block });
            }
            session.data(UFS_ONLY, start + done, &buffer[..count]).await.map_err(failed)?;
            done += count as u64;
        }
        Ok(())
    }

    /// The worker that holds most of the file's bytes, or any when none does (an empty file).
    async fn worker_with_most(&self, status: &FileStatus) -> Result<WorkerAddress, ClientError> {
        let mut bytes: BTreeMap<WorkerId, (u64, &WorkerAddress)> = BTreeMap::new();
        for block in &status.blocks {
            for location in &block.locations {
                bytes.entry(location.worker).or_insert((0, &location.address)).0 += block.length;
            }
        }
        if let Some((_, address)) = bytes.into_values().max_by_key(|(bytes, _)| *bytes) {
            return Ok(address.clone());
        }
        let inner = &self.inner;
        let workers = inner.workers.get(&inner.master, &inner.host, false).await?;
        let chosen = self.choose_any(status, &workers);
        chosen.ok_or(ClientError::NoWorker { purpose: "writing through to the UFS" })
    }

    fn choose_any(&self, status: &FileStatus, workers: &[WorkerInfo]) -> Option<WorkerAddress> {
        let inner = &self.inner;
        let policies = &inner.config.policies;
        let ask = Ask {
            block: status.id.block(0),
            bytes: 0,
            local_host: &inner.config.hostname,
            specific_host: policies.specific_host.as_deref(),
            reserve_bytes: policies.avoid_eviction_reserve_bytes,
            hash_shards: policies.hash_shards,
            turn: inner.next_turn(),
            random: inner.host.entropy.next_u64(),
        };
        let id = policy::choose(policies.write, &ask, workers)?;
        workers.iter().find(|worker| worker.id == id).map(|worker| worker.address.clone())
    }
}
