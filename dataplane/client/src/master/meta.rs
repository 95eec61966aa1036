//! Calls about the masters themselves, their journal and backups.

use super::Master;
use crate::cluster::{
    CheckpointFacts, EtcdMember, MasterRole, MasterState, MetricValue, QuorumView,
};
use crate::error::ClientError;
use crate::options::*;
use alluxio_proto::v1::meta as pb;
use alluxio_proto::v1::meta::meta_master_client::MetaMasterClient;
use alluxio_rpc::primary::CallerChannel;
use alluxio_rpc::{HostPort, MESSAGE_BYTES_MAX, Repeat};
use alluxio_types::UnixMillis;
use std::time::Duration;

fn metas(channel: CallerChannel) -> MetaMasterClient<CallerChannel> {
    MetaMasterClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

impl Master {
    pub(crate) async fn master_info(&self) -> Result<MasterInfo, ClientError> {
        let info = call!(self, Harmless, metas, get_master_info, pb::GetMasterInfoRequest {});
        let missing = alluxio_proto::convert::ConvertError::Missing { field: "leader" };
        Ok(MasterInfo {
            leader: info.leader.map(master_address).ok_or(missing)?,
            masters: info.masters.into_iter().map(master_address).collect(),
            started: UnixMillis(info.started_ms),
            now: UnixMillis(info.now_ms),
            version: info.version,
            safe_mode: info.safe_mode,
            cluster_id: info.cluster_id,
            journal_type: info.journal_type,
            journal_seq: info.journal_seq,
            checkpoint_seq: info.checkpoint_seq,
            inode_count: info.inode_count,
            inode_bytes: info.inode_bytes,
            term: info.term,
            states: info.states.into_iter().map(master_state).collect(),
        })
    }

    pub(crate) async fn checkpoint(&self) -> Result<(u64, String), ClientError> {
        let response = call!(self, Harmless, metas, checkpoint, pb::CheckpointRequest {});
        Ok((response.seq, response.master_host))
    }

    pub(crate) async fn backup(&self, place: &BackupPlace) -> Result<BackupStatus, ClientError> {
        let request = pb::BackupRequest {
            directory: place.directory.clone(),
            local: place.local,
            allow_leader: place.allow_leader,
            bypass_delegation: place.bypass_delegation,
        };
        // Repeated, it would be a second backup.
        Ok(backup_status(call!(self, Harmful, metas, backup, request)))
    }

    pub(crate) async fn backup_status(&self, id: &str) -> Result<BackupStatus, ClientError> {
        let request = pb::GetBackupStatusRequest { id: id.to_owned() };
        Ok(backup_status(call!(self, Harmless, metas, get_backup_status, request)))
    }

    pub(crate) async fn configuration(&self) -> Result<Vec<ConfigProperty>, ClientError> {
        let request = pb::GetConfigurationRequest {};
        let response = call!(self, Harmless, metas, get_configuration, request);
        let properties = response.properties.into_iter();
        Ok(properties
            .map(|pb::ConfigProperty { key, value, source }| ConfigProperty { key, value, source })
            .collect())
    }

    /// What the master at `address` knows of the quorum.
    pub(crate) async fn quorum(
        &self,
        address: &HostPort,
        limit: Duration,
    ) -> Result<QuorumView, ClientError> {
        let call =
            |channel| async move { metas(channel).get_quorum(pb::GetQuorumRequest {}).await };
        let view = self.primary.ask(address, limit, call).await?;
        Ok(QuorumView {
            itself: view.itself.map(master_state),
            leader: view.leader,
            leader_term: view.leader_term,
            journal_type: view.journal_type,
            cluster_name: view.cluster_name,
            states: view.states.into_iter().map(master_state).collect(),
            etcd: view.etcd.into_iter().map(etcd_member).collect(),
        })
    }

    pub(crate) async fn transfer(&self, master: &str) -> Result<(), ClientError> {
        let request = pb::TransferRequest { master: master.to_owned() };
        call!(self, Harmless, metas, transfer, request);
        Ok(())
    }

    pub(crate) async fn metrics(&self) -> Result<Vec<MetricValue>, ClientError> {
        let metrics = call!(self, Harmless, metas, get_metrics, pb::GetMetricsRequest {}).metrics;
        let value = |pb::Metric { name, labels, kind, value, count }| MetricValue {
            name,
            labels,
            kind,
            value,
            count,
        };
        Ok(metrics.into_iter().map(value).collect())
    }
}

fn backup_status(status: pb::BackupStatus) -> BackupStatus {
    let state = match status.state() {
        pb::BackupState::None => BackupState::None,
        pb::BackupState::Initiating => BackupState::Initiating,
        pb::BackupState::Transitioning => BackupState::Transitioning,
        pb::BackupState::Running => BackupState::Running,
        pb::BackupState::Completed => BackupState::Completed,
        pb::BackupState::Failed => BackupState::Failed,
    };
    BackupStatus {
        state,
        id: status.id,
        host: status.host,
        uri: status.uri,
        entries: status.entries,
        started: UnixMillis(status.started_ms),
        duration: Duration::from_millis(status.duration_ms),
        error: Some(status.error).filter(|error| !error.is_empty()),
        sequence: status.sequence,
        state_hash: status.state_hash,
    }
}

fn master_address(address: pb::MasterAddress) -> MasterAddress {
    let port = |port: u32| u16::try_from(port).unwrap_or(0);
    MasterAddress {
        rpc_port: port(address.rpc_port),
        web_port: port(address.web_port),
        host: address.host,
    }
}

fn master_state(state: pb::MasterState) -> MasterState {
    let role = match state.role() {
        pb::MasterRole::Primary => MasterRole::Primary,
        pb::MasterRole::Standby => MasterRole::Standby,
        pb::MasterRole::Starting => MasterRole::Starting,
        pb::MasterRole::Suspended => MasterRole::Suspended,
        pb::MasterRole::Lost | pb::MasterRole::Unspecified => MasterRole::Lost,
    };
    let checkpoint = CheckpointFacts {
        seq: state.checkpoint_seq,
        created: UnixMillis(state.checkpoint_ms),
        length_bytes: state.checkpoint_bytes,
    };
    MasterState {
        role,
        address: master_address(state.address.unwrap_or_default()),
        term: state.term,
        applied_seq: state.applied_seq,
        lag: state.lag,
        checkpoint: Some(checkpoint).filter(|checkpoint| checkpoint.seq > 0),
        version: state.version,
    }
}

fn etcd_member(member: pb::EtcdMember) -> EtcdMember {
    EtcdMember {
        name: member.name,
        id: format!("{:x}", member.id),
        client_urls: member.client_urls,
        healthy: member.healthy,
        leader: member.leader,
        learner: member.learner,
        version: member.version,
        db_bytes: member.db_bytes,
        raft_term: member.raft_term,
        raft_index: member.raft_index,
        problems: member.problems,
    }
}
