//! The worker's side of its bond with the master: registration, heartbeats, commands.
//!
//! ```text
//!            register                    heartbeat, each second or soon after news
//!  Unknown ------------> Registered --------------------------------+
//!     ^                      |  ^                                   |
//!     +---- register again --+  +-----------------------------------+
//! ```
//! While no master answers, the worker goes on serving; only after
//! `alluxio.worker.master.connect.retry.timeout` it gives up.

use crate::core::Core;
use crate::error::Stopped;
use alluxio_blockstore::Delta;
use alluxio_host::WorkLost;
use alluxio_proto::v1::block as pb;
use alluxio_proto::v1::block::block_master_worker_client::BlockMasterWorkerClient;
use alluxio_rpc::{MESSAGE_BYTES_MAX, Primary, Repeat, RpcError, Sighting};
use alluxio_types::{BlockId, Code, Coded, InodeId};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

/// News are told after this long, so that a burst of commits makes one heartbeat.
const NEWS_PAUSE: Duration = Duration::from_millis(50);
/// Pause after a failed try, on top of those inside a call.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Runs until the worker stops; returns why it cannot go on.
/// `registered` is told each time a master has taken the worker in.
pub(crate) async fn run(
    core: Arc<Core>,
    master: Arc<Primary>,
    registered: impl Fn() + Send,
) -> Stopped {
    // Held for as long as the worker runs: the word of a new primary comes at once, even while the old
    // one only is silent.
    let scout = master.scout();
    let mut news = scout.as_ref().map(|scout| scout.news());
    let mut link = Link { core, master, session: None };
    let mut heard = link.core.host.clock.monotonic();
    loop {
        let outcome = match link.session {
            None => link.register().await,
            Some(session) => link.heartbeat(session).await,
        };
        let now = link.core.host.clock.monotonic();
        match outcome {
            Ok(()) => heard = now,
            Err(Failure::Refused(why)) => return Stopped::Refused(why),
            Err(Failure::Later(last)) => {
                let after = now.saturating_sub(heard);
                if after >= link.core.config.connect_retry_timeout {
                    return Stopped::MasterLost { after, last };
                }
                link.core.metrics.heartbeats.with_label_values(&["failed"]).inc();
                tracing::warn!(
                    last,
                    silent_ms = after.as_millis() as u64,
                    "no word from the master"
                );
                tokio::time::sleep(RETRY_PAUSE).await;
                continue;
            }
        }
        if link.session.is_some() {
            registered();
            if let Some(sighting) = next_event(&link.core, news.as_mut()).await {
                tracing::info!(primary = %sighting.address, term = sighting.term, "a primary is elected");
                link.master.turn_to(&sighting);
            }
        }
    }
}

/// Waits until it is time for a heartbeat, until there is news, or until a primary is elected.
///
/// **Cancel safety**: news that were taken notice of are still in the store's delta.
async fn next_event(
    core: &Core,
    primaries: Option<&mut watch::Receiver<Option<Sighting>>>,
) -> Option<Sighting> {
    let elected = async {
        if let Some(primaries) = primaries
            && primaries.changed().await.is_ok()
        {
            return primaries.borrow_and_update().clone();
        }
        std::future::pending().await
    };
    tokio::select! {
        biased;
        sighting = elected => sighting,
        () = core.news.notified() => {
            tokio::time::sleep(NEWS_PAUSE).await;
            None
        }
        () = tokio::time::sleep(core.config.heartbeat_interval) => None,
    }
}

enum Failure {
    /// The master will never take this worker.
    Refused(String),
    /// Try again.
    Later(String),
}

struct Link {
    core: Arc<Core>,
    master: Arc<Primary>,
    session: Option<u64>,
}

impl Link {
    async fn register(&mut self) -> Result<(), Failure> {
        let core = &self.core;
        // What changes from here on is told by heartbeats, also when the list has it already.
        let before = core.store.delta();
        let batches = self.registration().await?;
        let reply = self
            .call(|channel| {
                let stream = tokio_stream::iter(batches.clone());
                async move {
                    BlockMasterWorkerClient::new(channel)
                        .max_encoding_message_size(MESSAGE_BYTES_MAX)
                        .register_worker(stream)
                        .await
                }
            })
            .await?;
        let (store, cluster) = (core.store.clone(), reply.cluster_id);
        let name = cluster.clone();
        let bound = core.host.blocking(move || store.bind_cluster(&cluster));
        bound.await.map_err(later)?.map_err(|error| match error.code() {
            Code::Unavailable => Failure::Later(error.to_string()),
            _ => Failure::Refused(error.to_string()),
        })?;
        core.cluster.learn(&name);
        if let Some(tokens) = &core.tokens {
            tokens.learn(reply.block_keys, core.host.clock.now());
        }
        core.store.acknowledge(&before);
        core.mounts.doubt_all();
        self.remove(reply.free_blocks).await;
        self.session = Some(reply.session);
        self.core.registered.store(true, Ordering::Release);
        self.core.metrics.registrations.inc();
        tracing::info!(
            worker = self.core.store.identity().worker.0,
            master = self.master.current().map(|master| master.to_string()),
            "registered with the master"
        );
        self.core.mounts.prepare().await;
        Ok(())
    }

