//! A standby's side of its bond with the primary: it says how far it is, hears the primary's heart
//! beat, and tells the election when that stops.

use crate::cycle::HAND_OVER;
use crate::role::Station;
use crate::standby::Standby;
use alluxio_election::Leader;
use alluxio_proto::status::code_of;
use alluxio_proto::v1::meta as pb;
use alluxio_proto::v1::meta::master_peer_client::MasterPeerClient;
use alluxio_rpc::primary::master_channel;
use alluxio_rpc::{Caller, HostPort};
use alluxio_types::Code;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::interceptor::InterceptedService;
use tonic::{Status, Streaming};

/// Time between two beats of the primary, and between two reports of a standby.
pub(crate) const BEAT: Duration = Duration::from_millis(150);
/// Silence after which a primary is taken for dead: three beats and some.
pub(crate) const SILENCE: Duration = Duration::from_millis(500);
/// How long a primary may take to answer a standby that comes (back).
const JOIN_WITHIN: Duration = Duration::from_millis(300);
/// Pause before the primary is looked for again.
const PAUSE: Duration = Duration::from_millis(50);
/// After a challenge, time for the election to say who is next. A primary that was challenged and
/// stays the primary is challenged once in this time at most, by a standby that alone cannot hear it.
const AFTER_CHALLENGE: Duration = Duration::from_secs(2);

/// How a stay with a primary ended.
enum Parted {
    /// It says that it is not the primary, or not yet.
    NotPrimary,
    /// Nobody listens at its address: its process is gone.
    Gone,
    /// It does not answer, or the connection broke.
    Silent(String),
}

/// Stays with whoever is the primary. `yields` is told when another standby shall be elected.
pub(crate) async fn keep(
    station: Arc<Station>,
    standby: Arc<Standby>,
    yields: watch::Sender<Duration>,
) {
    let mut leaders = station.elector.leader();
    // The term of a primary that this standby has been with: only such a one is challenged, for an
    // address that never answered may be a mistake in the configuration.
    let mut joined = None;
    let mut strikes = 0;
    loop {
        let leader = leaders.borrow_and_update().clone();
        let Some(leader) = leader.filter(|leader| leader.id != station.itself.id) else {
            if leaders.changed().await.is_err() {
                return;
            }
            continue;
        };
        let mut was_with = false;
        let parted = tokio::select! {
            biased;
            changed = leaders.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            parted = stay(&station, &standby, &leader, &yields, &mut was_with) => parted,
        };
        if was_with {
            joined = Some(leader.term);
            strikes = 0;
        }
        strikes += 1;
        let dead = match &parted {
            Parted::NotPrimary => false,
            Parted::Gone => true,
            // A connection may break for reasons of its own: the second time counts.
            Parted::Silent(_) => strikes > 1,
        };
        if let Parted::Silent(why) = &parted {
            tracing::warn!(primary = leader.rpc_address, why, "the primary is silent");
        }
        if dead && joined == Some(leader.term) {
            tracing::warn!(primary = leader.rpc_address, term = leader.term.0, "challenged");
            if let Err(error) = station.elector.challenge(&leader).await {
                tracing::warn!(%error, "the challenge did not get through");
            }
            let _ = tokio::time::timeout(AFTER_CHALLENGE, leaders.changed()).await;
            leaders.mark_changed();
            strikes = 0;
        } else {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn stay(
    station: &Station,
    standby: &Standby,
    leader: &Leader,
    yields: &watch::Sender<Duration>,
    was_with: &mut bool,
) -> Parted {
    let joining = join(station, standby, leader);
    let (mut beats, reports) = match tokio::time::timeout(JOIN_WITHIN, joining).await {
        Ok(Ok(joined)) => joined,
        Ok(Err(status)) if code_of(&status) == Code::NotPrimary => return Parted::NotPrimary,
        Ok(Err(status)) => return why(station, leader, status.message().to_owned()).await,
        Err(_) => return why(station, leader, "no answer".to_owned()).await,
    };
    let mut round = None;
    let mut due = tokio::time::interval(BEAT);
    let mut heard = tokio::time::Instant::now();
    loop {
        let beat = tokio::select! {
            biased;
            beat = beats.message() => beat,
            () = tokio::time::sleep_until(heard + SILENCE) => {
                return why(station, leader, format!("no word for {} ms", SILENCE.as_millis())).await;
            }
            _ = due.tick() => {
                // A report that finds no room is followed by a newer one.
                let _ = reports.try_send(report(station, standby).await);
                continue;
            }
        };
        match beat {
            Ok(Some(beat)) => {
                *was_with = true;
                heard = tokio::time::Instant::now();
                standby.committed.fetch_max(beat.committed_seq, Ordering::AcqRel);
                if round.is_some_and(|known| known != beat.checkpoint_round) {
                    standby.want_checkpoint();
                }
                round = Some(beat.checkpoint_round);
                if !beat.heir.is_empty() {
                    let is_heir = beat.heir == station.itself.id;
                    yields.send_replace(if is_heir { Duration::ZERO } else { HAND_OVER });
                }
            }
            Ok(None) => return Parted::NotPrimary,
            Err(status) if code_of(&status) == Code::NotPrimary => return Parted::NotPrimary,
            Err(status) => return why(station, leader, status.message().to_owned()).await,
        }
    }
}

type Bond = (Streaming<pb::PrimaryBeat>, mpsc::Sender<pb::StandbyState>);

async fn join(station: &Station, standby: &Standby, leader: &Leader) -> Result<Bond, Status> {
    let unusable = || Status::internal(format!("{} cannot be called", leader.rpc_address));
    let address = HostPort::parse(&leader.rpc_address).map_err(|_| unusable())?;
    let channel = master_channel(&station.host.net, &address).map_err(|_| unusable())?;
    let caller = Caller::new(&station.user).ok_or_else(unusable)?;
    let mut client = MasterPeerClient::new(InterceptedService::new(channel, caller));
    let (reports, stream) = mpsc::channel(4);
    // There is room: the channel is new.
    let _ = reports.try_send(report(station, standby).await);
    let beats = client.join(ReceiverStream::new(stream)).await?.into_inner();
    Ok((beats, reports))
}

async fn report(station: &Station, standby: &Standby) -> pb::StandbyState {
    let at = standby.checkpoint_at.load(Ordering::Acquire);
    let checkpoint = station.newest_checkpoint(&standby.journal, at).await;
    pb::StandbyState {
        id: station.itself.id.clone(),
        host: station.config.hostname.clone(),
        rpc_port: station.rpc_port.into(),
        web_port: station.web_port.into(),
        applied_seq: standby.namespace.applied().0,
        checkpoint_seq: at,
        checkpoint_ms: checkpoint.created_ms,
        checkpoint_bytes: checkpoint.length_bytes,
        term: standby.term().0,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Tells a process that is gone from one that is silent: where nobody listens, the system refuses.
async fn why(station: &Station, leader: &Leader, what: String) -> Parted {
    let Ok(HostPort { host, port }) = HostPort::parse(&leader.rpc_address) else {
        return Parted::Silent(what);
    };
    match tokio::time::timeout(JOIN_WITHIN, station.host.net.connect(&host, port)).await {
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => Parted::Gone,
        _ => Parted::Silent(what),
    }
}
