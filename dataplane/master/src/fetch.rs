//! Taking a checkpoint from another master: for one that was away for longer than the journal keeps
//! entries, or lost its own checkpoints.

use crate::recover::Check;
use crate::role::Station;
use alluxio_host::Host;
use alluxio_journal::{CheckpointInfo, CheckpointInstall, JournalError, JournalStore, StateDigest};
use alluxio_proto::v1::meta as pb;
use alluxio_proto::v1::meta::master_peer_client::MasterPeerClient;
use alluxio_rpc::primary::master_channel;
use alluxio_rpc::{Caller, HostPort, MESSAGE_BYTES_MAX};
use alluxio_types::{JournalSeq, UnixMillis};
use std::sync::Arc;
use std::time::Duration;
use tonic::Status;
use tonic::service::interceptor::InterceptedService;

/// How long a master that has no tree yet waits to hear who the primary is.
const LEADER_WITHIN: Duration = Duration::from_secs(3);
/// Longest pause between two parts.
const PART_WITHIN: Duration = Duration::from_secs(30);

/// Why no checkpoint came from a master.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotFetched {
    #[error("{}", .0.message())]
    Refused(#[from] Status),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("{0}")]
    Broken(&'static str),
}

/// Takes the newest checkpoint of any other master into `journal`, which is open and not loaded.
/// Returns whether one came; the journal has checked it.
pub(crate) async fn checkpoint(station: &Station, journal: &Arc<dyn JournalStore>) -> bool {
    let mut leaders = station.elector.leader();
    // A borrow must not be held over what follows.
    let known = async { leaders.wait_for(Option::is_some).await.ok().and_then(|it| it.clone()) };
    let leader = tokio::time::timeout(LEADER_WITHIN, known).await.ok().flatten();
    let leader = leader.map(|leader| leader.rpc_address);
    let mut asked = Vec::new();
    let configured = station.config.rpc_addresses.iter().map(ToString::to_string);
    for address in leader.into_iter().chain(configured) {
        if address == station.itself.rpc_address || asked.contains(&address) {
            continue;
        }
        match take(&station.host, &station.user, journal, &address).await {
            Ok(info) => {
                tracing::info!(
                    from = address,
                    seq = info.at.0,
                    "took a checkpoint of another master"
                );
                return true;
            }
            Err(why) => tracing::warn!(from = address, %why, "no checkpoint"),
        }
        asked.push(address);
    }
    false
}

/// Takes the newest checkpoint of the master at `address` into `journal`, in the name of `user`.
///
/// **Errors**: nothing is left of one that does not come whole.
pub(crate) async fn take(
    host: &Host,
    user: &str,
    journal: &Arc<dyn JournalStore>,
    address: &str,
) -> Result<CheckpointInfo, NotFetched> {
    let unusable = || NotFetched::Broken("its address or our user name cannot be used");
    let address = HostPort::parse(address).map_err(|_| unusable())?;
    let channel = master_channel(&host.net, &address).map_err(|_| unusable())?;
    let caller = Caller::new(user).ok_or_else(unusable)?;
    let mut client = MasterPeerClient::new(InterceptedService::new(channel, caller))
        .max_decoding_message_size(MESSAGE_BYTES_MAX);
    let asking = client.fetch_checkpoint(pb::FetchCheckpointRequest {});
    let silent = |_| NotFetched::Broken("it does not answer");
    let mut parts = tokio::time::timeout(PART_WITHIN, asking).await.map_err(silent)??.into_inner();
    let mut install: Option<Box<dyn CheckpointInstall>> = None;
    loop {
        let part = tokio::time::timeout(PART_WITHIN, parts.message()).await.map_err(silent)??;
        let Some(part) = part else { break };
        let (journal, begun) = (journal.clone(), install.take());
        let written = host.blocking(move || {
            let mut install = match (begun, part.facts) {
                (Some(install), None) => install,
                (None, Some(facts)) => journal.install_checkpoint(&info(&facts))?,
                _ => return Err(NotFetched::Broken("its parts are out of order")),
            };
            install.write(&part.data)?;
            Ok(install)
        });
        install = Some(written.await.map_err(|_| NotFetched::Broken("the process stops"))??);
    }
    let install = install.ok_or(NotFetched::Broken("it sent nothing"))?;
    let finished = host.blocking(move || install.finish(&mut Check::default())).await;
    Ok(finished.map_err(|_| NotFetched::Broken("the process stops"))??)
}

fn info(facts: &pb::CheckpointFacts) -> CheckpointInfo {
    CheckpointInfo {
        at: JournalSeq(facts.seq),
        records: facts.records,
        length_bytes: facts.length_bytes,
        state_hash: StateDigest { kind: facts.state_hash_kind, hash: facts.state_hash },
        created: UnixMillis(facts.created_ms),
    }
}
