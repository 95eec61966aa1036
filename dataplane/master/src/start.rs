//! From configuration to a serving primary, and back to nothing.

use crate::backup::{Backups, daily, restore};
use crate::core::{Core, Property};
use crate::error::{MasterError, StartError};
use crate::gate::Gate;
use crate::identity::Identities;
use crate::metrics::MasterMetrics;
use crate::recover::recover;
use crate::services::{
    block::BlockService, fs::FsService, meta::MetaService, worker::WorkerService,
};
use crate::sync::SyncState;
use crate::tasks;
use crate::ufs_table::UfsTable;
use crate::workers::Workers;
use crate::writer::{Writer, WriterDeps};
use alluxio_config::MasterConfig;
use alluxio_election::Elector;
use alluxio_host::Host;
use alluxio_journal::JournalStore;
use alluxio_namespace::{Format, Mount, Namespace, Policy};
use alluxio_proto::v1::block::block_master_client_server::BlockMasterClientServer;
use alluxio_proto::v1::block::block_master_worker_server::BlockMasterWorkerServer;
use alluxio_proto::v1::fs::file_system_master_server::FileSystemMasterServer;
use alluxio_proto::v1::meta::meta_master_server::MetaMasterServer;
use alluxio_rpc::{MESSAGE_BYTES_MAX, RpcServer, ServerMetrics, auth, serve};
use alluxio_telemetry::{AdminHandle, AdminServer, LogControl, Metrics, Readiness};
use alluxio_types::{AlluxioPath, JournalSeq};
use alluxio_ufs::{MkdirOptions, UfsKind, UfsSettings, UnderFsRegistry};
use axum::Router;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::service::{Routes, interceptor::InterceptedService};

/// The condition of readiness: the namespace is recovered and calls are answered.
const SERVES: &str = "serves";

/// What a master is made of.
pub struct Deps {
    /// The machine.
    pub host: Host,
    /// Its section of the configuration.
    pub config: MasterConfig,
    /// All properties with their sources, credentials masked, for those who ask.
    pub properties: Vec<Property>,
    /// Where metrics are registered.
    pub metrics: Metrics,
    /// The log that `/log-level` controls.
    pub log: LogControl,
    /// Where entries are kept; not loaded yet.
    pub journal: Arc<dyn JournalStore>,
    /// The id that the journal was formatted with.
    pub cluster_id: String,
    /// Who decides which master is the primary.
    pub elector: Arc<dyn Elector>,
    /// The user that runs this process: the superuser of a new namespace.
    pub user: String,
}

/// A running master.
pub struct Handle {
    core: Arc<Core>,
    server: RpcServer,
    web: AdminHandle,
    readiness: Readiness,
    writer: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
    journal: Arc<dyn JournalStore>,
}

/// Recovers the namespace, wins the election and serves.
///
/// **Errors**: see [`StartError`]; nothing is left running.
pub async fn start(deps: Deps) -> Result<Handle, StartError> {
    let Deps { host, config, properties, metrics, log, journal, cluster_id, elector, user } = deps;
    let started_at = host.clock.monotonic();
    let admin_metrics = metrics.clone();
    let server_metrics = ServerMetrics::register("master", metrics.registry())?;
    let metrics = MasterMetrics::register(metrics.registry())?;
    let listener = listen(&config.bind_host, config.rpc_port).await?;
    let readiness = Readiness::waiting_for(&[SERVES]);
    let admin = AdminServer { metrics: admin_metrics, readiness: readiness.clone(), log };
    let web = admin.start(&config.web_bind_host, config.web_port, Router::new()).await?;

    let store = journal.clone();
    let (namespace, recovered) = tokio::task::spawn_blocking(move || recover(&*store))
        .await
        .map_err(|_| StartError::Setup(MasterError::Stopping))??;
    let ufs_registry = UnderFsRegistry::new(UfsSettings {
        defaults: config.ufs_options.clone(),
        clock: host.clock.clone(),
        ..UfsSettings::default()
    });
    let (namespace, recovered) = match &config.journal.init_from_backup {
        Some(uri) => restore::fill(journal.clone(), &ufs_registry, uri, &recovered).await?,
        None => (namespace, recovered),
    };
    let took = host.clock.monotonic().saturating_sub(started_at);
    tracing::info!(
        entries = recovered.entries,
        last = recovered.last.0,
        checkpoint = recovered.checkpoint.as_ref().map_or(0, |c| c.at.0),
        torn_bytes = recovered.torn_bytes,
        ms = took.as_millis() as u64,
        "namespace is recovered"
    );
    let tenure = elector.campaign(recovered.term).await?;
    let (store, term) = (journal.clone(), tenure.term());
    tokio::task::spawn_blocking(move || store.fence(term))
        .await
        .map_err(|_| StartError::Setup(MasterError::Stopping))??;

    let namespace = Arc::new(namespace);
    let policy = policy(&config);
    let (writer, writer_task) = Writer::start(WriterDeps {
        namespace: namespace.clone(),
        journal: journal.clone(),
        tenure: tenure.clone(),
        clock: host.clock.clone(),
        policy: policy.clone(),
        metrics: metrics.clone(),
    });
    let identities = Identities::new("/etc", host.clock.clone());
    let itself = identities.of(&user);
    let core = Arc::new(Core {
        sync: SyncState::new(config.metadata_sync.absent_cache_entries),
        gate: Gate::new(journal.commits(), tenure),
        workers: Workers::new(host.clone()),
        ufs: UfsTable::new(ufs_registry, namespace.clone()),
        started: host.clock.now(),
        checkpoint_at: AtomicU64::new(
            recovered.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.at.0),
        ),
        pin_version: AtomicU64::new(1),
        backups: Backups::default(),
        journal: journal.clone(),
        host,
        policy,
        namespace,
        writer,
        identities,
        metrics,
        itself,
        started_at,
        properties,
        config,
    });
    if core.namespace.mounts().is_empty() {
        set_up(&core, cluster_id).await.map_err(StartError::Setup)?;
    }
    let address = listener
        .local_addr()
        .map_err(|source| StartError::Listen { address: core.config.bind_host.clone(), source })?;
    let routes = routes(&core, address.port(), web.address().port());
    let server = serve(listener, routes, server_metrics)
        .map_err(|source| StartError::Listen { address: core.config.bind_host.clone(), source })?;
    let tasks = vec![
        tokio::spawn(tasks::watch_workers(core.clone())),
        tokio::spawn(tasks::keep_house(core.clone())),
        tokio::spawn(daily::keep(core.clone())),
    ];
    readiness.ready(SERVES);
    Ok(Handle { core, server, web, readiness, writer: writer_task, tasks, journal })
}

