//! What the primary does on its own: it looks for lost workers, takes checkpoints, updates gauges.

use crate::core::Core;
use crate::error::MasterError;
use crate::fetch;
use crate::peers::StandbyFacts;
use crate::writer::Removed;
use alluxio_journal::JournalError;
use alluxio_namespace::Error;
use alluxio_types::WorkerState;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;

/// How often gauges are updated and the checkpoint's age is looked at.
const TICK: Duration = Duration::from_secs(1);
/// Entries that make an early checkpoint worth its while.
const SHORT_OF_ROOM_ENTRIES: u64 = 10_000;

/// Looks for workers that fell silent.
pub(crate) async fn watch_workers(core: Arc<Core>) {
    let interval = core.config.lost_worker_detection_interval;
    loop {
        tokio::time::sleep(interval).await;
        let (timeout, forget) =
            (core.config.worker_timeout, core.config.lost_worker_deletion_timeout);
        let expired = core.workers.expire(timeout, forget);
        for worker in &expired.workers {
            tracing::warn!(worker = worker.0, ?timeout, "worker is lost: no heartbeat");
        }
        for file in expired.bereft {
            if let Err(error) = core.mark_lost(file).await {
                tracing::warn!(inode = file.0, %error, "the file could not be marked as lost");
            }
        }
    }
}

/// Takes a checkpoint when the journal has grown enough, and keeps the gauges.
pub(crate) async fn keep_house(core: Arc<Core>) {
    let (mut asked_at, mut covered) = (0, 0);
    loop {
        tokio::time::sleep(TICK).await;
        update_gauges(&core);
        // The newest anywhere: standbys take them, and the primary only when it is alone.
        let standbys = core.standbys.list();
        if !standbys.is_empty() {
            adopt_checkpoint(&core, &standbys, &mut covered).await;
        }
        let newest = standbys.iter().map(|standby| standby.checkpoint).max().unwrap_or(0);
        let newest = newest.max(core.checkpoint_at.load(Ordering::Acquire)).max(asked_at);
        let committed = core.gate.committed().0;
        let (grown, period) =
            (committed.saturating_sub(newest), core.config.journal.checkpoint_period_entries);
        // A store with little room asks for one earlier, and gets it when there is news to cover.
        let is_short = core.journal.backlog().wants_checkpoint() && grown >= SHORT_OF_ROOM_ENTRIES;
        if grown < period && !is_short {
            continue;
        }
        if standbys.is_empty() {
            if !left_to_secondary(&core, grown, period).await
                && let Err(error) = core.checkpoint().await
                // A backup holds the tree: the checkpoint follows when it is written.
                && !matches!(&error, MasterError::Refused(r) if r.error == Error::CheckpointRunning)
            {
                tracing::error!(%error, "no checkpoint could be taken, the journal keeps growing");
            }
        } else {
            // Standbys that fail say so in their logs; they are asked again a period later.
            core.standbys.next_round();
            asked_at = committed;
        }
    }
}

/// Frees the blocks of removed files once that is durable, whether or not the caller still waits.
pub(crate) async fn free_blocks(core: Arc<Core>, mut removed: mpsc::UnboundedReceiver<Removed>) {
    let commits = core.gate.commits();
    while let Some(Removed { at, files }) = removed.recv().await {
        if commits.wait_for(at).await.is_err() {
            return;
        }
        core.drop_blocks(&files);
    }
}

/// Takes up changes of the UFS whose callers hung up.
pub(crate) async fn finish_intents(core: Arc<Core>) {
    loop {
        tokio::time::sleep(TICK).await;
        core.finish_intents().await;
    }
}

/// Whether a secondary master writes the checkpoint that is due, or has written it: then what it covers
/// is dropped here. One that lies a whole period behind is not waited for.
async fn left_to_secondary(core: &Arc<Core>, grown: u64, period: u64) -> bool {
    let (journal, known) = (core.journal.clone(), core.checkpoint_at.load(Ordering::Acquire));
    let looked = core.host.blocking(move || {
        let found = journal.secondary_checkpoint()?;
        if found.is_some_and(|at| at.0 > known) {
            journal.truncate()?;
        }
        Ok::<_, JournalError>(found)
    });
    match looked.await {
        Ok(Ok(Some(at))) if at.0 > known => {
            core.checkpoint_at.store(at.0, Ordering::Release);
            core.metrics.journal_checkpoint.set(at.0 as i64);
            tracing::info!(seq = at.0, "the secondary master wrote a checkpoint");
            true
        }
        Ok(Ok(found)) => found.is_some() && grown < period.saturating_mul(2),
        Ok(Err(error)) => {
            tracing::warn!(%error, "nobody knows whether a secondary master is there");
            false
        }
        Err(_) => false,
    }
}

/// Takes over the newest checkpoint of the standbys, so that the primary need not write one itself, and
/// drops from the journal what every master's checkpoint covers.
async fn adopt_checkpoint(core: &Core, standbys: &[StandbyFacts], covered: &mut u64) {
    let Some(best) = standbys.iter().max_by_key(|standby| standby.checkpoint) else { return };
    if core.journal.shares_checkpoints() {
        let newest = core.checkpoint_at.fetch_max(best.checkpoint, Ordering::AcqRel);
        core.metrics.journal_checkpoint.set(newest.max(best.checkpoint) as i64);
        // Whoever wrote it has removed what it covers.
        return;
    }
    if best.checkpoint > core.checkpoint_at.load(Ordering::Acquire) {
        let address = format!("{}:{}", best.host, best.rpc_port);
        match fetch::take(&core.host, &core.itself.user, &core.journal, &address).await {
            Ok(info) => {
                core.checkpoint_at.fetch_max(info.at.0, Ordering::AcqRel);
                core.metrics.journal_checkpoint.set(info.at.0 as i64);
            }
            Err(why) => {
                tracing::warn!(from = address, %why, "the standby's checkpoint did not come")
            }
        }
    }
    let own = core.checkpoint_at.load(Ordering::Acquire);
    let oldest = standbys.iter().map(|standby| standby.checkpoint).min().unwrap_or(0).min(own);
    if oldest <= *covered {
        return;
    }
    let journal = core.journal.clone();
    match core.host.blocking(move || journal.truncate()).await {
        Ok(Ok(_)) => *covered = oldest,
        Ok(Err(error)) => tracing::warn!(%error, "covered entries stay in the journal"),
        // The process stops.
        Err(_) => {}
    }
}

fn update_gauges(core: &Core) {
    let metrics = &core.metrics;
    let stats = core.namespace.stats();
    metrics.inodes.set(stats.inodes as i64);
    metrics.inode_bytes.set(stats.memory_bytes as i64);
    metrics.journal_committed.set(core.gate.committed().0 as i64);
    metrics.standbys.set(core.standbys.list().len() as i64);
    metrics.block_replicas.set(core.workers.replicas() as i64);
    let workers = core.workers.list(true);
    let live: Vec<_> = workers.iter().filter(|w| w.state == WorkerState::Live).collect();
    metrics.workers_live.set(live.len() as i64);
    metrics.workers_lost.set((workers.len() - live.len()) as i64);
    metrics.capacity_bytes.set(live.iter().map(|w| w.capacity_bytes()).sum::<u64>() as i64);
    metrics.used_bytes.set(live.iter().map(|w| w.used_bytes()).sum::<u64>() as i64);
}
