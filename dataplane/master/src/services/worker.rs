//! What workers ask. Commands ride on the replies.

use super::meta::only_superuser;
use super::user;
use crate::core::Core;
use crate::error::MasterError;
use crate::role::Slot;
use crate::workers::{Heartbeat, HeartbeatReply, Registration};
use alluxio_proto::convert::ConvertError;
use alluxio_proto::v1::block as pb;
use alluxio_proto::v1::block::block_master_worker_server::BlockMasterWorker;
use alluxio_types::{BlockId, InodeId, MountId, PersistenceState, TierUsage, WorkerId};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tonic::{Request, Response, Status, Streaming};

/// Blocks that one registration may bring: 16 bytes each while it runs.
const BLOCKS_PER_WORKER_MAX: usize = 50_000_000;

/// The service.
pub struct WorkerService {
    slot: Arc<Slot>,
}

impl WorkerService {
    /// Serves while this master is the primary.
    pub fn new(slot: Arc<Slot>) -> Self {
        WorkerService { slot }
    }
}

/// Whether a file still is, or may yet be, in the namespace.
fn alive(core: &Core) -> impl Fn(InodeId) -> bool {
    move |id| core.namespace.persistence_by_id(id).is_some()
}

/// A worker drops bytes because of what it is told: that must not be said of a delete that a crash of
/// this master can still take back.
async fn settle(core: &Core, dropping: bool) -> Result<(), MasterError> {
    if dropping {
        core.gate.pass(core.namespace.applied()).await?;
    }
    Ok(())
}

/// Whether a worker may evict a file's blocks: they are in the UFS, or of no file.
fn may_go(core: &Core, id: u64) -> bool {
    let persistence = core.namespace.persistence_by_id(InodeId(id));
    persistence.is_none_or(|state| state == PersistenceState::Persisted)
}

/// The keys of block tokens: whoever has them opens every block, so they are for workers that run as a
/// superuser.
fn keys_for<T>(core: &Core, request: &Request<T>) -> Result<Vec<pb::BlockKey>, Status> {
    let keys = core.token_keys();
    if !keys.is_empty() {
        only_superuser(core, &user(request)?, "serve blocks that need tokens of")?;
    }
    let keys = keys.into_iter().map(|key| pb::BlockKey {
        id: key.id,
        secret: key.secret.to_vec().into(),
        expires_ms: key.expires.0,
    });
    Ok(keys.collect())
}

fn fact(block: &pb::BlockFact) -> (BlockId, u8) {
    (BlockId(block.id), u8::try_from(block.tier).unwrap_or(u8::MAX))
}

fn tiers(tiers: Vec<alluxio_proto::v1::common::TierUsage>) -> Vec<TierUsage> {
    tiers.into_iter().map(Into::into).collect()
}

