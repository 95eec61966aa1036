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

    /// Chooses whom to ask. The master is asked for fresh locations when all that are known have
    /// failed.
    async fn choose(
        &self,
        status: &FileStatus,
        part: &BlockPart,
    ) -> Result<(Source, Vec<BlockLocation>, Arc<[WorkerInfo]>), ClientError> {
        let inner = &self.inner;
        let doubt = self.state().trouble.tries > 0;
        let mut workers = inner.workers.get(&inner.master, &inner.host, doubt).await?;
        let mut locations = self.known_locations(status, part);
        if locations.is_none() {
            locations = Some(self.fresh_locations(part).await);
        }
        let mut locations = locations.unwrap_or_default();
        for fresh in [false, true] {
            if fresh {
                locations = self.fresh_locations(part).await;
                workers = inner.workers.get(&inner.master, &inner.host, true).await?;
            }
            let failed = self.state().failed.clone();
            let policies = &inner.config.policies;
            let nearby = inner.nearby();
            let facts = Facts {
                locations: &locations,
                workers: &workers,
                in_ufs: status.persistence == PersistenceState::Persisted,
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
                    return Ok((source, locations, workers));
                }
                _ => {}
            }
        }
        Err(ClientError::BlockUnavailable { path: status.path.clone(), block: part.block })
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

    /// Asks the master. Without an answer there are no locations, and the UFS is what is left.
    async fn fresh_locations(&self, part: &BlockPart) -> Vec<BlockLocation> {
        let locations = match self.inner.master.block_info(part.block).await {
            Ok((info, _)) => info.locations,
            Err(error) => {
                tracing::debug!(block = %part.block, %error, "no fresh block locations");
                Vec::new()
            }
        };
        self.state().locations.insert(part.block, locations.clone());
        locations
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
