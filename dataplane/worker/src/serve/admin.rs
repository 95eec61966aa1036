//! The worker's control service.

use crate::core::{Core, blocking};
use crate::source::Wanted;
use alluxio_datapath::UfsSource;
use alluxio_proto::convert::worker as words;
use alluxio_proto::status::status_of;
use alluxio_proto::v1::worker as pb;
use alluxio_proto::v1::worker::worker_server::Worker;
use alluxio_rpc::UserName;
use alluxio_types::{BlockId, Coded};
use futures::StreamExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tonic::{Request, Response, Status};

/// The service.
pub(crate) struct WorkerService {
    pub(crate) core: Arc<Core>,
}

impl WorkerService {
    fn check<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let user = request.extensions().get::<UserName>().map_or("", |user| user.0.as_str());
        self.core.check_control(user).map_err(|error| status_of(&error))
    }
}

fn wanted(block: words::CacheBlock) -> Wanted {
    Wanted {
        block: block.block,
        length: block.length,
        peers: block.peer.into_iter().collect(),
        ufs: block.source.map(|source| UfsSource {
            mount: source.mount,
            ufs_path: source.ufs_path,
            offset_in_file: source.offset_in_file,
            file_length: source.file_length,
            fingerprint: source.fingerprint,
        }),
    }
}

#[tonic::async_trait]
impl Worker for WorkerService {
    async fn get_info(
        &self,
        _request: Request<pb::GetInfoRequest>,
    ) -> Result<Response<pb::GetInfoResponse>, Status> {
        let core = &self.core;
        let usage = core.store.usage();
        let identity = core.store.identity();
        let used = usage.dirs.into_iter().map(|dir| pb::DirInfo {
            tier: dir.tier.0,
            path: dir.path.display().to_string(),
            medium: dir.medium.0,
            capacity_bytes: dir.capacity_bytes,
            used_bytes: dir.used_bytes,
            lost_reason: String::new(),
        });
        let lost = usage.lost_dirs.into_iter().map(|dir| pb::DirInfo {
            tier: dir.tier.0,
            path: dir.path.display().to_string(),
            lost_reason: dir.reason,
            ..Default::default()
        });
        Ok(Response::new(pb::GetInfoResponse {
            worker_id: identity.worker.0,
            cluster_id: identity.cluster.unwrap_or_default(),
            address: Some((&core.address).into()),
            version: core.version.clone(),
            started_ms: core.started.0,
            registered: core.registered.load(Ordering::Acquire),
            block_count: usage.block_count,
            tiers: usage.tiers.iter().map(Into::into).collect(),
            dirs: used.chain(lost).collect(),
        }))
    }

    async fn cache(
        &self,
        request: Request<pb::CacheRequest>,
    ) -> Result<Response<pb::CacheResponse>, Status> {
        self.check(&request)?;
        let request = request.into_inner();
        let promote = request.promote;
        let blocks: Vec<words::CacheBlock> = request
            .blocks
            .into_iter()
            .map(TryInto::try_into)
            .collect::<Result<_, _>>()
            .map_err(|error| status_of(&error))?;
        let loads = futures::stream::iter(blocks.into_iter().map(|block| {
            let (core, id, length) = (self.core.clone(), block.block, block.length);
            async move {
                let mut wanted = wanted(block);
                wanted.peers.retain(|peer| *peer != core.address);
                (id, length, core.cache_block(wanted, promote).await)
            }
        }));
        let mut reply = pb::CacheResponse::default();
        let mut ended = loads.buffer_unordered(self.core.config.async_cache_concurrency);
        while let Some((block, length, outcome)) = ended.next().await {
            match outcome {
                Ok(()) => {
                    reply.cached_blocks += 1;
                    reply.cached_bytes += length;
                }
                Err(error) => {
                    let (code, message) = (error.code(), error.to_string());
                    reply.failures.push((&words::BlockFailure { block, code, message }).into());
                }
            }
        }
        reply.failures.sort_by_key(|failure| failure.block_id);
        Ok(Response::new(reply))
    }

    async fn remove_blocks(
        &self,
        request: Request<pb::RemoveBlocksRequest>,
    ) -> Result<Response<pb::RemoveBlocksResponse>, Status> {
        self.check(&request)?;
        let blocks = request.into_inner().block_ids;
        let store = self.core.store.clone();
        let removed =
            blocking(move || blocks.into_iter().filter(|id| store.remove(BlockId(*id))).count())
                .await
                .map_err(|error| status_of(&error))?;
        self.core.news.notify_one();
        Ok(Response::new(pb::RemoveBlocksResponse { removed: removed as u64 }))
    }

    async fn persist(
        &self,
        request: Request<pb::PersistRequest>,
    ) -> Result<Response<pb::PersistResponse>, Status> {
        self.check(&request)?;
        let file = request.into_inner().try_into();
        let file = file.map_err(|error: alluxio_proto::convert::ConvertError| status_of(&error))?;
        let done = self.core.persist(file).await.map_err(|error| status_of(&error))?;
        Ok(Response::new(pb::PersistResponse {
            fingerprint: done.fingerprint.0,
            length: done.length,
        }))
    }
}