#[tonic::async_trait]
impl BlockMasterWorker for WorkerService {
    async fn register_worker(
        &self,
        request: Request<Streaming<pb::RegisterWorkerRequest>>,
    ) -> Result<Response<pb::RegisterWorkerResponse>, Status> {
        let core = self.slot.primary()?;
        let keys = keys_for(&core, &request)?;
        let mut stream = request.into_inner();
        let missing = || MasterError::from(ConvertError::Missing { field: "hello" });
        let first = stream.message().await?.ok_or_else(missing)?;
        let hello = first.hello.ok_or_else(missing)?;
        let ours = core.namespace.cluster_id().unwrap_or_default();
        if !hello.cluster_id.is_empty() && hello.cluster_id != ours {
            return Err(MasterError::ForeignWorker { theirs: hello.cluster_id, ours }.into());
        }
        let address = hello.address.ok_or(ConvertError::Missing { field: "address" });
        let address = address.and_then(TryInto::try_into).map_err(MasterError::from)?;
        let mut blocks: Vec<_> = first.blocks.iter().map(fact).collect();
        while let Some(batch) = stream.message().await? {
            blocks.extend(batch.blocks.iter().map(fact));
            if blocks.len() > BLOCKS_PER_WORKER_MAX {
                return Err(MasterError::OutOfBounds {
                    what: "number of blocks",
                    value: blocks.len() as i64,
                    min: 0,
                    max: BLOCKS_PER_WORKER_MAX as i64,
                }
                .into());
            }
        }
        let count = blocks.len();
        let registration = Registration {
            id: WorkerId(hello.worker_id),
            address,
            tiers: tiers(hello.tiers),
            version: hello.version,
            blocks,
        };
        let host = registration.address.host.clone();
        let files: BTreeSet<InodeId> =
            registration.blocks.iter().map(|(block, _)| block.inode()).collect();
        let (session, free) = core.workers.register(registration, alive(&core));
        settle(&core, !free.is_empty()).await?;
        for file in files {
            core.find_again(file).await?;
        }
        let orphans = free.len();
        tracing::info!(
            worker = hello.worker_id,
            host,
            blocks = count,
            orphans,
            "worker registered"
        );
        Ok(Response::new(pb::RegisterWorkerResponse {
            cluster_id: ours,
            session,
            free_blocks: free.into_iter().map(|block| block.0).collect(),
            block_keys: keys,
        }))
    }

    async fn get_block_keys(
        &self,
        request: Request<pb::GetBlockKeysRequest>,
    ) -> Result<Response<pb::GetBlockKeysResponse>, Status> {
        let keys = keys_for(&*self.slot.primary()?, &request)?;
        Ok(Response::new(pb::GetBlockKeysResponse { keys }))
    }

    async fn heartbeat(
        &self,
        request: Request<pb::HeartbeatRequest>,
    ) -> Result<Response<pb::HeartbeatResponse>, Status> {
        let core = self.slot.primary()?;
        let request = request.into_inner();
        let heartbeat = Heartbeat {
            id: WorkerId(request.worker_id),
            session: request.session,
            tiers: tiers(request.tiers),
            added: request.added.iter().map(fact).collect(),
            removed: request.removed.into_iter().map(BlockId).collect(),
        };
        let released = request.kept_inodes.iter().copied().filter(|id| may_go(&core, *id));
        let mut response = pb::HeartbeatResponse {
            mount_table_version: core.ufs.version(),
            pin_list_version: core.pin_version.load(Ordering::Acquire),
            released_inodes: released.collect(),
            ..Default::default()
        };
        match core.workers.heartbeat(heartbeat, alive(&core)) {
            HeartbeatReply::RegisterAgain => response.register_again = true,
            HeartbeatReply::Free(blocks) => {
                response.free_blocks = blocks.into_iter().map(|block| block.0).collect();
            }
        }
        if response.pin_list_version != request.pin_list_version {
            response.has_pin_list = true;
            let pinned = core.namespace.pinned_files();
            response.pinned_inodes = pinned.into_iter().map(|id| id.0).collect();
        }
        let dropping = !(response.free_blocks.is_empty() && response.released_inodes.is_empty());
        settle(&core, dropping).await?;
        Ok(Response::new(response))
    }

    async fn get_mount(
        &self,
        request: Request<pb::GetMountRequest>,
    ) -> Result<Response<pb::GetMountResponse>, Status> {
        let core = self.slot.primary()?;
        let id = MountId(request.into_inner().mount_id);
        // Read before the row: a change in between shows as an old version, and is asked for again.
        let mount_table_version = core.ufs.version();
        let Some(mount) = core.namespace.mount_by_id(id) else {
            let seen = core.namespace.applied();
            let error = alluxio_namespace::Error::MountNotFound { id };
            return Err(MasterError::from(alluxio_namespace::Refusal::new(error, seen)).into());
        };
        let info = Some((&*mount).into());
        Ok(Response::new(pb::GetMountResponse { info, mount_table_version }))
    }
}
