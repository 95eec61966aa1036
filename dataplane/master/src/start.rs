//! From configuration to a master that takes part, and back to nothing.

use crate::core::Property;
use crate::cycle;
use crate::error::{MasterError, StartError};
use crate::identity::Identities;
use crate::metrics::MasterMetrics;
use crate::newest::NewestMemory;
use crate::role::{OpenJournal, Role, Slot, Station};
use crate::services::{
    block::BlockService, fs::FsService, meta::MetaService, peer::PeerService, worker::WorkerService,
};
use alluxio_config::MasterConfig;
use alluxio_election::{Candidate, Elector};
use alluxio_host::net::Listener;
use alluxio_host::{Host, Net};
use alluxio_namespace::{Namespace, Policy};
use alluxio_proto::v1::block::block_master_client_server::BlockMasterClientServer;
use alluxio_proto::v1::block::block_master_worker_server::BlockMasterWorkerServer;
use alluxio_proto::v1::fs::file_system_master_server::FileSystemMasterServer;
use alluxio_proto::v1::meta::master_peer_server::MasterPeerServer;
use alluxio_proto::v1::meta::meta_master_server::MetaMasterServer;
use alluxio_rpc::{MESSAGE_BYTES_MAX, RpcServer, ServerMetrics, auth, serve};
use alluxio_telemetry::{AdminHandle, AdminServer, LogControl, Metrics, Readiness};
use alluxio_types::{BlockId, JournalSeq, WorkerId};
use axum::Router;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::service::{Routes, interceptor::InterceptedService};

/// The condition of readiness: the namespace is recovered, and the master serves or reads along.
const TAKES_PART: &str = "takes part";

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
    /// Where entries are kept.
    pub journal: OpenJournal,
    /// Who decides which master is the primary.
    pub elector: Arc<dyn Elector>,
    /// This master, as the elector knows it.
    pub itself: Candidate,
    /// The user that runs this process: the superuser of a new namespace.
    pub user: String,
}

/// A listening socket for a master's RPC, bound before the master is made: its port is a part of the
/// name under which the master is elected.
///
/// **Errors**: `Listen`.
pub async fn bind(
    net: &Arc<dyn Net>,
    config: &MasterConfig,
) -> Result<Box<dyn Listener>, StartError> {
    let (host, port) = (&config.bind_host, config.rpc_port);
    let error = |source| StartError::Listen { address: format!("{host}:{port}"), source };
    net.listen(host, port).await.map_err(error)
}

/// A running master, primary or standby.
pub struct Handle {
    slot: Arc<Slot>,
    server: RpcServer,
    web: AdminHandle,
    readiness: Readiness,
    stop: watch::Sender<bool>,
    cycle: JoinHandle<()>,
}

/// Starts a master; it takes part when this returns: it is the primary, or it knows one and reads
/// along behind it.
///
/// **Errors**: see [`StartError`]; nothing is left running.
pub async fn start(listener: Box<dyn Listener>, deps: Deps) -> Result<Handle, StartError> {
    let server_metrics = ServerMetrics::register("master", deps.metrics.registry())?;
    let metrics = MasterMetrics::register(deps.metrics.registry())?;
    let readiness = Readiness::waiting_for(&[TAKES_PART]);
    let registry = deps.metrics.clone();
    let admin = AdminServer { metrics: deps.metrics, readiness: readiness.clone(), log: deps.log };
    let config = deps.config;
    let (host, port) = (&config.web_bind_host, config.web_port);
    let web = admin.start(&deps.host.net, host, port, Router::new()).await?;
    let slot = Arc::new(Slot::new(&*deps.elector, &deps.itself));
    let station = Arc::new(Station {
        policy: policy(&config),
        properties: deps.properties,
        metrics,
        journal: deps.journal,
        elector: deps.elector,
        itself: deps.itself,
        identities: Arc::new(Identities::new("/etc", &config.security, deps.host.clock.clone())),
        user: deps.user,
        rpc_port: listener.address().port(),
        web_port: web.address().port(),
        newest: NewestMemory::default(),
        registry,
        host: deps.host,
        config: config.clone(),
    });
    let server = serve(listener, routes(&slot, &station), server_metrics);
    let (stop, stopped) = watch::channel(false);
    let cycle = tokio::spawn(cycle::run(station, slot.clone(), stopped));
    let handle = Handle { slot, server, web, readiness, stop, cycle };
    match handle.takes_part().await {
        Ok(()) => {
            handle.readiness.ready(TAKES_PART);
            Ok(handle)
        }
        Err(error) => {
            // The slot's hold on the error goes: it is the caller's now.
            handle.slot.set(Role::Starting);
            handle.stop(Duration::ZERO).await;
            Err(Arc::try_unwrap(error).unwrap_or_else(StartError::Later))
        }
    }
}

