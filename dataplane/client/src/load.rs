//! Brings files into the cache from this client (`fs load` without the job service).

use crate::error::ClientError;
use crate::fs::FileSystem;
use crate::options::{GetStatusOptions, ListStatusOptions, Loaded};
use crate::policy::{self, Ask};
use alluxio_proto::convert::worker::{CacheBlock, UfsSource};
use alluxio_types::{
    AlluxioPath, BlockInfo, FileStatus, PersistenceState, WorkerAddress, WorkerId, WorkerInfo,
};
use std::collections::BTreeMap;

/// Blocks that are asked for together, on all workers. Each call answers when its last block is
/// there, so a batch should keep every worker busy, and not be so long that a failure is told late.
const BATCH_BLOCKS: usize = 256;

/// Blocks on their way to workers.
#[derive(Default)]
struct Batch {
    by_worker: BTreeMap<WorkerId, (WorkerAddress, Vec<CacheBlock>)>,
    count: usize,
}

impl FileSystem {
    /// Brings a file, or all files below a directory, into the cache. With `local`, onto a worker
    /// of this host, even if other workers have the blocks.
    ///
    /// **Errors**: the first failure ends it; what was loaded before stays loaded. `NoWorker` with
    /// `local` where this host has none.
    pub async fn load(&self, path: &AlluxioPath, local: bool) -> Result<Loaded, ClientError> {
        let status = self.get_status(path, &GetStatusOptions::default()).await?;
        let mut loaded = Loaded::default();
        let mut batch = Batch::default();
        if !status.is_directory() {
            self.add_file(&status, local, &mut batch, &mut loaded).await?;
            self.send(&mut batch, &mut loaded).await?;
            return Ok(loaded);
        }
        let options = ListStatusOptions { recursive: true, ..ListStatusOptions::default() };
        let mut listing = self.iterate_status(path, &options).await?;
        while let Some(status) = listing.next().await? {
            if status.is_file() && status.completed {
                self.add_file(&status, local, &mut batch, &mut loaded).await?;
            }
        }
        self.send(&mut batch, &mut loaded).await?;
        Ok(loaded)
    }

    /// Adds the blocks of a file that are missing; sends the batch whenever it is full.
    async fn add_file(
        &self,
        status: &FileStatus,
        local: bool,
        batch: &mut Batch,
        loaded: &mut Loaded,
    ) -> Result<(), ClientError> {
        let inner = &self.inner;
        loaded.files += 1;
        let full;
        let status = if status.blocks.len() as u64 == status.block_count() {
            status
        } else {
            let path = AlluxioPath::parse(&status.path)?;
            full = self.get_status(&path, &GetStatusOptions::default()).await?;
            &full
        };
        let workers = inner.workers.get(&inner.master, &inner.host, false).await?;
        let nearby = inner.nearby();
        for block in &status.blocks {
            let has = block.locations.iter().any(|l| !local || nearby.has(l.worker, &l.address));
            if has || block.length == 0 {
                continue;
            }
            let among: Vec<WorkerInfo> = workers
                .iter()
                .filter(|w| !local || nearby.has(w.id, &w.address))
                .cloned()
                .collect();
            let chosen = self.place(block, &among);
            let worker = among.iter().find(|worker| Some(worker.id) == chosen);
            let worker = worker.ok_or(ClientError::NoWorker { purpose: "loading a block" })?;
            let source = (status.persistence == PersistenceState::Persisted).then(|| UfsSource {
                mount: status.mount_id,
                ufs_path: status.ufs_path.clone(),
                offset_in_file: block.offset,
                file_length: status.length,
                fingerprint: status.fingerprint.clone(),
            });
            let peer = block.locations.first().map(|location| location.address.clone());
            if source.is_none() && peer.is_none() {
                let path = status.path.clone();
                return Err(ClientError::BlockUnavailable { path, block: block.id });
            }
            let wanted = CacheBlock { block: block.id, length: block.length, source, peer };
            let entry = batch.by_worker.entry(worker.id);
            entry.or_insert_with(|| (worker.address.clone(), Vec::new())).1.push(wanted);
            batch.count += 1;
            if batch.count >= BATCH_BLOCKS {
                self.send(batch, loaded).await?;
            }
        }
        Ok(())
    }

    fn place(&self, block: &BlockInfo, among: &[WorkerInfo]) -> Option<WorkerId> {
        let inner = &self.inner;
        let policies = &inner.config.policies;
        let nearby = inner.nearby();
        let ask = Ask {
            block: block.id,
            bytes: block.length,
            nearby: &nearby,
            specific_host: policies.specific_host.as_deref(),
            reserve_bytes: policies.avoid_eviction_reserve_bytes,
            hash_shards: policies.hash_shards,
            turn: inner.next_turn(),
            random: inner.host.entropy.next_u64(),
        };
        policy::choose(policies.ufs_read, &ask, among)
    }

    /// Asks all workers of the batch at once, and waits for all of them.
    async fn send(&self, batch: &mut Batch, loaded: &mut Loaded) -> Result<(), ClientError> {
        let batch = std::mem::take(batch);
        let calls = batch.by_worker.values().map(|(address, blocks)| async move {
            let failures = self.inner.control.cache(address, blocks).await?;
            Ok::<_, ClientError>((blocks, failures))
        });
        let mut first_failure = None;
        for outcome in futures::future::join_all(calls).await {
            match outcome {
                Ok((blocks, failures)) => {
                    let failed =
                        |block: &CacheBlock| failures.iter().any(|f| f.block == block.block);
                    for block in blocks.iter().filter(|block| !failed(block)) {
                        loaded.blocks += 1;
                        loaded.bytes += block.length;
                    }
                    if let Some(failure) = failures.into_iter().next() {
                        first_failure.get_or_insert(ClientError::Refused {
                            code: failure.code,
                            message: format!("block {}: {}", failure.block, failure.message),
                        });
                    }
                }
                Err(error) => {
                    first_failure.get_or_insert(error);
                }
            }
        }
        first_failure.map_or(Ok(()), Err)
    }
}
