//! What other masters ask.

use super::user;
use crate::backup::delegate;
use crate::core::Core;
use crate::error::MasterError;
use crate::link::BEAT;
use crate::peers::StandbyFacts;
use crate::role::{Role, Slot, Station};
use alluxio_journal::{JournalError, JournalStore};
use alluxio_namespace::{Context, Namespace};
use alluxio_proto::status::status;
use alluxio_proto::v1::meta as pb;
use alluxio_proto::v1::meta::master_peer_server::MasterPeer;
use alluxio_types::Code;
use std::pin::Pin;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Beats that wait for a slow connection: more would only be older.
const BEATS_IN_FLIGHT: usize = 2;
/// Bytes of one part of a checkpoint.
const PART_BYTES: usize = 1 << 20;
/// Parts that wait for a slow taker.
const PARTS_IN_FLIGHT: usize = 4;

/// The service.
pub struct PeerService {
    slot: Arc<Slot>,
    station: Arc<Station>,
}

impl PeerService {
    /// Answers as the role of the moment allows.
    pub(crate) fn new(slot: Arc<Slot>, station: Arc<Station>) -> Self {
        PeerService { slot, station }
    }

    fn only_superuser(
        &self,
        namespace: &Namespace,
        user: &str,
        what: &'static str,
    ) -> Result<(), Status> {
        let station = &self.station;
        let who = station.identities.of(user);
        let context = Context { now: station.host.clock.now(), who: &who, policy: &station.policy };
        let allowed = namespace.require_superuser(&context, what);
        allowed.map_err(|refusal| MasterError::from(refusal).into())
    }
}

type Sent<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl MasterPeer for PeerService {
    type JoinStream = Sent<pb::PrimaryBeat>;

    async fn join(
        &self,
        request: Request<Streaming<pb::StandbyState>>,
    ) -> Result<Response<Self::JoinStream>, Status> {
        user(&request)?;
        let core = self.slot.primary()?;
        let reports = request.into_inner();
        let (beats, stream) = mpsc::channel(BEATS_IN_FLIGHT);
        tokio::spawn(beat(self.slot.clone(), core, reports, beats));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    type FetchCheckpointStream = Sent<pb::CheckpointPart>;

    async fn fetch_checkpoint(
        &self,
        request: Request<pb::FetchCheckpointRequest>,
    ) -> Result<Response<Self::FetchCheckpointStream>, Status> {
        let (namespace, journal) = self.slot.tree().ok_or_else(|| {
            status(Code::Unavailable, "this master reads its journal; ask another one")
        })?;
        // A checkpoint holds all names, and the credentials of mounts.
        self.only_superuser(&namespace, &user(&request)?, "fetch a checkpoint of")?;
        let (parts, stream) = mpsc::channel(PARTS_IN_FLIGHT);
        let (threads, runtime) = (self.station.host.threads.clone(), Handle::current());
        let send = move || {
            let send = |part| threads.wait_for(&runtime, parts.send(part)).is_ok();
            if let Err(error) = send_checkpoint(&*journal, &send) {
                // The one who asked may be gone: then nobody misses the error.
                send(Err(MasterError::from(error).into()));
            }
        };
        drop(self.station.host.blocking(send));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    type WriteBackupStream = Sent<pb::BackupProgress>;

    async fn write_backup(
        &self,
        request: Request<pb::WriteBackupRequest>,
    ) -> Result<Response<Self::WriteBackupStream>, Status> {
        let Role::Standby(standby) = self.slot.role() else {
            return Err(status(Code::FailedPrecondition, "this master is no standby"));
        };
        self.only_superuser(&standby.namespace, &user(&request)?, "back up")?;
        let (words, stream) = mpsc::channel(WORDS_IN_FLIGHT);
        tokio::spawn(delegate::obey(self.station.clone(), standby, request.into_inner(), words));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

/// Words of a backup that wait for a slow primary.
const WORDS_IN_FLIGHT: usize = 4;

/// Reads the newest checkpoint and sends it part by part, as fast as it is taken. Blocking; `send` says
/// whether somebody still takes parts.
fn send_checkpoint(
    journal: &dyn JournalStore,
    send: &dyn Fn(Result<pb::CheckpointPart, Status>) -> bool,
) -> Result<(), JournalError> {
    let Some(source) = journal.open_checkpoint()? else {
        send(Err(status(Code::NotFound, "this master has no checkpoint")));
        return Ok(());
    };
    let info = source.info().clone();
    let facts = pb::CheckpointFacts {
        seq: info.at.0,
        records: info.records,
        length_bytes: info.length_bytes,
        state_hash: info.state_hash.hash,
        state_hash_kind: info.state_hash.kind,
        created_ms: info.created.0,
    };
    let mut part = pb::CheckpointPart { facts: Some(facts), ..Default::default() };
    let mut offset = 0;
    loop {
        let data = source.read_at(offset, PART_BYTES)?;
        let end = data.is_empty();
        offset += data.len() as u64;
        part.data = data.into();
        if !send(Ok(std::mem::take(&mut part))) || end {
            return Ok(());
        }
    }
}

/// Beats until the standby goes, or this master is the primary no more.
async fn beat(
    slot: Arc<Slot>,
    core: Arc<Core>,
    mut reports: Streaming<pb::StandbyState>,
    beats: mpsc::Sender<Result<pb::PrimaryBeat, Status>>,
) {
    let (mut role, mut heir) = (slot.watch(), core.standbys.heir());
    let mut due = tokio::time::interval(BEAT);
    let mut standby: Option<String> = None;
    let mut round = core.standbys.round();
    loop {
        tokio::select! {
            biased;
            _ = role.wait_for(|role| !is_primary(role, &core)) => {
                // Also the stream's end says so, should this find no room.
                let _ = beats.try_send(Err(slot.primary().err().unwrap_or_else(|| {
                    status(Code::NotPrimary, "another reign began")
                })));
                break;
            }
            report = reports.message() => match report {
                Ok(Some(report)) => {
                    standby = Some(report.id.clone());
                    core.standbys.note(facts(report));
                }
                _ => break,
            },
            _ = heir.changed() => {}
            _ = due.tick() => {}
        }
        if writes_checkpoints(&core, standby.as_deref()) {
            round = core.standbys.round();
        }
        let news = pb::PrimaryBeat {
            term: core.gate.tenure().term().0,
            committed_seq: core.gate.committed().0,
            checkpoint_round: round,
            heir: heir.borrow().clone().unwrap_or_default(),
        };
        match beats.try_send(Ok(news)) {
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => break,
        }
    }
    if let Some(id) = standby {
        core.standbys.forget(&id);
    }
}

/// Whether this standby shall write the checkpoints: each does, unless all use the same ones.
fn writes_checkpoints(core: &Core, id: Option<&str>) -> bool {
    let Some(id) = id else { return true };
    !core.journal.shares_checkpoints()
        || core.standbys.list().first().is_some_and(|first| first.id == id)
}

fn is_primary(role: &Role, core: &Arc<Core>) -> bool {
    matches!(role, Role::Primary(now) if Arc::ptr_eq(now, core))
}

fn facts(report: pb::StandbyState) -> StandbyFacts {
    let port = |port: u32| u16::try_from(port).unwrap_or(0);
    StandbyFacts {
        rpc_port: port(report.rpc_port),
        web_port: port(report.web_port),
        applied: report.applied_seq,
        checkpoint: report.checkpoint_seq,
        checkpoint_ms: report.checkpoint_ms,
        checkpoint_bytes: report.checkpoint_bytes,
        term: report.term,
        version: report.version,
        id: report.id,
        host: report.host,
    }
}
