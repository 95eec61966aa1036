//! The master about itself.

use super::{quorum, user};
use crate::backup::{BackupRequest, BackupState, BackupStatus};
use crate::core::Core;
use crate::error::MasterError;
use crate::peers::StandbyFacts;
use crate::role::{Slot, Station};
use alluxio_election::Leader;
use alluxio_namespace::Context;
use alluxio_proto::v1::meta as pb;
use alluxio_proto::v1::meta::meta_master_server::MetaMaster;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// Words that wait for a slow listener; the newest follows.
const SIGHTINGS_IN_FLIGHT: usize = 2;

/// The service.
pub struct MetaService {
    slot: Arc<Slot>,
    station: Arc<Station>,
}

impl MetaService {
    /// Serves while this master is the primary.
    pub(crate) fn new(slot: Arc<Slot>, station: Arc<Station>) -> Self {
        MetaService { slot, station }
    }
}

#[tonic::async_trait]
impl MetaMaster for MetaService {
    async fn get_master_info(
        &self,
        request: Request<pb::GetMasterInfoRequest>,
    ) -> Result<Response<pb::GetMasterInfoResponse>, Status> {
        user(&request)?;
        let core = self.slot.primary()?;
        let stats = core.namespace.stats();
        let states = self.station.states(&core).await;
        // Nobody but the primary may say who the primary is.
        core.gate.pass(core.gate.committed()).await?;
        Ok(Response::new(pb::GetMasterInfoResponse {
            leader: Some(self.station.address()),
            masters: states.iter().filter_map(|state| state.address.clone()).collect(),
            started_ms: core.started.0,
            now_ms: core.host.clock.now().0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            safe_mode: core.in_safe_mode(),
            cluster_id: core.namespace.cluster_id().unwrap_or_default(),
            journal_type: core.config.journal.kind.name().to_owned(),
            journal_seq: core.gate.committed().0,
            checkpoint_seq: core.checkpoint_at.load(Ordering::Acquire),
            inode_count: stats.inodes,
            inode_bytes: stats.memory_bytes,
            term: core.gate.tenure().term().0,
            states,
        }))
    }

    async fn checkpoint(
        &self,
        request: Request<pb::CheckpointRequest>,
    ) -> Result<Response<pb::CheckpointResponse>, Status> {
        user(&request)?;
        let core = self.slot.primary()?;
        let (seq, master_host) = core.checkpoint_somewhere().await?;
        Ok(Response::new(pb::CheckpointResponse { seq: seq.0, master_host }))
    }

    async fn get_configuration(
        &self,
        request: Request<pb::GetConfigurationRequest>,
    ) -> Result<Response<pb::GetConfigurationResponse>, Status> {
        user(&request)?;
        let core = self.slot.primary()?;
        let properties = core.properties.iter().map(|property| pb::ConfigProperty {
            key: property.key.clone(),
            value: property.value.clone(),
            source: property.source.clone(),
        });
        Ok(Response::new(pb::GetConfigurationResponse { properties: properties.collect() }))
    }

    async fn transfer(
        &self,
        request: Request<pb::TransferRequest>,
    ) -> Result<Response<pb::TransferResponse>, Status> {
        let core = self.slot.primary()?;
        only_superuser(&core, &user(&request)?, "hand the primacy over")?;
        let master = request.into_inner().master;
        let standbys = core.standbys.list();
        let is_it = |standby: &&StandbyFacts| {
            standby.id == master || format!("{}:{}", standby.host, standby.rpc_port) == master
        };
        let Some(heir) = standbys.iter().find(is_it) else {
            let known = standbys.iter().map(|s| format!("{}:{}", s.host, s.rpc_port)).collect();
            return Err(MasterError::NoSuchStandby { master, known }.into());
        };
        core.standbys.hand_over(heir.id.clone());
        Ok(Response::new(pb::TransferResponse {}))
    }

    async fn get_quorum(
        &self,
        request: Request<pb::GetQuorumRequest>,
    ) -> Result<Response<pb::GetQuorumResponse>, Status> {
        user(&request)?;
        Ok(Response::new(self.station.quorum(&self.slot).await))
    }

