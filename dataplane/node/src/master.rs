//! A master wired to this machine.

use crate::journal_metrics::JournalMetrics;
use crate::shared_folder::UfsFolder;
use crate::{NodeError, Process, signals};
use alluxio_config::{JournalConfig, JournalKind, MasterConfig};
use alluxio_election::{
    Candidate, Elector, EtcdElector, EtcdElectorOptions, FixedElector, RaisingElector,
};
use alluxio_etcd::Etcd;
use alluxio_host::Host;
use alluxio_journal::folder::QueueLimits;
use alluxio_journal::{
    EtcdJournal, EtcdJournalOptions, FolderJournal, FolderOptions, NoopJournal, SharedJournal,
    SharedJournalOptions,
};
use alluxio_master::{Deps, Handle, OpenJournal, OpenedJournal, Property};
use alluxio_telemetry::Metrics;
use std::path::PathBuf;
use std::sync::Arc;

/// Starts a master; it takes part when this returns: it serves, or reads along behind the primary.
///
/// **Errors**: `Config`, `Journal` (not formatted, in use, damaged), `Master`.
pub async fn start_master(process: &Process) -> Result<Handle, NodeError> {
    let config = process.config.master()?;
    let metrics = Metrics::new("master");
    let place = JournalPlace::of(&config);
    // A journal of this machine has one master, whatever clients and workers find in etcd.
    let etcd = match (&place, &config.etcd) {
        (JournalPlace::Etcd | JournalPlace::Shared, Some(settings)) => {
            Some(alluxio_rpc::etcd::connect(settings)?)
        }
        _ => None,
    };
    let properties = process
        .config
        .settings()
        .map(|(key, setting)| Property {
            key: key.to_owned(),
            value: setting.shown().to_owned(),
            source: setting.source.to_string(),
        })
        .collect();
    let listener = alluxio_master::bind(&process.host.net, &config).await?;
    let rpc_address = format!("{}:{}", config.hostname, listener.address().port());
    let itself = Candidate { id: rpc_address.clone(), rpc_address };
    let journal = match (&place, &etcd, &config.etcd) {
        (JournalPlace::Shared, ..) => journal_in_ufs(&config, &process.host, &metrics)?,
        (JournalPlace::Etcd, Some(etcd), Some(settings)) => {
            let options = EtcdJournalOptions {
                etcd: etcd.clone(),
                folder: local_folder(&config.journal),
                master: itself.id.clone(),
                queue: QueueLimits::default(),
                backlog_bytes: settings.backlog_bytes,
            };
            journal_in_etcd(options, &process.host, &metrics)?
        }
        _ => journal_of_its_own(&config, &process.host, &metrics)?,
    };
    let deps = Deps {
        user: config.security.login_user.clone(),
        elector: elector(place, &config, &itself, etcd.as_ref(), &process.host),
        itself,
        host: process.host.clone(),
        log: process.log.clone(),
        config,
        properties,
        metrics,
        journal,
    };
    Ok(alluxio_master::start(listener, deps).await?)
}

/// Several masters are elected in etcd, whether their journal is there or in a folder that they share;
/// without etcd a master is the only one.
fn elector(
    place: JournalPlace,
    config: &MasterConfig,
    itself: &Candidate,
    etcd: Option<&Arc<Etcd>>,
    host: &Host,
) -> Arc<dyn Elector> {
    match (etcd, &config.etcd) {
        (Some(etcd), Some(settings)) => {
            let options = EtcdElectorOptions { lease: settings.lease };
            let (etcd, itself) = (etcd.clone(), itself.clone());
            let elector = EtcdElector::start(etcd, itself, host.clock.clone(), options);
            match place {
                // It outlives an etcd that is lost, and may be older than it.
                JournalPlace::Shared => Arc::new(RaisingElector::over(elector)),
                _ => Arc::new(elector),
            }
        }
        _ => Arc::new(FixedElector::new(itself.clone(), host.clock.clone())),
    }
}

/// Where the journal lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JournalPlace {
    /// Nowhere.
    Memory,
    /// In a folder of this machine, for one master.
    Local,
    /// In a folder that several masters reach.
    Shared,
    /// In etcd.
    Etcd,
}

