//! A backup that a standby writes, so that the primary need not: the primary's order, and what the standby
//! does with it. The file is the state after the last entry that the standby had applied, which is
//! durable, and not older than what the primary had acknowledged when it gave the order.

use super::run::{Facts, Written, is_busy, place, write};
use crate::error::MasterError;
use crate::role::Station;
use crate::standby::Standby;
use crate::ufs_table::UfsTable;
use alluxio_host::Host;
use alluxio_proto::v1::meta as pb;
use alluxio_proto::v1::meta::master_peer_client::MasterPeerClient;
use alluxio_rpc::primary::master_channel;
use alluxio_rpc::{Caller, HostPort};
use alluxio_types::JournalSeq;
use alluxio_types::mount::join_uri;
use alluxio_ufs::MkdirOptions;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tonic::Status;
use tonic::service::interceptor::InterceptedService;

/// Time between two words of a standby.
const WORD_EVERY: Duration = Duration::from_millis(250);
/// Silence after which a standby is not waited for any more: it may be stopped, or cut off.
const SILENCE: Duration = Duration::from_secs(5);
/// How long a standby may take to apply what the backup has to hold, and to hold its tree.
const HOLD_WITHIN: Duration = Duration::from_secs(60);

/// Why a standby wrote no backup.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotWritten {
    #[error("{}", .0.message())]
    Refused(#[from] Status),
    #[error("{0}")]
    Broken(&'static str),
}

/// Lets the standby at `address` write a backup, in the name of `user`; `told` hears how far it is.
///
/// **Errors**: nothing is left of it, or, when only the answer is lost, a whole backup.
pub(crate) async fn order(
    host: &Host,
    user: &str,
    address: &str,
    order: pb::WriteBackupRequest,
    told: impl Fn(&pb::BackupProgress),
) -> Result<Written, NotWritten> {
    let unusable = || NotWritten::Broken("its address or our user name cannot be used");
    let address = HostPort::parse(address).map_err(|_| unusable())?;
    let channel = master_channel(&host.net, &address).map_err(|_| unusable())?;
    let caller = Caller::new(user).ok_or_else(unusable)?;
    let mut client = MasterPeerClient::new(InterceptedService::new(channel, caller));
    let silent = |_| NotWritten::Broken("it does not answer");
    let asking = tokio::time::timeout(SILENCE, client.write_backup(order));
    let mut words = asking.await.map_err(silent)??.into_inner();
    loop {
        let word = tokio::time::timeout(SILENCE, words.message()).await.map_err(silent)??;
        let word = word.ok_or(NotWritten::Broken("it stopped before the end"))?;
        told(&word);
        if word.finished {
            let sequence = JournalSeq(word.sequence);
            let (items, state_hash) = (word.entries, word.state_hash);
            return Ok(Written { sequence, items, state_hash });
        }
    }
}

/// Where a standby says how far it is.
pub(crate) type Words = mpsc::Sender<Result<pb::BackupProgress, Status>>;

/// Carries an order out. Gives up, and leaves nothing, when nobody hears of it any more.
pub(crate) async fn obey(
    station: Arc<Station>,
    standby: Arc<Standby>,
    order: pb::WriteBackupRequest,
    words: Words,
) {
    let said = pb::BackupProgress::default();
    let (entries, progress) = (Arc::new(AtomicU64::new(0)), tokio::sync::watch::Sender::new(said));
    let writing = write_backup(&station, &standby, order, &entries, &progress);
    tokio::pin!(writing);
    let mut due = tokio::time::interval(WORD_EVERY);
    let end = loop {
        tokio::select! {
            biased;
            () = words.closed() => return,
            end = &mut writing => break end,
            _ = due.tick() => {
                let entries = entries.load(Ordering::Relaxed);
                let word = pb::BackupProgress { entries, ..progress.borrow().clone() };
                // A word that finds no room is followed by a newer one.
                let _ = words.try_send(Ok(word));
            }
        }
    };
    let last = end.map_err(Status::from).map(|written| pb::BackupProgress {
        sequence: written.sequence.0,
        entries: written.items,
        finished: true,
        state_hash: written.state_hash,
        ..progress.borrow().clone()
    });
    // Gone meanwhile: the backup is there all the same.
    let _ = words.send(last).await;
}

async fn write_backup(
    station: &Station,
    standby: &Standby,
    order: pb::WriteBackupRequest,
    entries: &Arc<AtomicU64>,
    progress: &tokio::sync::watch::Sender<pb::BackupProgress>,
) -> Result<Written, MasterError> {
    let namespace = &standby.namespace;
    let stores = UfsTable::new(station.under_stores(), namespace.clone());
    let holding = async {
        while namespace.applied().0 < order.at_least_seq {
            tokio::time::sleep(crate::link::BEAT).await;
        }
        loop {
            let held = standby.hold().await;
            if !is_busy(&held).await {
                break held;
            }
        }
    };
    // The mount table may come with the entries that are waited for.
    let held = tokio::time::timeout(HOLD_WITHIN, holding).await;
    let checkpoint = held.map_err(|_| MasterError::Stopping)??;
    let place = place(namespace, &stores, &order.directory, order.local)?;
    let uri = join_uri(&place.directory, &order.file);
    let sequence = checkpoint.seq();
    progress.send_modify(|said| (said.uri, said.sequence) = (uri.clone(), sequence.0));
    place.ufs.mkdir(&place.directory, MkdirOptions::recursive()).await?;
    let facts = Facts {
        cluster_id: namespace.cluster_id().unwrap_or_default(),
        created: station.host.clock.now(),
    };
    let written = write(checkpoint, facts, &*place.ufs, &uri, entries.clone()).await?;
    tracing::info!(uri, items = written.items, seq = sequence.0, "backup is written");
    Ok(written)
}