    type WatchPrimaryStream = ReceiverStream<Result<pb::PrimarySighting, Status>>;

    async fn watch_primary(
        &self,
        request: Request<pb::WatchPrimaryRequest>,
    ) -> Result<Response<Self::WatchPrimaryStream>, Status> {
        user(&request)?;
        let (words, stream) = mpsc::channel(SIGHTINGS_IN_FLIGHT);
        tokio::spawn(tell_of_primaries(self.slot.leader(), self.slot.closed(), words));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn get_metrics(
        &self,
        request: Request<pb::GetMetricsRequest>,
    ) -> Result<Response<pb::GetMetricsResponse>, Status> {
        user(&request)?;
        let samples = self.station.registry.samples();
        let metrics = samples.into_iter().map(quorum::metric).collect();
        Ok(Response::new(pb::GetMetricsResponse { metrics }))
    }

    async fn backup(
        &self,
        request: Request<pb::BackupRequest>,
    ) -> Result<Response<pb::BackupStatus>, Status> {
        let core = self.slot.primary()?;
        only_superuser(&core, &user(&request)?, "back up")?;
        let request = request.into_inner();
        let pb::BackupRequest { directory, local, bypass_delegation, .. } = request;
        let request = BackupRequest { directory, local, bypass_delegation };
        let status = core.start_backup(&request).await?;
        Ok(Response::new(backup_status(status)))
    }

    async fn get_backup_status(
        &self,
        request: Request<pb::GetBackupStatusRequest>,
    ) -> Result<Response<pb::BackupStatus>, Status> {
        let core = self.slot.primary()?;
        only_superuser(&core, &user(&request)?, "back up")?;
        let id = request.into_inner().id;
        let now = core.host.clock.monotonic();
        match core.backups.status(&id, now) {
            Some(status) => Ok(Response::new(backup_status(status))),
            None if id.is_empty() => Ok(Response::new(pb::BackupStatus::default())),
            None => Err(MasterError::NoSuchBackup { id }.into()),
        }
    }
}

/// Tells who is elected until the listener goes or the process stops.
async fn tell_of_primaries(
    mut leaders: watch::Receiver<Option<Leader>>,
    mut closed: watch::Receiver<bool>,
    words: mpsc::Sender<Result<pb::PrimarySighting, Status>>,
) {
    loop {
        let leader = leaders.borrow_and_update().clone();
        let word = leader.map_or_else(pb::PrimarySighting::default, |leader| pb::PrimarySighting {
            primary: leader.rpc_address,
            term: leader.term.0,
        });
        if words.send(Ok(word)).await.is_err() {
            return;
        }
        tokio::select! {
            changed = leaders.changed() => if changed.is_err() { return },
            () = words.closed() => return,
            () = crate::cycle::told(&mut closed) => return,
        }
    }
}

/// A backup holds all names and credentials and is written where the caller says; the primacy is the
/// operator's to give.
pub(super) fn only_superuser(
    core: &Core,
    user: &str,
    what: &'static str,
) -> Result<(), MasterError> {
    let who = core.identities.of(user);
    let context = Context { now: core.host.clock.now(), who: &who, policy: &core.policy };
    Ok(core.namespace.require_superuser(&context, what)?)
}

fn backup_status(status: BackupStatus) -> pb::BackupStatus {
    let state = match status.state {
        BackupState::Initiating => pb::BackupState::Initiating,
        BackupState::Running => pb::BackupState::Running,
        BackupState::Completed => pb::BackupState::Completed,
        BackupState::Failed => pb::BackupState::Failed,
    };
    pb::BackupStatus {
        id: status.id,
        state: state.into(),
        host: status.host,
        uri: status.uri,
        entries: status.entries,
        started_ms: status.started.0,
        duration_ms: status.duration.as_millis() as u64,
        error: status.error.unwrap_or_default(),
        sequence: status.sequence.0,
        state_hash: status.state_hash,
    }
}
