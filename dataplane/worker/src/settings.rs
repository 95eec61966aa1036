//! From the worker's section of the configuration to what its parts are made with.

use alluxio_blockstore as store;
use alluxio_config::{Allocator, Annotator, EtcdConfig, WorkerConfig};
use alluxio_datapath::server::ServerOptions;
use alluxio_rpc::etcd::EtcdDirectory;
use alluxio_rpc::{Directory, HostPort, RetryPolicy, RpcError};
use alluxio_types::Coded;
use std::path::PathBuf;
use std::sync::Arc;
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

/// How the data protocol is served.
pub(crate) fn server_options(config: &WorkerConfig) -> ServerOptions {
    ServerOptions {
        frame_bytes: config.chunk_bytes,
        stall: config.session_timeout,
        ..ServerOptions::default()
    }
}

pub(crate) fn masters(config: &WorkerConfig) -> Vec<HostPort> {
    let address = |m: &alluxio_config::HostPort| HostPort { host: m.host.clone(), port: m.port };
    config.masters.iter().map(address).collect()
}

/// etcd, which tells where the primary is.
pub(crate) fn directory(config: &EtcdConfig) -> Result<Arc<dyn Directory>, RpcError> {
    let etcd = alluxio_rpc::etcd::connect(config)
        .map_err(|error| RpcError::BadDirectory { code: error.code(), why: error.to_string() })?;
    Ok(Arc::new(EtcdDirectory::new(etcd)))
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

/// Name of the socket in a storage directory; the dot keeps it from being taken for a block.
const SOCKET_NAME: &str = ".data.sock";

/// Paths for the Unix socket, the best one first. Without configuration it lies with the blocks,
/// so that it comes and goes with the storage it serves, or else in the first folder for
/// short-lived files (a path may be too long for a socket, a file system may not hold one): local
/// readers are served by descriptors with no configuration at all.
pub(crate) fn socket_paths(config: &WorkerConfig, worker: alluxio_types::WorkerId) -> Vec<PathBuf> {
    let id = format!("{:016x}", worker.0);
    match &config.domain_socket_path {
        Some(dir) if config.domain_socket_as_uuid => vec![dir.join(id)],
        Some(path) => vec![path.clone()],
        None => {
            let storage = config.tiers.iter().flat_map(|tier| &tier.dirs).next();
            let beside = storage.map(|dir| dir.path.join(&config.data_folder).join(SOCKET_NAME));
            let tmp = config.general.tmp_dirs.first().cloned();
            let tmp = tmp.unwrap_or_else(|| PathBuf::from("/tmp"));
            beside.into_iter().chain([tmp.join(format!("alluxio-worker-{id}.sock"))]).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alluxio_config::Config;
    use alluxio_types::WorkerId;

    fn config(pairs: &[(&str, &str)]) -> WorkerConfig {
        let base = [("alluxio.master.hostname", "m"), ("alluxio.worker.ramdisk.size", "1GB")];
        let all = base.iter().chain(pairs).map(|(key, value)| (*key, *value));
        Config::of(all).unwrap().worker().unwrap()
    }

    #[test]
    fn a_lone_tier_is_not_emptied_by_watermarks_nobody_set() {
        let marks = |pairs: &[(&str, &str)]| {
            let tiers = store_config(&config(pairs)).tiers;
            tiers
                .into_iter()
                .map(|tier| tier.watermarks.map(|m| (m.low, m.high)))
                .collect::<Vec<_>>()
        };
        assert_eq!(marks(&[]), [None]);
        let high = "alluxio.worker.tieredstore.level0.watermark.high.ratio";
        assert_eq!(marks(&[(high, "0.8")]), [Some((0.7, 0.8))]);
        let two = [
            ("alluxio.worker.tieredstore.levels", "2"),
            ("alluxio.worker.tieredstore.level1.dirs.path", "/ssd"),
            ("alluxio.worker.tieredstore.level1.dirs.quota", "1GB"),
        ];
        assert_eq!(marks(&two), [Some((0.7, 0.95)), None]);
        let ahead = "alluxio.worker.tieredstore.free.ahead.bytes";
        assert_eq!(marks(&[(ahead, "256MB")]), [Some((0.75, 0.75))]);
        assert_eq!(marks(&[(ahead, "10GB")]), [Some((0.05, 0.05))]);
    }

    #[test]
    fn the_socket_lies_where_it_was_put_and_with_the_blocks_otherwise() {
        let paths = |pairs: &[(&str, &str)]| {
            let paths = socket_paths(&config(pairs), WorkerId(0xAB));
            paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            paths(&[]),
            ["/mnt/ramdisk/alluxioworker/.data.sock", "/tmp/alluxio-worker-00000000000000ab.sock"]
        );
        let address = "alluxio.worker.data.server.domain.socket.address";
        assert_eq!(paths(&[(address, "/run/w")]), ["/run/w"]);
        let uuid = ("alluxio.worker.data.server.domain.socket.as.uuid", "true");
        assert_eq!(paths(&[(address, "/run"), uuid]), ["/run/00000000000000ab"]);
    }
}
