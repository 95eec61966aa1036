//! What clients ask about workers and blocks.

use super::user;
use crate::error::MasterError;
use crate::role::Slot;
use alluxio_proto::v1::block as pb;
use alluxio_proto::v1::block::block_master_client_server::BlockMasterClient;
use alluxio_rpc::GroupNames;
use alluxio_types::{BlockId, InodeId, PersistenceState};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// The service.
pub struct BlockService {
    slot: Arc<Slot>,
}

impl BlockService {
    /// Serves while this master is the primary.
    pub fn new(slot: Arc<Slot>) -> Self {
        BlockService { slot }
    }
}

#[tonic::async_trait]
impl BlockMasterClient for BlockService {
    async fn get_workers(
        &self,
        request: Request<pb::GetWorkersRequest>,
    ) -> Result<Response<pb::GetWorkersResponse>, Status> {
        user(&request)?;
        let workers = self.slot.primary()?.workers.list(request.into_inner().include_lost);
        let workers = workers.iter().map(Into::into).collect();
        Ok(Response::new(pb::GetWorkersResponse { workers }))
    }

    async fn get_block_info(
        &self,
        request: Request<pb::GetBlockInfoRequest>,
    ) -> Result<Response<pb::GetBlockInfoResponse>, Status> {
        user(&request)?;
        let block = BlockId(request.into_inner().block_id);
        let core = self.slot.primary()?;
        let status = core.status_by_id(block.inode()).await?;
        if block.0 == status.id.0 {
            // The id of the file itself: its path is all that there is to say.
            return Ok(Response::new(pb::GetBlockInfoResponse { info: None, path: status.path }));
        }
        let known = status.blocks.iter().find(|info| info.id == block);
        let Some(info) = known else {
            return Err(MasterError::OutOfBounds {
                what: "block index",
                value: block.index() as i64,
                min: 0,
                max: status.blocks.len() as i64 - 1,
            }
            .into());
        };
        // Who has it may not have said so yet. The UFS need not be waited for.
        let only_here = status.persistence != PersistenceState::Persisted;
        if info.locations.is_empty() && only_here && core.in_safe_mode() {
            return Err(MasterError::WorkersMissing { block }.into());
        }
        let response =
            pb::GetBlockInfoResponse { info: Some(info.into()), path: status.path.clone() };
        Ok(Response::new(response))
    }

    async fn get_block_token(
        &self,
        request: Request<pb::GetBlockTokenRequest>,
    ) -> Result<Response<pb::GetBlockTokenResponse>, Status> {
        let core = self.slot.primary()?;
        let groups = request.extensions().get::<GroupNames>().map(|groups| groups.0.clone());
        let call = core.call(&user(&request)?, groups, None);
        let pb::GetBlockTokenRequest { inode_id, write } = request.into_inner();
        let issued = core.block_token(InodeId(inode_id), write, &call).await?;
        Ok(Response::new(match issued {
            Some(issued) => pb::GetBlockTokenResponse {
                token: issued.token.into(),
                lifetime_ms: issued.lifetime_ms,
            },
            None => pb::GetBlockTokenResponse::default(),
        }))
    }
}
