//! The master about itself.

use super::user;
use crate::backup::{BackupRequest, BackupState, BackupStatus};
use crate::core::Core;
use crate::error::MasterError;
use alluxio_namespace::Context;
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

    async fn backup(
        &self,
        request: Request<pb::BackupRequest>,
    ) -> Result<Response<pb::BackupStatus>, Status> {
        self.only_superuser(&user(&request)?)?;
        let request = request.into_inner();
        let request = BackupRequest { directory: request.directory, local: request.local };
        let status = self.core.start_backup(&request).await?;
        Ok(Response::new(self.backup_status(status)))
    }

    async fn get_backup_status(
        &self,
        request: Request<pb::GetBackupStatusRequest>,
    ) -> Result<Response<pb::BackupStatus>, Status> {
        self.only_superuser(&user(&request)?)?;
        let id = request.into_inner().id;
        let now = self.core.host.clock.monotonic();
        match self.core.backups.status(&id, now) {
            Some(status) => Ok(Response::new(self.backup_status(status))),
            None if id.is_empty() => Ok(Response::new(pb::BackupStatus::default())),
            None => Err(MasterError::NoSuchBackup { id }.into()),
        }
    }
}

impl MetaService {
    /// A backup holds all names and credentials, and is written where the caller says.
    fn only_superuser(&self, user: &str) -> Result<(), MasterError> {
        let core = &self.core;
        let who = core.identities.of(user);
        let context = Context { now: core.host.clock.now(), who: &who, policy: &core.policy };
        Ok(core.namespace.require_superuser(&context, "back up")?)
    }

    fn backup_status(&self, status: BackupStatus) -> pb::BackupStatus {
        let state = match status.state {
            BackupState::Initiating => pb::BackupState::Initiating,
            BackupState::Running => pb::BackupState::Running,
            BackupState::Completed => pb::BackupState::Completed,
            BackupState::Failed => pb::BackupState::Failed,
        };
        pb::BackupStatus {
            id: status.id,
            state: state.into(),
            host: self.core.config.hostname.clone(),
            uri: status.uri,
            entries: status.entries,
            started_ms: status.started.0,
            duration_ms: status.duration.as_millis() as u64,
            error: status.error.unwrap_or_default(),
            sequence: status.sequence.0,
            state_hash: status.state_hash,
        }
    }
}
