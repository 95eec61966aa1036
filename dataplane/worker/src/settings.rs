//! From the worker's section of the configuration to what its parts are made with.

use alluxio_blockstore as store;
use alluxio_config::{Allocator, Annotator, WorkerConfig};
use alluxio_rpc::{HostPort, RetryPolicy};
use std::path::PathBuf;
use std::time::Duration;

/// The watermarks that stand in the configuration when nobody set any.
const DEFAULT_WATERMARKS: (f64, f64) = (0.95, 0.7);

/// The layout of the block store.
///
/// Watermarks move blocks down ahead of need. On the lowest tier there is no "down", and a cache
/// that throws away what it has room for is just a smaller cache: there they count only when
/// somebody set them.
pub(crate) fn store_config(config: &WorkerConfig) -> store::StoreConfig {
    let lowest = config.tiers.len().saturating_sub(1);
    let tiers = config.tiers.iter().enumerate().map(|(i, tier)| {
        let marks = (tier.high_watermark, tier.low_watermark);
        let marked = i < lowest || marks != DEFAULT_WATERMARKS;
        let capacity = tier.dirs.iter().map(|dir| dir.quota_bytes).sum();
        let ahead = free_ahead(config.free_ahead_bytes, capacity);
        let marks = marked.then_some(store::Watermarks { low: marks.1, high: marks.0 });
        store::TierConfig {
            alias: tier.alias.clone(),
            dirs: tier
                .dirs
                .iter()
                .map(|dir| store::DirConfig {
                    path: dir.path.clone(),
                    quota_bytes: dir.quota_bytes,
                    medium: dir.medium.clone(),
                })
                .collect(),
            watermarks: marks.or(ahead),
        }
    });
    store::StoreConfig {
        tiers: tiers.collect(),
        allocator: match config.allocator {
            Allocator::MaxFree => store::Allocator::MaxFree,
            Allocator::RoundRobin => store::Allocator::RoundRobin,
            Allocator::Greedy => store::Allocator::Greedy,
        },
        eviction: match config.annotator {
            Annotator::Lru => store::EvictionOrder::Lru,
            Annotator::Lrfu { step, attenuation } => {
                store::EvictionOrder::Lrfu { step_factor: step, attenuation_factor: attenuation }
            }
        },
        data_folder: config.data_folder.clone(),
        temp_folder: config.data_folder_tmp.clone(),
        delta_entries_max: store::StoreConfig::DELTA_ENTRIES_MAX,
    }
}

/// `alluxio.worker.tieredstore.free.ahead.bytes` as a share of a tier.
fn free_ahead(bytes: u64, capacity: u64) -> Option<store::Watermarks> {
    let share = bytes as f64 / capacity as f64;
    // Never the whole tier, whatever was asked for.
    let mark = (1.0 - share).max(0.05);
    (bytes > 0).then_some(store::Watermarks { low: mark, high: mark })
}

pub(crate) fn masters(config: &WorkerConfig) -> Vec<HostPort> {
    let address = |m: &alluxio_config::HostPort| HostPort { host: m.host.clone(), port: m.port };
    config.masters.iter().map(address).collect()
}

/// One call to the master tries for at most a heartbeat's patience; the loop around it goes on.
pub(crate) fn retry_policy(config: &WorkerConfig) -> RetryPolicy {
    let RetryPolicy { total, .. } = RetryPolicy::default();
    RetryPolicy {
        base: config.rpc_retry.base,
        max: config.rpc_retry.max.min(Duration::from_secs(1)),
        total: config.heartbeat_timeout.min(total),
    }
}

/// Path of the Unix socket: the configured one, or one named by the worker's id in the first
/// folder for short-lived files, so that local readers are served by descriptors with no
/// configuration at all.
pub(crate) fn socket_path(config: &WorkerConfig, worker: alluxio_types::WorkerId) -> PathBuf {
    match &config.domain_socket_path {
        Some(dir) if config.domain_socket_as_uuid => dir.join(format!("{:016x}", worker.0)),
        Some(path) => path.clone(),
        None => {
            let tmp = config.general.tmp_dirs.first().cloned();
            let name = format!("alluxio-worker-{:016x}.sock", worker.0);
            tmp.unwrap_or_else(|| PathBuf::from("/tmp")).join(name)
        }
    }
}