async fn listen(host: &str, port: u16) -> Result<TcpListener, StartError> {
    let error = |source| StartError::Listen { address: format!("{host}:{port}"), source };
    TcpListener::bind((host, port)).await.map_err(error)
}

fn policy(config: &MasterConfig) -> Policy {
    Policy {
        permission_enabled: config.security.permission_enabled,
        supergroup: config.security.supergroup.clone(),
        umask: config.security.umask,
    }
}

/// The first entries of a new journal: identity, root directory and configured mounts.
async fn set_up(core: &Arc<Core>, cluster_id: String) -> Result<(), MasterError> {
    let root = &core.config.root_mount;
    let format = Format {
        cluster_id,
        ufs_uri: root.ufs_uri.clone(),
        read_only: root.read_only,
        shared: root.shared,
        options: root.options.clone(),
        root_mode: None,
    };
    core.commit(format, &core.itself).await?;
    if let Some(mount) = core.namespace.mount_of(&AlluxioPath::root()) {
        let ufs = core.ufs.of(&mount)?;
        // A directory of this machine is ours to make; a bucket or a cluster is the user's.
        if ufs.kind() == UfsKind::Local && !root.read_only {
            ufs.mkdir(ufs.root(), MkdirOptions::recursive()).await?;
        }
    }
    let call = core.call(&core.itself.user, None);
    for mount in &core.config.mounts {
        let request = Mount {
            path: mount.path.clone(),
            ufs_uri: mount.ufs_uri.clone(),
            read_only: mount.read_only,
            shared: mount.shared,
            options: mount.options.clone(),
            facts: None,
        };
        core.mount(request, &call).await?;
    }
    Ok(())
}

fn routes(core: &Arc<Core>, rpc_port: u16, web_port: u16) -> Routes {
    let fs = FileSystemMasterServer::new(FsService::new(core.clone()))
        .max_decoding_message_size(MESSAGE_BYTES_MAX);
    let block = BlockMasterClientServer::new(BlockService::new(core.clone()));
    let worker = BlockMasterWorkerServer::new(WorkerService::new(core.clone()))
        .max_decoding_message_size(MESSAGE_BYTES_MAX);
    let meta = MetaMasterServer::new(MetaService::new(core.clone(), rpc_port, web_port));
    Routes::new(InterceptedService::new(fs, auth::identify))
        .add_service(InterceptedService::new(block, auth::identify))
        .add_service(InterceptedService::new(worker, auth::identify))
        .add_service(InterceptedService::new(meta, auth::identify))
}

impl Handle {
    /// Where it serves.
    pub fn rpc_address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Where metrics and health are.
    pub fn web_address(&self) -> SocketAddr {
        self.web.address()
    }

    /// The namespace, for tests and benchmarks in the same process.
    pub fn namespace(&self) -> Arc<Namespace> {
        self.core.namespace.clone()
    }

    /// Takes a checkpoint now, while serving. Returns the position it stands for.
    ///
    /// **Errors**: `CheckpointRunning`, and what the journal says.
    pub async fn checkpoint(&self) -> Result<JournalSeq, MasterError> {
        self.core.checkpoint().await
    }

    /// Ends when the journal has failed: nothing can be acknowledged any more, and the process
    /// should end so that a new one starts from what is durable.
    pub async fn failed(&self) -> String {
        let commits = self.core.gate.commits().clone();
        let mut seen = commits.current();
        loop {
            match commits.next_after(seen).await {
                Ok(later) => seen = later,
                Err(error) => {
                    self.readiness.broken(error.to_string());
                    return error.to_string();
                }
            }
        }
    }

    /// Stops serving, makes what is queued durable, ends all tasks. Takes `deadline` at most for
    /// calls under way.
    pub async fn stop(self, deadline: Duration) {
        self.readiness.not_ready(SERVES, "the master is stopping");
        self.server.stop(tokio::time::sleep(deadline)).await;
        for task in &self.tasks {
            task.abort();
        }
        let journal = self.journal;
        let closed = tokio::task::spawn_blocking(move || journal.close()).await;
        if let Ok(Err(error)) = closed {
            tracing::error!(%error, "the journal did not close cleanly");
        }
        self.writer.abort();
        self.web.stop().await;
    }
}