    /// Hello, then all blocks in batches.
    async fn registration(&self) -> Result<Vec<pb::RegisterWorkerRequest>, Failure> {
        let store = self.core.store.clone();
        let blocks = self.core.host.blocking(move || store.blocks().flatten().collect::<Vec<_>>());
        let blocks = blocks.await.map_err(later)?;
        let identity = self.core.store.identity();
        let usage = self.core.store.usage();
        let hello = pb::RegisterWorkerHello {
            worker_id: identity.worker.0,
            address: Some((&self.core.address).into()),
            tiers: usage.tiers.iter().map(Into::into).collect(),
            version: self.core.version.clone(),
            cluster_id: identity.cluster.unwrap_or_default(),
        };
        // A fact takes at most 16 bytes: a batch stays far below the limit of a message.
        let most = MESSAGE_BYTES_MAX / 32;
        let batch = self.core.config.register_batch_blocks.clamp(1, most);
        let first = pb::RegisterWorkerRequest { hello: Some(hello), blocks: Vec::new() };
        let rest = blocks.chunks(batch).map(|blocks| pb::RegisterWorkerRequest {
            hello: None,
            blocks: blocks.iter().map(fact).collect(),
        });
        Ok(std::iter::once(first).chain(rest).collect())
    }

    async fn heartbeat(&mut self, session: u64) -> Result<(), Failure> {
        let core = self.core.clone();
        let delta: Delta = core.store.delta();
        if delta.overflowed {
            // Too much changed to be told one by one: tell everything.
            self.session = None;
            return self.register().await;
        }
        let kept = core.kept.next_question(&core.store);
        let request = pb::HeartbeatRequest {
            worker_id: core.store.identity().worker.0,
            session,
            tiers: core.store.usage().tiers.iter().map(Into::into).collect(),
            added: delta.added.iter().map(fact).collect(),
            removed: delta.removed.iter().map(|block| block.0).collect(),
            pin_list_version: core.pins.begin_heartbeat(),
            kept_inodes: kept.iter().map(|inode| inode.0).collect(),
        };
        let reply = self
            .call(|channel| {
                let request = request.clone();
                async move {
                    BlockMasterWorkerClient::new(channel)
                        .max_decoding_message_size(MESSAGE_BYTES_MAX)
                        .heartbeat(request)
                        .await
                }
            })
            .await?;
        core.metrics.heartbeats.with_label_values(&["ok"]).inc();
        if reply.register_again {
            self.session = None;
            self.core.registered.store(false, Ordering::Release);
            tracing::info!("the master asks to register again");
            return Ok(());
        }
        core.store.acknowledge(&delta);
        core.mounts.set_version(reply.mount_table_version);
        if reply.has_pin_list {
            let inodes = reply.pinned_inodes.into_iter().map(InodeId).collect();
            core.pins.take_list(&core.store, reply.pin_list_version, inodes);
        }
        if !reply.released_inodes.is_empty() {
            core.store.release(reply.released_inodes.into_iter().map(InodeId));
            // There may be more of them: ask for the next ones soon.
            core.news.notify_one();
        }
        self.remove(reply.free_blocks).await;
        Ok(())
    }

    async fn remove(&self, blocks: Vec<u64>) {
        if blocks.is_empty() {
            return;
        }
        let store = self.core.store.clone();
        let count = blocks.len();
        let removed = self
            .core
            .host
            .blocking(move || blocks.into_iter().filter(|id| store.remove(BlockId(*id))).count());
        if let Ok(removed) = removed.await {
            tracing::debug!(count, removed, "the master freed blocks");
            // Tell it soon, or it will say it again.
            self.core.news.notify_one();
        }
    }

    /// One call, within the patience of a heartbeat.
    async fn call<T, F, Fut>(&self, call: F) -> Result<T, Failure>
    where
        F: Fn(alluxio_rpc::primary::CallerChannel) -> Fut,
        Fut: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        let limit = self.core.config.heartbeat_timeout;
        match tokio::time::timeout(limit, self.master.call(Repeat::Harmless, call)).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(RpcError::Refused { code: Code::FailedPrecondition, message })) => {
                Err(Failure::Refused(message))
            }
            Ok(Err(error)) => Err(Failure::Later(error.to_string())),
            Err(_) => Err(Failure::Later(format!("no answer within {} ms", limit.as_millis()))),
        }
    }
}

fn later(error: WorkLost) -> Failure {
    Failure::Later(error.to_string())
}

fn fact((block, tier): &(BlockId, usize)) -> pb::BlockFact {
    // A worker has a handful of tiers.
    pb::BlockFact { id: block.0, tier: u32::try_from(*tier).unwrap_or(u32::MAX) }
}
