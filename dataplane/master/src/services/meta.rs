//! The master about itself.

use super::user;
use crate::core::Core;
use alluxio_proto::v1::meta as pb;
use alluxio_proto::v1::meta::meta_master_server::MetaMaster;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tonic::{Request, Response, Status};

/// The service.
pub struct MetaService {
    core: Arc<Core>,
    rpc_port: u16,
    web_port: u16,
}

impl MetaService {
    /// Serves `core`, which listens on these ports.
    pub fn new(core: Arc<Core>, rpc_port: u16, web_port: u16) -> Self {
        MetaService { core, rpc_port, web_port }
    }
}

#[tonic::async_trait]
impl MetaMaster for MetaService {
    async fn get_master_info(
        &self,
        request: Request<pb::GetMasterInfoRequest>,
    ) -> Result<Response<pb::GetMasterInfoResponse>, Status> {
        user(&request)?;
        let core = &self.core;
        let stats = core.namespace.stats();
        let address = pb::MasterAddress {
            host: core.config.hostname.clone(),
            rpc_port: self.rpc_port.into(),
            web_port: self.web_port.into(),
        };
        Ok(Response::new(pb::GetMasterInfoResponse {
            leader: Some(address.clone()),
            masters: vec![address],
            started_ms: core.started.0,
            now_ms: core.host.clock.now().0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            safe_mode: core.in_safe_mode(),
            cluster_id: core.namespace.cluster_id().unwrap_or_default(),
            journal_type: "UFS".to_owned(),
            journal_seq: core.gate.committed().0,
            checkpoint_seq: core.checkpoint_at.load(Ordering::Acquire),
            inode_count: stats.inodes,
            inode_bytes: stats.memory_bytes,
        }))
    }

    async fn checkpoint(
        &self,
        request: Request<pb::CheckpointRequest>,
    ) -> Result<Response<pb::CheckpointResponse>, Status> {
        user(&request)?;
        let seq = self.core.checkpoint().await?;
        let master_host = self.core.config.hostname.clone();
        Ok(Response::new(pb::CheckpointResponse { seq: seq.0, master_host }))
    }

    async fn get_configuration(
        &self,
        request: Request<pb::GetConfigurationRequest>,
    ) -> Result<Response<pb::GetConfigurationResponse>, Status> {
        user(&request)?;
        let properties = self.core.properties.iter().map(|property| pb::ConfigProperty {
            key: property.key.clone(),
            value: property.value.clone(),
            source: property.source.clone(),
        });
        Ok(Response::new(pb::GetConfigurationResponse { properties: properties.collect() }))
    }
}
