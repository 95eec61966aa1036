//! A master wired to this machine.

use crate::journal_metrics::JournalMetrics;
use crate::{NodeError, Process, signals};
use alluxio_config::{JournalConfig, JournalKind, MasterConfig};
use alluxio_election::{Candidate, FixedElector};
use alluxio_host::Host;
use alluxio_journal::folder::QueueLimits;
use alluxio_journal::{FolderJournal, FolderOptions, JournalStore, NoopJournal};
use alluxio_master::{Deps, Handle, Property};
use alluxio_telemetry::Metrics;
use std::path::PathBuf;
use std::sync::Arc;

/// Starts a master; it serves when this returns.
///
/// **Errors**: `Config`, `Journal` (not formatted, in use, damaged), `Master`.
pub async fn start_master(process: &Process) -> Result<Handle, NodeError> {
    let config = process.config.master()?;
    let metrics = Metrics::new("master");
    let (journal, cluster_id) = open_journal(&config, &process.host, &metrics).await?;
    let properties = process
        .config
        .settings()
        .map(|(key, setting)| Property {
            key: key.to_owned(),
            value: setting.shown().to_owned(),
            source: setting.source.to_string(),
        })
        .collect();
    let rpc_address = format!("{}:{}", config.hostname, config.rpc_port);
    let itself = Candidate { id: rpc_address.clone(), rpc_address };
    let deps = Deps {
        user: config.security.login_user.clone(),
        elector: Arc::new(FixedElector::new(itself, process.host.clock.clone())),
        host: process.host.clone(),
        log: process.log.clone(),
        config,
        properties,
        metrics,
        journal,
        cluster_id,
    };
    Ok(alluxio_master::start(deps).await?)
}

/// The configured folder of the journal on this machine.
///
/// **Errors**: `RemoteJournal`.
pub(crate) fn journal_folder(config: &JournalConfig) -> Result<PathBuf, NodeError> {
    let local = config.folder.strip_prefix("file://").unwrap_or(&config.folder);
    if local.contains("://") {
        return Err(NodeError::RemoteJournal { folder: config.folder.clone() });
    }
    Ok(PathBuf::from(local))
}

/// An id for a new cluster: 128 random bits, which nobody else has.
pub(crate) fn new_cluster_id(host: &Host) -> String {
    format!("{:016x}{:016x}", host.entropy.next_u64(), host.entropy.next_u64())
}

async fn open_journal(
    config: &MasterConfig,
    host: &Host,
    metrics: &Metrics,
) -> Result<(Arc<dyn JournalStore>, String), NodeError> {
    if config.journal.kind == JournalKind::Memory {
        tracing::warn!("alluxio.master.journal.type is NOOP: all is forgotten when this ends");
        return Ok((Arc::new(NoopJournal::new()), new_cluster_id(host)));
    }
    let options = FolderOptions {
        folder: journal_folder(&config.journal)?,
        segment_bytes: config.journal.segment_bytes,
        queue: QueueLimits::default(),
    };
    let (host, observer) = (host.clone(), Arc::new(JournalMetrics::register(metrics)?));
    let journal =
        tokio::task::spawn_blocking(move || FolderJournal::open(options, &host, observer))
            .await??;
    let cluster_id = journal.facts().cluster_id.clone();
    Ok((Arc::new(journal), cluster_id))
}

/// Runs a master until it is told to stop.
///
/// **Errors**: as [`start_master`]; `JournalFailed`.
pub async fn run(process: &Process) -> Result<(), NodeError> {
    let patience = process.general()?.shutdown_timeout;
    let stop = signals::stop_requested()?;
    let master = start_master(process).await?;
    tracing::info!(rpc = %master.rpc_address(), web = %master.web_address(), "master is ready");
    let outcome = tokio::select! {
        biased;
        reason = master.failed() => Err(NodeError::JournalFailed { reason }),
        signal = stop => {
            tracing::info!(signal, "master stops");
            Ok(())
        }
    };
    master.stop(patience).await;
    outcome
}
