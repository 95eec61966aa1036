//! Opens a block at the best source that there is.

use super::{FileReader, OpenStream, Opened};
use crate::error::ClientError;
use crate::layout::BlockPart;
use crate::policy::Ask;
use crate::route::{self, Facts, Source};
use crate::tokens::{Purpose, Token};
use alluxio_datapath::client::Reading;
use alluxio_datapath::{ReadRequest, UfsSource};
use alluxio_types::{
    BlockLocation, BlockRange, Code, Coded, FileStatus, PersistenceState, ReadType, WorkerAddress,
    WorkerId, WorkerInfo,
};
use std::sync::Arc;
use std::time::Duration;

/// How long the master may take to tell where a block is that others can fetch, too.
const MASTER_PATIENCE: Duration = Duration::from_secs(1);

impl FileReader {
    /// Opens the block of `part`, from its start on: to the block's end when `long`, else for the
    /// part only. `None` when another version of the file was adopted instead.
    pub(super) async fn open_block(
        &self,
        part: BlockPart,
        long: bool,
    ) -> Result<Option<Opened>, ClientError> {
        let end = if long { part.block_length } else { part.range.end };
        let range = BlockRange { start: part.range.start, end };
        let version = self.state().version;
        let mut renewed = false;
        loop {
            let status = {
                let state = self.state();
                if state.version != version {
                    return Ok(None);
                }
                state.status.clone()
            };
            let (source, locations, workers) = self.choose(&status, &part).await?;
            if source.failed_before {
                self.pause().await;
            }
            let passive = self.passive_copy(&status, &part, &source, &locations, &workers);
            let request = self.request(&status, &part, range, None);
            let in_place = !self.state().not_in_place.contains(&part.block);
            let token = self.inner.token(status.id, Purpose::Read).await;
            let (worker, address) = (source.worker, &source.address);
            let asked = self.inner.read_from(worker, address, in_place, token.clone(), request);
            let (target, outcome) = asked.await;
            let error = match outcome {
                Ok(Reading::Local(local)) => {
                    self.worked(source.worker);
                    return Ok(Some(Opened::Local(local)));
                }
                Ok(Reading::Stream(stream)) => {
                    if let Some((worker, address)) = passive {
                        let request = self.copy_request(&status, &part, &source.address);
                        self.copy_to(worker, &address, token, request).await;
                    }
                    return Ok(Some(Opened::Stream(OpenStream {
                        block: part.block,
                        worker: source.worker,
                        target,
                        failed_before: source.failed_before,
                        progressed: false,
                        stream,
                    })));
                }
                Err(error) => error,
            };
            // Its token may have expired, or be of a key that the worker does not know any more.
            if error.code() == Code::PermissionDenied
                && !std::mem::replace(&mut renewed, true)
                && self.inner.renewed_token(status.id, Purpose::Read).await?.is_some()
            {
                continue;
            }
            self.failed(&part, source.worker, &target, source.failed_before, error).await?;
        }
    }

    /// Chooses whom to ask. While the UFS has the bytes and there is no worker, one is waited for as long as
    /// reading is tried: workers are about to register with a master that has just begun, or are being
    /// restarted themselves.
    async fn choose(
        &self,
        status: &FileStatus,
        part: &BlockPart,
    ) -> Result<(Source, Vec<BlockLocation>, Arc<[WorkerInfo]>), ClientError> {
        let in_ufs = status.persistence == PersistenceState::Persisted;
        loop {
            if let Some(chosen) = self.choose_among_known(status, part).await? {
                return Ok(chosen);
            }
            if !in_ufs || self.no_time_is_left() {
                let path = status.path.clone();
                return Err(ClientError::BlockUnavailable { path, block: part.block });
            }
            self.waits_for_a_worker(part);
            self.pause().await;
        }
    }