fn policy(config: &MasterConfig) -> Policy {
    Policy {
        permission_enabled: config.security.permission_enabled,
        supergroup: config.security.supergroup.clone(),
        umask: config.security.umask,
    }
}

fn routes(slot: &Arc<Slot>, station: &Arc<Station>) -> Routes {
    let fs = FileSystemMasterServer::new(FsService::new(slot.clone()))
        .max_decoding_message_size(MESSAGE_BYTES_MAX);
    let block = BlockMasterClientServer::new(BlockService::new(slot.clone()));
    let worker = BlockMasterWorkerServer::new(WorkerService::new(slot.clone()))
        .max_decoding_message_size(MESSAGE_BYTES_MAX);
    let meta = MetaMasterServer::new(MetaService::new(slot.clone(), station.clone()));
    let peer = MasterPeerServer::new(PeerService::new(slot.clone(), station.clone()));
    Routes::new(InterceptedService::new(fs, auth::identify))
        .add_service(InterceptedService::new(block, auth::identify))
        .add_service(InterceptedService::new(worker, auth::identify))
        .add_service(InterceptedService::new(meta, auth::identify))
        .add_service(InterceptedService::new(peer, auth::identify))
}

impl Handle {
    async fn takes_part(&self) -> Result<(), Arc<StartError>> {
        let (mut role, mut leader) = (self.slot.watch(), self.slot.leader());
        loop {
            match &*role.borrow_and_update() {
                Role::Primary(_) => return Ok(()),
                Role::Standby(_) if self.slot.other_leader().is_some() => return Ok(()),
                Role::Failed(error) => return Err(error.clone()),
                Role::Standby(_) | Role::Starting => {}
            }
            // Both senders live as long as the slot and the elector that it was made with.
            tokio::select! {
                _ = role.changed() => {}
                Ok(()) = leader.changed() => {}
                else => return Err(Arc::new(StartError::Setup(MasterError::Stopping))),
            }
        }
    }

    /// Where it serves.
    pub fn rpc_address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Where metrics and health are.
    pub fn web_address(&self) -> SocketAddr {
        self.web.address()
    }

    /// Whether it is the primary now.
    pub fn is_primary(&self) -> bool {
        matches!(self.slot.role(), Role::Primary(_))
    }

    /// The namespace, for tests and benchmarks in the same process; `None` while it is read.
    pub fn namespace(&self) -> Option<Arc<Namespace>> {
        self.slot.namespace()
    }

    /// The workers that are believed to hold a block, for tests in the same process; `None` when this is not
    /// the primary.
    pub fn locate(&self, block: BlockId) -> Option<BTreeSet<WorkerId>> {
        match self.slot.role() {
            Role::Primary(core) => {
                let copies = core.workers.locate(block).into_iter();
                Some(copies.map(|copy| copy.worker).collect())
            }
            _ => None,
        }
    }

    /// Takes a checkpoint now, while serving. Returns the position it stands for.
    ///
    /// **Errors**: `NotPrimary`, `CheckpointRunning`, and what the journal says.
    pub async fn checkpoint(&self) -> Result<JournalSeq, MasterError> {
        match self.slot.role() {
            Role::Primary(core) => core.checkpoint().await,
            _ => Err(MasterError::NotPrimary),
        }
    }

    /// Ends when this master cannot take part any more: the process should end, so that a new one
    /// starts from what is durable.
    pub async fn failed(&self) -> String {
        let mut role = self.slot.watch();
        let failed = role.wait_for(|role| matches!(role, Role::Failed(_))).await;
        let reason = match failed.as_deref() {
            Ok(Role::Failed(error)) => error.to_string(),
            _ => MasterError::Stopping.to_string(),
        };
        self.readiness.broken(reason.clone());
        reason
    }

    /// Stops: what is queued becomes durable, a primary resigns so that another master takes over at
    /// once. Takes `deadline` at most for calls under way.
    pub async fn stop(mut self, deadline: Duration) {
        self.readiness.not_ready(TAKES_PART, "the master is stopping");
        self.stop.send_replace(true);
        self.slot.close();
        if let Err(error) = (&mut self.cycle).await {
            tracing::error!(%error, "the master's roles ended badly");
        }
        self.server.stop(tokio::time::sleep(deadline)).await;
        self.web.stop().await;
    }
}
