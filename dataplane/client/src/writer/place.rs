//! Which worker takes the next block.

use super::FileWriter;
use crate::error::ClientError;
use crate::policy::{self, Ask};
use alluxio_types::{WorkerAddress, WorkerId, WorkerInfo};
use std::time::Duration;

impl FileWriter {
    /// The policy's choice among the workers that were not ruled out. When the cluster has no
    /// worker at all, one is waited for as long as calls are retried.
    pub(super) async fn choose_worker(
        &self,
        bytes: u64,
    ) -> Result<(WorkerId, WorkerAddress), ClientError> {
        let inner = &self.inner;
        let config = &inner.config;
        let started = inner.host.clock.monotonic();
        let mut doubt = false;
        loop {
            let all = inner.workers.get(&inner.master, &inner.host, doubt).await?;
            let left: Vec<WorkerInfo> =
                all.iter().filter(|worker| !self.ruled_out.contains(&worker.id)).cloned().collect();
            let nearby = inner.nearby();
            let ask = Ask {
                block: self.status.id.block(self.index),
                bytes,
                nearby: &nearby,
                specific_host: config.policies.specific_host.as_deref(),
                reserve_bytes: config.policies.avoid_eviction_reserve_bytes,
                hash_shards: config.policies.hash_shards,
                turn: inner.next_turn(),
                random: inner.host.entropy.next_u64(),
            };
            let chosen = policy::choose(self.policy, &ask, &left);
            if let Some(worker) = left.iter().find(|worker| Some(worker.id) == chosen) {
                return Ok((worker.id, worker.address.clone()));
            }
            let spent = inner.host.clock.monotonic().saturating_sub(started);
            // Workers that are there and do not fit will not fit later.
            if (!all.is_empty() && doubt) || spent >= config.rpc_retry.total {
                return Err(ClientError::NoWorker { purpose: "writing a block" });
            }
            doubt = true;
            if all.is_empty() {
                tokio::time::sleep(config.rpc_retry.max.min(Duration::from_secs(1))).await;
            }
        }
    }
}