impl JournalPlace {
    /// What the configuration says.
    pub(crate) fn of(config: &MasterConfig) -> JournalPlace {
        match config.journal.kind {
            JournalKind::Memory => JournalPlace::Memory,
            JournalKind::Etcd => JournalPlace::Etcd,
            JournalKind::Folder if !is_local(&config.journal.folder) => JournalPlace::Shared,
            // Several masters that elect one of them: the path is that of a file system which all of
            // them have mounted.
            JournalKind::Folder if config.rpc_addresses.len() > 1 && config.etcd.is_some() => {
                JournalPlace::Shared
            }
            JournalKind::Folder => JournalPlace::Local,
        }
    }
}

fn is_local(folder: &str) -> bool {
    folder.starts_with("file://") || !folder.contains("://")
}

/// The configured folder on this machine.
pub(crate) fn local_folder(config: &JournalConfig) -> PathBuf {
    PathBuf::from(config.folder.strip_prefix("file://").unwrap_or(&config.folder))
}

/// An id for a new cluster: 128 random bits, which nobody else has.
pub(crate) fn new_cluster_id(host: &Host) -> String {
    format!("{:016x}{:016x}", host.entropy.next_u64(), host.entropy.next_u64())
}

/// How the journal that several masters share is opened. Needs the runtime that it is called in.
fn journal_in_etcd(
    options: EtcdJournalOptions,
    host: &Host,
    metrics: &Metrics,
) -> Result<OpenJournal, NodeError> {
    let runtime = tokio::runtime::Handle::current();
    let (host, observer) = (host.clone(), Arc::new(JournalMetrics::register(metrics)?));
    Ok(Arc::new(move || {
        let opening = EtcdJournal::open(options.clone(), &host, observer.clone());
        let store = host.threads.wait_for(&runtime, opening)?;
        let cluster_id = store.facts().cluster_id.clone();
        Ok(OpenedJournal { store: Arc::new(store), cluster_id })
    }))
}

/// How the journal in a folder of an under store is opened. Needs the runtime that it is called in.
fn journal_in_ufs(
    config: &MasterConfig,
    host: &Host,
    metrics: &Metrics,
) -> Result<OpenJournal, NodeError> {
    let runtime = tokio::runtime::Handle::current();
    let folder = UfsFolder::open(config, host)?;
    let (host, observer) = (host.clone(), Arc::new(JournalMetrics::register(metrics)?));
    Ok(Arc::new(move || {
        let options =
            SharedJournalOptions { folder: folder.clone(), queue: QueueLimits::default() };
        let opening = SharedJournal::open(options, &host, observer.clone());
        let store = host.threads.wait_for(&runtime, opening)?;
        let cluster_id = store.facts().cluster_id.clone();
        Ok(OpenedJournal { store: Arc::new(store), cluster_id })
    }))
}

/// How the journal of a single master is opened.
fn journal_of_its_own(
    config: &MasterConfig,
    host: &Host,
    metrics: &Metrics,
) -> Result<OpenJournal, NodeError> {
    if config.journal.kind == JournalKind::Memory {
        tracing::warn!("alluxio.master.journal.type is NOOP: all is forgotten when this ends");
        let cluster_id = new_cluster_id(host);
        return Ok(Arc::new(move || {
            let store = Arc::new(NoopJournal::new());
            Ok(OpenedJournal { store, cluster_id: cluster_id.clone() })
        }));
    }
    let options = FolderOptions {
        folder: local_folder(&config.journal),
        segment_bytes: config.journal.segment_bytes,
        queue: QueueLimits::default(),
    };
    let (host, observer) = (host.clone(), Arc::new(JournalMetrics::register(metrics)?));
    Ok(Arc::new(move || {
        let store = FolderJournal::open(options.clone(), &host, observer.clone())?;
        let cluster_id = store.facts().cluster_id.clone();
        Ok(OpenedJournal { store: Arc::new(store), cluster_id })
    }))
}

/// Runs a master until it is told to stop.
///
/// **Errors**: as [`start_master`]; `JournalFailed`.
pub async fn run(process: &Process) -> Result<(), NodeError> {
    let patience = process.general()?.shutdown_timeout;
    let stop = signals::stop_requested()?;
    tokio::pin!(stop);
    // A start may wait for etcd as long as it takes.
    let master = tokio::select! {
        biased;
        signal = &mut stop => {
            tracing::info!(signal, "the master stops before it took part");
            return Ok(());
        }
        started = start_master(process) => started?,
    };
    tracing::info!(rpc = %master.rpc_address(), web = %master.web_address(), "master is ready");
    let outcome = tokio::select! {
        biased;
        reason = master.failed() => Err(NodeError::JournalFailed { reason }),
        signal = &mut stop => {
            tracing::info!(signal, "master stops");
            Ok(())
        }
    };
    master.stop(patience).await;
    outcome
}
