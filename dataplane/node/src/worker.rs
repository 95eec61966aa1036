//! A worker wired to this machine.

use crate::{NodeError, Process, signals};
use alluxio_config::WorkerConfig;
use alluxio_telemetry::Metrics;
use alluxio_ufs::{UfsSettings, UnderFsRegistry};
use alluxio_worker::{Deps, Handle};

/// Starts a worker: it answers requests when this returns, and looks for its master meanwhile
/// ([`Handle::ready`]).
///
/// **Errors**: `Config`, `Worker`.
pub async fn start_worker(process: &Process) -> Result<Handle, NodeError> {
    let config = process.config.worker()?;
    let deps = Deps {
        host: process.host.clone(),
        metrics: Metrics::new("worker"),
        log: process.log.clone(),
        ufs: under_stores(process, &config),
        version: crate::VERSION.to_owned(),
        config,
    };
    Ok(alluxio_worker::start(deps).await?)
}

fn under_stores(process: &Process, config: &WorkerConfig) -> UnderFsRegistry {
    UnderFsRegistry::new(UfsSettings {
        defaults: config.ufs_options.clone(),
        clock: process.host.clock.clone(),
        ..UfsSettings::default()
    })
}

/// Runs a worker until it is told to stop.
///
/// **Errors**: as [`start_worker`]; `WorkerStopped`.
pub async fn run(process: &Process) -> Result<(), NodeError> {
    let patience = process.general()?.shutdown_timeout;
    let stop = signals::stop_requested()?;
    let worker = start_worker(process).await?;
    tracing::info!(address = ?worker.address(), web = %worker.web_address(), "worker is ready");
    let outcome = tokio::select! {
        biased;
        reason = worker.wait() => Err(NodeError::WorkerStopped { reason }),
        signal = stop => {
            tracing::info!(signal, "worker stops");
            Ok(())
        }
    };
    worker.stop(patience).await;
    outcome
}