    /// The same, without waiting. The master is asked for fresh locations when all that are known have failed.
    async fn choose_among_known(
        &self,
        status: &FileStatus,
        part: &BlockPart,
    ) -> Result<Option<(Source, Vec<BlockLocation>, Arc<[WorkerInfo]>)>, ClientError> {
        let inner = &self.inner;
        let in_ufs = status.persistence == PersistenceState::Persisted;
        let doubt = self.state().trouble.tries > 0;
        let mut workers = inner.workers.get(&inner.master, &inner.host, doubt).await?;
        let mut locations = match self.known_locations(status, part) {
            Some(known) => known,
            None => self.fresh_locations(status, part, in_ufs && !workers.is_empty()).await,
        };
        for fresh in [false, true] {
            if fresh {
                let others = in_ufs && !workers.is_empty();
                locations = self.fresh_locations(status, part, others).await;
                workers = inner.workers.get(&inner.master, &inner.host, true).await?;
            }
            let failed = self.state().failed.clone();
            let policies = &inner.config.policies;
            let nearby = inner.nearby();
            let facts = Facts {
                locations: &locations,
                workers: &workers,
                in_ufs,
                failed: &failed,
                policy: self.ufs_policy,
                ask: Ask {
                    block: part.block,
                    bytes: part.block_length,
                    nearby: &nearby,
                    specific_host: policies.specific_host.as_deref(),
                    reserve_bytes: policies.avoid_eviction_reserve_bytes,
                    hash_shards: policies.hash_shards,
                    turn: inner.next_turn(),
                    random: inner.host.entropy.next_u64(),
                },
            };
            match route::choose(&facts) {
                Some(source) if !source.failed_before || fresh => {
                    return Ok(Some((source, locations, workers)));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Locations that the status, or a later answer, has; `None` when the master was never asked.
    fn known_locations(&self, status: &FileStatus, part: &BlockPart) -> Option<Vec<BlockLocation>> {
        let state = self.state();
        if let Some(newer) = state.locations.get(&part.block) {
            return Some(newer.clone());
        }
        let info = status.blocks.get(part.index as usize).filter(|info| info.id == part.block)?;
        Some(info.locations.clone())
    }

    /// Asks the master; without its answer, what was known stays. It is not waited for when there are `others` to
    /// ask for the bytes: they may well be up while it is not.
    async fn fresh_locations(
        &self,
        status: &FileStatus,
        part: &BlockPart,
        others: bool,
    ) -> Vec<BlockLocation> {
        let asked = self.inner.master.block_info(part.block);
        let answer = match others {
            true => tokio::time::timeout(MASTER_PATIENCE, asked).await.ok(),
            false => Some(asked.await),
        };
        match answer {
            Some(Ok((info, _))) => {
                self.state().locations.insert(part.block, info.locations.clone());
                return info.locations;
            }
            Some(Err(error)) => {
                tracing::debug!(block = %part.block, %error, "no fresh block locations");
            }
            None => tracing::debug!(block = %part.block, "no fresh block locations in time"),
        }
        self.known_locations(status, part).unwrap_or_default()
    }

    pub(super) fn request(
        &self,
        status: &FileStatus,
        part: &BlockPart,
        range: BlockRange,
        passive_source: Option<WorkerAddress>,
    ) -> ReadRequest {
        let persisted = status.persistence == PersistenceState::Persisted;
        let caches = self.read_type != ReadType::NoCache;
        ReadRequest {
            block: part.block,
            block_length: part.block_length,
            range,
            want_fd: false,
            read_type: self.read_type,
            cache_whole_block: caches && self.inner.config.cache_partially_read_block,
            passive_source,
            source: persisted.then(|| UfsSource {
                mount: status.mount_id,
                ufs_path: status.ufs_path.clone(),
                offset_in_file: part.block_offset,
                file_length: status.length,
                fingerprint: status.fingerprint.clone(),
            }),
        }
    }

    /// The worker of this host that shall copy a block that is read from elsewhere, if any.
    fn passive_copy(
        &self,
        status: &FileStatus,
        part: &BlockPart,
        source: &Source,
        locations: &[BlockLocation],
        workers: &[WorkerInfo],
    ) -> Option<(WorkerId, WorkerAddress)> {
        let config = &self.inner.config;
        let wanted = config.passive_cache && self.read_type != ReadType::NoCache;
        let enough = status.replication_max.is_some_and(|max| locations.len() >= max as usize);
        if !wanted || enough || source.local || !source.holds {
            return None;
        }
        let nearby = self.inner.nearby();
        let here = workers.iter().find(|worker| nearby.has(worker.id, &worker.address))?;
        let mut state = self.state();
        let first = !state.failed.contains_key(&here.id) && state.passive_asked.insert(part.block);
        first.then(|| (here.id, here.address.clone()))
    }

    /// A request for nothing, which makes a worker copy the block.
    fn copy_request(
        &self,
        status: &FileStatus,
        part: &BlockPart,
        from: &WorkerAddress,
    ) -> ReadRequest {
        let range = BlockRange { start: 0, end: 0 };
        self.request(status, part, range, Some(from.clone()))
    }

    async fn copy_to(
        &self,
        worker: WorkerId,
        address: &WorkerAddress,
        token: Option<Token>,
        request: ReadRequest,
    ) {
        let block = request.block;
        // A wish: the read itself does not depend on it.
        if let Err(error) = self.inner.cache_on(worker, address, token, request).await {
            tracing::debug!(%block, %error, "the local worker takes no copy");
        }
    }
}
